"""Writes docs/settings.md from the server's settings; see scripts/generate-settings-docs."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from appengine_server.settings import (
    DatabaseSettings,
    KubernetesSettings,
    LoggingSettings,
    MetricsSettings,
    RetentionSettings,
    Room,
    RpcSettings,
    RunSettings,
    SchedulingSettings,
    StorageSettings,
    TaskSettings,
    TracingSettings,
)
from pydantic.fields import FieldInfo

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"

_SECTIONS: tuple[tuple[str, type[Room]], ...] = (
    ("Listening", RpcSettings),
    ("Database", DatabaseSettings),
    ("Storage", StorageSettings),
    ("Tasks and images", TaskSettings),
    ("Runs", RunSettings),
    ("Execution", SchedulingSettings),
    ("Kubernetes", KubernetesSettings),
    ("Retention", RetentionSettings),
    ("Logging", LoggingSettings),
    ("Metrics", MetricsSettings),
    ("Traces", TracingSettings),
)
_HEAD = """# Settings of the server

This page is made from `server/appengine_server/settings.py` by `scripts/generate-settings-docs`.

All settings are environment variables, read once at the start. A wrong one stops the server with a
sentence that says what to mend, and exit code 2. Sizes are written as `512Mi`, `2G`, or a plain
number of bytes (`Ki Mi Gi Ti` are powers of 1024, `k M G T` of 1000). Durations are numbers of
seconds. "None" means that the variable is not set.
"""
_TAIL = """
## Variables of others that the server heeds

| Variable | Meaning |
|---|---|
| `DOCKER_TLS_VERIFY`, `DOCKER_CERT_PATH` | as Docker's client: TLS towards an engine at `tcp://` |
| `XDG_DATA_HOME` | where the data folder of a server with the embedded PostgreSQL is by default |
| `XDG_RUNTIME_DIR` | where the sockets of rootless engines are looked for |

## Variables of the client

The command `appengine` and the Python library read these; options and arguments win over them.

| Variable | Meaning |
|---|---|
| `APPENGINE_SERVER` | `HOST:PORT`, `http://…` or `https://…`; `127.0.0.1:8080` when it is not set |
| `APPENGINE_TOKEN` | the token itself |
| `APPENGINE_TOKEN_FILE` | a file that holds the token |
| `APPENGINE_CA_FILE` | PEM file of the CA to trust; with it TLS is used |
| `APPENGINE_PROJECT` | the project of tasks and runs, else the token's first one |
"""


def render() -> str:
    """The whole page."""
    parts = [_HEAD]
    for title, room in _SECTIONS:
        parts += ["", f"## {title}", "", _sentence(room.__doc__ or ""), ""]
        parts += ["| Variable | Default | Unit | Meaning |", "|---|---|---|---|"]
        parts += [_row(field) for field in room.model_fields.values()]
    return "\n".join(parts) + "\n" + _TAIL


def _row(field: FieldInfo) -> str:
    if not field.description:
        raise SystemExit(f"settings.py does not say what {field.alias} means")
    meaning = _sentence(field.description)
    default = _default(field.default, is_size=_is_size(field))
    return f"| `{field.alias}` | {default} | {_unit(field)} | {meaning} |"


def _sentence(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _default(value: Any, *, is_size: bool) -> str:
    match value:
        case None:
            return "none"
        case "":
            return "empty"
        case bool():
            return f"`{str(value).lower()}`"
        case timedelta():
            return f"`{value.total_seconds():g}`"
        case int() if is_size:
            return f"`{_shortest(value)}`"
        case _:
            return f"`{value}`"


def _shortest(number: int) -> str:
    for unit, size in (("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)):
        if number >= size and number % size == 0:
            return f"{number // size}{unit}"
    return str(number)


def _unit(field: FieldInfo) -> str:
    kinds = get_args(field.annotation) or (field.annotation,)
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{kind}`" for kind in kinds)
    words = [_kind(kind, field) for kind in kinds if kind is not type(None)]
    return " or ".join(words)


def _kind(kind: Any, field: FieldInfo) -> str:
    if get_origin(kind) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(kind))
    if kind is int:
        return "bytes" if _is_size(field) else "number"
    return {bool: "`true` or `false`", timedelta: "seconds", Path: "path", str: "text"}[kind]


def _is_size(field: FieldInfo) -> bool:
    parsers = (getattr(extra, "func", None) for extra in field.metadata)
    return any(getattr(parser, "__name__", "") == "parse_bytes" for parser in parsers)


def main() -> None:
    """Write the page, or say that it is out of date."""
    if sys.argv[1:] == ["--check"]:
        if PAGE.read_text() != render():
            sys.exit("docs/settings.md is out of date: run scripts/generate-settings-docs.")
    elif sys.argv[1:]:
        sys.exit("usage: scripts/generate-settings-docs [--check]")
    else:
        PAGE.write_text(render())


if __name__ == "__main__":
    main()
