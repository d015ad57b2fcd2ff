"""What the servers of a test that failed had to say last: a failure may never come again."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator

import pytest

from tests.server_process import ServerProcess

_LINES = 60


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of the log of each server that a fixture of the test holds."""
    report = yield
    if report.failed:
        for server in _servers(getattr(item, "funcargs", {}).values()):
            if server.log.exists():
                report.sections.append((f"end of {server.log}", _end(server)))
    return report


def _servers(fixtures: Iterable[object]) -> Iterator[ServerProcess]:
    for fixture in fixtures:
        several = getattr(fixture, "servers", ())
        near = [fixture, getattr(fixture, "server", None)]
        near += several if isinstance(several, tuple) else ()
        yield from (one for one in near if isinstance(one, ServerProcess))


def _end(server: ServerProcess) -> str:
    return "\n".join(server.log.read_text(errors="replace").splitlines()[-_LINES:])
