"""The doctor: looks at everything and shows it, for people or for programs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

from appengine_server.checks.catalogue import CHECKS
from appengine_server.checks.check import Result, Surroundings
from appengine_server.checks.running import run_checks
from appengine_server.rpc.health_check import NotServing, check_health, own_address
from appengine_server.settings import Reviewed, Settings


async def examine(reviewed: Reviewed) -> Sequence[Result]:
    """Look at everything, beside a server that serves or before one is started."""
    is_served = await asyncio.to_thread(_is_served, reviewed.settings)
    surroundings = Surroundings(
        settings=reviewed.settings, wrong=reviewed.wrong, is_served=is_served
    )
    return await run_checks(surroundings, CHECKS)


def all_well(results: Sequence[Result]) -> bool:
    """Whether nothing failed; warnings are well."""
    return all(result.outcome != "failed" for result in results)


def as_json(results: Sequence[Result]) -> str:
    """For programs."""
    shown = [
        {
            "name": result.check.name,
            "about": result.check.about,
            "settings": result.check.settings,
            "outcome": result.outcome,
            "left_out": result.left_out,
            "seconds": round(result.seconds, 3),
            "findings": [
                {
                    "severity": finding.severity.value,
                    "setting": finding.setting,
                    "message": finding.message,
                }
                for finding in result.findings
            ],
        }
        for result in results
    ]
    return json.dumps({"ok": all_well(results), "checks": shown}, indent=2, ensure_ascii=False)


def as_text(results: Sequence[Result]) -> str:
    """For people, who find a table in `appengine doctor`."""
    width = max(len(result.check.name) for result in results)
    lines = []
    for result in results:
        said = [str(finding) for finding in result.findings] or [result.left_out or ""]
        head = f"{result.outcome:<8}  {result.check.name:<{width}}"
        for text in said:
            lines.append(f"{head}  {text}".rstrip())
            head = " " * len(head)
    return "\n".join(lines)


def _is_served(settings: Settings) -> bool:
    try:
        check_health(own_address(settings.rpc), certificate=settings.rpc.tls_certificate_file)
    except NotServing:
        return False
    return True
