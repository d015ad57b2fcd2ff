"""Every refusal of the engine, with the status and the reason that clients see.

AppEngineError
├── InvalidArgument        what was sent is wrong in any state; carries every problem
├── PlaceOutOfRange        a position behind the end, or behind what is persisted
├── FailedPrecondition     the state does not allow it; the caller must change something
│   ├── RunStateRefused    … of a run
│   └── EtagMismatch       … of a download: the content has changed
├── Aborted                lost a race; ask, then go on or stop
│   ├── ChunkCorrupt       a chunk's checksum is wrong: resume
│   ├── UploadTaken        another writer has the upload
│   ├── UploadStalled      nothing came for too long: go on when there is something to send
│   ├── AttemptStale       the attempt, or this phase of it, is over: stop
│   └── RequestIdReused    a request id came back with another request
├── AlreadyExists          there is one of that name
├── NotFound               unknown, or not the caller's to see
├── ResourceExhausted      a limit, a quota or the disk
├── Unauthenticated        no valid token
├── PermissionDenied       may see it, may not do this
├── Unavailable            shutting down, or something we need is out of reach: try again
├── Unimplemented          part of the contract, not of this server
└── DataLoss               stored bytes no longer match their checksum

The edge (`rpc`) alone turns them into gRPC statuses. A class exists only where a caller can act on
it; what none of them fits is a bug and must stay an ordinary exception.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import ClassVar

from appengine_contract.problems import Problem
from grpc import StatusCode


class AppEngineError(Exception):
    """A refusal that the caller may read: `message` is a sentence that says what to do."""

    status: ClassVar[StatusCode]
    reason: str

    def __init__(self, message: str, *, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fields: Mapping[str, str] = fields or {}


class InvalidArgument(AppEngineError):
    """What was sent is wrong whatever the state. Mend every problem, then send it again."""

    status = StatusCode.INVALID_ARGUMENT
    reason = "INVALID_ARGUMENT"

    def __init__(
        self, message: str, *, problems: Sequence[Problem] = (), reason: str | None = None
    ) -> None:
        super().__init__(message)
        self.problems = tuple(problems)
        if reason is not None:
            self.reason = reason


class PlaceOutOfRange(AppEngineError):
    """The position lies behind the end. Ask for the end, and go on from there."""

    status = StatusCode.OUT_OF_RANGE
    reason = "OUT_OF_RANGE"


class FailedPrecondition(AppEngineError):
    """The state does not allow it. Change what `problems` lists, then try again."""

    status = StatusCode.FAILED_PRECONDITION
    reason = "FAILED_PRECONDITION"

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        problems: Sequence[Problem] = (),
        fields: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, fields=fields)
        self.problems = tuple(problems)
        if reason is not None:
            self.reason = reason


class RunStateRefused(FailedPrecondition):
    """The run is in a state that does not allow this."""

    reason = "RUN_STATE"


class EtagMismatch(FailedPrecondition):
    """The content is no longer what the etag named. Start the download again."""

    reason = "ETAG"


class Aborted(AppEngineError):
    """A race was lost. Stop the other party, ask for the state, then go on."""

    status = StatusCode.ABORTED
    reason = "ABORTED"


class ChunkCorrupt(Aborted):
    """The chunk's crc32c does not match its bytes. Nothing of it was kept: resume."""

    reason = "CHUNK_CORRUPT"


class UploadTaken(Aborted):
    """Another writer took this upload over. Stop one of the two; the other asks and goes on."""

    reason = "UPLOAD_TAKEN"


class UploadStalled(Aborted):
    """Nothing came for too long. What was received is kept: ask, and go on."""

    reason = "UPLOAD_STALLED"


class AttemptStale(Aborted):
    """The attempt is over, or the phase of it that this agent works for. Stop."""

    reason = "ATTEMPT_STALE"


class RequestIdReused(Aborted):
    """The request id was used for another request. Make a new id for a new request."""

    reason = "REQUEST_ID_REUSED"


class AlreadyExists(AppEngineError):
    """There is one of that name already."""

    status = StatusCode.ALREADY_EXISTS
    reason = "ALREADY_EXISTS"

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class NotFound(AppEngineError):
    """Unknown, gone, or not the caller's to see."""

    status = StatusCode.NOT_FOUND
    reason = "NOT_FOUND"


class ResourceExhausted(AppEngineError):
    """A limit, a quota or the disk is full. Without `retry_after` trying again does not help."""

    status = StatusCode.RESOURCE_EXHAUSTED
    reason = "RESOURCE_EXHAUSTED"

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        retry_after: timedelta | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, fields=fields)
        self.retry_after = retry_after
        if reason is not None:
            self.reason = reason


class Unauthenticated(AppEngineError):
    """No valid token came with the call."""

    status = StatusCode.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"


class PermissionDenied(AppEngineError):
    """The caller may see it, but may not do this. Ask an owner of the project."""

    status = StatusCode.PERMISSION_DENIED
    reason = "PERMISSION_DENIED"


class Unavailable(AppEngineError):
    """Shutting down, or something that we need is out of reach. Try again."""

    status = StatusCode.UNAVAILABLE
    reason = "UNAVAILABLE"


class Unimplemented(AppEngineError):
    """The contract has it, this server has not."""

    status = StatusCode.UNIMPLEMENTED
    reason = "UNIMPLEMENTED"


class DataLoss(AppEngineError):
    """Stored bytes no longer match their checksum. Tell the administrator; do not just retry."""

    status = StatusCode.DATA_LOSS
    reason = "DATA_LOSS"
