"""How much the uploads of a project, and of all, may hold together.

An open upload counts with the size that it announced, or with what has begun to come where that is
more; a finished one with what it brought, until the task, the input or the run that keeps its bytes
is gone. The outputs of attempts do not count: they are of runs that go on.
"""

from __future__ import annotations

from dataclasses import dataclass

from appengine_server.database import uploads
from appengine_server.database.pool import Connection
from appengine_server.database.records import UploadRecord
from appengine_server.errors import ResourceExhausted

QUOTA_PROJECT = "QUOTA_PROJECT"
QUOTA_STORAGE = "QUOTA_STORAGE"


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadQuota:
    """The limits; None means that there is none."""

    project_bytes: int | None = None
    storage_bytes: int | None = None

    @property
    def is_set(self) -> bool:
        """Whether anything is limited."""
        return self.project_bytes is not None or self.storage_bytes is not None

    async def claim(self, connection: Connection, upload: UploadRecord, wanted_bytes: int) -> None:
        """Have an open upload count with so many bytes, in the transaction of the caller.

        Raises ResourceExhausted: then the transaction must not be committed.
        """
        if not self.is_set:
            return
        await uploads.lock_held(connection)
        for limit, project, reason, whose in (
            (self.project_bytes, upload.project, QUOTA_PROJECT, f"the project {upload.project}"),
            (self.storage_bytes, None, QUOTA_STORAGE, "all projects together"),
        ):
            if limit is None:
                continue
            held = await uploads.held_bytes(connection, project, besides=upload.id)
            if held + wanted_bytes > limit:
                raise _exceeded(reason, whose, limit=limit, held=held, wanted=wanted_bytes)
        await uploads.hold(connection, upload.id, wanted_bytes)


def _exceeded(reason: str, whose: str, *, limit: int, held: int, wanted: int) -> ResourceExhausted:
    return ResourceExhausted(
        f"uploads and inputs of {whose} may hold {limit} bytes; they hold {held}, and this upload "
        f"needs {wanted}: delete runs or cancel uploads that are no longer needed, or ask the "
        "administrator for more",
        reason=reason,
        fields={
            "limit_bytes": str(limit),
            "held_bytes": str(held),
            "needed_bytes": str(wanted),
        },
    )
