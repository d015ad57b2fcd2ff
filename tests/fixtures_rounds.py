"""Rounds of tests with chances in them, and the table of how long the engine took to recover."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.figures import QUICK_ROUNDS, SOAK_ROUNDS, Figures, new_figures

_FIGURES = new_figures()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for a round runs once or twice, and twenty times with the soak tests."""
    for name, quick in QUICK_ROUNDS.items():
        if name in metafunc.fixturenames:
            soak = [pytest.param(i, marks=pytest.mark.soak) for i in range(quick, SOAK_ROUNDS)]
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


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    for fault, seconds in getattr(node, "workeroutput", {}).get("recoveries", {}).items():
        _FIGURES.seconds[fault].extend(seconds)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    if _FIGURES.seconds:
        terminalreporter.section("recovery from faults")
        for line in _FIGURES.lines():
            terminalreporter.line(line)


@pytest.fixture(scope="session")
def figures() -> Figures:
    return _FIGURES
