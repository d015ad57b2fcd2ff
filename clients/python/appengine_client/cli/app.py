"""The commands of `appengine`, and the options that all of them take."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from appengine_client.cli import runs, tasks
from appengine_client.cli.errors import ExitCode, keep_silence, show_error_as_json
from appengine_client.cli.session import Options, execute, fail, options_of
from appengine_client.errors import AppEngineError, InvalidValue

if TYPE_CHECKING:
    from appengine_client._api.client import Client

_WITH_VALUE = ("--server", "--project", "--token-file", "--ca-file")
_WITHOUT_VALUE = ("--json", "--quiet", "-q")
# Of all that is wrong usage, typer names only one kind: the root of them is the base of that.
_WRONG_USAGE: type[Exception] = typer.BadParameter.mro()[1]

app = typer.Typer(
    help="Run containerised image-analysis tasks on an App Engine server.",
    epilog="The options above may stand before or behind any command. Exit codes: 0 it went well, "
    "1 the run or the publishing failed, 2 wrong usage, 3 the server cannot be reached, "
    "4 the server refused, 130 interrupted.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["--help", "-h"]},
    rich_markup_mode=None,  # plain help needs no rich, which takes 0.15 s to load
    pretty_exceptions_enable=False,
)
app.add_typer(tasks.app, name="task")
app.add_typer(runs.app, name="runs")


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(version("appengine-client"))
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    *,
    server: Annotated[
        str | None,
        typer.Option(
            help="Where the server is: HOST:PORT or https://HOST:PORT [127.0.0.1:8080]",
            envvar="APPENGINE_SERVER",
        ),
    ] = None,
    project: Annotated[
        str | None,
        typer.Option(help="Project of tasks and runs [your default]", envvar="APPENGINE_PROJECT"),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(help="File that holds your token.", envvar="APPENGINE_TOKEN_FILE"),
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(help="PEM file of the CA to trust.", envvar="APPENGINE_CA_FILE"),
    ] = None,
    json: Annotated[
        bool,
        typer.Option("--json", help="Print the protobuf JSON form of the answer; errors too."),
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", help="Print results and errors alone: no progress, no log."),
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Keep what every command takes."""
    keep_silence(quiet)
    context.obj = Options(
        server=server, project=project, token_file=token_file, ca_file=ca_file, json=json
    )


@app.command("run")
def run_command(
    context: typer.Context,
    *,
    task: tasks.TaskArgument,
    output_dir: Annotated[Path, typer.Option(help="Where the outputs go.", metavar="DIR")],
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            help="NAME=VALUE, NAME=@FILE_OR_FOLDER for files, images and arrays, or NAME=ref:PATH "
            "for files of the server's datasets; NAME[0]=… for an item of an array; repeatable.",
            metavar="NAME=VALUE",
        ),
    ] = None,
    inputs_file: Annotated[
        Path | None,
        typer.Option(
            "--inputs", help='JSON list of {"parameterName": …, "value": …}.', metavar="FILE.json"
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(help="For finding the run again; repeatable.", metavar="KEY=VALUE"),
    ] = None,
    for_each: Annotated[
        str | None,
        typer.Option(
            help="A run for each local file, such as image=slides/*.png; the same command goes on "
            "where it was stopped.",
            metavar="NAME=PATTERN",
        ),
    ] = None,
    at_once: Annotated[
        int, typer.Option(help="How many runs of --for-each at a time.", min=1, max=1000)
    ] = 4,
) -> None:
    """Run a task: send inputs, show progress and log, fetch outputs.

    The exit code is 0 only when the run succeeded; 1: it failed or was cancelled, 2: wrong usage,
    3: the server cannot be reached, 4: it refused, 130: interrupted.
    """
    given = options_of(context)

    async def work(client: Client) -> ExitCode:
        from appengine_client.cli.run import Order, run_task

        order = Order(
            task=task,
            inputs=inputs or [],
            inputs_file=inputs_file,
            output_dir=output_dir,
            labels=runs.read_labels(label or []),
            json=given.json,
        )
        if for_each is not None:
            from appengine_client.cli.for_each import run_for_each

            return await run_for_each(order, for_each, at_once, client)
        return await run_task(order, client)

    execute(given, work)


@app.command("doctor")
def doctor_command(
    context: typer.Context,
    *,
    server_command: Annotated[
        str,
        typer.Option(
            help="How the server's command is run where the server is, such as 'docker exec "
            "appengine appengine-server'; it must see the server's environment.",
            metavar="COMMAND",
        ),
    ] = "appengine-server",
) -> None:
    """Look at all that the server needs: settings, folders, database, registry, scheduler.

    The exit code is 0 when nothing failed, 1 when something did, 2 when there is no server's
    command to run.
    """
    from appengine_client.cli.doctor import examine

    given = options_of(context)
    try:
        code = examine(server_command, as_json=given.json)
    except AppEngineError as error:
        fail(given, error)
    raise typer.Exit(code)


def with_options_first(arguments: Sequence[str]) -> list[str]:
    """The arguments with the options of every command in front, where typer wants them."""
    front: list[str] = []
    rest: list[str] = []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        name = argument.partition("=")[0]
        if argument == "--":
            rest += [argument, *waiting]
            break
        if argument in _WITHOUT_VALUE or (name in _WITH_VALUE and "=" in argument):
            front.append(argument)
        elif name in _WITH_VALUE and waiting:
            front += [argument, waiting.pop(0)]
        else:
            rest.append(argument)
    return front + rest


def run_app(arguments: Sequence[str]) -> None:
    """Do what the arguments say, and end the program with its exit code."""
    in_front = with_options_first(arguments)
    if "--json" not in in_front:
        app(args=in_front, prog_name="appengine")
        return
    try:
        code = app(args=in_front, prog_name="appengine", standalone_mode=False)
    except _WRONG_USAGE as error:
        message = cast("typer.BadParameter", error).format_message()
        show_error_as_json(InvalidValue(message))
        sys.exit(ExitCode.USAGE)
    sys.exit(code or ExitCode.SUCCESS)
