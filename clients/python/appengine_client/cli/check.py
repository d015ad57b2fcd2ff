"""`appengine task check`: reads a descriptor as the server would, without a server."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from appengine_client.cli.errors import (
    ExitCode,
    complain,
    printable,
    problem_as_json,
    say,
)
from appengine_client.cli.output import counted
from appengine_client.errors import InvalidValue, Problem

if TYPE_CHECKING:
    from appengine_contract import problems as contract
    from appengine_contract.descriptor import Descriptor

_DESCRIPTOR_NAMES = frozenset({"descriptor.yml", "descriptor.yaml"})
_MAX_DESCRIPTOR_BYTES = 1024 * 1024
_NO_IMAGE = "the bundle holds no image: a .tar made by `docker save` is missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A descriptor, and where it was found."""

    content: bytes
    shown_as: str
    bundle_problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What there is to say about a descriptor or bundle."""

    path: Path
    descriptor_path: str
    descriptor: Descriptor | None
    """None when it has errors."""
    errors: Sequence[Problem]
    warnings: Sequence[Problem]

    @property
    def exit_code(self) -> ExitCode:
        """What the shell is told."""
        return ExitCode.FAILED if self.errors else ExitCode.SUCCESS


def check(path: Path) -> Checked:
    """Read a descriptor or bundle as the server would.

    Raises InvalidValue when there is no descriptor to read.
    """
    from appengine_contract.descriptor import read_descriptor

    found = _find(path)
    read = read_descriptor(found.content)
    missing = [
        Problem(path="", reason="IMAGE_MISSING", message=text) for text in found.bundle_problems
    ]
    return Checked(
        path=path,
        descriptor_path=found.shown_as,
        descriptor=read.descriptor,
        errors=[*missing, *map(_ours, read.errors)],
        warnings=list(map(_ours, read.warnings)),
    )


def report(checked: Checked, *, as_json: bool) -> ExitCode:
    """Print what was found, for programs or for people, and answer the exit code."""
    return (_print_json if as_json else _print)(checked)


def _print(checked: Checked) -> ExitCode:
    """Print every problem as a compiler does, and say how it went."""
    for problem in checked.errors:
        print(_line(checked.descriptor_path, "error", problem))
    for problem in checked.warnings:
        print(_line(checked.descriptor_path, "warning", problem))
    if checked.errors or checked.descriptor is None:
        complain(f"{checked.path} has {counted(len(checked.errors), 'error')}.")
        return checked.exit_code
    descriptor = checked.descriptor
    say(
        f"{checked.path} is fine: {descriptor.namespace}:{descriptor.version}, "
        f"{counted(len(descriptor.inputs), 'input')}, "
        f"{counted(len(descriptor.outputs), 'output')}, "
        f"{counted(len(checked.warnings), 'warning')}."
    )
    return checked.exit_code


def _print_json(checked: Checked) -> ExitCode:
    """Print the same as one JSON object."""
    import json

    descriptor = checked.descriptor
    shown = {
        "path": str(checked.path),
        "task": f"{descriptor.namespace}:{descriptor.version}" if descriptor else "",
        "problems": [problem_as_json(problem) for problem in checked.errors],
        "warnings": [problem_as_json(problem) for problem in checked.warnings],
    }
    print(json.dumps(shown, ensure_ascii=False, indent=2))
    return checked.exit_code


def _ours(problem: contract.Problem) -> Problem:
    return Problem(
        path=problem.path, reason=problem.reason, message=problem.message, line=problem.line or 0
    )


def _line(file: str, severity: str, problem: Problem) -> str:
    place = f"{file}:{problem.line}" if problem.line else file
    return printable(f"{place}: {severity}: {problem} [{problem.reason}]")


def _find(path: Path) -> _Found:
    if path.is_dir():
        path = _descriptor_in_folder(path)
    try:
        path.stat()  # what is not there is no zip either, but that is not what is wrong
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as bundle:
                return _find_in(bundle, path)
        if path.suffix.lower() == ".zip":
            raise InvalidValue(f"{path} is no zip, or not the whole of one: make it anew")
        return _Found(content=_text_of(path), shown_as=str(path))
    except OSError as error:
        raise InvalidValue(f"{path} cannot be read: {error.strerror or error}") from error
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise InvalidValue(f"{path} is no readable zip: {error}") from error


def _descriptor_in_folder(folder: Path) -> Path:
    found = [file for file in folder.iterdir() if file.name.lower() in _DESCRIPTOR_NAMES]
    if len(found) != 1:
        raise InvalidValue(_descriptor_sentence(folder, [], [file.name for file in found]))
    return found[0]


def _text_of(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(_MAX_DESCRIPTOR_BYTES + 1)
    if b"\0" in content or len(content) > _MAX_DESCRIPTOR_BYTES:
        raise InvalidValue(
            f"{path} is neither a bundle (a zip with descriptor.yml and the image) "
            "nor a descriptor (YAML of at most 1 MiB)"
        )
    return content


def _find_in(bundle: zipfile.ZipFile, path: Path) -> _Found:
    entries = {_plain(entry.filename): entry for entry in bundle.infolist() if not entry.is_dir()}
    candidates = [name for name in entries if name.lower() in _DESCRIPTOR_NAMES]
    if len(candidates) != 1:
        raise InvalidValue(_descriptor_sentence(path, list(entries), candidates))
    entry = entries[candidates[0]]
    if entry.file_size > _MAX_DESCRIPTOR_BYTES:
        raise InvalidValue(f"the descriptor in {path} is larger than 1 MiB")
    has_image = any(name.lower().endswith(".tar") for name in entries)
    problems = () if has_image else (_NO_IMAGE,)
    return _Found(
        content=bundle.read(entry),
        shown_as=f"{path}/{candidates[0]}",
        bundle_problems=problems,
    )


def _plain(name: str) -> str:
    return name.removeprefix("./").lstrip("/")


def _descriptor_sentence(path: Path, names: list[str], candidates: list[str]) -> str:
    if candidates:
        return f"{path} holds two descriptors: {', '.join(sorted(candidates))}"
    deeper = [name for name in names if name.rpartition("/")[2].lower() in _DESCRIPTOR_NAMES]
    if deeper:
        return f"{path} must hold its descriptor at the top, not as {deeper[0]}"
    return f"{path} holds no descriptor.yml at its top"
