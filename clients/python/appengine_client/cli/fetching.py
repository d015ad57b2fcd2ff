"""Brings the files of a run into a folder."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from appengine.v1 import storage_service_pb2

from appengine_client.cli.errors import say
from appengine_client.cli.reporting import Reporter
from appengine_client.cli.results import (
    VALUES_FILE,
    link_with_extensions,
    print_results,
    write_values,
)
from appengine_client.errors import LocalFileError

if TYPE_CHECKING:
    from appengine.v1 import task_pb2

    from appengine_client._api.client import Client


def make_folder(folder: Path) -> None:
    """Make the folder, where there is none. Raises LocalFileError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise LocalFileError(f"{folder} is a file: name a folder, or a new one") from None
    except OSError as error:
        raise LocalFileError(
            f"the folder {folder} cannot be made: {error.strerror or error}"
        ) from error


def make_folder_for(task: task_pb2.Task, folder: Path) -> None:
    """Make the folder for the outputs of a task. Raises LocalFileError.

    Outputs of an earlier fetch, which left its file of values, are replaced; another folder that
    has the name of an output may hold anything, and is not.
    """
    make_folder(folder)
    if (folder / VALUES_FILE).exists():
        return
    for output in task.outputs:
        path = folder / output.name
        if path.is_dir() and not path.is_symlink() and any(path.iterdir()):
            raise LocalFileError(
                f"{path} holds files that no earlier fetch brought, and the output of that name "
                "would replace them: name another folder, or move them away"
            )


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
    types = {parameter.name: parameter.type for parameter in task.outputs}
    outputs = await client.runs.outputs(run_id)
    write_values(folder, types, outputs)
    link_with_extensions(folder, types, outputs)
    if is_shown:
        print_results(types, outputs, folder)
        say(f"The outputs are in {folder}.")
