"""Signed 64-bit integers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Self

from yaml.nodes import Node

from appengine_contract.parameters.bounds import check_pairs, contradiction, violations
from appengine_contract.parameters.type import ReadType, TextType, shown, trimmed_text, wrong_kind
from appengine_contract.problems import Problem
from appengine_contract.reading import Direction, Findings
from appengine_contract.values import IntegerValue, Value
from appengine_contract.yaml_tree import Fields, Report, as_integer

_LOWEST, _HIGHEST = -(2**63), 2**63 - 1
_DECIMAL = re.compile(r"[+-]?[0-9]+(?:_[0-9]+)*", re.ASCII)
_PREFIXED = re.compile(
    r"[+-]?0(?:[xX][0-9a-fA-F]+(?:_[0-9a-fA-F]+)*|[bB][01]+(?:_[01]+)*|[oO][0-7]+(?:_[0-7]+)*)",
    re.ASCII,
)
_MOST_DIGITS = 4000
"""Python refuses to convert more than 4300 decimal digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegerType(TextType):
    """On disk decimal digits, with `-` if negative."""

    id: ClassVar[str] = "integer"
    takes_default: ClassVar[bool] = True

    gt: int | None = None
    lt: int | None = None
    geq: int | None = None
    leq: int | None = None

    @classmethod
    def from_descriptor(cls, fields: Fields, read_type: ReadType) -> Self | None:
        bounds = {key: fields.integer(key) for key in ("gt", "lt", "geq", "leq")}
        check_pairs(fields, **bounds)
        made = cls(**bounds)
        if made._lowest() > made._highest():
            contradiction(fields)
        return made

    def _lowest(self) -> int:
        return max(
            _LOWEST if self.gt is None else self.gt + 1, _LOWEST if self.geq is None else self.geq
        )

    def _highest(self) -> int:
        return min(
            _HIGHEST if self.lt is None else self.lt - 1, _HIGHEST if self.leq is None else self.leq
        )

    def default(self, node: Node, path: str, report: Report) -> Value | None:
        value = as_integer(node, path, report)
        return None if value is None else IntegerValue(value)

    def check(self, value: Value, at: str) -> list[Problem]:
        if not isinstance(value, IntegerValue) or type(value.value) is not int:
            return wrong_kind(value, "an integer", at)
        return self._problems(value.value, at)

    def _problems(self, value: int, at: str) -> list[Problem]:
        if not _LOWEST <= value <= _HIGHEST:
            return [_out_of_range(at)]
        return violations(value, at, gt=self.gt, lt=self.lt, geq=self.geq, leq=self.leq)

    def encode(self, value: Value) -> bytes:
        assert isinstance(value, IntegerValue)
        return b"%d" % value.value

    def decode(
        self, data: bytes, at: str, direction: Direction, findings: Findings
    ) -> Value | None:
        text = trimmed_text(data, at, findings)
        if text is None:
            return None
        if _DECIMAL.fullmatch(text):
            number = self._decimal(text, at, findings)
        elif _PREFIXED.fullmatch(text):
            number = int(text, 0)
        else:
            findings.problem(at, "NOT_INTEGER", f"expected an integer, found {shown(text)}")
            return None
        problems = [_out_of_range(at)] if number is None else self._problems(number, at)
        findings.problems += problems
        return None if number is None or problems else IntegerValue(number)

    def _decimal(self, text: str, at: str, findings: Findings) -> int | None:
        digits = text.lstrip("+-")
        if digits[0] == "0" and len(digits) > 1:
            message = f"{shown(text)} begins with a zero and is read as decimal, not as octal"
            findings.warning(at, "LEADING_ZERO", message)
        return int(text) if len(text) <= _MOST_DIGITS else None


def _out_of_range(at: str) -> Problem:
    message = "the integer does not fit in 64 bits (-2^63 to 2^63 - 1)"
    return Problem(path=at, reason="INTEGER_RANGE", message=message)
