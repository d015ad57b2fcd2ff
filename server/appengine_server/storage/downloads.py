"""Downloads: a listed tree as chunks, from any place on."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

from appengine_wire.crc32c import crc32c_of, extend_crc32c, joined_crc32c

from appengine_server.errors import (
    AppEngineError,
    DataLoss,
    EtagMismatch,
    InvalidArgument,
    PlaceOutOfRange,
)
from appengine_server.storage.beneath import open_beneath, open_folder
from appengine_server.storage.checksums import READ_BYTES
from appengine_server.storage.listing import Tree
from appengine_server.storage.quota import from_os_error
from appengine_server.storage.tree import START, Chunk, Entry, EntryKind, FileEnd, Place, Room

T = TypeVar("T")

MakeRoom = Callable[[Place, int], Room]
"""Place and size of a chunk that lies inside one file → where its data are read to."""

CHUNK_BYTES = 2 << 20
"""The best payload of one message: larger ones are no faster."""

_MAX_NAMES = 256 << 10  # characters of one chunk, so that a message stays below 4 MiB
_ENTRY_EXTRA = 64  # what an entry and its end take beside its names
_PREFIX_BYTES = 64 << 20  # read at once when a download goes on inside a file
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY
_FILE_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV})


def check_start(tree: Tree, start: Place) -> None:
    """Raise PlaceOutOfRange behind the end, InvalidArgument for what is no place of this tree."""
    end = tree.end
    if start.bytes > end.bytes or start.entries > end.entries:
        refusal = PlaceOutOfRange(
            f"the place lies behind the end at {end.bytes} bytes and {end.entries} entries",
            fields={"bytes": str(end.bytes), "entries": str(end.entries)},
        )
        refusal.reason = "DOWNLOAD_PLACE"
        raise refusal
    first = tree.starts[max(start.entries - 1, 0)]
    if start.entries < 0 or not first <= start.bytes <= tree.starts[start.entries]:
        raise InvalidArgument("no place of this content has that many bytes and entries")


class OwnRoom:
    """Memory that is nothing else."""

    def __init__(self, _: Place, size: int) -> None:
        self.data = memoryview(bytearray(size))


async def read_chunks(
    tree: Tree,
    start: Place = START,
    *,
    limit_bytes: int = 0,
    chunk_bytes: int = CHUNK_BYTES,
    make_room: MakeRoom = OwnRoom,
) -> AsyncIterator[Chunk]:
    """The tree from `start` on, at most `limit_bytes` of content (0 means all of it).

    One chunk is read ahead. Raises what `check_start` raises, EtagMismatch when a file is no longer
    the one that was listed, and Unavailable or DataLoss when it cannot be read.
    """
    check_start(tree, start)
    reader = _TreeReader(tree, start, limit_bytes, chunk_bytes, make_room)
    ahead: asyncio.Future[Chunk | None] | asyncio.Future[bool] | None = None
    try:
        ahead = going = _in_thread(tree, reader.read_prefix)
        while await asyncio.shield(going):
            ahead = going = _in_thread(tree, reader.read_prefix)
        ahead = coming = _in_thread(tree, reader.next_chunk)
        while (chunk := await asyncio.shield(coming)) is not None:
            ahead = coming = _in_thread(tree, reader.next_chunk)
            yield chunk
    finally:
        if ahead is not None:
            await asyncio.wait([ahead])
            if not ahead.cancelled():
                ahead.exception()  # raised above, or of a chunk that nobody waits for any more
        reader.close()


class _TreeReader:
    """Reads on from a place. Keeps one file and one folder open. One thread at a time."""

    def __init__(
        self, tree: Tree, start: Place, limit_bytes: int, chunk_bytes: int, make_room: MakeRoom
    ) -> None:
        self._tree = tree
        self._make_room = make_room
        self._chunk_bytes = chunk_bytes
        self._position = start.bytes
        self._next_entry = start.entries
        self._limited = 0 < limit_bytes < tree.end.bytes - start.bytes
        self._stop = start.bytes + limit_bytes if self._limited else tree.end.bytes
        self._file_fd = -1
        self._file_end = -1
        """Where the open file ends in the transfer; -1 when none is open."""
        self._crc32c = 0
        self._prefix_done = 0
        self._root_fds: dict[Path, int] = {}
        """Open roots: the tree's own, and those of what lies elsewhere."""
        self._folder = (tree.root, "")
        self._folder_fd = -1

    def close(self) -> None:
        """Close what is open."""
        self._close_file()
        if self._folder_fd >= 0:
            os.close(self._folder_fd)
        for fd in self._root_fds.values():
            os.close(fd)
        self._folder_fd = -1
        self._root_fds.clear()

    def read_prefix(self) -> bool:
        """Checksum a piece of what lies before the start in a file that begins before it.

        Answers whether there is more of it.
        """
        if self._tree.root not in self._root_fds:
            self._root_fds[self._tree.root] = open_folder(self._tree.root)
        index = self._next_entry - 1
        if index < 0 or self._position == self._tree.starts[self._next_entry]:
            return False
        if self._file_fd < 0:
            self._open(self._tree.entries[index])
        inside = self._position - self._tree.starts[index]
        if self._file_end > self._stop:  # its end is not asked for, so neither is its checksum
            self._prefix_done = inside
        wanted = min(inside, self._prefix_done + _PREFIX_BYTES)
        while self._prefix_done < wanted:
            piece = os.pread(
                self._file_fd, min(READ_BYTES, wanted - self._prefix_done), self._prefix_done
            )
            if not piece:
                raise _changed(self._tree.entries[index])
            self._crc32c = extend_crc32c(self._crc32c, piece)
            self._prefix_done += len(piece)
        os.lseek(self._file_fd, self._prefix_done, os.SEEK_SET)
        return self._prefix_done < inside

    def next_chunk(self) -> Chunk | None:
        """The next chunk; None at the end."""
        place = Place(bytes=self._position, entries=self._next_entry)
        entries: list[Entry] = []
        ends: list[FileEnd] = []
        parts: list[bytes] = []
        limit = min(self._position + self._chunk_bytes, self._stop)
        if self._position < limit < self._file_end:
            return self._inside_file(place, limit - self._position)
        names = 0
        while self._fill(limit, parts, ends):
            entry = self._entry_to_begin(limit)
            if entry is None or names > _MAX_NAMES:
                break
            names += _ENTRY_EXTRA + len(entry.path) + len(entry.link_target)
            entries.append(entry)
            self._next_entry += 1
            if entry.kind is EntryKind.FILE:
                self._open(entry)
        if not entries and not parts:
            return None
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        return Chunk(
            place=place,
            crc32c=crc32c_of(data),
            entries=tuple(entries),
            ends=tuple(ends),
            data=data,
        )

    def _inside_file(self, place: Place, size: int) -> Chunk:
        """A chunk of the open file that does not end it: most of a large file is such."""
        room = self._make_room(place, size)
        done = 0
        while done < size:
            count = os.readv(self._file_fd, [room.data[done:]])
            if not count:
                raise _changed(self._tree.entries[self._next_entry - 1])
            done += count
        crc32c = crc32c_of(room.data)
        self._crc32c = joined_crc32c(self._crc32c, crc32c, size)
        self._position += size
        return Chunk(place=place, crc32c=crc32c, data=room.data, room=room)

    def _entry_to_begin(self, limit: int) -> Entry | None:
        if self._next_entry == len(self._tree.entries):
            return None
        if self._limited and self._position == self._stop:
            return None
        entry = self._tree.entries[self._next_entry]
        return None if self._position == limit and entry.size_bytes else entry

    def _fill(self, limit: int, parts: list[bytes], ends: list[FileEnd]) -> bool:
        """Read the open file up to `limit`. False while it has not ended."""
        if self._file_end < 0:
            return True
        wanted = min(self._file_end, limit) - self._position
        while wanted:
            piece = os.read(self._file_fd, wanted)
            if not piece:
                raise _changed(self._tree.entries[self._next_entry - 1])
            self._crc32c = extend_crc32c(self._crc32c, piece)
            self._position += len(piece)
            wanted -= len(piece)
            parts.append(piece)
        if self._position < self._file_end:
            return False
        ends.append(FileEnd(index=self._next_entry - 1, crc32c=self._crc32c))
        self._close_file()
        return True

    def _open(self, entry: Entry) -> None:
        linked = self._tree.elsewhere.get(entry.index)
        root, path = (linked.root, linked.path) if linked else (self._tree.root, entry.path)
        parent, _, name = path.rpartition("/")
        try:
            if (root, parent) != self._folder or self._folder_fd < 0:
                self._open_folder(root, parent)
            self._file_fd = os.open(name, _FILE_FLAGS, dir_fd=self._folder_fd)
        except OSError as error:
            if error.errno in _GONE:
                raise _changed(entry) from error
            raise
        found = os.fstat(self._file_fd)
        stamp = (found.st_ino, found.st_mtime_ns)
        if found.st_size != entry.size_bytes or stamp != self._tree.stamps[entry.index]:
            raise _changed(entry)
        self._file_end = self._tree.starts[entry.index + 1]
        self._crc32c = 0

    def _open_folder(self, root: Path, path: str) -> None:
        if root not in self._root_fds:
            self._root_fds[root] = open_folder(root)
        fd = open_beneath(self._root_fds[root], path or ".", _FOLDER_FLAGS)
        if self._folder_fd >= 0:
            os.close(self._folder_fd)
        self._folder, self._folder_fd = (root, path), fd

    def _close_file(self) -> None:
        if self._file_fd >= 0:
            os.close(self._file_fd)
        self._file_fd = self._file_end = -1


def _in_thread(tree: Tree, work: Callable[[], T]) -> asyncio.Future[T]:
    def told() -> T:
        try:
            return work()
        except OSError as error:
            raise _from_os_error(tree, error) from error

    return asyncio.get_running_loop().run_in_executor(None, told)


def _from_os_error(tree: Tree, error: OSError) -> AppEngineError:
    if error.errno == errno.EIO:
        return DataLoss("the server's disk cannot read this file any more: tell its keeper")
    return from_os_error(error, folder=tree.root)


def _changed(entry: Entry) -> EtagMismatch:
    return EtagMismatch(f"{entry.path!r} has changed since the download began: start it again")
