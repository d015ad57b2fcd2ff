"""`appengine run --for-each`: one task over many files, a few at a time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from appengine_client._api.batches import FILE, Ended, open_batch
from appengine_client._api.folders import make_folder
from appengine_client._api.many import CONCERNS_ALL, Item, Many
from appengine_client._api.naming import short_names
from appengine_client._api.values import FILE_KINDS, kind_of
from appengine_client.cli.board import Board, board
from appengine_client.cli.errors import ExitCode, say
from appengine_client.cli.inputs import local_file, natural_key, read_inputs
from appengine_client.cli.output import counted, print_table, run_label
from appengine_client.errors import InvalidValue

if TYPE_CHECKING:
    from appengine.v1 import task_pb2

    from appengine_client._api.client import Client
    from appengine_client.cli.run import Order

_WILD = frozenset("*?[")
_HOW_TO_GO_ON = "The runs that were started go on; the same command goes on where this one stopped."


def find_files(pattern: str) -> Sequence[tuple[str, Path]]:
    """The files and folders of a pattern such as `slides/*/*.tiff`, named, in natural order.

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
    return [(name, base / path) for name, path in zip(short_names(found), found, strict=True)]


async def run_for_each(order: Order, for_each: str, at_once: int, client: Client) -> ExitCode:
    """Run the task for each file, and fetch the outputs of each into a folder of its own.

    The answer is SUCCESS where all have SUCCEEDED.
    """
    task = await client.tasks.get(order.task)
    items = _items(task, order, for_each)
    make_folder(order.output_dir)
    with open_batch(order.output_dir) as batch, board(len(items)) as shown:
        many = Many(
            runs=client.runs,
            task=task,
            folder=order.output_dir,
            batch=batch,
            labels=order.labels,
            watcher=shown,
        )
        try:
            async with aclosing(many.outcomes(items, at_once)) as outcomes:
                ended = [_told(one.ended, order, shown) async for one in outcomes]
        except (*CONCERNS_ALL, asyncio.CancelledError):
            say(_HOW_TO_GO_ON)
            raise
    return _conclude(ended, order)


def _items(task: task_pb2.Task, order: Order, for_each: str) -> Sequence[Item]:
    """One item for each file of the pattern."""
    declared = {parameter.name: parameter.type for parameter in task.inputs}
    parameter, _, pattern = for_each.partition("=")
    if parameter not in _taking_files(declared) or not pattern:
        raise InvalidValue(_usage(declared, for_each))
    inputs = read_inputs(declared, order.inputs, order.inputs_file)
    if parameter in inputs:
        raise InvalidValue(f"{parameter} is given twice: by --for-each, and as an input for all")
    return [
        Item(
            name=name,
            given=path,
            inputs={**inputs, parameter: local_file(declared[parameter], path, parameter)},
        )
        for name, path in find_files(pattern)
    ]


def _told(ended: Ended, order: Order, shown: Board) -> Ended:
    shown.ended(ended)
    if order.json:
        print(json.dumps(asdict(ended), ensure_ascii=False), flush=True)
    return ended


def _taking_files(declared: Mapping[str, task_pb2.ParameterType]) -> Sequence[str]:
    return [name for name, kind in declared.items() if kind_of(kind) in FILE_KINDS]


def _usage(declared: Mapping[str, task_pb2.ParameterType], given: str) -> str:
    known = ", ".join(_taking_files(declared)) or "none"
    return (
        f"--for-each {given!r}: expected NAME=PATTERN, such as image=slides/*.png, and for NAME an "
        f"input that takes a file or an image; of this task: {known}"
    )


def _conclude(ended: Sequence[Ended], order: Order) -> ExitCode:
    failed = [one for one in ended if not one.succeeded]
    if failed and not order.json:
        rows = [(one.item, run_label(one.run), one.state, one.message) for one in failed]
        print_table(("ITEM", "RUN", "STATE", "WHY"), rows)
    say(
        f"{len(ended) - len(failed)} of {counted(len(ended), 'run')} SUCCEEDED. The outputs are in "
        f"{order.output_dir}, and how each run ended stands in {order.output_dir / FILE}."
    )
    return ExitCode.FAILED if failed else ExitCode.SUCCESS
