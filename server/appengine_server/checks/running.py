"""Looks: one check after the other on this machine, and all at once elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import TypeVar

import structlog

from appengine_server.checks import catalogue
from appengine_server.checks.check import (
    Check,
    Finding,
    LeftOut,
    Result,
    Severity,
    Surroundings,
    fails,
)
from appengine_server.settings import Reviewed

log = structlog.get_logger(__name__)

T = TypeVar("T")


class CannotStart(Exception):
    """The server cannot start as it was told; the message has a line for each thing."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(map(str, self.findings)))


async def check_start(reviewed: Reviewed) -> None:
    """Look at all that must be right before a start, and log what is not as it should be.

    Raises CannotStart with all that keeps the server from starting.
    """
    surroundings = Surroundings(settings=reviewed.settings, wrong=reviewed.wrong)
    results = await run_checks(surroundings, (c for c in catalogue.CHECKS if c.at_start))
    findings = [finding for result in results for finding in result.findings]
    if refusing := [one for one in findings if one.severity is Severity.REFUSES]:
        raise CannotStart(refusing)
    for finding in findings:
        log.warning(
            "check.found", setting=finding.setting, severity=finding.severity.value,
            problem=finding.message,
        )  # fmt: skip


async def run_checks(surroundings: Surroundings, checks: Iterable[Check]) -> Sequence[Result]:
    """Look, in the order of the catalogue; what is elsewhere after what is on this machine."""
    chosen = list(checks)
    here = [
        await run_check(check, surroundings)
        for check in chosen
        if check in catalogue.ON_THIS_MACHINE
    ]
    elsewhere = (run_check(check, surroundings) for check in chosen if check in catalogue.ELSEWHERE)
    return [*here, *await asyncio.gather(*elsewhere)]


async def run_check(check: Check, surroundings: Surroundings) -> Result:
    """Look once. Never raises what the look raises."""
    began = time.monotonic()
    findings: Sequence[Finding] = ()
    left_out: str | None = None
    try:
        async with asyncio.timeout(check.patience.total_seconds()):
            findings = await _look(check, surroundings)
    except LeftOut as why:
        left_out = str(why)
    except TimeoutError:
        seconds = round(check.patience.total_seconds())
        findings = [fails(" and ".join(check.settings), f"no answer came within {seconds} s.")]
    except Exception as error:  # a bug of a check keeps nobody from starting
        log.exception("check.broke", check=check.name)
        kind = type(error).__name__
        findings = [fails(" and ".join(check.settings), f"the check itself failed by {kind}.")]
    seconds_taken = time.monotonic() - began
    return Result(check=check, findings=tuple(findings), left_out=left_out, seconds=seconds_taken)


async def _look(check: Check, surroundings: Surroundings) -> Sequence[Finding]:
    wrong = {name for problem in surroundings.wrong for name in problem.names}
    if check is not catalogue.SETTINGS and (found := sorted(wrong.intersection(check.settings))):
        raise LeftOut(f"{' and '.join(found)} must be right first")
    return await check.look(surroundings)
