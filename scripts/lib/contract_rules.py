"""Writes docs/contract-rules.md from tests/contract_rules.yml and the markers of the tests.

See scripts/generate-contract-rules. Tests are parsed and not imported: that takes a second, and
needs neither an engine nor a cluster.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "contract-rules.md"
CATALOGUE = ROOT / "tests" / "contract_rules.yml"

_MARKER = "pytest.mark.rule"
_HEAD = """# Rules of the task contract

This page is made by `scripts/generate-contract-rules` from `tests/contract_rules.yml` and the
markers `@pytest.mark.rule("id")` of the tests. It lists {rules} rules and {tests} tests. A rule
that no test shows fails `scripts/test`.

A test is run by its name: `scripts/test tests/unit/test_docs.py::test_links_lead_somewhere`.
Those of `tests/schedulers/behaviour.py` are run by the `test_scheduler_behaviour.py` of each
scheduler.
"""


@dataclass(frozen=True, slots=True)
class Chapter:
    """Rules that belong together: sentences by id, in the order of the page."""

    title: str
    rules: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Marked:
    """A test, or what stands in its place by mistake, and the rules that it names."""

    place: str
    """As pytest names it: `file::name`, or `file::class::name`."""
    rules: tuple[str, ...]
    fault: str = ""
    """What is wrong with the marker itself."""


def read_catalogue(path: Path) -> list[Chapter]:
    """The chapters of the contract. Exits when an id is used twice."""
    found = yaml.safe_load(path.read_text())
    chapters = [Chapter(one["chapter"], one["rules"]) for one in found]
    ids = [rule for chapter in chapters for rule in chapter.rules]
    if twice := sorted({rule for rule in ids if ids.count(rule) > 1}):
        sys.exit(f"{path.name} has {', '.join(twice)} twice.")
    return chapters


def marked_tests(folder: Path, root: Path) -> list[Marked]:
    """Every marker below the folder, by file and line."""
    found: list[Marked] = []
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text()
        if _MARKER in text:
            found += _marked_in(ast.parse(text).body, path.relative_to(root).as_posix())
    return found


def _marked_in(body: Sequence[ast.stmt], place: str) -> Iterator[Marked]:
    for node in body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        here = f"{place}::{node.name}"
        for decorator in node.decorator_list:
            if ast.unparse(decorator).startswith(_MARKER):
                yield _marker(decorator, node, here)
        if isinstance(node, ast.ClassDef):
            yield from _marked_in(node.body, here)


def _marker(decorator: ast.expr, node: ast.stmt, place: str) -> Marked:
    if isinstance(node, ast.ClassDef) or not place.rpartition("::")[2].startswith("test_"):
        return Marked(place, (), "is no test, and has a rule")
    arguments = decorator.args if isinstance(decorator, ast.Call) else []
    rules = tuple(
        argument.value
        for argument in arguments
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    )
    if not rules or len(rules) != len(arguments):
        return Marked(place, (), "must name its rules as texts")
    return Marked(place, rules)


def faults(chapters: Sequence[Chapter], tests: Sequence[Marked]) -> list[str]:
    """A sentence for each marker of no rule, and for each rule without a test."""
    known = {rule for chapter in chapters for rule in chapter.rules}
    shown = {rule for test in tests for rule in test.rules}
    found = [f"{test.place} {test.fault}." for test in tests if test.fault]
    found += [
        f"{test.place} names the rule {rule}, which is not in {CATALOGUE.name}."
        for test in tests
        for rule in test.rules
        if rule not in known
    ]
    found += [
        f"No test shows the rule {rule}."
        for chapter in chapters
        for rule in chapter.rules
        if rule not in shown
    ]
    return found


def render(chapters: Sequence[Chapter], tests: Sequence[Marked]) -> str:
    """The whole page."""
    by_rule: defaultdict[str, list[str]] = defaultdict(list)
    for test in tests:
        for rule in test.rules:
            by_rule[rule].append(test.place)
    count = sum(len(chapter.rules) for chapter in chapters)
    parts = [_HEAD.format(rules=count, tests=len({test.place for test in tests}))]
    for chapter in chapters:
        parts += [f"## {chapter.title}", "", "| Id | Rule | Tests |", "|---|---|---|"]
        for rule, sentence in chapter.rules.items():
            places = "<br>".join(f"`{place}`" for place in by_rule[rule])
            parts.append(f"| `{rule}` | {sentence.replace('|', '&#124;')} | {places} |")
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def main() -> None:
    """Write the page, or say that it is out of date."""
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit("usage: scripts/generate-contract-rules [--check]")
    chapters = read_catalogue(CATALOGUE)
    tests = marked_tests(ROOT / "tests", ROOT)
    if found := faults(chapters, tests):
        sys.exit("\n".join(found))
    if not sys.argv[1:]:
        PAGE.write_text(render(chapters, tests))
    elif not PAGE.exists() or PAGE.read_text() != render(chapters, tests):
        sys.exit("docs/contract-rules.md is out of date: run scripts/generate-contract-rules.")


if __name__ == "__main__":
    main()
