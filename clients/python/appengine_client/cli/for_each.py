"""`appengine run --for-each`: one task over many files, a few at a time."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from appengine.v1 import run_pb2

from appengine_client._api.values import FILE_KINDS, InputPython, kind_of
from appengine_client.cli.batch import FILE, Batch, Ended, open_batch
from appengine_client.cli.board import Board, board
from appengine_client.cli.errors import ExitCode, say
from appengine_client.cli.fetching import make_folder, make_folder_for, write_results
from appengine_client.cli.following import reason_word, state_word
from appengine_client.cli.inputs import local_file, natural_key, read_inputs
from appengine_client.cli.output import counted, print_table
from appengine_client.cli.results import VALUES_FILE
from appengine_client.errors import (
    AppEngineError,
    InvalidValue,
    LocalFileError,
    Unauthenticated,
    Unavailable,
)

if TYPE_CHECKING:
    from appengine.v1 import task_pb2

    from appengine_client._api.client import Client
    from appengine_client.cli.run import Order

_WILD = frozenset("*?[")
_CONCERNS_ALL = (Unavailable, Unauthenticated)
"""What one item fails with, and all others would too."""
_HOW_TO_GO_ON = "The runs that were started go on; the same command goes on where this one stopped."


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One file, and the name that its run has here."""

    name: str
    path: Path


def find_items(pattern: str) -> Sequence[Item]:
    """The files and folders of a pattern such as `slides/*/*.tiff`, in natural order.

    Names are the paths below the part without wildcards, without extensions where they do not
    need them to differ. Raises InvalidValue where nothing matches.
    """
    parts = Path(pattern.removeprefix("@")).parts
    wild = next((i for i, part in enumerate(parts) if _WILD & {*part}), len(parts) - 1)
    base, rest = Path(*parts[:wild]), "/".join(parts[wild:])
    found = sorted(
        (path.relative_to(base) for path in (base.glob(rest) if rest else ())),
        key=lambda path: natural_key(path.as_posix()),
    )
    found = [path for path in found if not any(part.startswith(".") for part in path.parts)]
    if not found:
        raise InvalidValue(f"--for-each {pattern}: there is no such file")
    taken = Counter(path.with_suffix("") for path in found)
    taken.update({folder for path in found for folder in path.parents})
    return [Item(name=_name(path, taken), path=base / path) for path in found]


def _name(path: Path, taken: Mapping[Path, int]) -> str:
    short = path.with_suffix("")
    return (short if taken[short] == 1 else path).as_posix()


async def run_for_each(order: Order, for_each: str, at_once: int, client: Client) -> ExitCode:
    """Run the task for each file, and fetch the outputs of each into a folder of its own.

    What had SUCCEEDED when the command was stopped is not done again, what had been started is
    gone on with, and what failed is tried again. The answer is SUCCESS where all have SUCCEEDED.
    """
    task = await client.tasks.get(order.task)
    declared = {parameter.name: parameter.type for parameter in task.inputs}
    parameter, _, pattern = for_each.partition("=")
    if parameter not in _taking_files(declared) or not pattern:
        raise InvalidValue(_usage(declared, for_each))
    items = find_items(pattern)
    inputs = read_inputs(declared, order.inputs, order.inputs_file)
    asked = _digest(order, for_each)
    make_folder(order.output_dir)
    with open_batch(order.output_dir) as batch, board(len(items)) as shown:
        work = _Work(order, client, task, _Varied(parameter, declared[parameter], inputs), batch)
        ended = await work.do(
            [(item, batch.newest([*asked, *_identity(item)])) for item in items], at_once, shown
        )
    return _conclude(ended, order)


def _taking_files(declared: Mapping[str, task_pb2.ParameterType]) -> Sequence[str]:
    return [name for name, kind in declared.items() if kind_of(kind) in FILE_KINDS]


def _usage(declared: Mapping[str, task_pb2.ParameterType], given: str) -> str:
    known = ", ".join(_taking_files(declared)) or "none"
    return (
        f"--for-each {given!r}: expected NAME=PATTERN, such as image=slides/*.png, and for NAME an "
        f"input that takes a file or an image; of this task: {known}"
    )


@dataclass(frozen=True, slots=True)
class _Varied:
    """The inputs of all runs, and the one that differs."""

    parameter: str
    type: task_pb2.ParameterType
    others: Mapping[str, InputPython]

    def of(self, path: Path) -> dict[str, InputPython]:
        """The inputs of the run of one file."""
        return {**self.others, self.parameter: local_file(self.type, path, self.parameter)}


class _Work:
    """The runs of one command."""

    def __init__(
        self, order: Order, client: Client, task: task_pb2.Task, inputs: _Varied, batch: Batch
    ) -> None:
        self._order = order
        self._client = client
        self._task = task
        self._inputs = inputs
        self._batch = batch

    async def do(
        self, items: Sequence[tuple[Item, str]], at_once: int, shown: Board
    ) -> Sequence[Ended]:
        """Do all items, each with the id of its request. Raises what concerns all of them."""
        waiting, ended = iter(items), list[Ended]()

        async def do_some() -> None:
            for item, request in waiting:
                one = self._known(item, request) or await self._do_one(item, request, shown)
                ended.append(one)
                shown.ended(one)
                if self._order.json:
                    print(json.dumps(asdict(one), ensure_ascii=False), flush=True)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(at_once):
                    group.create_task(do_some())
        except asyncio.CancelledError:
            say(_HOW_TO_GO_ON)
            raise
        except ExceptionGroup as errors:
            say(_HOW_TO_GO_ON)
            raise errors.exceptions[0] from None
        return ended

    def _known(self, item: Item, request: str) -> Ended | None:
        is_here = (self._order.output_dir / item.name / VALUES_FILE).exists()
        return self._batch.succeeded(request) if is_here else None

    async def _do_one(self, item: Item, request: str, shown: Board) -> Ended:
        told = partial(Ended, item=item.name, request=request)
        run = run_pb2.Run()
        try:
            run = await self._run(item, request, shown)
            if run.state == run_pb2.RUN_STATE_SUCCEEDED:
                await self._fetch(item, run.id, shown)
        except _CONCERNS_ALL:
            raise
        except AppEngineError as error:
            state = "NOT FETCHED" if run.id else "REFUSED"
            return told(run=run.id, state=state, message=error.message)
        ended = told(run=run.id, state=state_word(run.state), message=_why(run))
        self._batch.add(ended)
        return ended

    async def _run(self, item: Item, request: str, shown: Board) -> run_pb2.Run:
        run = await self._client.runs.create(
            self._task.id,
            self._inputs.of(item.path),
            labels=self._order.labels,
            start=True,
            on_progress=partial(shown.transfer, item.name, "sending inputs"),
            request_id=request,
        )
        async for answer in self._client.runs.watch(run.id):
            shown.state(item.name, state_word(answer.event.state))
        return await self._client.runs.get(run.id)

    async def _fetch(self, item: Item, run_id: str, shown: Board) -> None:
        folder = self._order.output_dir / item.name
        make_folder_for(self._task, folder)
        fetching = partial(shown.transfer, item.name, "fetching outputs")
        await self._client.runs.download_outputs(run_id, folder, on_progress=fetching)
        await write_results(self._client, run_id, self._task, folder, is_shown=False)


def _digest(order: Order, for_each: str) -> list[str]:
    """All that is asked beside the item itself."""
    document = b""
    if order.inputs_file is not None:
        try:
            document = order.inputs_file.read_bytes()
        except OSError as error:
            raise LocalFileError(f"{order.inputs_file}: {error.strerror or error}") from error
    return [order.task, for_each.partition("=")[0], *order.inputs, sha256(document).hexdigest()]


def _identity(item: Item) -> tuple[str, int, int]:
    try:
        status = item.path.stat()
    except OSError as error:
        raise LocalFileError(f"{item.path}: {error.strerror or error}") from error
    return item.name, status.st_size, status.st_mtime_ns


def _why(run: run_pb2.Run) -> str:
    if run.state != run_pb2.RUN_STATE_FAILED:
        return ""
    return f"{reason_word(run.failure.reason)}: {run.failure.message}"


def _conclude(ended: Sequence[Ended], order: Order) -> ExitCode:
    failed = [one for one in ended if not one.succeeded]
    if failed and not order.json:
        rows = [(one.item, one.run, one.state, one.message) for one in failed]
        print_table(("ITEM", "RUN", "STATE", "WHY"), rows)
    say(
        f"{len(ended) - len(failed)} of {counted(len(ended), 'run')} SUCCEEDED. The outputs are in "
        f"{order.output_dir}, and how each ended stands in {order.output_dir / FILE}."
    )
    return ExitCode.FAILED if failed else ExitCode.SUCCESS
