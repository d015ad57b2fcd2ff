"""What an import from Cytomine's App Engine did, for people and for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from appengine_server.database.cytomine import OldDatabase
from appengine_server.problems_json import problem_json
from appengine_server.tasks.cytomine import Examined, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Every task of the old engine, and what became of it."""

    old: OldDatabase
    tasks: Sequence[Examined]

    @property
    def is_whole(self) -> bool:
        """Whether nothing had to be left."""
        return all(one.outcome is not Outcome.LEFT for one in self.tasks)


def as_json(report: Report) -> str:
    """For programs."""
    shown = [
        {
            "identifier": one.task.identifier,
            "namespace": one.task.namespace,
            "version": one.task.version,
            "outcome": one.outcome.value,
            "task_id": str(one.task_id) if one.task_id else None,
            "image": one.image or None,
            "problems": [problem_json(problem) for problem in one.problems],
            "warnings": [problem_json(warning) for warning in one.warnings],
        }
        for one in report.tasks
    ]
    return json.dumps(
        {"ok": report.is_whole, "runs_left_behind": report.old.runs, "tasks": shown},
        indent=2,
        ensure_ascii=False,
    )


def as_text(report: Report) -> str:
    """For people: a line for each task, its problems below, and the sum."""
    width = max((len(one.task.name) for one in report.tasks), default=0)
    lines = []
    for one in report.tasks:
        said = [str(problem) for problem in one.problems]
        said += [f"warning: {warning}" for warning in one.warnings]
        head = f"{one.outcome.value:<10}  {one.task.name:<{width}}"
        for text in said or [one.image or (f"as task {one.task_id}" if one.task_id else "")]:
            lines.append(f"{head}  {text}".rstrip())
            head = " " * len(head)
    counts = Counter(one.outcome for one in report.tasks)
    told = ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome if counts[outcome])
    return "\n".join([*lines, f"{len(report.tasks)} tasks: {told or 'none'}", _of_runs(report.old)])


def _of_runs(old: OldDatabase) -> str:
    count = "the runs" if old.runs is None else f"{old.runs} runs"
    return f"left behind: {count} of the old engine, with their inputs and outputs"
