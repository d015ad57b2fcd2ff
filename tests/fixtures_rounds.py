"""Rounds of tests with chances in them, and the table of how long the engine took to recover."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.figures import ROUNDS, Figures, new_figures

_FIGURES = new_figures()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for a round runs a few times, and many times with the soak tests."""
    for name, (quick, all_rounds) in ROUNDS.items():
        if name in metafunc.fixturenames:
            soak = [pytest.param(i, marks=pytest.mark.soak) for i in range(quick, all_rounds)]
            metafunc.parametrize(name, [*range(quick), *soak])


# Sessions that go side by side play under one seed, and show one table.


def pytest_configure(config: pytest.Config) -> None:
    _FIGURES.seed = getattr(config, "workerinput", {}).get("fault_seed", _FIGURES.seed)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["fault_seed"] = _FIGURES.seed


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["recoveries"] = dict(_FIGURES.seconds)
        session.config.workeroutput["carried_again"] = dict(_FIGURES.again)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    told = getattr(node, "workeroutput", {})
    for name, kept in (("recoveries", _FIGURES.seconds), ("carried_again", _FIGURES.again)):
        for fault, values in told.get(name, {}).items():
            kept[fault].extend(values)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    if _FIGURES.seconds:
        terminalreporter.section("recovery from faults")
        for line in _FIGURES.lines():
            terminalreporter.line(line)


@pytest.fixture(scope="session")
def figures() -> Figures:
    return _FIGURES
