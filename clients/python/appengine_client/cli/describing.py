"""Shows a run for people: what it is, its inputs, and its outputs once it has them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from appengine.v1 import run_pb2

from appengine_client.cli.following import reason_word, state_word
from appengine_client.cli.output import moment, print_fields, print_table
from appengine_client.cli.results import shown_value

if TYPE_CHECKING:
    from appengine.v1.run_service_pb2 import ParameterValue

    from appengine_client._api.client import Client


async def print_whole_run(client: Client, run: run_pb2.Run) -> None:
    """Print the run, a table of its inputs, and one of its outputs if it SUCCEEDED."""
    print_run(run)
    print()
    print_values("INPUT", await client.runs.inputs(run.id))
    if run.state == run_pb2.RUN_STATE_SUCCEEDED:
        print()
        print_values("OUTPUT", await client.runs.outputs(run.id))


def print_run(run: run_pb2.Run) -> None:
    """Print the run alone."""
    fields = [
        ("run", run.id),
        ("task", f"{run.task_namespace}:{run.task_version}"),
        ("project", run.project),
        ("owner", run.owner),
        ("state", state_word(run.state)),
        ("missing", ", ".join(run.missing_inputs)),
        *(("waits for", reason.message) for reason in run.pending_reasons),
    ]
    if run.HasField("failure"):
        fields.append(("reason", reason_word(run.failure.reason)))
        fields.append(("because", run.failure.message))
    fields += [
        *(("problem", f"{problem.path}: {problem.message}") for problem in run.failure.problems),
        *(("warning", f"{problem.path}: {problem.message}") for problem in run.warnings),
        ("attempts", str(len(run.attempts) or "")),
        ("labels", ", ".join(f"{key}={value}" for key, value in sorted(run.labels.items()))),
        ("retry of", run.retry_of),
        ("created", moment(run.create_time)),
        ("started", moment(run.start_time)),
        ("ended", moment(run.end_time)),
    ]
    print_fields(fields)


def print_values(heading: str, values: Iterable[ParameterValue]) -> None:
    """Print a table of inputs or outputs: name, and the value or what it consists of."""
    print_table((heading, "VALUE"), ((value.parameter, shown_value(value)) for value in values))
