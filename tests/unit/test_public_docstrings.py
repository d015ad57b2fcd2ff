"""What is public says what it does, and no file grows beyond what a reader holds in mind.

Public is what has no leading underscore anywhere in its dotted path. Documented elsewhere, and so
left out: the handlers of RPCs (in `protos/`), dunder methods, and methods that override one of a
documented base or fill in a documented Protocol of the same name.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "appengine_contract": ROOT / "contract",
    "appengine_server": ROOT / "server",
    "appengine_client": ROOT / "clients" / "python",
    "appengine_wire": ROOT / "protos",
    "appengine_transfer_agent": ROOT / "transfer_agent",
}
LONGEST_FILE_LINES = 600
OURS = (".py", ".proto", ".sql", ".sh", ".md", ".toml", ".yml", ".yaml")
GENERATED = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi")
ELSEWHERE = {".venv", ".git", "node_modules", "demo-output", "build", "dist"}

EXAMPLE = '''
class Open:
    def bare(self): ...
    def told(self):
        """Told."""
    def _private(self): ...
    def __len__(self): ...
def function(): ...
class _Closed:
    def bare(self): ...
class RunService(RunServiceServicer):
    """Told."""
    async def GetRun(self): ...
class ContainerScheduler(Scheduler):
    """Told."""
    async def observe(self): ...
    async def reset(self): ...
'''

REACHED_ALL_THE_SAME = {"__init__", "__main__", "_api"}
"""Parts of paths that begin with an underscore; `_api` holds what the client's front hands out."""

Documentable = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True, slots=True)
class Public:
    """A public module, class or function."""

    name: str
    place: str
    """File and line."""
    documented: bool


@pytest.mark.parametrize("package", PACKAGES)
def test_everything_public_has_a_docstring(package: str) -> None:
    missing = [f"{one.place}: {one.name}" for one in publics_of(package) if not one.documented]
    assert missing == []


def test_the_search_finds_what_is_missing() -> None:
    module = ast.parse(EXAMPLE)
    found = _publics_in(module, "m.py", "m", exempt=frozenset())
    missing = [one.name for one in found if not one.documented]
    assert missing == ["m.Open", "m.Open.bare", "m.function", "m.ContainerScheduler.reset"]


def test_no_file_is_longer_than_a_reader_can_hold_in_mind() -> None:
    too_long = {
        str(path.relative_to(ROOT)): lines
        for path in our_files()
        if (lines := len(path.read_bytes().splitlines())) > LONGEST_FILE_LINES
    }
    assert too_long == {}


def our_files() -> Iterator[Path]:
    """Every file that people write and read, wherever it lies in the tree."""
    for name_of_folder, folders, names in os.walk(ROOT):
        folder = Path(name_of_folder)
        folders[:] = [name for name in folders if name not in ELSEWHERE and name[0] != "."]
        for name in names:
            is_script = folder.name == "scripts"
            if (name.endswith(OURS) or is_script) and not name.endswith(GENERATED):
                yield folder / name


def publics_of(package: str) -> Iterator[Public]:
    """What a package offers, module by module."""
    base = PACKAGES[package]
    for path in sorted((base / package).rglob("*.py")):
        parts = path.relative_to(base).with_suffix("").parts
        if any(part.startswith("_") for part in parts if part not in REACHED_ALL_THE_SAME):
            continue
        tree = ast.parse(path.read_text())
        place = str(path.relative_to(ROOT))
        if tree.body:
            documented = ast.get_docstring(tree) is not None
            yield Public(".".join(parts), f"{place}:1", documented)
        yield from _publics_in(tree, place, ".".join(parts), exempt=frozenset())


def _publics_in(
    node: ast.Module | ast.ClassDef, place: str, prefix: str, *, exempt: frozenset[str]
) -> Iterator[Public]:
    for child in node.body:
        if not isinstance(child, Documentable) or child.name.startswith("_"):
            continue
        name = f"{prefix}.{child.name}"
        documented = ast.get_docstring(child) is not None or child.name in exempt
        if isinstance(child, ast.ClassDef):
            yield Public(name, f"{place}:{child.lineno}", documented)
            yield from _publics_in(child, place, name, exempt=_documented_in_bases(child))
        elif not _repeats_another(child):
            yield Public(name, f"{place}:{child.lineno}", documented)


def _repeats_another(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Overloads and setters are documented once, at what they belong to."""
    marks = [ast.unparse(mark) for mark in function.decorator_list]
    return any(mark in {"overload", "override"} or mark.endswith(".setter") for mark in marks)


def _documented_in_bases(child: ast.ClassDef) -> frozenset[str]:
    """The methods that a class takes over from documented ones: of bases, Protocols, services."""
    bases = [ast.unparse(base).rpartition(".")[2].partition("[")[0] for base in child.bases]
    names: set[str] = set()
    for base in bases:
        names |= _methods_of().get(base, frozenset())
        if base.endswith("Servicer"):
            names |= {one.name for one in child.body if isinstance(one, Documentable)}
    for protocol, methods in _protocols().items():
        if protocol not in bases and methods and methods <= _method_names(child):
            names |= methods
    return frozenset(names)


@cache
def _methods_of() -> dict[str, frozenset[str]]:
    """The documented methods of each class of ours, those of its bases included."""
    classes = {one.name: one for one in _classes()}
    return {name: _documented_methods(one, classes) for name, one in classes.items()}


@cache
def _protocols() -> dict[str, frozenset[str]]:
    return {
        one.name: _methods_of()[one.name]
        for one in _classes()
        if any(ast.unparse(base).startswith("Protocol") for base in one.bases)
    }


def _documented_methods(one: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> frozenset[str]:
    own = {
        child.name
        for child in one.body
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(child)
    }
    for base in one.bases:
        name = ast.unparse(base).rpartition(".")[2].partition("[")[0]
        if name in classes and name != one.name:
            own |= _documented_methods(classes[name], classes)
    return frozenset(own)


def _method_names(one: ast.ClassDef) -> frozenset[str]:
    return frozenset(child.name for child in one.body if isinstance(child, Documentable))


@cache
def _classes() -> tuple[ast.ClassDef, ...]:
    return tuple(
        node
        for package, base in PACKAGES.items()
        for path in sorted((base / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    )
