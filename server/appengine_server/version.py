"""The version of this server."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("appengine-server")
except PackageNotFoundError:  # run from a source tree that is not installed
    VERSION = "0"
