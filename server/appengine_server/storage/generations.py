"""Who writes an upload: one folder per generation of writers, and nobody writes in another's.

```
uploads/<id>/w1/{lock,journal,tree/}     w2/{lock,base,journal,tree/}     …     tree/   failed
```
The promise is that a place, once told, never shrinks, and that a writer which was superseded, or
whose server was paused for an hour, cannot touch bytes that count. The argument:

1. A generation is written by whoever holds the lock on its `lock` file. The kernel drops the lock
   when the process ends, however it ends, and keeps it while the process is merely paused. So a
   free lock proves that the last writer is gone: the next one goes on in the same folder, cuts off
   what was never counted, and appends. This is the usual case, and no byte is ever copied.
2. A lock that stays taken belongs to a writer that may wake up at any moment. It is left alone: the
   next writer claims the next number by mkdir, which only one can win, and from then on the old
   one may write whatever it likes into its own folder. Whole files get a second name in the new
   folder, for they were closed before they were counted; the open file is copied as far as it
   counts.
3. What counts of an old journal is fixed once, in `base` of the next generation, which is created
   by a hard link and so has one content for ever. Whoever needs it and does not find it, writer or
   reader, tries to create it. A writer tells a place only if no higher claim exists after its
   record was written; a reader only if none exists after it read. A base is computed after its
   claim was visible, so it covers every record that anyone was told of.
4. A finish renames the generation's tree to `tree`, once. Only a generation whose record of the
   finish is written does so, so even a superseded one would publish the same whole transfer.

The locks must hold between all servers that share the storage: local file systems, CephFS and NFS
from version 4 on do that.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from appengine_server.errors import DataLoss, FailedPrecondition, NotFound, UploadTaken
from appengine_server.storage import journal
from appengine_server.storage.beneath import (
    Beneath,
    open_beneath,
    opened,
    parent_of,
    remove_beneath,
    remove_tree,
    sync_folder,
)
from appengine_server.storage.journal import JournalState
from appengine_server.storage.sequence import OpenFile

_POLL_SECONDS = 0.05
_COPY_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A generation whose lock we hold. Whoever took it closes `lock_fd`."""

    upload: Path
    number: int
    lock_fd: int
    state: JournalState

    @property
    def folder(self) -> Path:
        """Where this generation writes."""
        return generation_folder(self.upload, self.number)

    @property
    def tree(self) -> Path:
        """The entries, until the finish."""
        return self.folder / "tree"

    def is_newest(self) -> bool:
        """Whether nobody has claimed a higher number. Cheap enough to ask for every chunk."""
        return not os.path.lexists(generation_folder(self.upload, self.number + 1))


def generation_folder(upload: Path, number: int) -> Path:
    """The folder of one generation."""
    return upload / f"w{number}"


def numbers(upload: Path) -> list[int]:
    """The generations of an upload, oldest first. Raises NotFound when there is no upload."""
    try:
        names = os.listdir(upload)
    except FileNotFoundError:
        raise NotFound("no such upload, or it has expired: start a new one") from None
    return sorted(int(name[1:]) for name in names if name[:1] == "w" and name[1:].isdigit())


def read_state(upload: Path) -> JournalState:
    """What is persisted of an upload. Raises NotFound. Blocks on the disk."""
    while True:
        found = numbers(upload)
        state = journal.state_of(_bodies(upload, found[-1], sync=True)) if found else JournalState()
        if numbers(upload)[-1:] == found[-1:]:
            return state


def take(upload: Path, *, writer_id: str, patience_seconds: float) -> Held:
    """Become the writer of an upload: go on in its newest generation, or begin another.

    Waits up to `patience_seconds` for a living writer of another server to leave. Raises NotFound,
    and UploadTaken when this writer was superseded earlier: two of them would chase each other.
    """
    while True:
        found = numbers(upload)
        check_writer(upload, writer_id)
        newest = found[-1] if found else 0
        lock_fd = _try_lock(upload, newest) if newest else None
        if lock_fd is None:
            newest += 1
            try:
                generation_folder(upload, newest).mkdir(mode=0o700)
            except FileExistsError:
                continue
            lock_fd = _try_lock(upload, newest)
        if lock_fd is None:
            continue
        try:
            if numbers(upload)[-1] != newest:
                os.close(lock_fd)
                continue
            return _held(upload, newest, lock_fd, patience_seconds)
        except BaseException:
            os.close(lock_fd)
            raise


def check_writer(upload: Path, writer_id: str) -> None:
    """Raise UploadTaken when this writer was superseded by another one."""
    writers = read_state(upload).writers
    if writer_id in writers and writers[-1] != writer_id:
        raise taken()


def taken() -> UploadTaken:
    """The refusal for a writer that was superseded."""
    return UploadTaken("another writer took this upload over: stop one of the two")


def _held(upload: Path, number: int, lock_fd: int, patience_seconds: float) -> Held:
    state = journal.state_of(_bodies(upload, number))
    held = Held(upload=upload, number=number, lock_fd=lock_fd, state=state)
    if not state.finished and not held.tree.exists():
        paths = set(journal.paths_of(_bodies(upload, number)))
        _prepare(held, paths, time.monotonic() + patience_seconds)
    roll_back(held)
    for folder in (held.folder, upload):  # so that what is synced in them is found again
        sync_folder(folder)
    return held


def roll_back(held: Held) -> None:
    """Cut a generation back to what counts. Raises DataLoss when that is not there any more."""
    _cut_torn_tail(held.folder / "journal")
    bodies = list(_bodies(held.upload, held.number))
    state = journal.state_of(bodies)
    if not state.finished:
        drop_uncounted(held.tree, set(journal.paths_of(bodies)), state.open_file)


def fail(upload: Path, message: str) -> None:
    """Drop the bytes of an upload for good, and keep the sentence that says why."""
    found = numbers(upload)
    fresh = upload / f"failed.{os.getpid()}.{time.monotonic_ns()}"
    fresh.write_text(message, encoding="utf-8", errors="backslashreplace")
    os.rename(fresh, upload / "failed")
    sync_folder(upload)
    for number in found:
        remove_tree(generation_folder(upload, number) / "tree")
    remove_tree(published(upload))


def salvage(upload: Path, writer_id: str, patience_seconds: float) -> Path | None:
    """Give the whole files of an upload the name of a finished tree; None where there are none.

    Whoever wrote the upload is superseded. Raises NotFound, UploadTaken, DataLoss.
    """
    if published(upload).exists():
        return published(upload)
    held = take(upload, writer_id=writer_id, patience_seconds=patience_seconds)
    try:
        open_file = held.state.open_file
        if open_file is not None:
            with opened(held.tree) as root_fd, parent_of(root_fd, open_file.path) as (folder, name):
                remove_beneath(folder, name)
        if not any(held.tree.iterdir()):
            return None
        publish(held)
        return published(upload)
    finally:
        os.close(held.lock_fd)


def check_not_failed(upload: Path) -> None:
    """Raise FailedPrecondition, with the first reason, when the upload has failed."""
    try:
        message = (upload / "failed").read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    raise FailedPrecondition(
        f"this upload was refused, start a new one: {message}", reason="UPLOAD_STATE"
    )


def _bodies(upload: Path, number: int, *, sync: bool = False) -> Iterator[memoryview]:
    """Every counted record up to the end of generation `number`, oldest first."""
    older = [_base(upload, above) for above in range(2, number + 1)]
    for generation in range(1, number + 1):
        content = _read_journal(upload, generation, sync=sync)
        if generation < number:
            content = content[: older[generation - 1]]
        for body, _ in journal.valid_bodies(content):
            yield body


def _base(upload: Path, number: int) -> int:
    """How many bytes of the journal before generation `number` count, fixed by the first to ask."""
    path = generation_folder(upload, number) / "base"
    try:
        return int(path.read_bytes())
    except FileNotFoundError:
        pass
    counted = journal.valid_bytes(_read_journal(upload, number - 1, sync=True))
    fresh = path.with_name(f"base.{os.getpid()}.{time.monotonic_ns()}")
    try:
        with fresh.open("xb") as file:
            file.write(str(counted).encode())
            file.flush()
            os.fsync(file.fileno())
        os.link(fresh, path)
    except FileExistsError:
        return int(path.read_bytes())
    finally:
        fresh.unlink(missing_ok=True)
    sync_folder(path.parent)
    return counted


def _read_journal(upload: Path, number: int, *, sync: bool) -> bytes:
    try:
        fd = os.open(generation_folder(upload, number) / "journal", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    try:
        with os.fdopen(os.dup(fd), "rb") as file:
            content = file.read()
        if sync:
            os.fdatasync(fd)  # after reading: what a reader tells must survive a power cut
        return content
    finally:
        os.close(fd)


def _cut_torn_tail(path: Path) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "r+b") as file:
        content = file.read()
        counted = journal.valid_bytes(content)
        if counted != len(content):
            os.ftruncate(file.fileno(), counted)


def _try_lock(upload: Path, number: int) -> int | None:
    path = generation_folder(upload, number) / "lock"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    except OSError:
        os.close(fd)
        raise
    return fd


def _prepare(held: Held, paths: set[str], deadline: float) -> None:
    """Give a new generation its tree: the one before it, moved or linked."""
    while not held.tree.exists():
        source = _newest_tree(held.upload, held.number - 1)
        if source is None:
            held.tree.mkdir(mode=0o755)
            held.tree.chmod(0o755)
            return
        lock_fd = _try_lock(held.upload, source)
        try:
            tree = generation_folder(held.upload, source) / "tree"
            if lock_fd is not None:
                os.rename(tree, held.tree)
            elif time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
            else:
                _build(tree, held, paths)
        except FileNotFoundError:
            continue  # the generation in between has just moved it: look there
        finally:
            if lock_fd is not None:
                os.close(lock_fd)


def _newest_tree(upload: Path, up_to: int) -> int | None:
    for number in range(up_to, 0, -1):
        if (generation_folder(upload, number) / "tree").exists():
            return number
    return None


def _build(source: Path, held: Held, paths: set[str]) -> None:
    """Stand up the counted part of another writer's tree without touching that one."""
    building = held.folder / "building"
    remove_tree(building)
    building.mkdir(mode=0o755)
    building.chmod(0o755)
    open_file = held.state.open_file
    with opened(source) as source_fd, closing(Beneath(building)) as beneath:
        for path in sorted(paths, key=os.fsencode):  # so a folder comes before what is in it
            if open_file is None or path != open_file.path:
                _take_over(source_fd, path, beneath)
        if open_file is not None:
            _copy_prefix(source_fd, open_file, beneath)
    os.rename(building, held.tree)


def _take_over(source_fd: int, path: str, beneath: Beneath) -> None:
    with parent_of(source_fd, path) as (folder, name):
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            beneath.make_folder(path)
        elif stat.S_ISLNK(mode):
            beneath.make_link(path, os.readlink(name, dir_fd=folder))
        else:
            beneath.hard_link(folder, name, path)


def _copy_prefix(source_fd: int, open_file: OpenFile, beneath: Beneath) -> None:
    original = open_beneath(source_fd, open_file.path, os.O_RDONLY)
    try:
        executable = bool(os.fstat(original).st_mode & 0o100)
        copy = beneath.create_file(open_file.path, executable=executable)
        try:
            left = open_file.written_bytes
            while left:
                copied = _copy_range(original, copy, min(left, _COPY_BYTES))
                if not copied:
                    raise _lost()
                left -= copied
        finally:
            os.close(copy)
    finally:
        os.close(original)


def _copy_range(source: int, target: int, length: int) -> int:
    try:
        return os.copy_file_range(source, target, length)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP):
            raise
    return os.write(target, os.read(source, min(length, 1 << 20)))


def published(upload: Path) -> Path:
    """Where the tree of a finished upload stands until it is committed."""
    return upload / "tree"


def publish(held: Held) -> None:
    """Give the tree of a finished upload its own name. Calling it again does nothing."""
    number = None if published(held.upload).exists() else _newest_tree(held.upload, held.number)
    if number is not None:
        os.rename(generation_folder(held.upload, number) / "tree", published(held.upload))
        sync_folder(held.upload)


def drop_uncounted(tree: Path, paths: set[str], open_file: OpenFile | None) -> None:
    """Remove what a tree holds beyond the counted entries, and cut the open file where it counts.

    Raises DataLoss when a counted entry is not there any more.
    """
    folders = {""}
    for path in paths:
        while path := path.rpartition("/")[0]:
            if path in folders:
                break
            folders.add(path)
    with opened(tree) as root_fd:
        if _drop_unknown(root_fd, paths, folders) != len(paths):
            raise _lost()
        if open_file is not None:
            _cut(root_fd, open_file)


def _drop_unknown(root_fd: int, paths: set[str], folders: set[str]) -> int:
    """Remove what is neither counted nor a folder of something counted; count the rest."""
    found = 0
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        fd = open_beneath(root_fd, folder or ".", os.O_RDONLY | os.O_DIRECTORY)
        try:
            with os.scandir(fd) as inside:
                entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in inside]
            for name, is_folder in entries:
                path = f"{folder}/{name}" if folder else name
                found += path in paths
                if path not in paths and path not in folders:
                    remove_beneath(fd, name)
                elif is_folder:
                    waiting.append(path)
        finally:
            os.close(fd)
    return found


def _cut(root_fd: int, open_file: OpenFile) -> None:
    fd = open_beneath(root_fd, open_file.path, os.O_RDWR)
    try:
        if os.fstat(fd).st_size < open_file.written_bytes:
            raise _lost()
        os.ftruncate(fd, open_file.written_bytes)
    finally:
        os.close(fd)


def _lost() -> DataLoss:
    return DataLoss("bytes of this upload are gone from the server's disk: start a new upload")
