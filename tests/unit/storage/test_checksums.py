"""Checksums agree whatever kind of buffer they see, and with the published values."""

from __future__ import annotations

import hashlib
import os

import blake3
import google_crc32c
import pytest
from appengine_server.storage.checksums import (
    crc32c_of,
    crc32c_of_file,
    digest_of_file,
    extend_crc32c,
    joined_crc32c,
)
from appengine_server.storage.tree import DigestAlgorithm


def test_the_published_value():
    assert crc32c_of(b"123456789") == 0xE3069283


@pytest.mark.parametrize("size", [0, 1, 4096, 16 << 10, 100_000, 2 << 20])
def test_every_buffer_gives_the_same(size):
    content = os.urandom(size)
    expected = google_crc32c.value(content)
    framed = memoryview(b"head" + content + b"tail")[4 : 4 + size]
    for buffer in (content, bytearray(content), memoryview(content), framed):
        assert crc32c_of(buffer) == expected
    half = size // 2
    assert extend_crc32c(crc32c_of(framed[:half]), framed[half:]) == expected


@pytest.mark.parametrize("size", [0, 1, 4096, 2 << 20, (2 << 20) + 12345])
def test_parts_are_put_together_without_their_bytes(size):
    before, more = os.urandom(100), os.urandom(size)
    joined = joined_crc32c(crc32c_of(before), crc32c_of(more), size)
    assert joined == crc32c_of(before + more)


def test_a_view_is_released_after_its_checksum():
    content = bytearray(1 << 20)
    crc32c_of(memoryview(content))
    content.append(1)  # refused while somebody looks at it


def test_files_are_read_from_their_beginning(tmp_path):
    content = os.urandom((1 << 20) + 77)
    (tmp_path / "f").write_bytes(content)
    with (tmp_path / "f").open("rb") as file:
        file.seek(5)
        assert crc32c_of_file(file.fileno(), 1000) == crc32c_of(content[:1000])
        assert crc32c_of_file(file.fileno(), len(content)) == crc32c_of(content)
        assert crc32c_of_file(file.fileno(), len(content) + 1) is None
        for algorithm, expected in (
            (DigestAlgorithm.SHA256, hashlib.sha256(content).digest()),
            (DigestAlgorithm.BLAKE3, blake3.blake3(content).digest()),
        ):
            assert digest_of_file(algorithm, file.fileno()) == expected
