"""Shows the outputs of a run: as a table, or one value in a line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from appengine_client._api.folders import EXTENSIONS, SIGNATURES, Types
from appengine_client._api.values import describe, to_python
from appengine_client.cli.output import counted, print_table
from appengine_client.cli.words import size

if TYPE_CHECKING:
    from appengine.v1 import value_pb2
    from appengine.v1.run_service_pb2 import ParameterValue

_SHOWN_CHARACTERS = 60


def print_results(types: Types, outputs: Sequence[ParameterValue], folder: Path) -> None:
    """Print the outputs as a table: name, type, and the value or what it consists of."""
    rows = []
    for output in outputs:
        declared = types.get(output.parameter)
        shown_type = describe(declared) if declared is not None else ""
        rows.append((output.parameter, shown_type, summary(output, folder)))
    if rows:
        print_table(("OUTPUT", "TYPE", "VALUE"), rows)


def summary(output: ParameterValue, folder: Path) -> str:
    """One line about a value."""
    match output.value.WhichOneof("kind"):
        case "array":
            count = max(output.array_size, len(output.value.array.items))
            return f"{counted(count, 'item')} in {folder / output.parameter}"
        case "file":
            path = folder / output.value.file.path
            return f"{_shown_path(path)} ({size(output.value.file.size_bytes)})"
        case "geometry":
            return f"{_shown_path(folder / output.parameter)}"
        case None:
            return ""
        case _:
            return _short(output.value)


def shown_value(value: ParameterValue) -> str:
    """One line about a value that stays at the server."""
    match value.value.WhichOneof("kind"):
        case "array":
            text = counted(max(value.array_size, len(value.value.array.items)), "item")
        case "file":
            file = value.value.file
            text = ", ".join(filter(None, (file.format, size(file.size_bytes))))
        case None | "null":
            return ""
        case _:
            text = _short(value.value)
    return f"{text} (default)" if value.from_default else text


def _short(value: value_pb2.Value) -> str:
    plain = to_python(value)
    text = plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _shown_path(path: Path) -> Path:
    """The link with the extension where there is one: that is what a person opens."""
    links = (path.with_name(path.name + extension) for extension in _known_extensions())
    return next((link for link in links if link.is_symlink()), path)


def _known_extensions() -> list[str]:
    return sorted({*EXTENSIONS.values(), *(extension for *_, extension in SIGNATURES)})
