"""true or false."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from yaml.nodes import Node

from appengine_contract.parameters.type import ReadType, TextType, shown, trimmed_text, wrong_kind
from appengine_contract.problems import Problem
from appengine_contract.reading import Direction, Findings
from appengine_contract.values import BooleanValue, Value
from appengine_contract.yaml_tree import Fields, Report, as_boolean


@dataclass(frozen=True, slots=True, kw_only=True)
class BooleanType(TextType):
    """On disk `true` or `false`."""

    id: ClassVar[str] = "boolean"
    takes_default: ClassVar[bool] = True

    @classmethod
    def from_descriptor(cls, fields: Fields, read_type: ReadType) -> Self | None:
        return cls()

    def default(self, node: Node, path: str, report: Report) -> Value | None:
        value = as_boolean(node, path, report)
        return None if value is None else BooleanValue(value)

    def check(self, value: Value, at: str) -> list[Problem]:
        return [] if isinstance(value, BooleanValue) else wrong_kind(value, "a boolean", at)

    def encode(self, value: Value) -> bytes:
        assert isinstance(value, BooleanValue)
        return b"true" if value.value else b"false"

    def decode(
        self, data: bytes, at: str, direction: Direction, findings: Findings
    ) -> Value | None:
        text = trimmed_text(data, at, findings)
        if text is None:
            return None
        if text.lower() not in ("true", "false"):
            findings.problem(at, "NOT_BOOLEAN", f"expected true or false, found {shown(text)}")
            return None
        return BooleanValue(text.lower() == "true")
