"""crc32c, sha256 and blake3 of open files."""

from __future__ import annotations

import hashlib
import os
from typing import Any, Protocol

import blake3
from appengine_wire.crc32c import extend_crc32c

from appengine_server.storage.tree import DigestAlgorithm

READ_BYTES = 1 << 20
"""How much of a file is read at once: larger is not faster, and costs memory per reader."""


def crc32c_of_file(fd: int, length_bytes: int) -> int | None:
    """The crc32c of the first `length_bytes` of an open file; None when it is shorter."""
    crc32c = 0
    done = 0
    while done < length_bytes:
        piece = os.pread(fd, min(READ_BYTES, length_bytes - done), done)
        if not piece:
            return None
        crc32c = extend_crc32c(crc32c, piece)
        done += len(piece)
    return crc32c


def digest_of_file(algorithm: DigestAlgorithm, fd: int) -> bytes:
    """The strong checksum of an open file, read from its beginning."""
    hasher = _hasher(algorithm)
    done = 0
    while piece := os.pread(fd, READ_BYTES, done):
        hasher.update(piece)
        done += len(piece)
    return hasher.digest()


class _Hasher(Protocol):
    def update(self, data: bytes | memoryview, /) -> Any: ...
    def digest(self) -> bytes: ...


def _hasher(algorithm: DigestAlgorithm) -> _Hasher:
    if algorithm is DigestAlgorithm.SHA256:
        return hashlib.sha256()
    hasher: _Hasher = blake3.blake3()
    return hasher
