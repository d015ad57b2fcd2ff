"""`appengine task …`: packaged algorithms."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from appengine_client.cli.errors import ExitCode, complain, say
from appengine_client.cli.session import Options, Yes, confirm, execute, fail, options_of
from appengine_client.errors import AppEngineError

if TYPE_CHECKING:
    from appengine.v1 import task_pb2

    from appengine_client._api.client import Client
    from appengine_client.cli.reporting import Reporter

app = typer.Typer(help="Make, check, upload, find and delete tasks.", no_args_is_help=True)

TaskArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAMESPACE:VERSION", help="The task, or its id; a version may be `latest`."
    ),
]


@app.command()
def upload(
    context: typer.Context,
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE.zip", help="Descriptor and image.")],
) -> None:
    """Upload a task, and wait until its image is published.

    A bundle with errors is not sent: the exit code is 1, as of `task check`.
    """
    from appengine_client.cli.check import check as check_offline
    from appengine_client.cli.check import report

    options = options_of(context)
    try:
        checked = check_offline(bundle)
    except AppEngineError as error:
        fail(options, error)
    descriptor = checked.descriptor
    if checked.errors or descriptor is None:
        raise typer.Exit(report(checked, as_json=options.json))

    async def work(client: Client) -> ExitCode:
        await _refuse_known(client, descriptor.namespace, str(descriptor.version))
        return _report_upload(await _upload(client, bundle), options)

    execute(options, work)


async def _refuse_known(client: Client, namespace: str, version: str) -> None:
    """Ask for the name before the bytes are sent: a bundle may have many gigabytes."""
    from appengine.v1.task_pb2 import TASK_STATE_FAILED

    from appengine_client.errors import AlreadyExists, Details

    async for task in client.tasks.list(namespace=namespace, include_shared=False):
        if task.version == version and task.state != TASK_STATE_FAILED:
            raise AlreadyExists(
                f"The project has {namespace}:{version} already: give the task a new version, or "
                f"delete the old one (appengine task delete {namespace}:{version}). "
                "Nothing was sent.",
                Details(status="ALREADY_EXISTS", reason="TASK_EXISTS"),
            )


async def _upload(client: Client, bundle: Path) -> task_pb2.Task:
    """The task once it is published. Ctrl-C says what the server has of it."""
    import asyncio
    from functools import partial

    from appengine_client.cli.reporting import reporter

    made: list[task_pb2.Task] = []

    def show(task: task_pb2.Task) -> None:
        made.append(task)
        _show_publishing(shown, task)

    with reporter() as shown:
        try:
            return await client.tasks.upload(
                bundle,
                on_progress=partial(shown.transfer, f"sending {bundle.name}"),
                on_change=show,
            )
        except asyncio.CancelledError:
            if made:
                name = f"{made[-1].namespace}:{made[-1].version}"
                shown.line(
                    f"The server has all of {name} and goes on publishing it. "
                    f"See it with: appengine task show {name}"
                )
            else:
                shown.line(f"What was sent of {bundle.name} is dropped: no task was made of it.")
            raise


def _show_publishing(shown: Reporter, task: task_pb2.Task) -> None:
    from appengine.v1.task_pb2 import TASK_STATE_PUBLISHING

    from appengine_client.transfer import Progress

    if task.state == TASK_STATE_PUBLISHING:
        published = task.publish_progress
        shown.transfer(
            "publishing the image",
            Progress(
                done_bytes=published.done_bytes,
                total_bytes=published.total_bytes,
                done_files=0,
                total_files=1,
            ),
        )


def _report_upload(task: task_pb2.Task, options: Options) -> ExitCode:
    from appengine.v1.task_pb2 import TASK_STATE_READY

    from appengine_client.cli.output import print_json

    if options.json:
        print_json(task)
    for problem in task.warnings:
        say(f"Warning: {problem.path}: {problem.message}")
    name = f"{task.namespace}:{task.version}"
    if task.state == TASK_STATE_READY:
        say(f"The task {name} is ready.")
        return ExitCode.SUCCESS
    complain(f"The task {name} could not be published: {task.failure.message}")
    return ExitCode.FAILED


@app.command("list")
def list_tasks(
    context: typer.Context,
    namespace: Annotated[str, typer.Option(help="Only of this namespace.")] = "",
) -> None:
    """List the tasks of the project and the shared ones, newest first."""
    options = options_of(context)

    async def work(client: Client) -> None:
        from appengine.v1.task_service_pb2 import ListTasksResponse

        from appengine_client.cli.output import ago, print_json, print_table

        tasks = [task async for task in client.tasks.list(namespace=namespace)]
        if options.json:
            print_json(ListTasksResponse(tasks=tasks))
            return
        rows = (
            (
                f"{task.namespace}:{task.version}",
                task.name,
                _state_word(task),
                task.project,
                ago(task.create_time),
            )
            for task in tasks
        )
        print_table(("TASK", "NAME", "STATE", "PROJECT", "CREATED"), rows)

    execute(options, work)


def _state_word(task: task_pb2.Task) -> str:
    from appengine.v1.task_pb2 import TaskState

    return TaskState.Name(task.state).removeprefix("TASK_STATE_")


@app.command()
def show(context: typer.Context, task: TaskArgument) -> None:
    """Show a task with its inputs and outputs."""
    options = options_of(context)

    async def work(client: Client) -> None:
        from appengine_client.cli.output import print_json

        found = await client.tasks.get(task)
        if options.json:
            print_json(found)
        else:
            _print_task(found)

    execute(options, work)


def _print_task(task: task_pb2.Task) -> None:
    from appengine_client.cli.output import counted, moment, print_fields, print_table
    from appengine_client.cli.words import size

    resources = task.resources
    print_fields(
        [
            ("task", f"{task.namespace}:{task.version}"),
            ("id", task.id),
            ("name", task.name),
            ("description", task.description),
            ("project", task.project),
            ("state", _state_word(task)),
            ("failure", task.failure.message),
            ("needs", f"{counted(resources.cpus, 'CPU')}, {size(resources.ram_bytes)}"),
            ("GPUs", str(resources.gpus or "")),
            ("image", task.image),
            ("created", moment(task.create_time)),
            *(("warning", f"{problem.path}: {problem.message}") for problem in task.warnings),
        ]
    )
    for heading, parameters in (("INPUT", task.inputs), ("OUTPUT", task.outputs)):
        print()
        print_table((heading, "TYPE", "DESCRIPTION"), map(_parameter_row, parameters))


def _parameter_row(parameter: task_pb2.Parameter) -> tuple[str, str, str]:
    from appengine_client._api.values import describe, to_python

    description = parameter.description or parameter.display_name
    if parameter.HasField("default"):
        description = f"{description} (default: {to_python(parameter.default)})"
    elif parameter.optional:
        description = f"{description} (optional)"
    return parameter.name, describe(parameter.type), description


@app.command()
def delete(
    context: typer.Context,
    task: TaskArgument,
    *,
    force: Annotated[bool, typer.Option("--force", help="Cancel its runs first.")] = False,
    yes: Yes = False,
) -> None:
    """Delete a task; its files go with its last run."""
    confirm(f"Delete the task {task}?", unasked=yes)
    options = options_of(context)

    async def work(client: Client) -> None:
        from appengine.v1.task_service_pb2 import DeleteTaskResponse

        from appengine_client.cli.output import print_json

        await client.tasks.delete(task, force=force)
        if options.json:
            print_json(DeleteTaskResponse())
        say(f"The task {task} is deleted.")

    execute(options, work)


@app.command()
def init(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Of the task, and of its new folder.")],
    namespace: Annotated[
        str | None, typer.Option(help="Such as com.example.cells; else org.example.NAME.")
    ] = None,
) -> None:
    """Make a task to start from: descriptor, Dockerfile, algorithm in Python, and a test."""
    from appengine_client.cli.new_task import make_task
    from appengine_client.cli.output import print_path

    options = options_of(context)
    try:
        folder = make_task(name, namespace, Path())
    except AppEngineError as error:
        fail(options, error)
    if options.json:
        print_path("folder", folder, as_json=True)
    say(f"The task is in {folder}: {folder}/README.md says what is what, and how to go on.")


@app.command()
def pack(
    context: typer.Context,
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="What holds descriptor.yml, and a logo.png.")
    ],
    *,
    image: Annotated[Path, typer.Option(help="The image, as `docker save` writes it.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The bundle; else NAMESPACE-VERSION.zip, here."),
    ] = None,
) -> None:
    """Pack a descriptor and an image into a bundle, and print its path."""
    from appengine_client.cli.check import check as check_offline
    from appengine_client.cli.check import report
    from appengine_client.cli.output import print_path
    from appengine_client.cli.packing import pack as pack_bundle
    from appengine_client.cli.reporting import reporter

    options = options_of(context)
    try:
        checked = check_offline(folder)
        if checked.errors:
            raise typer.Exit(report(checked, as_json=options.json))
        with reporter() as shown:
            bundle = pack_bundle(checked, image, output, shown)
    except AppEngineError as error:
        fail(options, error)
    print_path("bundle", bundle, as_json=options.json)


@app.command("try")
def try_(
    context: typer.Context,
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="What holds descriptor.yml and Dockerfile.")
    ],
    *,
    output_dir: Annotated[Path, typer.Option(help="Where the outputs go.", metavar="DIR")],
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", help="As of `appengine run`; repeatable.", metavar="NAME=VALUE"),
    ] = None,
    inputs_file: Annotated[
        Path | None, typer.Option("--inputs", help="As of `appengine run`.", metavar="FILE.json")
    ] = None,
) -> None:
    """Build a task and run it on this machine, with an engine that is there for this alone.

    It needs Docker or podman, and appengine-server beside the client. The exit code is that of
    `appengine run`, or 1 when the descriptor has errors.
    """
    from dataclasses import replace
    from tempfile import TemporaryDirectory

    from appengine_client.cli.check import check as check_offline
    from appengine_client.cli.check import report
    from appengine_client.cli.own_server import own_server
    from appengine_client.cli.run import Order
    from appengine_client.cli.trying import build_bundle, try_task

    options = options_of(context)
    with TemporaryDirectory(prefix="appengine-try-", ignore_cleanup_errors=True) as work:
        try:
            checked = check_offline(folder)
            if checked.descriptor is None:
                raise typer.Exit(report(checked, as_json=options.json))
            order = Order(
                task=f"{checked.descriptor.namespace}:{checked.descriptor.version}",
                inputs=inputs or [], inputs_file=inputs_file, output_dir=output_dir,
                json=options.json, server_stays=False,
            )  # fmt: skip
            bundle = build_bundle(checked, folder, Path(work))
            with own_server(Path(work)) as address:
                ours = replace(options, server=address, token_file=None, ca_file=None, project=None)
                execute(ours, lambda client: try_task(bundle, order, client))
        except AppEngineError as error:
            fail(options, error)


@app.command()
def check(
    context: typer.Context,
    path: Annotated[
        Path,
        typer.Argument(
            metavar="DESCRIPTOR_OR_BUNDLE",
            help="A descriptor.yml, the folder that holds it, or a zip.",
        ),
    ],
) -> None:
    """Check a descriptor or bundle as the server would, without a server.

    The exit code is 0 without errors, 1 with errors, 2 when there is nothing to check.
    """
    from appengine_client.cli.check import check as check_offline
    from appengine_client.cli.check import report

    options = options_of(context)
    try:
        checked = check_offline(path)
    except AppEngineError as error:
        fail(options, error)
    raise typer.Exit(report(checked, as_json=options.json))
