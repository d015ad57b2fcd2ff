"""Every error that this library raises on purpose.

AppEngineError
├── ServerError            what a call gave; carries status, reason and problems
│   ├── Unavailable            the server cannot be reached, or does not answer in time
│   └── Refused                the server answered, and said no
│       ├── InvalidArgument        wrong in any state: mend what `problems` lists
│       ├── OutOfRange             a position behind the end
│       ├── FailedPrecondition     the state does not allow it: change what `problems` lists
│       ├── Aborted                a race was lost, or another writer has the upload
│       ├── AlreadyExists          there is one of that name
│       ├── NotFound               unknown, gone, or not yours to see
│       ├── ResourceExhausted      a limit or the disk; final without `retry_after_seconds`
│       ├── Unauthenticated        no valid token
│       ├── PermissionDenied       you may see it, but not do this
│       ├── DataLoss               stored bytes no longer match their checksum
│       └── ServerFailed           a bug of the server, or an RPC that it does not have
├── BrokenTransfer         the other side sent what a transfer must not hold
│   └── CutTransfer            it arrived damaged or cut; going on from the same place mends it
├── RunFailed              a run that was waited for failed or was cancelled
├── LocalFileError         a local file cannot be read or written, changed, or is of a wrong kind
└── InvalidValue           a value does not fit the type of its parameter

The message of each is a sentence for people. As a text, an error also lists the problems that the
server named, one a line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from appengine.v1.run_pb2 import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with a request, a value or a descriptor."""

    path: str
    """Where, such as `inputs.threshold` or `probs[17]`; empty where it is the whole."""
    reason: str
    """Stable identifier such as NOT_INTEGER; may be empty."""
    message: str
    """A sentence for people."""
    line: int = 0
    """Line in the descriptor, counted from 1; 0 where there is none."""

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class AppEngineError(Exception):
    """Root of all errors of this library."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What a server tells about an error beside its message."""

    status: str
    """Name of the gRPC status, such as NOT_FOUND."""
    reason: str = ""
    """Stable identifier such as RUN_STATE; empty where the server gave none."""
    problems: Sequence[Problem] = ()
    problem_count: int = 0
    """How many problems there are; more than `problems` where not all fitted into the answer."""
    fields: Mapping[str, str] = field(default_factory=dict)
    retry_after_seconds: float | None = None
    """When to try again; None where trying again does not help or nothing is known."""
    request_id: str = ""
    """The id of the call, to be found in the server's log."""


class ServerError(AppEngineError):
    """What came back from a call, with what the server told about it."""

    def __init__(self, message: str, details: Details) -> None:
        super().__init__(message)
        self.details = details

    def __str__(self) -> str:
        return "\n".join((self.message, *(f"  {line}" for line in self.problem_lines())))

    def problem_lines(self) -> Iterator[str]:
        """A line for each problem that the message does not say itself, and for those left out."""
        for problem in self.problems:
            if problem.message != self.message:
                yield str(problem)
        left_out = self.details.problem_count - len(self.problems)
        if left_out > 0:
            yield f"… and {left_out} more"

    @property
    def status(self) -> str:
        """Name of the gRPC status, such as NOT_FOUND."""
        return self.details.status

    @property
    def reason(self) -> str:
        """Stable identifier such as RUN_STATE; empty where the server gave none."""
        return self.details.reason

    @property
    def problems(self) -> Sequence[Problem]:
        """Every problem that the server named."""
        return self.details.problems

    @property
    def fields(self) -> Mapping[str, str]:
        """Facts that belong to the reason."""
        return self.details.fields

    @property
    def retry_after_seconds(self) -> float | None:
        """When to try again, as the server says."""
        return self.details.retry_after_seconds


class Refused(ServerError):
    """The server answered, and said no."""


class InvalidArgument(Refused):
    """What was sent is wrong whatever the state. Mend every problem, then send it again."""


class OutOfRange(Refused):
    """The position lies behind the end."""


class FailedPrecondition(Refused):
    """The state does not allow it. Change what `problems` lists, then try again."""


class Aborted(Refused):
    """A race was lost. Ask for the state, then go on."""


class AlreadyExists(Refused):
    """There is one of that name already."""


class NotFound(Refused):
    """Unknown, gone, or not yours to see."""


class ResourceExhausted(Refused):
    """A limit, a quota or the disk is full."""


class Unauthenticated(Refused):
    """No valid token came with the call."""


class PermissionDenied(Refused):
    """You may see it, but not do this. Ask an owner of the project."""


class DataLoss(Refused):
    """Stored bytes no longer match their checksum. Tell the administrator."""


class ServerFailed(Refused):
    """A bug of the server, or an RPC that it does not have."""


class Unavailable(ServerError):
    """The server cannot be reached, is shutting down, or does not answer in time. Try again."""


class BrokenTransfer(AppEngineError):
    """The other side sent what a transfer must not hold, or broke a promise of the protocol."""


class CutTransfer(BrokenTransfer):
    """What arrived is damaged or cut. Nothing of it was kept: go on from the same place."""


class RunFailed(AppEngineError):
    """A run that was waited for failed or was cancelled, so there are no outputs."""

    def __init__(self, message: str, *, run: Run, reason: str, problems: Sequence[Problem]) -> None:
        super().__init__(message)
        self.run = run
        """The run at its end, with its attempts."""
        self.reason = reason
        """Such as TASK_EXIT_CODE or OUT_OF_MEMORY; CANCELLED where somebody stopped it."""
        self.problems = problems
        """What is wrong with each output, with OUTPUT_INVALID."""

    def __str__(self) -> str:
        return "\n".join((self.message, *(f"  {problem}" for problem in self.problems)))


class LocalFileError(AppEngineError):
    """A local file cannot be read or written, changed meanwhile, or is of a wrong kind."""


class InvalidValue(AppEngineError):
    """A value does not fit the type of its parameter, or there is no such parameter."""
