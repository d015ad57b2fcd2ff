"""What the command line says and answers when something goes wrong."""

from __future__ import annotations

import sys
from enum import IntEnum

from appengine_client.errors import (
    AppEngineError,
    InvalidValue,
    LocalFileError,
    Problem,
    RunFailed,
    ServerError,
    Unauthenticated,
    Unavailable,
)


class ExitCode(IntEnum):
    """What the command line answers to the shell."""

    SUCCESS = 0
    FAILED = 1
    """The run, or the publishing of the task, failed or was cancelled."""
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4
    INTERRUPTED = 130


def exit_code_of(error: AppEngineError) -> ExitCode:
    """The exit code that tells scripts what kind of error it was."""
    match error:
        case InvalidValue() | LocalFileError():
            return ExitCode.USAGE
        case RunFailed():
            return ExitCode.FAILED
        case Unavailable():
            return ExitCode.UNREACHABLE
        case _:
            return ExitCode.REFUSED


def show_error(error: AppEngineError) -> None:
    """Print one sentence for the error, and one for each problem that it names."""
    complain(f"Error: {error.message}")
    if isinstance(error, ServerError):
        for line in error.problem_lines():
            complain(f"  {line}")
    if isinstance(error, Unauthenticated):
        complain("Give a token by --token-file, APPENGINE_TOKEN or APPENGINE_TOKEN_FILE.")


def show_error_as_json(error: AppEngineError) -> None:
    """Print the error for programs: one object on one line of stderr."""
    import json

    shown: dict[str, object] = {"message": error.message}
    if isinstance(error, ServerError):
        details = error.details
        shown |= {
            "status": details.status,
            "reason": details.reason,
            "problems": [problem_as_json(problem) for problem in details.problems],
            "problemCount": details.problem_count,
            "requestId": details.request_id,
        }
    complain(json.dumps({"error": shown}, ensure_ascii=False))


def problem_as_json(problem: Problem) -> dict[str, object]:
    """A problem as it stands in the protobuf JSON form of answers."""
    return {
        name: value
        for name in ("path", "reason", "message", "line")
        if (value := getattr(problem, name))
    }


def say(text: str) -> None:
    """Print a line for people on stderr, unless they want none: results alone go to stdout."""
    if not _Silence.is_kept:
        complain(text)


def complain(text: str) -> None:
    """Print a line that is seen whatever was asked for: what went wrong."""
    print(printable(text), file=sys.stderr, flush=True)


class _Silence:
    is_kept = False


def keep_silence(is_kept: bool) -> None:
    """Whether `say` says nothing from now on, as --quiet wants it."""
    _Silence.is_kept = is_kept


def is_silent() -> bool:
    """Whether nothing but results and errors is shown."""
    return _Silence.is_kept


def printable(text: str) -> str:
    """The text without what could steer a terminal; tabs and line ends stay."""
    return "".join(
        character if character.isprintable() or character in "\n\t" else "�" for character in text
    )
