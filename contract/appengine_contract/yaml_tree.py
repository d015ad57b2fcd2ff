"""Typed scalars out of a YAML node tree.

What a scalar means is decided by the type that the field needs, from the source text and the
quoting, and never by what a YAML loader guesses. Everything that is wrong is collected.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from appengine_contract.problems import Problem

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_$-]+", re.ASCII)
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE_FALSE = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_YES_NO = {
    **dict.fromkeys(("yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("no", "No", "NO", "off", "Off", "OFF"), False),
}
_INTEGER = re.compile(r"[+-]?(0|[1-9][0-9]*)", re.ASCII)
_FLOAT = re.compile(
    r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII
)
_INFINITY = re.compile(r"([+-]?)\.(?:inf|Inf|INF)", re.ASCII)
_NAN = frozenset({".nan", ".NaN", ".NAN"})
_LEADING_ZERO = re.compile(r"[+-]?0[0-9]+", re.ASCII)
_INT64 = range(-(2**63), 2**63)
_MOST_DIGITS = 40


@dataclass(slots=True)
class Report:
    """Collects what is wrong and what is odd, with paths and lines."""

    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def error(self, path: str, reason: str, message: str, node: Node | None = None) -> None:
        """Add something wrong; `node` gives the line."""
        self.errors.append(_problem(path, reason, message, node))

    def warning(self, path: str, reason: str, message: str, node: Node | None = None) -> None:
        """Add something odd; `node` gives the line."""
        self.warnings.append(_problem(path, reason, message, node))


def _problem(path: str, reason: str, message: str, node: Node | None) -> Problem:
    line = line_of(node) if node is not None else None
    return Problem(path=path, reason=reason, message=message, line=line)


def line_of(node: Node) -> int:
    """The line on which the node begins, counted from 1."""
    return int(node.start_mark.line) + 1


def join(path: str, key: str) -> str:
    """The path of a key in the mapping at `path`; odd keys are quoted."""
    if _PLAIN_KEY.fullmatch(key):
        return f"{path}.{key}" if path else key
    return f"{path}[{json.dumps(key, ensure_ascii=False)}]"


def is_plain(node: Node) -> bool:
    """Whether the node is a scalar without quotes. The C parser's style of these is empty."""
    return isinstance(node, ScalarNode) and not node.style


def is_null(node: Node) -> bool:
    """Whether the node is a null: `null`, `~` or nothing."""
    return is_plain(node) and node.value in _NULLS


def describe(node: Node) -> str:
    """What the node is, for a message."""
    if isinstance(node, MappingNode):
        return "a mapping"
    if isinstance(node, SequenceNode):
        return "a list"
    shown = str(node.value)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return "nothing" if is_null(node) else repr(shown)


def as_text(node: Node, path: str, report: Report) -> str | None:
    """The text of a scalar; an unquoted one keeps its source text."""
    if not isinstance(node, ScalarNode) or is_null(node):
        report.error(path, "FIELD_KIND", f"expected a text, found {describe(node)}", node)
        return None
    text = str(node.value)
    if is_plain(node) and _reads_as_other_kind(text):
        report.warning(
            path, "TEXT_UNQUOTED", f"{text!r} is taken as text; put quotes round it", node
        )
    return text


def _reads_as_other_kind(text: str) -> bool:
    return (
        text in _TRUE_FALSE
        or text in _YES_NO
        or text in _NAN
        or _FLOAT.fullmatch(text) is not None
        or _LEADING_ZERO.fullmatch(text) is not None
        or _INFINITY.fullmatch(text) is not None
    )


def as_boolean(node: Node, path: str, report: Report) -> bool | None:
    """True or false; yes, no, on and off with a warning."""
    if is_plain(node):
        if node.value in _TRUE_FALSE:
            return _TRUE_FALSE[node.value]
        if node.value in _YES_NO:
            value = _YES_NO[node.value]
            meaning = str(value).lower()
            report.warning(
                path, "BOOLEAN_WORD", f"{node.value!r} is taken as {meaning}; write {meaning}", node
            )
            return value
    report.error(path, "FIELD_KIND", f"expected true or false, found {describe(node)}", node)
    return None


def as_integer(node: Node, path: str, report: Report) -> int | None:
    """A signed 64-bit integer; a float without a fraction counts."""
    text = _plain(node)
    if text is None or (value := _whole_number(text)) is None:
        hint = "; a leading zero is not allowed" if text and _LEADING_ZERO.fullmatch(text) else ""
        report.error(path, "FIELD_KIND", f"expected an integer, found {describe(node)}{hint}", node)
        return None
    if value not in _INT64:
        report.error(path, "FIELD_RANGE", f"{describe(node)} does not fit in 64 bits", node)
        return None
    return value


def _plain(node: Node) -> str | None:
    return str(node.value) if is_plain(node) else None


def _whole_number(text: str) -> int | None:
    if _INTEGER.fullmatch(text):
        # Longer ones fit in no 64 bits, and converting a million digits takes minutes.
        return int(text) if len(text) <= _MOST_DIGITS else 2**64
    if not _FLOAT.fullmatch(text):
        return None
    number = Decimal(text)
    if number.adjusted() > _MOST_DIGITS:
        return 2**64
    if number.adjusted() < -_MOST_DIGITS and number:
        return None
    return int(number) if number == number.to_integral_value() else None


def as_number(node: Node, path: str, report: Report) -> float | None:
    """A 64-bit float; `.inf` and `.nan` included."""
    text = _plain(node)
    if text is not None:
        if _FLOAT.fullmatch(text):
            return float(text)
        if match := _INFINITY.fullmatch(text):
            return float(f"{match[1]}inf")
        if text in _NAN:
            return float("nan")
    report.error(path, "FIELD_KIND", f"expected a number, found {describe(node)}", node)
    return None


class Fields:
    """A mapping of the descriptor, read field by field. What nobody asked for is an unknown key."""

    def __init__(self, node: MappingNode, path: str, report: Report) -> None:
        self.node = node
        self.path = path
        self.report = report
        self._values: dict[str, tuple[Node, Node]] = {}
        self._asked: set[str] = set()
        for key, value in node.value:
            self._add(key, value)

    def _add(self, key: Node, value: Node) -> None:
        if not isinstance(key, ScalarNode):
            self.report.error(self.path, "DESCRIPTOR_SYNTAX", "a key must be a text", key)
            return
        name = str(key.value)
        if name in self._values:
            first = line_of(self._values[name][0])
            self.report.error(
                self.at(name), "DESCRIPTOR_SYNTAX", f"the key is also on line {first}", key
            )
            return
        self._values[name] = (key, value)

    def at(self, key: str) -> str:
        """The path of a field of this mapping."""
        return join(self.path, key)

    def __iter__(self) -> Iterator[tuple[str, Node, Node]]:
        """All keys in document order, with the nodes of key and value."""
        for name, (key, value) in self._values.items():
            self._asked.add(name)
            yield name, key, value

    def take(self, key: str) -> Node | None:
        """The node of a field, or None when it is absent or null."""
        self._asked.add(key)
        found = self._values.get(key)
        return None if found is None or is_null(found[1]) else found[1]

    def line_node(self, key: str) -> Node:
        """The node that a problem with the field points at."""
        found = self._values.get(key)
        return found[0] if found else self.node

    def error(self, key: str, reason: str, message: str) -> None:
        """Report something wrong about a field."""
        self.report.error(self.at(key), reason, message, self.line_node(key))

    def warning(self, key: str, reason: str, message: str) -> None:
        """Report something odd about a field."""
        self.report.warning(self.at(key), reason, message, self.line_node(key))

    def missing(self, key: str) -> None:
        """Report that a required field is absent."""
        self.error(key, "FIELD_MISSING", f"`{key}` is required")

    def text(self, key: str) -> str | None:
        """The field's text; None when absent or wrong, and then wrong is reported."""
        node = self.take(key)
        return None if node is None else as_text(node, self.at(key), self.report)

    def required_text(self, key: str) -> str | None:
        """As `text`, but an absent field is an error."""
        if self.take(key) is None:
            self.missing(key)
        return self.text(key)

    def boolean(self, key: str, *, default: bool) -> bool:
        """The field, or the default when it is absent or wrong."""
        node = self.take(key)
        value = None if node is None else as_boolean(node, self.at(key), self.report)
        return default if value is None else value

    def integer(self, key: str) -> int | None:
        """The field as a 64-bit integer; None when absent or wrong."""
        node = self.take(key)
        return None if node is None else as_integer(node, self.at(key), self.report)

    def number(self, key: str) -> float | None:
        """The field as a float; None when absent or wrong."""
        node = self.take(key)
        return None if node is None else as_number(node, self.at(key), self.report)

    def size(self, key: str) -> int | None:
        """An integer that is 0 or more."""
        value = self.integer(key)
        if value is not None and value < 0:
            self.error(key, "FIELD_RANGE", f"must be 0 or more, found {value}")
            return None
        return value

    def mapping(self, key: str) -> Fields | None:
        """The field's mapping; a null counts as an empty one, with a warning."""
        self._asked.add(key)
        found = self._values.get(key)
        if found is None:
            return None
        node, at = found[1], self.at(key)
        if is_null(node):
            self.report.warning(
                at, "FIELD_EMPTY", f"write `{key}: {{}}` for an empty mapping", node
            )
            node = MappingNode(node.tag, [], node.start_mark, node.end_mark)
        if not isinstance(node, MappingNode):
            self.report.error(at, "FIELD_KIND", f"expected a mapping, found {describe(node)}", node)
            return None
        return Fields(node, at, self.report)

    def items(self, key: str) -> list[tuple[str, Node]] | None:
        """The field's list as (path, node); None when absent or not a list."""
        node, at = self.take(key), self.at(key)
        if node is None:
            return None
        if not isinstance(node, SequenceNode):
            self.report.error(at, "FIELD_KIND", f"expected a list, found {describe(node)}", node)
            return None
        return [(f"{at}[{index}]", item) for index, item in enumerate(node.value)]

    def texts(self, key: str) -> list[tuple[str, str, Node]] | None:
        """The list as (path, text, node); items that are no texts are left out and reported."""
        items = self.items(key)
        if items is None:
            return None
        read = [(path, as_text(node, path, self.report), node) for path, node in items]
        return [(path, text, node) for path, text, node in read if text is not None]

    def warn_unknown(self) -> None:
        """Warn of every key that nobody asked for."""
        for name in self._values:
            if name not in self._asked:
                self.warning(name, "UNKNOWN_KEY", f"`{name}` is not known and is ignored")
