"""Moments with their zone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import ClassVar, Self

from yaml.nodes import Node

from appengine_contract.parameters.type import ReadType, TextType, shown, trimmed_text, wrong_kind
from appengine_contract.problems import Problem
from appengine_contract.reading import Direction, Findings
from appengine_contract.values import DateTimeValue, Value
from appengine_contract.yaml_tree import Fields, Report, as_text

_FORM = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]"
    r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]{1,9}))?"
    r"(?P<zone>[Zz]|[+-][0-9]{2}:[0-9]{2})?",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_EXPECTED = "YYYY-MM-DDTHH:MM:SS[.fraction](Z|+hh:mm|-hh:mm)"


class NotDateTime(ValueError):
    """The text is no date-time; the message says why."""


def instant_nanoseconds(text: str) -> int:
    """Nanoseconds since 1970-01-01T00:00:00Z. Raises NotDateTime."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise NotDateTime(f"expected {_EXPECTED}, found {shown(text)}")
    if match["zone"] is None:
        raise NotDateTime(f"{shown(text)} has no zone; add Z or an offset such as +01:00")
    try:
        day = date.fromisoformat(match["date"]).toordinal() - _EPOCH_DAY
    except ValueError as error:
        raise NotDateTime(f"{shown(text)} is not a day of the calendar") from error
    hour, minute, second = int(match["hour"]), int(match["minute"]), int(match["second"])
    if hour > 23 or minute > 59 or second > 59:
        raise NotDateTime(f"{shown(text)} is not a time of the day")
    seconds = day * 86400 + hour * 3600 + minute * 60 + second - _offset_seconds(match["zone"])
    return seconds * 10**9 + int((match["fraction"] or "").ljust(9, "0"))


def _offset_seconds(zone: str) -> int:
    if zone in "Zz":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 23 or minutes > 59:
        raise NotDateTime(f"{zone} is not an offset from UTC")
    offset = hours * 3600 + minutes * 60
    return -offset if zone[0] == "-" else offset


def timestamp_text(seconds: int, nanoseconds: int) -> str:
    """A timestamp since 1970 as the text of a value: in UTC, a fraction only if it is not zero.

    Raises OverflowError outside the years 1 to 9999.
    """
    text = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    # Years before 1000 come without their leading zeros from some C libraries.
    text = text.rjust(19, "0")
    fraction = f".{nanoseconds:09d}".rstrip("0") if nanoseconds else ""
    return f"{text}{fraction}Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class DateTimeType(TextType):
    """On disk the text as it was sent. Compared as instants."""

    id: ClassVar[str] = "datetime"
    takes_default: ClassVar[bool] = True

    before: str | None = None
    """Excluded."""
    after: str | None = None
    """Excluded."""

    @classmethod
    def from_descriptor(cls, fields: Fields, read_type: ReadType) -> Self | None:
        made = cls(before=_bound(fields, "before"), after=_bound(fields, "after"))
        if made.before is not None and made.after is not None:
            before, after = instant_nanoseconds(made.before), instant_nanoseconds(made.after)
            if after >= before:
                fields.error("before", "FIELD_RANGE", "`before` is not later than `after`")
        return made

    def default(self, node: Node, path: str, report: Report) -> Value | None:
        text = as_text(node, path, report)
        if text is None:
            return None
        try:
            instant_nanoseconds(text)
        except NotDateTime as error:
            report.error(path, "FIELD_FORMAT", str(error), node)
            return None
        return DateTimeValue(text)

    def check(self, value: Value, at: str) -> list[Problem]:
        if not isinstance(value, DateTimeValue):
            return wrong_kind(value, "a date-time", at)
        return self._problems(value.text, at)

    def _problems(self, text: str, at: str) -> list[Problem]:
        try:
            instant = instant_nanoseconds(text)
        except NotDateTime as error:
            return [Problem(path=at, reason="NOT_DATETIME", message=str(error))]
        problems = []
        if self.before is not None and instant >= instant_nanoseconds(self.before):
            message = f"{text} is not before {self.before}"
            problems.append(Problem(path=at, reason="NOT_BEFORE", message=message))
        if self.after is not None and instant <= instant_nanoseconds(self.after):
            message = f"{text} is not after {self.after}"
            problems.append(Problem(path=at, reason="NOT_AFTER", message=message))
        return problems

    def encode(self, value: Value) -> bytes:
        assert isinstance(value, DateTimeValue)
        return value.text.encode("ascii")

    def decode(
        self, data: bytes, at: str, direction: Direction, findings: Findings
    ) -> Value | None:
        text = trimmed_text(data, at, findings)
        if text is None:
            return None
        problems = self._problems(text, at)
        findings.problems += problems
        return None if problems else DateTimeValue(text)


def _bound(fields: Fields, key: str) -> str | None:
    text = fields.text(key)
    if text is None:
        return None
    try:
        instant_nanoseconds(text)
    except NotDateTime as error:
        fields.error(key, "FIELD_FORMAT", str(error))
        return None
    return text
