"""Writes what is downloaded into a folder of its own. Its functions block: call them in threads.

Nothing that the server says is trusted: paths are relative and stay inside, links lead nowhere
else, no path goes through a link, and every checksum is tested before a place counts.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from appengine.v1 import transfer_pb2 as pb
from appengine_wire.crc32c import crc32c_of, extend_crc32c, joined_crc32c
from google.protobuf.message import DecodeError

from appengine_client._transfer import framing
from appengine_client._transfer.notes import Noted, Notes, OpenPart
from appengine_client._transfer.places import Place
from appengine_client._transfer.reader import from_proto
from appengine_client._transfer.source import LinkRule, link_stays_inside
from appengine_client.errors import BrokenTransfer, CutTransfer, LocalFileError

_MAX_NAME_BYTES = 255
_READ_BYTES = 4 * 1024 * 1024
_CREATE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


@dataclass(slots=True, kw_only=True)
class DownloadState:
    """How far one download is. Knows no grpc and no file."""

    place: Place = field(default_factory=Place)
    etag: str = ""
    end: Place | None = None

    @property
    def is_complete(self) -> bool:
        """Whether everything has arrived."""
        return self.place == self.end

    def begin(self, etag: str, end: Place) -> None:
        """Take the header of a stream. Raises BrokenTransfer if it is about other content."""
        if self.etag and (self.etag != etag or self.end != end):
            raise BrokenTransfer("the content changed while it was downloaded: start again")
        self.etag, self.end = etag, end

    def expect(self, place: Place) -> None:
        """Raise BrokenTransfer unless a chunk that begins here is the next one."""
        if self.end is None:
            raise BrokenTransfer("the download begins without a header")
        if place != self.place:
            raise BrokenTransfer(f"the download goes on at {place}, {self.place} was expected")


@dataclass(slots=True)
class _Growing:
    """The file whose content is arriving."""

    index: int
    path: str
    descriptor: int
    rest: int
    crc: int = 0


class PathRules:
    """Which paths an incoming tree may have. Remembers what is there: needs no file system."""

    def __init__(self, link_rule: LinkRule = link_stays_inside) -> None:
        self._link_rule = link_rule
        self._kinds: dict[str, int] = {}
        self._folders: set[str] = set()

    def admit(self, entry: pb.Entry) -> bool:
        """Whether the entry is new. Raises BrokenTransfer when it must not be written."""
        path, kind = entry.path, entry.kind
        above, _, name = path.rpartition("/")
        if above not in self._folders:
            is_top = above == "" and not path.startswith("/")
            if not (is_top or _are_names(above)):
                raise BrokenTransfer(f"the server sent the unsafe path {path!r}")
            self._check_above(above, path)
        if not _is_name(name):
            raise BrokenTransfer(f"the server sent the unsafe path {path!r}")
        if kind == pb.ENTRY_KIND_LINK and not self._link_rule(path, entry.link_target):
            raise BrokenTransfer(
                f"the server sent the link {path!r}, which leads to {entry.link_target!r}"
            )
        known = self._kinds.get(path)
        if known is None:
            self._kinds[path] = kind
            return True
        if known == kind == pb.ENTRY_KIND_FOLDER:
            return False
        raise BrokenTransfer(f"the server sent the path {path!r} twice")

    def remember(self, path: str, kind: int) -> None:
        """An entry was admitted before."""
        self._check_above(path.rpartition("/")[0], path)
        self._kinds[path] = kind

    def _check_above(self, above: str, path: str) -> None:
        """What is above must be folders; those that were not listed are taken for such."""
        while above and above not in self._folders:
            known = self._kinds.setdefault(above, pb.ENTRY_KIND_FOLDER)
            if known != pb.ENTRY_KIND_FOLDER:
                raise BrokenTransfer(f"the path {path!r} goes through {above!r}, no folder")
            self._folders.add(above)
            above = above.rpartition("/")[0]


def _are_names(path: str) -> bool:
    return all(map(_is_name, path.split("/")))


def _is_name(part: str) -> bool:
    # A character has at most 4 bytes, so most names need no second look.
    short = len(part) * 4 <= _MAX_NAME_BYTES or len(part.encode()) <= _MAX_NAME_BYTES
    return short and part not in ("", ".", "..") and "\0" not in part


class TreeWriter:
    """Writes chunks into an empty folder of ours. Keeps at most one file open.

    With `notes` beside the folder it keeps them, so that `go_on` can follow after a kill.
    """

    def __init__(
        self,
        folder: Path,
        notes: Notes | None = None,
        *,
        link_rule: LinkRule = link_stays_inside,
    ) -> None:
        self.folder = folder
        self._notes = notes
        self._begun: list[tuple[str, int]] = []
        self._ended: list[tuple[str, int]] = []
        self.state = DownloadState()
        self.file_count = 0
        self._rules = PathRules(link_rule)
        self._growing: _Growing | None = None
        self._unended: dict[int, tuple[str, int]] = {}
        self._made: set[str] = set()

    def apply(self, message: bytes) -> None:
        """Write a DownloadResponse and move the place. Raises BrokenTransfer if it must not be."""
        try:
            frame = framing.read_download(message)
        except (ValueError, DecodeError) as error:
            raise CutTransfer("the server sent what is no message of a download") from error
        if frame.header is not None:
            is_first = not self.state.etag
            self.state.begin(frame.header.etag, from_proto(frame.header.end))
            if is_first and self._notes is not None:
                self._notes.header(frame.header.etag, from_proto(frame.header.end))
        if frame.chunk is not None:
            try:
                self._apply_chunk(frame.chunk, frame.data)
                self._note()
            except OSError as error:
                raise LocalFileError(
                    f"{error.filename or self.folder} cannot be written: {error.strerror or error}"
                ) from error

    def go_on(self, noted: Noted) -> bool:
        """Take over what a killed writer has noted; what it wrote since is dropped.

        False when the bytes on the disk are not those that were noted: then begin anew.
        """
        if not _holds(self.folder, noted):
            return False
        for path, kind in noted.begun:
            self._rules.remember(path, kind)
            self.file_count += kind == pb.ENTRY_KIND_FILE
        _drop_all_but(self.folder, {path for path, _ in noted.begun})
        self.state = DownloadState(place=noted.place, etag=noted.etag, end=noted.end)
        if (part := noted.open_part) is not None:
            descriptor = os.open(
                f"{self.folder}/{part.path}", os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            )
            self._growing = _Growing(part.entry, part.path, descriptor, part.rest, part.crc)
            os.ftruncate(descriptor, part.written)
            os.lseek(descriptor, part.written, os.SEEK_SET)
        return True

    def close(self) -> None:
        """Close the file that is open, and the notes."""
        self._close_file()
        if self._notes is not None:
            self._notes.close()
            self._notes = None

    def _close_file(self) -> None:
        if self._growing is not None:
            os.close(self._growing.descriptor)
            self._growing = None

    def _note(self) -> None:
        if self._notes is None:
            return
        growing, part = self._growing, None
        if growing is not None:
            written = os.lseek(growing.descriptor, 0, os.SEEK_CUR)
            part = OpenPart(growing.index, growing.path, written, growing.rest, growing.crc)
        self._notes.step(self.state.place, self._begun, self._ended, part)
        self._begun, self._ended = [], []

    def finish(self) -> None:
        """Check that every file has ended with its checksum."""
        self._close_file()
        if self._unended:
            path = next(iter(self._unended.values()))[0]
            raise BrokenTransfer(f"the server did not end the file {path!r} with its checksum")

    def _apply_chunk(self, chunk: pb.Chunk, data: bytes | memoryview) -> None:
        if not (chunk.entries or chunk.ends or data):
            return  # keeps the stream alive
        self.state.expect(from_proto(chunk.place))
        if crc32c_of(data) != chunk.crc32c:
            raise CutTransfer("a chunk of the download has a wrong checksum")
        entries = self.state.place.entries
        written = self._fill(data, 0, chunk.crc32c)
        for entry in chunk.entries:
            if entry.index < entries:
                continue  # sent again
            if entry.index != entries:
                raise BrokenTransfer(f"the server left out the entry {entries}")
            if self._growing is not None:
                raise BrokenTransfer(f"{entry.path!r} begins before the file before it is whole")
            entries += 1
            after = written + entry.size_bytes
            if entry.kind == pb.ENTRY_KIND_FILE and written <= after <= len(data):
                self._write_whole(entry, data[written:after])
                written = after
            else:
                self._begin(entry)
                written = self._fill(data, written, chunk.crc32c)
        if written != len(data):
            raise BrokenTransfer("the server sent bytes that belong to no file")
        for end in chunk.ends:
            self._end(end)
        self.state.place = Place(self.state.place.bytes + len(data), entries)

    def _begin(self, entry: pb.Entry) -> None:
        if not self._rules.admit(entry):
            return
        self._begun.append((entry.path, entry.kind))
        path = f"{self.folder}/{entry.path}"
        self._make_parent(path)
        match entry.kind:
            case pb.ENTRY_KIND_FOLDER:
                os.makedirs(path, exist_ok=True)
            case pb.ENTRY_KIND_LINK:
                os.symlink(entry.link_target, path)
            case pb.ENTRY_KIND_FILE:
                mode = 0o777 if entry.mode & 0o111 else 0o666
                descriptor = os.open(path, _CREATE_FLAGS, mode)
                self.file_count += 1
                self._growing = _Growing(entry.index, entry.path, descriptor, entry.size_bytes)
                self._complete()
            case _:
                raise BrokenTransfer(f"{entry.path!r} is neither file nor folder nor link")

    def _write_whole(self, entry: pb.Entry, content: bytes | memoryview) -> None:
        """What `_begin` and `_fill` do for a file that is whole in a chunk: most of a tree."""
        if not self._rules.admit(entry):
            return
        path = entry.path
        self._begun.append((path, pb.ENTRY_KIND_FILE))
        local = f"{self.folder}/{path}"
        self._make_parent(local)
        descriptor = os.open(local, _CREATE_FLAGS, 0o777 if entry.mode & 0o111 else 0o666)
        try:
            if content:
                _write_all(descriptor, content)
        finally:
            os.close(descriptor)
        self.file_count += 1
        self._unended[entry.index] = (path, crc32c_of(content))

    def _make_parent(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        if parent not in self._made:
            os.makedirs(parent, exist_ok=True)
            self._made.add(parent)

    def _fill(self, data: bytes | memoryview, start: int, crc: int) -> int:
        """Write what belongs to the file that is open, and return where the rest begins.

        `crc` is that of all the data.
        """
        growing = self._growing
        if growing is None or start == len(data):
            return start
        whole = start == 0 and len(data) <= growing.rest
        part = data if whole else data[start : start + growing.rest]
        _write_all(growing.descriptor, part)
        growing.crc = (
            joined_crc32c(growing.crc, crc, len(part))
            if whole
            else extend_crc32c(growing.crc, part)
        )
        growing.rest -= len(part)
        self._complete()
        return start + len(part)

    def _complete(self) -> None:
        growing = self._growing
        if growing is not None and growing.rest == 0:
            os.close(growing.descriptor)
            self._growing = None
            self._unended[growing.index] = (growing.path, growing.crc)

    def _end(self, end: pb.FileEnd) -> None:
        ended = self._unended.pop(end.index, None)
        if ended is not None and ended[1] != end.crc32c:
            raise BrokenTransfer(f"the file {ended[0]!r} does not match its checksum")
        if ended is not None and self._notes is not None:
            self._ended.append(ended)


def _holds(folder: Path, noted: Noted) -> bool:
    """Whether the noted files are there with the bytes that they had: reads them all."""
    files = {path for path, kind in noted.begun if kind == pb.ENTRY_KIND_FILE}
    whole = dict(noted.ended)
    part = noted.open_part
    if part is not None:
        files.discard(part.path)
        if _crc_of(f"{folder}/{part.path}", part.written) != part.crc:
            return False
    return files == whole.keys() and all(
        _crc_of(f"{folder}/{path}") == crc for path, crc in whole.items()
    )


def _crc_of(path: str, length: int | None = None) -> int | None:
    """The crc32c of a file, or of its beginning; None where it is not there or is shorter."""
    crc, left = 0, length
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            while left is None or left > 0:
                piece = file.read(_READ_BYTES if left is None else min(left, _READ_BYTES))
                if not piece:
                    return None if left else crc
                crc = extend_crc32c(crc, piece)
                left = None if left is None else left - len(piece)
    except OSError:
        return None
    return crc


def _write_all(descriptor: int, data: bytes | memoryview) -> None:
    written = os.write(descriptor, data)
    while written < len(data):
        written += os.write(descriptor, memoryview(data)[written:])


def _drop_all_but(folder: Path, kept: set[str]) -> None:
    """Remove what is in a folder of ours and is neither one of these paths nor above one."""
    above = {path.rpartition("/")[0] for path in kept}
    while more := {path.rpartition("/")[0] for path in above} - above:
        above |= more
    for root, folders, files in os.walk(folder, topdown=False):
        inside = os.path.relpath(root, folder)
        for name in (*files, *folders):
            path = name if inside == "." else f"{inside}/{name}"
            if path in kept or path in above:
                continue
            if os.path.isdir(f"{root}/{name}") and not os.path.islink(f"{root}/{name}"):
                os.rmdir(f"{root}/{name}")
            else:
                os.unlink(f"{root}/{name}")
