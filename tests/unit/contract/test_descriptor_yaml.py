"""How YAML is read: syntax, quoting, nulls, aliases, limits."""

from __future__ import annotations

import time

import pytest
from appengine_contract.descriptor import read_descriptor
from appengine_contract.parameters.integer import IntegerType
from appengine_contract.parameters.number import NumberType
from appengine_contract.values import BooleanValue, StringValue


@pytest.mark.rule("descriptor.one-document")
@pytest.mark.parametrize(
    ("source", "line"),
    [
        (b"", 1),
        (b"- a\n- b\n", 1),
        (b"just text", 1),
        (b"a: 1\nb: [1, 2\n", 3),
        (b"a: 1\n---\nb: 2\n", 2),
        (b"a: 1\nb: \xff\xfe\n", 2),
        (b"a: !!python/object:os.system x\n", 1),
        (b"a: 1\nb: !mine 2\n", 2),
        (b"a: &a [*a]\n", None),
        (b"a: " + b"[" * 2000, 1),
    ],
)
def test_what_is_no_descriptor_is_refused_with_its_line(source: bytes, line: int | None) -> None:
    checked = read_descriptor(source)
    assert checked.descriptor is None
    assert [problem.reason for problem in checked.errors] == ["DESCRIPTOR_SYNTAX"]
    assert checked.errors[0].line == line


@pytest.mark.rule("descriptor.size")
def test_an_over_long_descriptor_is_refused_unread() -> None:
    (error,) = read_descriptor(b"#" * (1 << 20) + b"\n").errors
    assert error.reason == "BUNDLE_TOO_LARGE"


@pytest.mark.rule("descriptor.anchors")
def test_a_bomb_of_aliases_is_refused_at_once() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    start = time.monotonic()
    (error,) = read_descriptor("\n".join(lines).encode()).errors
    assert error.reason == "DESCRIPTOR_SYNTAX"
    assert time.monotonic() - start < 2


@pytest.mark.rule("descriptor.anchors")
def test_a_long_chain_of_aliases_is_refused_without_a_crash() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 20_000)]
    assert read_descriptor("\n".join(lines).encode()).errors


@pytest.mark.rule("descriptor.anchors")
def test_anchors_are_allowed(descriptors) -> None:
    descriptor = descriptors.right(
        "inputs:\n  a: {description: d, type: &t {id: integer, geq: 1}}\n"
        "  b: {description: d, type: *t}"
    )
    assert descriptor.inputs[0].type == descriptor.inputs[1].type == IntegerType(geq=1)


@pytest.mark.rule("descriptor.duplicate-key")
def test_a_key_given_twice_is_an_error_that_names_both_lines(descriptors, where) -> None:
    checked = descriptors.parameters("inputs:\n  a: {description: d, type: file}\n  a: {}")
    assert where(checked.errors) == {("inputs.a", "DESCRIPTOR_SYNTAX")}
    assert checked.errors[0].line == 10
    assert "line 9" in checked.errors[0].message


@pytest.mark.rule("descriptor.keys-are-text", "parameter.name")
def test_keys_are_text_whatever_a_loader_makes_of_them(descriptors) -> None:
    entries = "".join(
        f"\n  {name}: {{description: d, type: file}}" for name in ("on", "1", "null", "no")
    )
    descriptor = descriptors.right(f"inputs:{entries}")
    assert [each.name for each in descriptor.inputs] == ["on", "1", "null", "no"]
    assert descriptor.input("null") is not None
    assert descriptor.input("NULL") is None


@pytest.mark.rule("descriptor.text")
def test_unquoted_text_keeps_its_source_and_is_warned_of(descriptors, where) -> None:
    checked = descriptors.parameters(
        "inputs:\n"
        "  a: {description: yes, type: string, optional: true, default: 012}\n"
        "  b: {description: 2024-01-01T00:00:00Z, type: string}\n"
        "  c: {description: '1', type: string}"
    )
    assert checked.descriptor is not None
    a, b, c = checked.descriptor.inputs
    assert (a.description, a.default) == ("yes", StringValue("012"))
    assert (b.description, c.description) == ("2024-01-01T00:00:00Z", "1")
    assert where(checked.warnings) == {
        ("inputs.a.description", "TEXT_UNQUOTED"),
        ("inputs.a.default", "TEXT_UNQUOTED"),
    }


@pytest.mark.rule("descriptor.boolean")
@pytest.mark.parametrize(
    ("text", "expected"), [("true", True), ("True", True), ("FALSE", False), ("false", False)]
)
def test_booleans_are_true_and_false(descriptors, text: str, expected: bool) -> None:
    checked = descriptors.parameters(
        f"inputs: {{a: {{description: d, type: boolean, default: {text}}}}}"
    )
    assert checked.descriptor is not None
    assert checked.descriptor.inputs[0].default == BooleanValue(expected)
    assert checked.warnings == ()


@pytest.mark.rule("descriptor.boolean")
@pytest.mark.parametrize(("text", "expected"), [("yes", True), ("off", False), ("No", False)])
def test_yes_and_no_are_booleans_with_a_warning(
    descriptors, where, text: str, expected: bool
) -> None:
    checked = descriptors.parameters(
        f"inputs: {{a: {{description: d, type: file, optional: {text}}}}}"
    )
    assert checked.descriptor is not None
    assert checked.descriptor.inputs[0].optional is expected
    assert where(checked.warnings) == {("inputs.a.optional", "BOOLEAN_WORD")}


@pytest.mark.rule("descriptor.boolean", "descriptor.quoted-is-text")
@pytest.mark.parametrize("text", ["'true'", "1", "y", "[true]", "tRue"])
def test_other_things_are_no_booleans(descriptors, where, text: str) -> None:
    checked = descriptors.parameters(
        f"inputs: {{a: {{description: d, type: file, optional: {text}}}}}"
    )
    assert where(checked.errors) == {("inputs.a.optional", "FIELD_KIND")}


@pytest.mark.rule("descriptor.integer")
@pytest.mark.parametrize(
    ("text", "expected"), [("5", 5), ("-7", -7), ("+3", 3), ("10.0", 10), ("1e3", 1000)]
)
def test_integers_may_be_written_as_floats_without_fraction(
    descriptors, text: str, expected: int
) -> None:
    assert descriptors.type_of(f"{{id: integer, geq: {text}}}") == IntegerType(geq=expected)


@pytest.mark.rule("descriptor.integer", "descriptor.quoted-is-text")
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("'5'", "FIELD_KIND"),
        ("010", "FIELD_KIND"),
        ("1.5", "FIELD_KIND"),
        ("0x10", "FIELD_KIND"),
        ("1_000", "FIELD_KIND"),
        ("true", "FIELD_KIND"),
        ("9223372036854775808", "FIELD_RANGE"),
        ("1e999999999", "FIELD_RANGE"),
        ("1e-999999999", "FIELD_KIND"),
        ("9" * 100_000, "FIELD_RANGE"),
    ],
)
def test_other_things_are_no_integers(descriptors, where, text: str, reason: str) -> None:
    checked = descriptors.parameters(
        f"inputs: {{a: {{description: d, type: {{id: integer, geq: {text}}}}}}}"
    )
    assert where(checked.errors) == {("inputs.a.type.geq", reason)}


@pytest.mark.rule("descriptor.number")
@pytest.mark.parametrize(
    ("text", "expected"), [("1e-3", 0.001), ("5", 5.0), (".5", 0.5), ("2.", 2.0), ("-1.5E2", -150)]
)
def test_numbers_are_read_in_every_usual_form(descriptors, text: str, expected: float) -> None:
    assert descriptors.type_of(f"{{id: number, geq: {text}}}") == NumberType(geq=expected)


@pytest.mark.rule("descriptor.null-mapping")
def test_a_null_mapping_is_an_empty_one_with_a_warning(descriptors, where) -> None:
    checked = descriptors.parameters("inputs:", "outputs: ~")
    assert checked.errors == ()
    assert where(checked.warnings) == {("inputs", "FIELD_EMPTY"), ("outputs", "FIELD_EMPTY")}


@pytest.mark.rule("descriptor.null-field")
def test_a_null_field_is_an_absent_one(descriptors) -> None:
    descriptor = descriptors.right(
        "inputs: {a: {description: d, display_name: , type: file, optional: ~, default: null}}"
    )
    parameter = descriptor.inputs[0]
    assert (parameter.display_name, parameter.optional, parameter.default) == ("a", False, None)


@pytest.mark.rule("descriptor.null-item")
def test_a_null_in_a_list_is_an_error(descriptors, where) -> None:
    checked = descriptors.parameters(
        "inputs: {a: {description: d, type: {id: enumeration, values: [x, ~]}}}"
    )
    assert where(checked.errors) == {("inputs.a.type.values[1]", "FIELD_KIND")}


@pytest.mark.rule("report.path-reason-line", "report.unknown-keys")
def test_unknown_keys_are_warnings_at_every_level(descriptors, where) -> None:
    checked = descriptors.parameters(
        "extra: 1\ninputs:\n  a:\n    description: d\n    odd key: 1\n"
        "    type: {id: integer, values: [1]}"
    )
    assert checked.errors == ()
    assert where(checked.warnings) == {
        ("extra", "UNKNOWN_KEY"),
        ('inputs.a["odd key"]', "UNKNOWN_KEY"),
        ("inputs.a.type.values", "UNKNOWN_KEY"),
    }
    assert {problem.line for problem in checked.warnings} == {8, 12, 13}


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    checked = read_descriptor("\ufeff$schema: 'a:b'".encode())
    assert "$schema" not in {problem.path for problem in checked.errors}
