"""Tables that tests made, at the end of the session: `record_property("table", lines)`."""

from __future__ import annotations

from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print them; a report carries them also from a process beside this one."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, lines in report.user_properties:
                if name == "table":
                    terminalreporter.section(report.nodeid)
                    for line in lines:
                        terminalreporter.line(line)
