"""One text of a list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from yaml.nodes import Node

from appengine_contract.parameters.type import (
    ReadType,
    TextType,
    decoded_text,
    shown,
    without_last_newline,
    wrong_kind,
)
from appengine_contract.problems import Problem
from appengine_contract.reading import Direction, Findings
from appengine_contract.values import EnumerationValue, Value
from appengine_contract.yaml_tree import Fields, Report, as_text

_LONGEST = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class EnumerationType(TextType):
    """On disk the text, one of the values exactly."""

    id: ClassVar[str] = "enumeration"
    takes_default: ClassVar[bool] = True

    values: tuple[str, ...]

    @classmethod
    def from_descriptor(cls, fields: Fields, read_type: ReadType) -> Self | None:
        if fields.take("values") is None:
            fields.missing("values")
            return None
        texts = fields.texts("values")
        if texts is None:
            return None
        if not texts:
            fields.error("values", "FIELD_RANGE", "at least one value is required")
        values: dict[str, None] = {}
        for path, text, node in texts:
            if not 1 <= len(text) <= _LONGEST:
                message = f"a value must have 1 to {_LONGEST} characters"
                fields.report.error(path, "FIELD_RANGE", message, node)
            elif set(text) & {"\r", "\n", "\0"}:
                message = "a value must be one line"
                fields.report.error(path, "FIELD_FORMAT", message, node)
            elif text in values:
                message = f"{shown(text)} is listed twice"
                fields.report.warning(path, "VALUE_DUPLICATE", message, node)
            values[text] = None
        return cls(values=tuple(values))

    def default(self, node: Node, path: str, report: Report) -> Value | None:
        text = as_text(node, path, report)
        return None if text is None else EnumerationValue(text)

    def check(self, value: Value, at: str) -> list[Problem]:
        if not isinstance(value, EnumerationValue):
            return wrong_kind(value, "an enumeration value", at)
        return [] if value.text in self.values else [self._not_listed(value.text, at)]

    def _not_listed(self, text: str, at: str) -> Problem:
        listed = ", ".join(map(shown, self.values[:10]))
        more = f" and {len(self.values) - 10} more" if len(self.values) > 10 else ""
        message = f"{shown(text)} is not one of the values {listed}{more}"
        return Problem(path=at, reason="NOT_IN_VALUES", message=message)

    def encode(self, value: Value) -> bytes:
        assert isinstance(value, EnumerationValue)
        return value.text.encode("utf-8")

    def decode(
        self, data: bytes, at: str, direction: Direction, findings: Findings
    ) -> Value | None:
        text = decoded_text(data, at, findings)
        if text is None:
            return None
        forms = [text]
        if direction == "output":
            forms = [without_last_newline(text), text.strip(" \t\r\n\v\f")]
        for form in forms:
            if form in self.values:
                return EnumerationValue(form)
        if not text:
            findings.problem(at, "OUTPUT_EMPTY", "the file is empty")
        else:
            findings.problems.append(self._not_listed(forms[0], at))
        return None
