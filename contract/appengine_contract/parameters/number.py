"""64-bit floats."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import ClassVar, Self

from yaml.nodes import Node

from appengine_contract.parameters.bounds import check_pairs, contradiction, violations
from appengine_contract.parameters.type import ReadType, TextType, shown, trimmed_text, wrong_kind
from appengine_contract.problems import Problem
from appengine_contract.reading import Direction, Findings
from appengine_contract.values import IntegerValue, NumberValue, Value
from appengine_contract.yaml_tree import Fields, Report, as_number

_TEXT = re.compile(
    r"[+-]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf|infinity|nan)",
    re.ASCII | re.IGNORECASE,
)
_EXACT_INTEGERS = 2.0**53


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberType(TextType):
    """On disk the shortest text that reads back to the same float; whole ones without a point."""

    id: ClassVar[str] = "number"
    takes_default: ClassVar[bool] = True

    gt: float | None = None
    lt: float | None = None
    geq: float | None = None
    leq: float | None = None
    infinity_allowed: bool = False
    nan_allowed: bool = False

    @classmethod
    def from_descriptor(cls, fields: Fields, read_type: ReadType) -> Self | None:
        bounds = {key: _finite(fields, key) for key in ("gt", "lt", "geq", "leq")}
        check_pairs(fields, **bounds)
        made = cls(
            **bounds,
            infinity_allowed=fields.boolean("infinity_allowed", default=False),
            nan_allowed=fields.boolean("nan_allowed", default=False),
        )
        if made._is_empty():
            contradiction(fields)
        return made

    def _is_empty(self) -> bool:
        lower = max((bound for bound in (self.gt, self.geq) if bound is not None), default=None)
        upper = min((bound for bound in (self.lt, self.leq) if bound is not None), default=None)
        if lower is None or upper is None:
            return False
        return lower > upper or (lower == upper and (lower == self.gt or upper == self.lt))

    def default(self, node: Node, path: str, report: Report) -> Value | None:
        value = as_number(node, path, report)
        return None if value is None else NumberValue(value)

    def check(self, value: Value, at: str) -> list[Problem]:
        if not isinstance(value, NumberValue | IntegerValue) or isinstance(value.value, bool):
            return wrong_kind(value, "a number", at)
        if isinstance(value, IntegerValue) and not -(2**63) <= value.value < 2**63:
            message = "an integer must fit in 64 bits"
            return [Problem(path=at, reason="INTEGER_RANGE", message=message)]
        return self._problems(float(value.value), at)

    def _problems(self, value: float, at: str) -> list[Problem]:
        if math.isnan(value):
            if self.nan_allowed:
                return []
            return [Problem(path=at, reason="NAN_NOT_ALLOWED", message="nan is not allowed here")]
        problems = violations(value, at, gt=self.gt, lt=self.lt, geq=self.geq, leq=self.leq)
        if math.isinf(value) and not self.infinity_allowed:
            message = f"{value!r} is not allowed here"
            problems.append(Problem(path=at, reason="INFINITY_NOT_ALLOWED", message=message))
        return problems

    def encode(self, value: Value) -> bytes:
        assert isinstance(value, NumberValue | IntegerValue)
        return number_text(float(value.value)).encode("ascii")

    def decode(
        self, data: bytes, at: str, direction: Direction, findings: Findings
    ) -> Value | None:
        text = trimmed_text(data, at, findings)
        if text is None:
            return None
        if not _TEXT.fullmatch(text):
            findings.problem(at, "NOT_NUMBER", f"expected a number, found {shown(text)}")
            return None
        number = float(text)
        problems = self._problems(number, at)
        findings.problems += problems
        return None if problems else NumberValue(number)


def number_text(value: float) -> str:
    """The form on disk: `5`, `0.1`, `1e-07`, `-0.0`, `nan`, `inf`."""
    if value == 0.0 and math.copysign(1.0, value) < 0:
        return "-0.0"
    if abs(value) < _EXACT_INTEGERS and value.is_integer():
        return str(int(value))
    return repr(value)


def _finite(fields: Fields, key: str) -> float | None:
    value = fields.number(key)
    if value is not None and not math.isfinite(value):
        fields.error(key, "FIELD_RANGE", "a bound must be finite")
        return None
    return value
