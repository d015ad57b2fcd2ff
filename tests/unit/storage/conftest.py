"""Transfers made from plain dictionaries, and a storage to send them to."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from appengine_server.storage.layout import StorageLayout
from appengine_server.storage.limits import UploadLimits
from appengine_server.storage.quota import FreeSpace
from appengine_server.storage.tree import START, Chunk, Entry, EntryKind, FileEnd, Place
from appengine_server.storage.uploads import Uploads
from appengine_wire.crc32c import crc32c_of

FOLDER = object()


@dataclass(frozen=True)
class Link:
    target: str


@dataclass
class Transfer:
    """A whole transfer in memory, cut into chunks anywhere."""

    contents: Mapping[str, object]
    executables: frozenset[str] = frozenset()
    entries: list[Entry] = field(init=False)
    ends: list[FileEnd] = field(init=False)
    data: bytes = field(init=False)

    FOLDER = FOLDER
    Link = Link

    def __post_init__(self) -> None:
        self.entries, self.ends, parts = [], [], []
        for index, (path, content) in enumerate(self.contents.items()):
            mode = 0o755 if path in self.executables else 0
            if content is FOLDER:
                entry = Entry(index=index, path=path, kind=EntryKind.FOLDER)
            elif isinstance(content, Link):
                entry = Entry(
                    index=index, path=path, kind=EntryKind.LINK, link_target=content.target
                )
            else:
                assert isinstance(content, bytes)
                entry = Entry(
                    index=index,
                    path=path,
                    kind=EntryKind.FILE,
                    size_bytes=len(content),
                    mode=mode,
                )
                self.ends.append(FileEnd(index=index, crc32c=crc32c_of(content)))
                parts.append(content)
            self.entries.append(entry)
        self.data = b"".join(parts)

    @property
    def end(self) -> Place:
        return Place(bytes=len(self.data), entries=len(self.entries))

    def chunks(self, size: int = 1 << 20, start: Place = START) -> Iterator[Chunk]:
        """Chunks of `size` bytes from `start` on, as a client would send them."""
        ends = {end.index: end for end in self.ends}
        starts, position = [], 0
        for entry in self.entries:
            starts.append(position)
            position += entry.size_bytes
        place = start
        while place != self.end:
            stop = min(place.bytes + size, len(self.data))
            begun, ended = [], []
            for entry in self.entries[max(place.entries - 1, 0) :]:
                first, last = starts[entry.index], starts[entry.index] + entry.size_bytes
                fresh = entry.index >= place.entries
                if first > stop or (first == stop and entry.size_bytes and stop != place.bytes):
                    break
                if fresh:
                    begun.append(entry)
                if entry.kind is EntryKind.FILE and last <= stop and (fresh or last > place.bytes):
                    ended.append(ends[entry.index])
            data = self.data[place.bytes : stop]
            yield Chunk(
                place=place,
                crc32c=crc32c_of(data),
                entries=tuple(begun),
                ends=tuple(ended),
                data=memoryview(data),
            )
            place = Place(bytes=stop, entries=place.entries + len(begun))

    def check(self, root: Path) -> None:
        """Assert that `root` holds exactly this transfer."""
        found: dict[str, object] = {}
        for folder, folders, files in os.walk(root):
            inside = Path(folder).relative_to(root)
            for name in [*folders, *files]:
                path = root / inside / name
                key = str(inside / name)
                if path.is_symlink():
                    found[key] = Link(os.readlink(path))
                elif path.is_dir():
                    found[key] = FOLDER
                else:
                    found[key] = path.read_bytes()
        expected = dict(self.contents)
        for path in list(expected):
            for parent in list(Path(path).parents)[:-1]:
                expected.setdefault(str(parent), FOLDER)
        assert found.keys() == expected.keys()
        assert found == expected


@pytest.fixture(scope="session")
def transfer_of() -> type[Transfer]:
    return Transfer


@pytest.fixture
def layout() -> Iterator[StorageLayout]:
    """A storage in memory: thousands of files, and syncs that wait for nobody else's writes."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        layout = StorageLayout(Path(folder) / "base")
        layout.prepare()
        yield layout


@pytest.fixture
def uploads(layout: StorageLayout) -> Uploads:
    return Uploads(
        layout, UploadLimits(takeover_seconds=0.2), FreeSpace(base=layout.base, low_water_bytes=0)
    )
