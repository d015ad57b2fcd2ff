"""What a parameter type can do. Each type is one module beside this one.

A type knows its constraints, the kind of its values, and their form on disk.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import ClassVar, Self

from yaml.nodes import Node

from appengine_contract.problems import Problem
from appengine_contract.reading import (
    Direction,
    Entry,
    Findings,
    Reading,
    ReadOptions,
    entry_at,
    limited,
    read_text_entry,
    settled,
    unreadable,
)
from appengine_contract.values import (
    ArrayValue,
    BooleanValue,
    DateTimeValue,
    EnumerationValue,
    FileValue,
    GeometryValue,
    IntegerValue,
    NullValue,
    NumberValue,
    ReferencePattern,
    ReferenceValue,
    StringValue,
    Value,
)
from appengine_contract.yaml_tree import Fields, Report

__all__ = ["ParameterType", "ReadOptions", "ReadType", "Reading", "TextType"]

ReadType = Callable[[Fields, str], "ParameterType | None"]
"""Reads the type in a field of a mapping: how a type with a type inside reads its own."""

_KINDS: dict[type, str] = {
    BooleanValue: "a boolean",
    IntegerValue: "an integer",
    NumberValue: "a number",
    StringValue: "a string",
    EnumerationValue: "an enumeration value",
    DateTimeValue: "a date-time",
    GeometryValue: "a geometry",
    FileValue: "a file",
    ReferenceValue: "a dataset reference",
    ReferencePattern: "a pattern of dataset references",
    ArrayValue: "an array",
    NullValue: "null",
}


class ParameterType(ABC):
    """A type with its constraints."""

    __slots__ = ()

    id: ClassVar[str]
    """Its name in descriptors."""
    takes_default: ClassVar[bool] = False
    """Whether an input of this type may have a default."""
    takes_references: ClassVar[bool] = False
    """Whether an input of this type may be a file of a dataset."""

    @classmethod
    @abstractmethod
    def from_descriptor(cls, fields: Fields, read_type: ReadType) -> Self | None:
        """The type with the constraints that the mapping gives.

        Reports what is wrong; None where it cannot be made all the same.
        """

    def default(self, node: Node, path: str, report: Report) -> Value | None:
        """The default that the node gives; a wrong kind is an error in the report."""
        raise NotImplementedError(f"{self.id} takes no default")

    @abstractmethod
    def check(self, value: Value, at: str) -> list[Problem]:
        """What is wrong with a value of the API. Bytes of files are checked by `read`."""

    def check_items(self, items: Sequence[Value], at: str) -> list[Problem]:
        """What is wrong with the items of an array of this type."""
        problems: list[Problem] = []
        for index, item in enumerate(items):
            problems += self.check(item, f"{at}[{index}]")
        return problems

    @abstractmethod
    def write(self, value: Value, path: Path) -> None:
        """Lay a checked value out at `path`. Raises OSError."""

    def read(self, path: Path, at: str, options: ReadOptions) -> Reading:
        """Read and check what lies at `path`, which is below `options.root`.

        `at` names it in problems. Raises ValueError when it is not below the root.
        """
        try:
            with entry_at(path, options) as entry:
                return self.read_listed(entry, at, options)
        except OSError as error:
            findings = Findings()
            unreadable(at, error, findings)
            return Reading(value=None, problems=tuple(findings.problems))

    def read_listed(self, entry: Entry, at: str, options: ReadOptions) -> Reading:
        """Read and check an entry of a folder that is open; see `read`."""
        findings = Findings()
        value: Value | None = None
        try:
            value = self.read_entry(entry, at, options, findings)
        except OSError as error:
            unreadable(at, error, findings)
        return Reading(
            value=None if findings.problems else value,
            problems=limited(findings.problems, at),
            warnings=limited(findings.warnings, at),
            is_canonical=options.direction == "input" and findings.is_canonical,
        )

    @abstractmethod
    def read_entry(
        self, entry: Entry, at: str, options: ReadOptions, findings: Findings
    ) -> Value | None:
        """Read and check one entry. May raise OSError."""

    def names(self, stem: str) -> tuple[str, ...]:
        """The names under which a value may lie, the first that exists counts."""
        return (stem,)


class TextType(ParameterType):
    """A type whose value is the content of one text file."""

    __slots__ = ()

    @abstractmethod
    def encode(self, value: Value) -> bytes:
        """The content of the file for a checked value."""

    @abstractmethod
    def decode(
        self, data: bytes, at: str, direction: Direction, findings: Findings
    ) -> Value | None:
        """The value that the content of a file means; None, with a problem, when it means none."""

    def decode_items(
        self, items: Iterable[tuple[bytes, str]], direction: Direction, findings: Findings
    ) -> list[Value | None]:
        """The values of many files, given as (content, name in problems)."""
        return [self.decode(data, at, direction, findings) for data, at in items]

    def write(self, value: Value, path: Path) -> None:
        write_file(os.fspath(path), self.encode(value))

    def read_entry(
        self, entry: Entry, at: str, options: ReadOptions, findings: Findings
    ) -> Value | None:
        with settled(entry, at, options, findings) as target:
            if target is None:
                return None
            data = read_text_entry(target, at, options, findings)
            if data is None:
                return None
            value = self.decode(data, at, options.direction, findings)
            if value is not None and self.encode(value) != data:
                findings.is_canonical = False
            return value


def write_file(name: str, data: bytes, *, folder: int | None = None) -> None:
    """Write a small file that every user id may read."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o644, dir_fd=folder)
    try:
        os.fchmod(descriptor, 0o644)  # whatever the umask is
        done = os.write(descriptor, data)
        while done < len(data):
            done += os.write(descriptor, memoryview(data)[done:])
    finally:
        os.close(descriptor)


def wrong_kind(value: Value, expected: str, at: str) -> list[Problem]:
    """The one problem of a value of another kind."""
    message = f"expected {expected}, found {_KINDS[type(value)]}"
    return [Problem(path=at, reason="VALUE_KIND", message=message)]


def decoded_text(data: bytes, at: str, findings: Findings) -> str | None:
    """The UTF-8 text of a file, unchanged."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        findings.problem(at, "NOT_UTF8", f"the text is not UTF-8 at byte {error.start}")
        return None


_SPACE = " \t\r\n\v\f"


def trimmed_text(data: bytes, at: str, findings: Findings) -> str | None:
    """The text of a file without byte order mark and surrounding ASCII whitespace."""
    text = decoded_text(data, at, findings)
    if text is None:
        return None
    text = text.removeprefix("\ufeff").strip(_SPACE)
    if not text:
        findings.problem(at, "OUTPUT_EMPTY", "the file is empty")
        return None
    return text


def without_last_newline(text: str) -> str:
    """The text without exactly one trailing newline: tools add one by habit."""
    if text.endswith("\r\n"):
        return text[:-2]
    return text.removesuffix("\n")


def shown(text: str) -> str:
    """A value as it stands in a message: short and on one line."""
    return repr(text if len(text) <= 60 else text[:57] + "...")
