"""Brings the files of a run into a folder."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from appengine.v1 import storage_service_pb2

from appengine_client._api.folders import complete_folder, output_types
from appengine_client.cli.errors import say
from appengine_client.cli.reporting import Reporter
from appengine_client.cli.results import print_results

if TYPE_CHECKING:
    from appengine.v1 import task_pb2

    from appengine_client._api.client import Client


async def fetch_outputs(client: Client, run_id: str, folder: Path, shown: Reporter) -> None:
    """Fetch the files of all outputs into a folder that was made for them."""
    fetching = partial(shown.transfer, "fetching outputs")
    await client.runs.download_outputs(run_id, folder, on_progress=fetching)


async def fetch_attempt(
    client: Client, run_id: str, attempt: int, folder: Path, shown: Reporter
) -> None:
    """Fetch what an attempt wrote, though it may be neither whole nor right."""
    files = storage_service_pb2.AttemptFiles(run_id=run_id, attempt=attempt)
    resource = storage_service_pb2.Resource(attempt_files=files)
    fetching = partial(shown.transfer, "fetching files")
    await client.runs.download(resource, folder, on_progress=fetching)


async def write_results(
    client: Client, run_id: str, task: task_pb2.Task, folder: Path, *, is_shown: bool
) -> None:
    """Write the values and links beside outputs that were fetched, and show them as a table."""
    types = output_types(task)
    outputs = await client.runs.outputs(run_id)
    complete_folder(folder, types, outputs)
    if is_shown:
        print_results(types, outputs, folder)
        say(f"The outputs are in {folder}.")
