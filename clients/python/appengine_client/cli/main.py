"""The command `appengine`."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence

from appengine_client.cli.errors import ExitCode, complain

_NEW_OBJECTS = 20_000
"""After so many Python looks for garbage; by itself so often that it takes a tenth of the start."""
_OPTIONAL = ("typer", "click", "rich", "appengine_contract")


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the arguments say, and end the program with its exit code."""
    gc.set_threshold(_NEW_OBJECTS)
    # gRPC's core writes lines of its own to stderr when a connection is lost.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        from appengine_client.cli.app import run_app

        run_app(sys.argv[1:] if arguments is None else arguments)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _OPTIONAL:
            raise
        complain("The command line is not installed: pip install 'appengine-client[cli]'")
        sys.exit(ExitCode.USAGE)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
