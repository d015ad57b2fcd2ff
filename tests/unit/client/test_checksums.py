"""Checksums of views, and of parts that are put together."""

from __future__ import annotations

import google_crc32c
import pytest
from appengine_client._transfer import checksums
from hypothesis import given
from hypothesis import strategies as st


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_the_checksum_of_two_parts_is_that_of_the_whole(before, after):
    joined = checksums.joined(google_crc32c.value(before), google_crc32c.value(after), len(after))
    assert joined == google_crc32c.value(before + after)


@pytest.mark.parametrize("size", [0, 1, 2 << 20, (2 << 20) + 12345])
def test_parts_of_any_size_are_put_together(size):
    more = bytes(range(256)) * (size // 256) + bytes(size % 256)
    joined = checksums.joined(google_crc32c.value(b"abc"), google_crc32c.value(more), size)
    assert joined == google_crc32c.value(b"abc" + more)


@pytest.mark.parametrize("size", [0, 100, 16 << 10, 100_000])
def test_a_view_has_the_checksum_of_its_bytes(size):
    data = bytes(range(250)) * (size // 250 + 1)
    view = memoryview(data)[3 : 3 + size]
    assert checksums.extend(7, view) == google_crc32c.extend(7, bytes(view))
