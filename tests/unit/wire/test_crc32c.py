"""Checksums agree whatever buffers they see, in parts or whole, and with the published value."""

from __future__ import annotations

import os

import google_crc32c
import pytest
from appengine_wire.crc32c import crc32c_of, extend_crc32c, joined_crc32c
from hypothesis import given
from hypothesis import strategies as st


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


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_the_checksum_of_two_parts_is_that_of_the_whole(before, after):
    joined = joined_crc32c(google_crc32c.value(before), google_crc32c.value(after), len(after))
    assert joined == google_crc32c.value(before + after)


@pytest.mark.parametrize("size", [0, 1, 2 << 20, (2 << 20) + 12345])
def test_parts_of_any_size_are_put_together(size):
    more = bytes(range(256)) * (size // 256) + bytes(size % 256)
    joined = joined_crc32c(google_crc32c.value(b"abc"), google_crc32c.value(more), size)
    assert joined == google_crc32c.value(b"abc" + more)


@pytest.mark.parametrize("size", [0, 100, 16 << 10, 100_000])
def test_a_view_has_the_checksum_of_its_bytes(size):
    data = bytes(range(250)) * (size // 250 + 1)
    view = memoryview(data)[3 : 3 + size]
    assert extend_crc32c(7, view) == google_crc32c.extend(7, bytes(view))
