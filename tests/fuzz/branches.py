"""How many branches of which modules were taken."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Branches:
    """By module: branches taken, and all."""

    by_module: dict[str, tuple[int, int]]
    not_taken: dict[str, list[list[int]]]
    """By module: from which line to which; a negative line is the end of a function."""

    @property
    def share(self) -> float:
        """Of all branches together."""
        taken, of = (sum(counts) for counts in zip(*self.by_module.values(), strict=True))
        return taken / of

    def lines(self) -> list[str]:
        """A table for people."""
        rows = [
            f"{module:<52}{taken:>5} of {of:>4}  {taken / of if of else 1:>6.1%}"
            for module, (taken, of) in self.by_module.items()
        ]
        return [*rows, f"{'all parsers':<68}{self.share:>6.1%}"]


def branches_of(modules: Sequence[str], folder: Path) -> Branches:
    """Of the files `coverage.*` in the folder."""
    import coverage

    counter = coverage.Coverage(data_file=str(folder / "coverage"), config_file=False, branch=True)
    counter.combine(map(str, folder.glob("coverage.*")), keep=True)
    report = folder / "branches.json"
    files = {module: _file_of(module) for module in modules}
    counter.json_report(outfile=str(report), include=list(files.values()))
    told = json.loads(report.read_text())["files"]
    by_file = {str(Path(name).resolve()): one for name, one in told.items()}
    found = {module: by_file[file] for module, file in files.items()}
    return Branches(
        by_module={
            module: (one["summary"]["covered_branches"], one["summary"]["num_branches"])
            for module, one in found.items()
        },
        not_taken={module: one["missing_branches"] for module, one in found.items()},
    )


def _file_of(module: str) -> str:
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin
    return str(Path(spec.origin).resolve())
