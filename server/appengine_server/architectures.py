"""Names of processor architectures."""

from __future__ import annotations

_BY_OTHER_NAME = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "i686": "386",
    "aarch64": "arm64",
    "armv7l": "arm",
}


def image_architecture(name: str) -> str:
    """The name that images have for an architecture, such as amd64, which kernels call x86_64."""
    return _BY_OTHER_NAME.get(name, name)
