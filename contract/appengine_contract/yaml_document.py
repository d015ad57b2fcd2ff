"""One YAML document as a node tree, within limits: size, depth, tags, and aliases expanded."""

from __future__ import annotations

from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, SequenceNode

from appengine_contract.problems import Problem
from appengine_contract.yaml_tree import Fields, Report, describe, line_of

_LARGEST_SOURCE_BYTES = 1 << 20
_DEEPEST = 64
_MOST_NODES = 100_000
"""After the expansion of aliases. A descriptor of 1000 parameters has about 20,000."""
_SAFE_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}"
    for name in ("str", "int", "float", "bool", "null", "timestamp", "map", "seq", "merge", "value")
)
# The C parser reads the same language thirty times faster.
_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def compose(source: bytes, report: Report) -> Fields | None:
    """The mapping at the root of one YAML document, or None with an error in the report."""
    if len(source) > _LARGEST_SOURCE_BYTES:
        message = (
            f"the document has {len(source)} bytes; at most {_LARGEST_SOURCE_BYTES} are allowed"
        )
        report.error("", "BUNDLE_TOO_LARGE", message)
        return None
    try:
        text = source.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        report.errors.append(_syntax(f"not UTF-8 at byte {error.start}", line))
        return None
    try:
        root = _compose(text)
    except yaml.MarkedYAMLError as error:
        report.errors.append(_marked(error))
        return None
    except (yaml.YAMLError, RecursionError) as error:
        message = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        report.errors.append(_syntax(message, None))
        return None
    return _checked_root(root, report)


def _compose(text: str) -> Node | None:
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:  # composing recurses, and the C parser's stack is not guarded
            error: Any = yaml.MarkedYAMLError(problem=f"nested deeper than {_DEEPEST} levels")
            error.problem_mark = event.start_mark
            raise error
    composed: Node | None = yaml.compose(text, Loader=_LOADER)
    return composed


def _checked_root(root: Node | None, report: Report) -> Fields | None:
    if not isinstance(root, MappingNode):
        found = "nothing" if root is None else describe(root)
        message = f"a mapping is expected at the top, found {found}"
        report.errors.append(_syntax(message, line_of(root) if root else 1))
        return None
    try:
        nodes = _expanded_size(root, {}, report)
    except RecursionError:
        report.errors.append(_syntax("aliases are nested too deeply", None))
        return None
    if nodes > _MOST_NODES:
        message = f"with its aliases expanded it has more than {_MOST_NODES} values"
        report.errors.append(_syntax(message, None))
    return None if report.errors else Fields(root, "", report)


def _expanded_size(node: Node, sizes: dict[int, int], report: Report) -> int:
    known = sizes.get(id(node))
    if known is not None:
        return known
    sizes[id(node)] = _MOST_NODES + 1  # what an alias to a node that encloses it counts for
    if node.tag not in _SAFE_TAGS:
        report.errors.append(_syntax(f"the tag {node.tag!r} is not allowed", line_of(node)))
    size = 1
    if isinstance(node, SequenceNode):
        size += sum(_expanded_size(item, sizes, report) for item in node.value)
    elif isinstance(node, MappingNode):
        for key, value in node.value:
            size += _expanded_size(key, sizes, report) + _expanded_size(value, sizes, report)
    sizes[id(node)] = size
    return size


def _marked(error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    parts = [part for part in (error.context, error.problem) if part]
    column = f", column {mark.column + 1}" if mark else ""
    return _syntax(f"{': '.join(parts)}{column}", mark.line + 1 if mark else None)


def _syntax(message: str, line: int | None) -> Problem:
    where = f" (line {line})" if line else ""
    message = f"the YAML cannot be read: {message}{where}"
    return Problem(path="", reason="DESCRIPTOR_SYNTAX", message=message, line=line)
