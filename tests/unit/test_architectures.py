"""Architectures by the names that images have for them."""

from __future__ import annotations

import pytest
from appengine_server.architectures import image_architecture


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ("x86_64", "amd64"),
        ("i686", "386"),
        ("aarch64", "arm64"),
        ("armv7l", "arm"),
        ("riscv64", "riscv64"),
        ("amd64", "amd64"),
    ],
)
def test_what_an_engine_tells_is_named_as_images_name_it(machine: str, expected: str) -> None:
    assert image_architecture(machine) == expected
