"""Checksums of files are those of their bytes."""

from __future__ import annotations

import hashlib
import os

import blake3
from appengine_server.storage.checksums import crc32c_of_file, digest_of_file
from appengine_server.storage.tree import DigestAlgorithm
from appengine_wire.crc32c import crc32c_of


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
