"""`appengine doctor`: has the server look at all that it needs, and shows it as a table.

The checks are the server's own, the same as those of its start: so they are run where it runs, by
its command, with its environment.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from typing import Any

from appengine_client.cli.errors import ExitCode, printable
from appengine_client.cli.output import print_table
from appengine_client.errors import InvalidValue

_HEADINGS = ("CHECK", "RESULT", "WHAT TO DO")
_COLOURS = {"ok": "green", "warning": "yellow", "failed": "bold red", "left out": "dim"}


def examine(server_command: str, *, as_json: bool) -> ExitCode:
    """Run the doctor of the server, and show what it found.

    Raises InvalidValue when there is none to run.
    """
    found = _ask(shlex.split(server_command))
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        _show(found["checks"])
    return ExitCode.SUCCESS if found["ok"] else ExitCode.FAILED


def _ask(command: list[str]) -> dict[str, Any]:
    try:
        done = subprocess.run(
            [*command, "doctor", "--json"], stdout=subprocess.PIPE, text=True, check=False
        )
    except (OSError, IndexError) as error:
        raise InvalidValue(
            f"{shlex.join(command)} cannot be run here: say by --server-command how it is run "
            "where the server is, such as 'docker exec appengine appengine-server'"
        ) from error
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
        _ = answer["ok"], answer["checks"]
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidValue(
            f"`{shlex.join([*command, 'doctor', '--json'])}` ended with {done.returncode} and "
            "without an answer: it must be the server's own command, of the same release"
        ) from error
    return answer


def _show(checks: list[dict[str, Any]]) -> None:
    if not sys.stdout.isatty():
        print_table(
            _HEADINGS, [(check["name"], check["outcome"], _said(check)) for check in checks]
        )
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*_HEADINGS, box=None, pad_edge=False, header_style="bold")
    for check in checks:
        table.add_row(
            printable(check["name"]),
            Text(printable(check["outcome"]), style=_COLOURS.get(check["outcome"], "")),
            Text(printable(_said(check)), overflow="fold"),
        )
    Console().print(table)


def _said(check: dict[str, Any]) -> str:
    said = [f"{found['setting']}: {found['message']}" for found in check["findings"]]
    return "\n".join(said) or check["left_out"] or ""
