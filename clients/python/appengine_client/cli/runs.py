"""`appengine runs …`: what became of runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from appengine_client.cli.errors import ExitCode, say
from appengine_client.cli.session import Options, Yes, confirm, execute, options_of
from appengine_client.errors import InvalidValue

if TYPE_CHECKING:
    from appengine.v1 import run_pb2
    from appengine.v1.run_service_pb2 import RunFilter

    from appengine_client._api.client import Client

app = typer.Typer(help="Follow, repeat and fetch runs.", no_args_is_help=True)

_UNTIL_KILLED = (
    "its task may take up to the server's grace time to end by itself, usually 30 seconds, "
    "and is killed then"
)

RunId = Annotated[
    str, typer.Argument(metavar="RUN", help="Id of the run, or its first 8 characters or more.")
]
TaskFilter = Annotated[str, typer.Option(help="Only of this task.", metavar="NAMESPACE[:VERSION]")]
StateFilter = Annotated[
    list[str] | None,
    typer.Option(
        help="Only in this state; repeatable. One of CREATED, PROVISIONED, QUEUED, PENDING, "
        "RUNNING, FINALIZING, SUCCEEDED, FAILED, CANCELLING, CANCELLED."
    ),
]
LabelFilter = Annotated[
    list[str] | None, typer.Option(help="Only with this label; repeatable.", metavar="KEY=VALUE")
]
OutputDir = Annotated[Path, typer.Option(help="Where the files go.", metavar="DIR")]


@app.command("list")
def list_runs(
    context: typer.Context,
    task: TaskFilter = "",
    state: StateFilter = None,
    label: LabelFilter = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1)] = 50,
) -> None:
    """List runs, newest first."""
    options = options_of(context)

    async def work(client: Client) -> None:
        from appengine.v1.run_service_pb2 import ListRunsResponse

        from appengine_client.cli.output import print_json

        runs = []
        async for run in client.runs.list(_filter(task, state or [], label or [])):
            runs.append(run)
            if len(runs) == limit:
                break
        if options.json:
            print_json(ListRunsResponse(runs=runs))
        else:
            _print_list(runs)

    execute(options, work)


def _filter(task: str, states: list[str], labels: list[str]) -> RunFilter:
    from appengine.v1.run_pb2 import RunState
    from appengine.v1.run_service_pb2 import RunFilter

    namespace, _, version = task.partition(":")
    names = {f"RUN_STATE_{state.upper()}" for state in states}
    if unknown := names - set(RunState.keys()):
        words = ", ".join(sorted(name.removeprefix("RUN_STATE_") for name in unknown))
        known = ", ".join(name.removeprefix("RUN_STATE_") for name in RunState.keys()[1:])
        raise InvalidValue(f"there is no state {words}; the states are: {known}")
    return RunFilter(
        task_namespace=namespace,
        task_version=version,
        states=[RunState.Value(name) for name in sorted(names)],
        labels=read_labels(labels),
    )


def read_labels(options: list[str]) -> dict[str, str]:
    """`KEY=VALUE` options as a mapping."""
    labels = {}
    for option in options:
        key, separator, value = option.partition("=")
        if not separator or not key:
            raise InvalidValue(f"--label {option!r}: expected KEY=VALUE")
        labels[key] = value
    return labels


def _print_list(runs: list[run_pb2.Run]) -> None:
    from appengine_client.cli.following import state_word
    from appengine_client.cli.output import ago, between, print_table, run_label

    rows = (
        (
            run_label(run.id),
            f"{run.task_namespace}:{run.task_version}",
            state_word(run.state),
            ago(run.create_time),
            between(run.start_time, run.end_time),
        )
        for run in runs
    )
    print_table(("RUN", "TASK", "STATE", "CREATED", "TOOK"), rows)


@app.command()
def show(context: typer.Context, run: RunId) -> None:
    """Show a run with its inputs, and its outputs if it succeeded. --json: the run alone."""
    options = options_of(context)

    async def work(client: Client) -> None:
        from appengine_client.cli.describing import print_whole_run
        from appengine_client.cli.output import print_json
        from appengine_client.cli.run_ids import run_id_of

        found = await client.runs.get(await run_id_of(client, run))
        if options.json:
            print_json(found)
        else:
            await print_whole_run(client, found)

    execute(options, work)


@app.command()
def inputs(context: typer.Context, run: RunId) -> None:
    """Show the inputs of a run. --json prints them whole, with every item of arrays."""
    options = options_of(context)

    async def work(client: Client) -> None:
        from appengine.v1.run_service_pb2 import GetRunInputsResponse

        from appengine_client.cli.describing import print_values
        from appengine_client.cli.output import print_json
        from appengine_client.cli.run_ids import run_id_of

        values = await client.runs.inputs(await run_id_of(client, run))
        if options.json:
            print_json(GetRunInputsResponse(inputs=values))
        else:
            print_values("INPUT", values)

    execute(options, work)


@app.command()
def outputs(context: typer.Context, run: RunId) -> None:
    """Show the outputs of a run that succeeded. --json prints them whole."""
    options = options_of(context)

    async def work(client: Client) -> None:
        from appengine.v1.run_service_pb2 import GetRunOutputsResponse

        from appengine_client.cli.describing import print_values
        from appengine_client.cli.output import print_json
        from appengine_client.cli.run_ids import run_id_of

        values = await client.runs.outputs(await run_id_of(client, run))
        if options.json:
            print_json(GetRunOutputsResponse(outputs=values))
        else:
            print_values("OUTPUT", values)

    execute(options, work)


@app.command()
def watch(
    context: typer.Context,
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN]...",
            help="Ids, or their first 8 characters or more; none: all that match.",
        ),
    ] = None,
    task: TaskFilter = "",
    state: StateFilter = None,
    label: LabelFilter = None,
) -> None:
    """Follow a run to its end, with its log; or several runs, as a live table.

    Without RUN the table shows all active runs that match, and goes on until Ctrl-C. Else the exit
    code is 0 when every run succeeded, and 1 when one did not.
    """
    options = options_of(context)

    async def work(client: Client) -> ExitCode:
        from appengine_client.cli import watching
        from appengine_client.cli.run_ids import run_id_of

        wanted = _filter(task, state or [], label or [])
        ids = [await run_id_of(client, run) for run in dict.fromkeys(runs or [])]
        if not ids:
            show_all = watching.print_matching if options.json else watching.watch_matching
            await show_all(client, wanted)
            return ExitCode.SUCCESS
        if wanted.ByteSize():
            raise InvalidValue("--task, --state and --label select runs: give them without RUN")
        if len(ids) == 1:
            return await _follow(client, ids[0], options)
        show_these = watching.print_runs if options.json else watching.watch_runs
        return await show_these(client, ids)

    execute(options, work)


async def _follow(client: Client, run_id: str, options: Options) -> ExitCode:
    from appengine_client.cli.following import Follower, show_end, show_where_to_look
    from appengine_client.cli.reporting import reporter

    with reporter() as shown:
        follower = Follower(client, run_id, shown, as_json=options.json)
        ended = await follower.follow()
        code = show_end(ended, shown)
        show_where_to_look(ended, shown)
    if code is ExitCode.SUCCESS:
        say(f"Fetch its outputs with: appengine runs download {run_id} --output-dir DIR")
    return code


@app.command()
def logs(
    context: typer.Context,
    run: RunId,
    attempt: Annotated[int, typer.Option(help="Which attempt; 0 means the newest.", min=0)] = 0,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the attempt has ended.")
    ] = False,
) -> None:
    """Print what the task printed, byte for byte. --json: pieces of it, in base64."""
    options = options_of(context)

    async def work(client: Client) -> None:
        from appengine.v1.run_service_pb2 import TailLogsResponse

        from appengine_client.cli.output import print_bytes, print_json_line
        from appengine_client.cli.run_ids import run_id_of

        run_id = await run_id_of(client, run)
        async for data in client.runs.logs(run_id, attempt=attempt, follow=follow):
            if options.json:
                print_json_line(TailLogsResponse(data=data))
            else:
                print_bytes(data)

    execute(options, work)


@app.command()
def cancel(context: typer.Context, run: RunId) -> None:
    """Ask a run to stop."""
    options = options_of(context)

    async def work(client: Client) -> None:
        from appengine_client.cli.output import print_json
        from appengine_client.cli.run_ids import run_id_of

        before = await client.runs.get(await run_id_of(client, run))
        answer = await client.runs.cancel(before.id)
        if options.json:
            print_json(answer)
        else:
            say(_said_of_cancel(before, answer))

    execute(options, work)


def _said_of_cancel(before: run_pb2.Run, after: run_pb2.Run) -> str:
    from appengine.v1.run_pb2 import RUN_STATE_CANCELLED, RUN_STATE_CANCELLING

    if before.state == RUN_STATE_CANCELLED:
        return f"The run {after.id} was cancelled before."
    if after.state == RUN_STATE_CANCELLED:
        return f"The run {after.id} is cancelled."
    if before.state == RUN_STATE_CANCELLING:
        return f"The cancel of the run {after.id} is under way: {_UNTIL_KILLED}."
    return f"The run {after.id} is asked to stop: {_UNTIL_KILLED}."


@app.command()
def retry(context: typer.Context, run: RunId) -> None:
    """Make and start a new run with the same task and inputs; prints its id."""
    options = options_of(context)

    async def work(client: Client) -> None:
        from appengine_client.cli.output import print_json
        from appengine_client.cli.run_ids import run_id_of

        answer = await client.runs.retry(await run_id_of(client, run))
        if options.json:
            print_json(answer)
        else:
            print(answer.id)
            say(f"Follow it with: appengine runs watch {answer.id}")

    execute(options, work)


@app.command()
def delete(context: typer.Context, run: RunId, *, yes: Yes = False) -> None:
    """Remove a run with its files and log."""
    confirm(f"Delete the run {run} with its outputs and log?", unasked=yes)
    options = options_of(context)

    async def work(client: Client) -> None:
        from appengine.v1.run_service_pb2 import DeleteRunResponse

        from appengine_client.cli.output import print_json
        from appengine_client.cli.run_ids import run_id_of

        run_id = await run_id_of(client, run)
        await client.runs.delete(run_id)
        if options.json:
            print_json(DeleteRunResponse())
        say(f"The run {run_id} is deleted.")

    execute(options, work)


@app.command()
def download(
    context: typer.Context,
    run: RunId,
    *,
    output_dir: OutputDir,
    attempt: Annotated[
        int | None,
        typer.Option(help="The files that this attempt left, whatever became of it.", min=1),
    ] = None,
) -> None:
    """Fetch the outputs of a run that succeeded, or with --attempt what an attempt left."""
    options = options_of(context)

    async def work(client: Client) -> None:
        from appengine.v1.run_service_pb2 import GetRunOutputsResponse

        from appengine_client._api.folders import make_folder_for
        from appengine_client.cli.fetching import fetch_attempt, fetch_outputs, write_results
        from appengine_client.cli.output import print_json, print_path
        from appengine_client.cli.reporting import reporter
        from appengine_client.cli.run_ids import run_id_of

        found = await client.runs.get(await run_id_of(client, run))
        task = await client.tasks.get(found.task_id)
        make_folder_for(task, output_dir)
        if attempt is not None:
            with reporter() as shown:
                await fetch_attempt(client, found.id, attempt, output_dir, shown)
            if options.json:
                print_path("folder", output_dir, as_json=True)
            say(f"The files of attempt {attempt} are in {output_dir}.")
            return
        with reporter() as shown:
            await fetch_outputs(client, found.id, output_dir, shown)
        await write_results(client, found.id, task, output_dir, is_shown=not options.json)
        if options.json:
            print_json(GetRunOutputsResponse(outputs=await client.runs.outputs(found.id)))

    execute(options, work)
