"""The files of one generation of an upload. Blocks on the disk, so it runs in threads."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import dataclass

from appengine_contract.problems import Problem

from appengine_server.errors import (
    AppEngineError,
    DataLoss,
    InvalidArgument,
    NotFound,
    UploadTaken,
)
from appengine_server.storage import generations, journal
from appengine_server.storage.beneath import Beneath, start_writing_out, sync_file_system
from appengine_server.storage.checksums import crc32c_of_file, digest_of_file
from appengine_server.storage.generations import Held
from appengine_server.storage.sequence import OpenFile, SequenceLimits, TransferSequence
from appengine_server.storage.tree import Chunk, Digest, Entry, EntryKind, Place

_FEW_FILES = 8
"""An fsync of each of so many is quicker than one syncfs."""
_WRITE_OUT_BYTES = 4 << 20
"""After so many bytes the disk begins to write, so that a sync has little left to wait for."""
_LINK_IN_THE_WAY = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EXDEV})


@dataclass(frozen=True, slots=True)
class Reached:
    """A moment of the transfer at which the files hold everything before `place`."""

    place: Place
    open_file: OpenFile | None
    entries_here: int
    """Entries that this writer began until then."""


class UploadFiles:
    """Writes one generation. Owns the lock of `held` from now on.

    `apply` and `finish` are for one thread at a time, `persist` for another one beside it.
    """

    def __init__(self, held: Held, limits: SequenceLimits) -> None:
        self._held = held
        state = held.state
        self._sequence = TransferSequence(limits, place=state.place, open_file=state.open_file)
        self._new_paths: list[str] = []
        self._entries_here = 0
        self._recorded_here = 0
        self._record_torn = False
        self._records_to_sync = False
        self._sync_failed = False
        self._to_write_out_bytes = 0
        self._grown = state.open_file.path if state.open_file is not None else None
        """The file that was open at the last record: it may have grown since."""
        self._file_fd = -1
        self._beneath: Beneath | None = None
        self._journal_fd = os.open(
            held.folder / "journal", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        if not state.finished:
            self._beneath = Beneath(held.tree)
            if state.open_file is not None:
                self._file_fd = self._beneath.open_for_append(state.open_file.path)
                os.lseek(self._file_fd, 0, os.SEEK_END)

    def close(self) -> None:
        """Close every file, the lock last. Calling it twice does nothing."""
        self._close_tree()
        if self._journal_fd >= 0:
            os.close(self._journal_fd)
            self._journal_fd = -1
            os.close(self._held.lock_fd)

    @property
    def torn(self) -> bool:
        """Whether a chunk or record failed half-way, so that nothing more can be counted."""
        return self._sequence.torn or self._record_torn

    def announce(self, writer_id: str) -> None:
        """Record who writes from now on. Raises UploadTaken."""
        if self._held.state.writers[-1:] != (writer_id,):
            self._record(journal.writer_record(writer_id))
            self.sync_records()

    def verify_open_file(self) -> None:
        """Read the counted part of the open file. Raises DataLoss when it is not what it was."""
        open_file = self._held.state.open_file
        if open_file is None:
            return
        if crc32c_of_file(self._file_fd, open_file.written_bytes) != open_file.crc32c:
            raise DataLoss(
                "stored bytes of this upload no longer match their checksum: start a new upload"
            )

    def check_newest(self) -> None:
        """Raise UploadTaken when another writer has claimed the upload, NotFound without upload."""
        if not self._held.is_newest():
            raise generations.taken()
        if not os.path.lexists(self._held.folder):
            raise NotFound("this upload was cancelled or has expired")

    def apply(self, chunk: Chunk) -> Reached:
        """Write what is new in the chunk."""
        self.check_newest()
        try:
            new = self._sequence.apply(chunk, self)
        except (OSError, AppEngineError):
            self.check_newest()  # a writer that no longer counts may not fail the upload
            raise
        self._new_paths.extend(entry.path for entry in new)
        self._entries_here += len(new)
        return self.reached()

    def reached(self) -> Reached:
        """How far the files are."""
        return Reached(self._sequence.place, self._sequence.open_file, self._entries_here)

    def missing_bytes(self, chunk: Chunk | None) -> int:
        """How much content is known to come, also after this chunk failed half-way."""
        return self._sequence.missing_bytes(chunk.entries if chunk is not None else ())

    def persist(self, reached: Reached) -> None:
        """Make everything up to `reached` survive a power cut and record it.

        The record itself waits for `sync_records`, which whoever reads the journal to tell the
        place does as well. Raises UploadTaken: then nobody may be told of the place.
        """
        unrecorded = reached.entries_here - self._recorded_here
        paths = self._new_paths[:unrecorded]
        if self._beneath is not None:
            self._sync_failed = True  # a second sync may succeed although the first lost bytes
            _sync(self._beneath, paths, self._grown)
            self._sync_failed = False
        self._record(journal.step_record(reached.place, reached.open_file, paths))
        self._grown = reached.open_file.path if reached.open_file is not None else None
        del self._new_paths[:unrecorded]  # `apply` only ever appends
        self._recorded_here = reached.entries_here

    def sync_records(self) -> None:
        """Make what was recorded survive a power cut."""
        if self._records_to_sync:
            self._records_to_sync = False  # before: a record may be added meanwhile
            os.fdatasync(self._journal_fd)

    def check_end(self, end: Place) -> None:
        """Raise unless the transfer may end at `end`."""
        self._sequence.check_end(end)

    def finish(self, end: Place) -> None:
        """Record that the transfer is whole, and give its tree its name."""
        if not self._held.state.finished:
            self._record(journal.finish_record(end))
            self.sync_records()
        self._close_tree()
        generations.publish(self._held)

    def roll_back(self, whole: Reached | None) -> None:
        """Give back what was written since `whole`, a moment before a write failed, or since the
        last record. Only `close` may follow.
        """
        if whole is not None and not self._sync_failed:
            with suppress(OSError, UploadTaken):  # the disk may have no room for the record
                self.persist(whole)
        self._close_tree()
        generations.roll_back(self._held)

    def fail(self, message: str) -> None:
        """Drop every byte, and remember why. Only `close` may follow."""
        self._close_tree()
        generations.fail(self._held.upload, message)

    def begin(self, entry: Entry) -> None:
        """Make the entry; see `Sink`."""
        assert self._beneath is not None
        try:
            if entry.kind is EntryKind.FILE:
                self._file_fd = self._beneath.create_file(
                    entry.path, executable=bool(entry.mode & 0o111)
                )
            elif entry.kind is EntryKind.FOLDER:
                self._beneath.make_folder(entry.path)
            else:
                self._beneath.make_link(entry.path, entry.link_target)
        except FileExistsError:
            raise _refused(
                entry, "PATH_TWICE", "it is there already: sent twice, or after what is in it"
            ) from None
        except OSError as error:
            if error.errno not in _LINK_IN_THE_WAY:
                raise
            raise _refused(entry, "PATH_NOT_A_FOLDER", "it lies in a file or a link") from error

    def write(self, data: memoryview) -> None:
        """Append to the open file; see `Sink`."""
        self._to_write_out_bytes += len(data)
        while data:
            data = data[os.write(self._file_fd, data) :]
        if self._to_write_out_bytes >= _WRITE_OUT_BYTES:
            self._to_write_out_bytes = 0
            start_writing_out(self._file_fd)

    def end(self) -> None:
        """Close the open file; see `Sink`."""
        self._close_file()

    def has_digest(self, digest: Digest) -> bool:
        """Read the open file and compare; see `Sink`."""
        return digest_of_file(digest.algorithm, self._file_fd) == digest.value

    def _record(self, record: bytes) -> None:
        self._record_torn = True
        journal.append(self._journal_fd, record)
        self._records_to_sync = True
        self.check_newest()  # after the record: only then does the next base cover it
        self._record_torn = False

    def _close_file(self) -> None:
        if self._file_fd >= 0:
            os.close(self._file_fd)
            self._file_fd = -1

    def _close_tree(self) -> None:
        self._close_file()
        if self._beneath is not None:
            self._beneath.close()
            self._beneath = None


def _sync(beneath: Beneath, new: list[str], grown: str | None) -> None:
    """Write these to the disk: few by themselves, many with all that the file system has."""
    # NB: what others write to the same file system at once, such as a task, would be waited for.
    if len(new) > _FEW_FILES and sync_file_system(beneath.root_fd):
        return
    if grown is not None:
        beneath.sync_one(grown)
    if new:
        beneath.sync(new)


def _refused(entry: Entry, reason: str, message: str) -> InvalidArgument:
    problem = Problem(path=entry.path, reason=reason, message=message)
    return InvalidArgument(f"the transfer is wrong: {problem}", problems=[problem])
