"""What every scheduler says in the same words: exit codes, memory, programs that cannot run."""

from __future__ import annotations

import re
import signal

from appengine_server.scheduling.scheduler import (
    AttemptSpec,
    Failure,
    FailureReason,
    SubmissionRefused,
)

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")
_CONVENTIONS = {
    126: " (by convention: a command in it may not be executed)",
    127: " (by convention: a command in it was not found)",
}
_EXEC_FORMAT = re.compile(rb"\A[^\n]*\bexec\b[^\n]*exec format error\r?\n?\Z")


def format_bytes(count: int) -> str:
    """Write a number of bytes for people, such as `1.5 GiB`."""
    value, unit = float(count), _UNITS[0]
    for unit in _UNITS:
        if value < 1024 or unit == _UNITS[-1]:
            break
        value /= 1024
    return f"{value:.1f}".removesuffix(".0") + f" {unit}"


def exit_code_failure(exit_code: int) -> Failure:
    """Why a task failed that ended by itself, or by a signal, with a code other than 0."""
    return Failure(
        reason=FailureReason.TASK_EXIT_CODE, exit_code=exit_code, message=_sentence(exit_code)
    )


def out_of_memory_failure(exit_code: int, ram_bytes: int) -> Failure:
    """Why a task failed that was killed for its memory; `ram_bytes` is its limit."""
    return Failure(
        reason=FailureReason.OUT_OF_MEMORY,
        exit_code=exit_code,
        message=f"the task needed more than its {format_bytes(ram_bytes)} of memory and was "
        "killed: raise the ram that its descriptor asks for, or give it smaller inputs",
    )


def is_exec_format_error(log: bytes) -> bool:
    """Tell whether the whole log is the runtime's word that this machine cannot run the program."""
    return _EXEC_FORMAT.match(log) is not None


def exec_format_failure(exit_code: int | None, architecture: str) -> Failure:
    """Why a program that is no program of this machine failed; `architecture` in Go's words."""
    return Failure(
        reason=FailureReason.IMAGE_CANNOT_START,
        exit_code=exit_code,
        message="this machine cannot run the image's program (exec format error): build the image "
        f"for linux/{architecture}, and begin scripts with #!",
    )


def check_folders(spec: AttemptSpec) -> None:
    """Refuse where a folder is missing: engines would make an empty one and run with that."""
    for path in (spec.inputs_path, spec.outputs_path):
        if not path.is_dir():
            message = f"the folder {path} of the run is missing"
            raise SubmissionRefused(Failure(reason=FailureReason.ENGINE, message=message))
    for path in spec.dataset_paths:
        if not path.is_dir():
            message = f"the dataset folder {path} is gone: run the task on what is there"
            raise SubmissionRefused(
                Failure(reason=FailureReason.INPUT_UNAVAILABLE, message=message)
            )


def _sentence(exit_code: int) -> str:
    if 128 < exit_code < 128 + signal.NSIG:
        try:
            name = signal.Signals(exit_code - 128).name
        except ValueError:
            name = f"signal {exit_code - 128}"
        killed = exit_code == 128 + signal.SIGKILL
        hint = ", sent from outside and not for its memory" if killed else ""
        return f"the task was ended by {name} (exit code {exit_code}){hint}: see its log"
    return (
        f"the task ended with exit code {exit_code}{_CONVENTIONS.get(exit_code, '')}: see its log"
    )
