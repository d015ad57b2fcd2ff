"""Texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from yaml.nodes import Node

from appengine_contract.parameters.type import (
    ReadType,
    TextType,
    decoded_text,
    without_last_newline,
    wrong_kind,
)
from appengine_contract.problems import Problem
from appengine_contract.reading import Direction, Findings
from appengine_contract.values import StringValue, Value
from appengine_contract.yaml_tree import Fields, Report, as_text


@dataclass(frozen=True, slots=True, kw_only=True)
class StringType(TextType):
    """On disk the bytes of the text, nothing added. An empty text is a value."""

    id: ClassVar[str] = "string"
    takes_default: ClassVar[bool] = True

    min_length: int = 0
    """In Unicode code points."""
    max_length: int | None = None
    """In Unicode code points; None is no limit."""

    @classmethod
    def from_descriptor(cls, fields: Fields, read_type: ReadType) -> Self | None:
        made = cls(min_length=fields.size("min_length") or 0, max_length=fields.size("max_length"))
        if made.max_length is not None and made.min_length > made.max_length:
            fields.error("max_length", "FIELD_RANGE", "`min_length` is above `max_length`")
        return made

    def default(self, node: Node, path: str, report: Report) -> Value | None:
        text = as_text(node, path, report)
        return None if text is None else StringValue(text)

    def check(self, value: Value, at: str) -> list[Problem]:
        if not isinstance(value, StringValue):
            return wrong_kind(value, "a string", at)
        if not value.text.isascii() and not _is_unicode(value.text):
            message = "the text holds half a surrogate pair, which UTF-8 cannot hold"
            return [Problem(path=at, reason="NOT_UTF8", message=message)]
        return self._problems(value.text, at)

    def _problems(self, text: str, at: str) -> list[Problem]:
        problems = []
        length = len(text)
        if "\0" in text:
            message = "the text holds the character U+0000"
            problems.append(Problem(path=at, reason="TEXT_NUL", message=message))
        if length < self.min_length:
            message = f"the text has {length} characters, fewer than {self.min_length}"
            problems.append(Problem(path=at, reason="TOO_SHORT", message=message))
        if self.max_length is not None and length > self.max_length:
            message = f"the text has {length} characters, more than {self.max_length}"
            problems.append(Problem(path=at, reason="TOO_LONG", message=message))
        return problems

    def encode(self, value: Value) -> bytes:
        assert isinstance(value, StringValue)
        return value.text.encode("utf-8")

    def decode(
        self, data: bytes, at: str, direction: Direction, findings: Findings
    ) -> Value | None:
        text = decoded_text(data, at, findings)
        if text is None:
            return None
        if direction == "output":
            text = without_last_newline(text)
        problems = self._problems(text, at)
        findings.problems += problems
        return None if problems else StringValue(text)


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)
