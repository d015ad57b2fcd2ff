"""What one task over many items keeps beside its results, so that it goes on where it stopped.

`runs.jsonl` in the output folder: first the id of the batch, then one line for each run that has
ended. The id of each request follows from the batch and from all that is asked, so a run that was
made before the command was killed is found again by asking for it again.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO
from uuid import UUID, uuid4, uuid5

from appengine_client.errors import LocalFileError

FILE = "runs.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How one item of a batch ended."""

    item: str
    request: str
    run: str
    """Id of the run; empty where none was made."""
    state: str
    """SUCCEEDED, FAILED or CANCELLED; REFUSED where no run was made; NOT FETCHED."""
    message: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether its outputs have been fetched."""
        return self.state == "SUCCEEDED"


class Batch:
    """The runs of one output folder."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._ended: dict[str, Ended] = {}
        self.id = self._read() or self._begin()

    def newest(self, asked: Sequence[str | int]) -> str:
        """The id of a request: the same for the same request, until its run has failed."""
        tries = 0
        while (known := self._ended.get(self._id_of(asked, tries))) and not known.succeeded:
            tries += 1
        return self._id_of(asked, tries)

    def succeeded(self, request: str) -> Ended | None:
        """How it ended, where it has SUCCEEDED and its outputs are here."""
        known = self._ended.get(request)
        return known if known is not None and known.succeeded else None

    def add(self, ended: Ended) -> None:
        """Keep how an item ended."""
        self._ended[ended.request] = ended
        self._write(asdict(ended))

    def _id_of(self, asked: Sequence[str | int], tries: int) -> str:
        return str(uuid5(self.id, json.dumps([*asked, tries])))

    def _read(self) -> UUID | None:
        known = None
        for line in self._file:
            try:
                told = json.loads(line)
            except ValueError:  # the command was killed while it wrote that
                continue
            if not isinstance(told, dict):
                raise TypeError(line)
            if "batch" in told:
                known = UUID(told["batch"])
            else:
                ended = Ended(**told)
                self._ended[ended.request] = ended
        return known

    def _begin(self) -> UUID:
        batch = uuid4()
        self._write({"batch": str(batch)})
        return batch

    def _write(self, told: dict[str, str]) -> None:
        # A line feed before each line too, because the one before may be torn.
        self._file.write(f"\n{json.dumps(told, ensure_ascii=False)}\n")
        self._file.flush()


@contextmanager
def open_batch(folder: Path) -> Iterator[Batch]:
    """The batch of an output folder, for one command at a time. Raises LocalFileError."""
    path = folder / FILE
    try:
        # A file's name may be no UTF-8: what does not fit is escaped, as JSON does it anyway.
        file = path.open("a+", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise LocalFileError(f"{path} cannot be written: {error.strerror or error}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LocalFileError(
                f"another command works in {folder}: wait for it, or name another folder"
            ) from None
        file.seek(0)
        try:
            batch = Batch(file)
        except (TypeError, ValueError) as error:
            raise LocalFileError(f"{path} is no file of ours: name another folder") from error
        yield batch
