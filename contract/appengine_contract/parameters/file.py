"""Any file."""

from __future__ import annotations

import codecs
import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from appengine_contract.parameters.type import ParameterType, ReadType, wrong_kind
from appengine_contract.problems import Problem
from appengine_contract.quantities import QuantityError, file_size_bytes
from appengine_contract.reading import (
    Entry,
    Findings,
    Kind,
    ReadOptions,
    open_file,
    settled,
)
from appengine_contract.values import FileValue, ReferenceValue, Value
from appengine_contract.yaml_tree import Fields

_FORMATS = ("binary", "text")
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FileType(ParameterType):
    """On disk the bytes unchanged."""

    id: ClassVar[str] = "file"
    takes_references: ClassVar[bool] = True

    max_file_size_bytes: int | None = None
    formats: tuple[str, ...] = ()
    """`binary`, `text`; empty means any."""

    @classmethod
    def from_descriptor(cls, fields: Fields, read_type: ReadType) -> Self | None:
        return cls(
            max_file_size_bytes=read_max_file_size(fields), formats=read_formats(fields, _FORMATS)
        )

    def check(self, value: Value, at: str) -> list[Problem]:
        return check_bytes_kind(value, "a file", at)

    def write(self, value: Value, path: Path) -> None:
        """Link a reference. The bytes of a FileValue are where they belong already."""
        write_bytes_value(value, path)

    def read_entry(
        self, entry: Entry, at: str, options: ReadOptions, findings: Findings
    ) -> Value | None:
        with settled(entry, at, options, findings) as target:
            if target is None:
                return None
            if target.kind is Kind.FOLDER:
                findings.problem(at, "IS_DIRECTORY", "a folder lies here; a file is expected")
                return None
            return self.read_file(target.folder, target.name, target.path, at, findings)

    def read_file(
        self, folder: int, name: str, path: str, at: str, findings: Findings
    ) -> FileValue:
        """Check the regular file `name` of an open folder; `path` is its own below the root.

        Raises OSError.
        """
        only_text = self.formats == ("text",)
        descriptor = open_file(folder, name)
        try:
            size_bytes = os.fstat(descriptor).st_size
            if self.max_file_size_bytes is not None:
                check_size(size_bytes, self.max_file_size_bytes, at, findings)
            if only_text and (problem := _text_problem(descriptor)):
                findings.problem(at, "FILE_FORMAT", f"expected a text file: {problem}")
        finally:
            os.close(descriptor)
        known = self.formats[0] if len(self.formats) == 1 else ""
        return FileValue(path, size_bytes, format=known)


def _text_problem(descriptor: int) -> str | None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while data := os.read(descriptor, _CHUNK_BYTES):
            if "\0" in decoder.decode(data):
                return "it holds the character U+0000"
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "it is not UTF-8"
    return None


def check_bytes_kind(value: Value, expected: str, at: str) -> list[Problem]:
    """Whether the value is one whose bytes lie somewhere: an upload or a reference."""
    if isinstance(value, FileValue):
        return []
    if isinstance(value, ReferenceValue):
        if value.path.startswith("/") and "\0" not in value.path:
            return []
        message = "a dataset reference must be an absolute path"
        return [Problem(path=at, reason="REFERENCE_OUTSIDE", message=message)]
    return wrong_kind(value, expected, at)


def write_bytes_value(value: Value, path: Path) -> None:
    """Link a reference to its target. Uploaded bytes are where they belong already."""
    if isinstance(value, ReferenceValue):
        os.symlink(value.path, path)
    elif not os.path.lexists(path):
        raise FileNotFoundError(f"the bytes of {path} were never laid out")


def check_size(size_bytes: int, limit_bytes: int | None, at: str, findings: Findings) -> None:
    """Report a file that is larger than allowed."""
    if limit_bytes is not None and size_bytes > limit_bytes:
        message = f"{size_bytes} bytes are more than the {limit_bytes} that are allowed"
        findings.problem(at, "FILE_TOO_LARGE", message)


def read_max_file_size(fields: Fields) -> int | None:
    """The constraint `max_file_size` in bytes."""
    node = fields.take("max_file_size")
    if node is None:
        return None
    if not isinstance(node.value, str):
        fields.error("max_file_size", "FIELD_KIND", "expected a size such as `100Mi`")
        return None
    try:
        return file_size_bytes(node.value)
    except QuantityError as error:
        fields.error("max_file_size", "QUANTITY", str(error))
        return None


def read_formats(fields: Fields, known: tuple[str, ...]) -> tuple[str, ...]:
    """The constraint `formats`, a subset of `known`; empty means any."""
    listed: dict[str, None] = {}
    for path, text, node in fields.texts("formats") or []:
        if text in known:
            listed[text] = None
        else:
            message = f"{text!r} is not one of {', '.join(known)}"
            fields.report.error(path, "FIELD_FORMAT", message, node)
    return tuple(listed)
