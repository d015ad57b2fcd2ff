"""The client: one connection, and what can be done over it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from types import TracebackType
from typing import TYPE_CHECKING

from appengine.v1 import run_pb2
from appengine.v1 import storage_service_pb2 as pb

from appengine_client._api import results
from appengine_client._api.folders import make_folder, make_folder_for
from appengine_client._api.results import Result
from appengine_client._api.runs import Runs
from appengine_client._api.tasks import Tasks
from appengine_client._api.uploads import Uploads
from appengine_client._rpc.connection import Connection
from appengine_client._rpc.settings import ConnectionSettings, read_settings

if TYPE_CHECKING:
    from appengine_client._api.many import Outcome
    from appengine_client._api.mapping import MappedPython
    from appengine_client._api.values import InputPython
    from appengine_client.transfer import OnProgress


class Client:
    """Talks to one server. Use it in one event loop, as `async with`, or close it yourself."""

    tasks: Tasks
    """Packaged algorithms."""
    runs: Runs
    """Uses of a task."""
    uploads: Uploads
    """Bytes on their way to the server."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self.connection = Connection(settings)
        self.uploads = Uploads(self.connection)
        self.tasks = Tasks(self.connection, self.uploads)
        self.runs = Runs(self.connection, self.tasks, self.uploads)
        self._temporary: TemporaryDirectory[str] | None = None

    async def run(
        self,
        task: str,
        inputs: Mapping[str, InputPython] | None = None,
        /,
        *,
        output_dir: Path | None = None,
        labels: Mapping[str, str] | None = None,
        on_change: Callable[[run_pb2.RunEvent], None] | None = None,
        on_progress: OnProgress | None = None,
        **more: InputPython,
    ) -> Result:
        """Run a task to its end, and fetch what it made.

            result = await client.run("com.example.nuclei:1.0.0", image=Path("a.png"), min_area=20)
            print(result.outputs["count"], result.outputs["overlay"])

        Whoever leaves before the end leaves a run that goes on at the server, once it was started.

        Args:
            task: `NAMESPACE:VERSION`, or the task's id.
            inputs: By name, as `runs.create` takes them: for names that are no Python names, or
                those of the options here.
            output_dir: Where the outputs go, with their values in `outputs.json`; a new folder is
                made. None means a temporary one, which goes when the client is closed.
            labels: For finding the run again.
            on_change: Called in the event loop with each change of the run.
            on_progress: Called in the event loop while files are moved, in either direction.
            more: The inputs by their names.

        Raises:
            RunFailed: The run failed or was cancelled; its reason and message say why.
            InvalidValue: An input is unknown or of another kind than declared.
            Refused: The server does not take it; every problem is in the error.
            LocalFileError: A file cannot be read or written.
            Unavailable: The server cannot be reached.
        """
        if output_dir is not None:
            make_folder_for(await self.tasks.get(task), output_dir)
        run = await self.runs.create(
            task, {**(inputs or {}), **more}, labels=labels, start=True, on_progress=on_progress
        )
        return await self.result(
            run.id, output_dir=output_dir, on_change=on_change, on_progress=on_progress
        )

    async def result(
        self,
        run_id: str,
        *,
        output_dir: Path | None = None,
        on_change: Callable[[run_pb2.RunEvent], None] | None = None,
        on_progress: OnProgress | None = None,
    ) -> Result:
        """Wait until a run that was started has ended, and fetch what it made.

        Takes and raises what `run` does.
        """
        run = await self.runs.wait(run_id, on_change=on_change)
        if run.state != run_pb2.RUN_STATE_SUCCEEDED:
            raise results.failed(run)
        task = await self.tasks.get(run.task_id)
        if output_dir is None:
            small = await results.read_small(self.runs, task, run)
            if small is not None:
                return small
        folder = output_dir or self._temporary_folder() / run.id
        make_folder_for(task, folder)
        return await results.fetch(self.runs, task, run, folder, on_progress=on_progress)

    async def map(
        self,
        task: str,
        inputs: Mapping[str, MappedPython] | None = None,
        /,
        *,
        output_dir: Path | None = None,
        at_once: int = 4,
        labels: Mapping[str, str] | None = None,
        **more: MappedPython,
    ) -> AsyncGenerator[Outcome]:
        """Run a task once for each of many values, and give each result as it comes.

            slides = Path("slides").glob("*.tiff")
            async for one in client.map("com.example.nuclei:1.0.0", image=slides, min_area=20):
                print(one.item, one.error or one.outputs["count"])

        An input that is a generator, as `glob` gives, or `Each([...])` has a value for each run;
        all others are the same in each. Several such inputs go side by side.

        With `output_dir` the same call goes on where it was stopped, also in another process after
        this one was killed: nothing is run twice, and what failed is tried again. So it does what
        `appengine run --for-each` does.

        Args:
            task: `NAMESPACE:VERSION`, or the task's id.
            inputs: By name, as `run` takes them.
            output_dir: Where each item gets a folder with its outputs, and `runs.jsonl` says how
                each ended. None means a temporary one, which goes when the client is closed.
            at_once: How many items are worked on at a time.
            labels: For finding the runs again.
            more: The inputs by their names.

        Raises:
            InvalidValue: No input differs, or they have different numbers of values.
            LocalFileError: A file is missing, or another process works in `output_dir`.
            Refused: There is no such task.
            Unavailable: The server cannot be reached.
        """
        from appengine_client._api.batches import open_batch
        from appengine_client._api.many import Many
        from appengine_client._api.mapping import make_items

        items = make_items({**(inputs or {}), **more})
        found = await self.tasks.get(task)
        folder = output_dir or Path(mkdtemp(dir=self._temporary_folder()))
        make_folder(folder)
        with open_batch(folder) as batch:
            many = Many(runs=self.runs, task=found, folder=folder, batch=batch, labels=labels or {})
            async with aclosing(many.outcomes(items, at_once)) as outcomes:
                async for one in outcomes:
                    yield one

    def _temporary_folder(self) -> Path:
        if self._temporary is None:
            self._temporary = TemporaryDirectory(prefix="appengine-")
        return Path(self._temporary.name)

    async def capabilities(self) -> pb.GetCapabilitiesResponse:
        """The limits of the server. Raises Unavailable when it cannot be reached."""
        return await self.uploads.capabilities()

    async def close(self) -> None:
        """Close the connection, and remove temporary folders; what is under way is cancelled.

        Closing twice is fine.
        """
        temporary, self._temporary = self._temporary, None
        if temporary is not None:
            temporary.cleanup()
        await self.connection.close()

    async def __aenter__(self) -> Client:
        """Give the client; leaving closes it."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection."""
        await self.close()


def connect(
    server: str | None = None,
    *,
    token: str | None = None,
    ca_certificate: Path | str | bytes | None = None,
    project: str | None = None,
) -> Client:
    """A client of one server. Nothing is sent before the first call.

    What is not given comes from the environment, then from the defaults.

    Args:
        server: `HOST:PORT`, `http://…` or `https://…`; APPENGINE_SERVER, or 127.0.0.1:8080.
            TLS is used with https, and whenever a CA certificate is given.
        token: Sent with every call; APPENGINE_TOKEN, or what APPENGINE_TOKEN_FILE holds.
        ca_certificate: A PEM file, or its content; APPENGINE_CA_FILE.
        project: Where tasks and runs are made and looked for; APPENGINE_PROJECT, or the
            caller's default one.

    Raises:
        InvalidValue: The address cannot be read, or a file is not there.
    """
    return Client(
        read_settings(server=server, token=token, ca_certificate=ca_certificate, project=project)
    )
