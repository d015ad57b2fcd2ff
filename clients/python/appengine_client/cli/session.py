"""From the options of a command to a client, and from its end to an exit code."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from appengine_client.cli.errors import (
    ExitCode,
    complain,
    exit_code_of,
    show_error,
    show_error_as_json,
)
from appengine_client.errors import AppEngineError

if TYPE_CHECKING:
    from appengine_client._api.client import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What every command takes."""

    server: str | None = None
    project: str | None = None
    token_file: Path | None = None
    ca_file: Path | None = None
    json: bool = False
    """Print the protobuf JSON form of the answer instead of text for people."""


Work = Callable[["Client"], Awaitable[ExitCode | None]]


Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def confirm(question: str, *, unasked: bool) -> None:
    """Ask a person before something is deleted; scripts are not asked."""
    if not unasked and sys.stdin.isatty() and sys.stderr.isatty():
        try:
            is_wanted = typer.confirm(question, err=True)
        except typer.Abort:
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        if not is_wanted:
            complain("Nothing was deleted.")
            raise typer.Exit(ExitCode.FAILED)


def options_of(context: typer.Context) -> Options:
    """What the options before the command said."""
    options = context.find_object(Options)
    return options or Options()


def execute(options: Options, work: Work) -> NoReturn:
    """Do the work of a command with a client, and end the program with its exit code."""
    import asyncio

    try:
        code = asyncio.run(_with_client(options, work))
    except AppEngineError as error:
        fail(options, error)
    except (KeyboardInterrupt, asyncio.CancelledError):
        code = ExitCode.INTERRUPTED
    raise typer.Exit(code or ExitCode.SUCCESS)


def fail(options: Options, error: AppEngineError) -> NoReturn:
    """End the program with what the error says, for people or for programs."""
    (show_error_as_json if options.json else show_error)(error)
    raise typer.Exit(exit_code_of(error))


async def _with_client(options: Options, work: Work) -> ExitCode | None:
    import asyncio
    import signal

    from appengine_client._api.client import connect
    from appengine_client._rpc.settings import read_token

    working = asyncio.current_task()
    assert working is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, working.cancel)
    token = read_token(options.token_file) if options.token_file is not None else None
    async with connect(
        options.server, token=token, ca_certificate=options.ca_file, project=options.project
    ) as client:
        return await work(client)
