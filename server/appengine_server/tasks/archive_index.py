"""What one reading of an image archive remembers: files with their hashes, and documents."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from appengine_server.tasks.entry_names import link_destination, plain_name

Compression = Literal["none", "gzip", "zstd", "other"]
Document = Mapping[str, object]
_LINK_HOPS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file of an image archive."""

    number: int
    """Its place among the entries of the tar, counted from 0."""
    name: str
    size_bytes: int
    digest: str
    """`sha256:` of its bytes."""
    plain_digest: str | None
    """`sha256:` of its bytes when decompressed; None where that was not computed."""
    compression: Compression
    content: bytes | None
    """Kept for what may be a JSON document."""


@dataclass(slots=True, kw_only=True)
class ArchiveIndex:
    """The files and links of an image archive by name. A name that comes twice means the last."""

    members: dict[str, Member] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    """Name of a link → name of the entry that it names."""

    def find(self, name: str) -> Member | None:
        """The file of that name, through links inside the archive only."""
        name = plain_name(name)
        for _ in range(_LINK_HOPS):
            if name in self.members:
                return self.members[name]
            if name not in self.links:
                return None
            name = self.links[name]
        return None

    def blob(self, digest: str) -> Member | None:
        """The file of an OCI layout that the digest names, if it is in the archive."""
        return self.find(f"blobs/{digest.replace(':', '/', 1)}")

    def document(self, name: str) -> object:
        """The JSON document of that name, None when it is absent. Raises BrokenDocument."""
        member = self.find(name)
        return None if member is None else parse_document(member)

    def add_symlink(self, name: str, target: str) -> bool:
        """Remember a symbolic link. False when it leads out of the archive."""
        destination = link_destination(name, target)
        if destination is None:
            return False
        self.links[name] = destination
        self.members.pop(name, None)
        return True


class BrokenDocument(Exception):
    """A file that should be a JSON document is none. The text is a sentence for people."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def parse_document(member: Member) -> object:
    """The JSON value in a file. Raises BrokenDocument."""
    if member.content is None:
        raise BrokenDocument(member.name, "this is not a JSON document, or one that is too large")
    try:
        value: object = json.loads(member.content)
    except (ValueError, RecursionError) as error:
        raise BrokenDocument(member.name, f"this is not a JSON document: {error}") from error
    return value


def mapping(value: object) -> Document:
    """The value if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def mappings(value: object) -> Sequence[Document]:
    """The JSON objects of a list, an empty list for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text(value: object) -> str:
    """The value if it is a text, else an empty one."""
    return value if isinstance(value, str) else ""


def texts(value: object) -> tuple[str, ...]:
    """The texts of a list; null and anything else count as an empty list."""
    if not isinstance(value, list):
        return ()
    return tuple(item for item in value if isinstance(item, str))
