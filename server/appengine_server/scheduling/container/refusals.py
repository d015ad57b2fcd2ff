"""What an engine's refusal to create or start a container means for a run."""

from __future__ import annotations

import re

from appengine_server.scheduling.container.engine import EngineRefused
from appengine_server.scheduling.images import NO_COMMAND
from appengine_server.scheduling.scheduler import (
    AttemptSpec,
    Failure,
    FailureReason,
    SubmissionRefused,
)

_NO_COMMAND = re.compile(r"no command", re.IGNORECASE)
_CANNOT_START = re.compile(
    r"exec(utable)?:? .*(not found|no such file|permission denied|format error|is a directory)"
    r"|attempted to invoke a command that was not found|unable to find user"
    r"|unable to find group|no matching entries in (passwd|group)",
    re.IGNORECASE | re.DOTALL,
)
_NO_FOLDER = re.compile(r"bind source path does not exist|statfs|mount.*no such file", re.DOTALL)

_FORBIDDEN = re.compile(r"permission denied|operation not permitted|access denied", re.IGNORECASE)
_LOOK = "ask the administrator to look at the container engine, then retry the run."


def submission_refused(spec: AttemptSpec, error: EngineRefused) -> SubmissionRefused:
    """Say what is wrong with the attempt, given what the engine said."""
    reason, message = _explain(spec, error)
    return SubmissionRefused(Failure(reason=reason, message=message))


def _explain(spec: AttemptSpec, error: EngineRefused) -> tuple[FailureReason, str]:
    text = error.message
    if error.absent:
        return FailureReason.IMAGE_PULL, (
            f"the image {spec.image} is no longer in the engine; it was removed or pruned: "
            "upload the task again"
        )
    if _NO_COMMAND.search(text):
        return FailureReason.IMAGE_CANNOT_START, NO_COMMAND
    if _NO_FOLDER.search(text):
        return FailureReason.ENGINE, (
            "the engine cannot see a folder of the run: it must lie at the same path for the "
            f"server and for the engine. The engine said: {text}"
        )
    if _CANNOT_START.search(text):
        return FailureReason.IMAGE_CANNOT_START, (
            f"the image's program cannot be started: check its ENTRYPOINT. The engine said: {text}"
        )
    if _FORBIDDEN.search(text):  # it has not the right, and will not have it in a minute
        return FailureReason.ADMISSION_REFUSED, (
            f"the container engine may not start the task: {_LOOK} The engine said: {text}"
        )
    return FailureReason.ENGINE, (
        f"the container engine refused the task: {_LOOK} The engine said: {text}"
    )
