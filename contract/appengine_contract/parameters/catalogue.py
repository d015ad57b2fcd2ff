"""The types by their name. A new type is one module and one line here."""

from __future__ import annotations

import difflib
from functools import partial

from yaml.nodes import MappingNode, Node, ScalarNode

from appengine_contract.parameters.array import ArrayType
from appengine_contract.parameters.boolean import BooleanType
from appengine_contract.parameters.datetime import DateTimeType
from appengine_contract.parameters.enumeration import EnumerationType
from appengine_contract.parameters.file import FileType
from appengine_contract.parameters.geometry import GeometryType
from appengine_contract.parameters.image import ImageType
from appengine_contract.parameters.integer import IntegerType
from appengine_contract.parameters.number import NumberType
from appengine_contract.parameters.string import StringType
from appengine_contract.parameters.type import ParameterType
from appengine_contract.yaml_tree import Fields, as_text, describe

TYPES: dict[str, type[ParameterType]] = {
    each.id: each
    for each in (
        BooleanType,
        IntegerType,
        NumberType,
        StringType,
        EnumerationType,
        DateTimeType,
        GeometryType,
        ImageType,
        FileType,
        ArrayType,
    )
}
_MOST_LEVELS = 8
"""Arrays inside arrays."""


def read_type(fields: Fields, key: str, *, level: int = 0) -> ParameterType | None:
    """The type in a field of a mapping, in short or long form.

    None, with errors in the report of `fields`, where there is none.
    """
    node = fields.take(key)
    if node is None:
        fields.missing(key)
        return None
    at, report = fields.at(key), fields.report
    if isinstance(node, MappingNode):
        constraints = Fields(node, at, report)
        name = constraints.required_text("id")
        name_at, name_node = constraints.at("id"), constraints.line_node("id")
    elif isinstance(node, ScalarNode):
        constraints = Fields(_empty(node), at, report)
        name, name_at, name_node = as_text(node, at, report), at, node
    else:
        report.error(at, "FIELD_KIND", f"expected a type, found {describe(node)}", node)
        return None
    if name is None:
        return None
    if name not in TYPES:
        report.error(name_at, "TYPE_UNKNOWN", _unknown(name), name_node)
        return None
    found = _read(TYPES[name], constraints, level)
    constraints.warn_unknown()
    return found


def _read(kind: type[ParameterType], constraints: Fields, level: int) -> ParameterType | None:
    if kind is ArrayType and level == _MOST_LEVELS:
        message = f"arrays may be nested {_MOST_LEVELS} levels deep"
        constraints.error("id", "FIELD_RANGE", message)
        constraints.take("subtype")
        return None
    return kind.from_descriptor(constraints, partial(read_type, level=level + 1))


def _empty(node: Node) -> MappingNode:
    return MappingNode("tag:yaml.org,2002:map", [], node.start_mark, node.end_mark)


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name[:60], TYPES, n=1)
    hint = f"did you mean `{close[0]}`?" if close else f"known are {', '.join(TYPES)}"
    return f"there is no type {name[:60]!r}; {hint}"
