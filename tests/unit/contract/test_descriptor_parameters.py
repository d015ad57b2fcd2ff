"""Parameters of a descriptor: their types, defaults and constraints."""

from __future__ import annotations

import pytest
from appengine_contract.parameters.array import ArrayType
from appengine_contract.parameters.boolean import BooleanType
from appengine_contract.parameters.catalogue import TYPES
from appengine_contract.parameters.datetime import DateTimeType
from appengine_contract.parameters.enumeration import EnumerationType
from appengine_contract.parameters.file import FileType
from appengine_contract.parameters.geometry import GeometryType
from appengine_contract.parameters.image import ImageType
from appengine_contract.parameters.integer import IntegerType
from appengine_contract.parameters.number import NumberType
from appengine_contract.parameters.string import StringType
from appengine_contract.values import (
    DateTimeValue,
    EnumerationValue,
    IntegerValue,
    NumberValue,
)


@pytest.mark.rule("parameter.types")
def test_there_are_the_ten_types() -> None:
    assert set(TYPES) == {
        "boolean", "integer", "number", "string", "enumeration",
        "datetime", "geometry", "image", "file", "array",
    }  # fmt: skip


@pytest.mark.rule("parameter.type-forms", "datetime.constraints")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("boolean", BooleanType()),
        ("{id: boolean}", BooleanType()),
        ("integer", IntegerType()),
        ("{id: integer, gt: 0, lt: 9}", IntegerType(gt=0, lt=9)),
        ("number", NumberType()),
        (
            "{id: number, geq: 0, leq: 1.5, infinity_allowed: true, nan_allowed: true}",
            NumberType(geq=0, leq=1.5, infinity_allowed=True, nan_allowed=True),
        ),
        ("string", StringType()),
        ("{id: string, min_length: 1, max_length: 5}", StringType(min_length=1, max_length=5)),
        ("{id: enumeration, values: [a, 'b c']}", EnumerationType(values=("a", "b c"))),
        ("datetime", DateTimeType()),
        (
            "{id: datetime, after: '2020-01-01T00:00:00Z', before: 2021-01-01T00:00:00+01:00}",
            DateTimeType(after="2020-01-01T00:00:00Z", before="2021-01-01T00:00:00+01:00"),
        ),
        ("geometry", GeometryType()),
        ("file", FileType()),
        ("{id: file, max_file_size: 1 kB, formats: [text]}",
         FileType(max_file_size_bytes=1000, formats=("text",))),
        ("image", ImageType()),
        ("{id: image, formats: [png, wsidicom], max_file_size: 4096, max_width: 5, max_height: 6}",
         ImageType(formats=("png", "wsidicom"), max_file_size_bytes=4096,
                   max_width=5, max_height=6)),
        ("{id: array, subtype: integer}", ArrayType(subtype=IntegerType())),
        (
            "{id: array, min_size: 1, max_size: 2, subtype: {id: array, subtype: geometry}}",
            ArrayType(min_size=1, max_size=2, subtype=ArrayType(subtype=GeometryType())),
        ),
    ],
)  # fmt: skip
def test_types_are_read_with_their_constraints(descriptors, text: str, expected) -> None:
    assert descriptors.type_of(text) == expected


@pytest.mark.rule(
    "parameter.types",
    "parameter.no-short-form",
    "parameter.contradictions",
    "report.path-reason-line",
    "enumeration.values",
    "datetime.constraints",
    "array.subtype",
)
@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ("int", "type", "TYPE_UNKNOWN"),
        ("Integer", "type", "TYPE_UNKNOWN"),
        ("[integer]", "type", "FIELD_KIND"),
        ("~", "type", "FIELD_MISSING"),
        ("{geq: 1}", "type.id", "FIELD_MISSING"),
        ("{id: integr}", "type.id", "TYPE_UNKNOWN"),
        ("{id: integer, geq: a}", "type.geq", "FIELD_KIND"),
        ("{id: integer, geq: 5, leq: 4}", "type.leq", "FIELD_RANGE"),
        ("{id: integer, gt: 4, lt: 5}", "type.lt", "FIELD_RANGE"),
        ("{id: number, gt: 5, leq: 5}", "type.leq", "FIELD_RANGE"),
        ("{id: number, geq: .inf}", "type.geq", "FIELD_RANGE"),
        ("{id: number, leq: .nan}", "type.leq", "FIELD_RANGE"),
        ("{id: string, min_length: 5, max_length: 4}", "type.max_length", "FIELD_RANGE"),
        ("{id: string, min_length: -1}", "type.min_length", "FIELD_RANGE"),
        ("enumeration", "type.values", "FIELD_MISSING"),
        ("{id: enumeration, values: []}", "type.values", "FIELD_RANGE"),
        ("{id: enumeration, values: a}", "type.values", "FIELD_KIND"),
        ("{id: enumeration, values: ['']}", "type.values[0]", "FIELD_RANGE"),
        ('{id: enumeration, values: ["a\\nb"]}', "type.values[0]", "FIELD_FORMAT"),
        ("{id: datetime, before: 2020-01-01}", "type.before", "FIELD_FORMAT"),
        (
            "{id: datetime, before: '2020-01-01T00:00:00Z', after: '2020-01-01T00:00:00Z'}",
            "type.before",
            "FIELD_RANGE",
        ),
        ("{id: file, formats: [docx]}", "type.formats[0]", "FIELD_FORMAT"),
        ("{id: image, formats: [png, bmp]}", "type.formats[1]", "FIELD_FORMAT"),
        ("{id: image, max_file_size: big}", "type.max_file_size", "QUANTITY"),
        ("{id: image, max_width: 0}", "type.max_width", "FIELD_RANGE"),
        ("array", "type.subtype", "FIELD_MISSING"),
        ("{id: array, subtype: nothing}", "type.subtype", "TYPE_UNKNOWN"),
        ("{id: array, subtype: {id: array}}", "type.subtype.subtype", "FIELD_MISSING"),
        ("{id: array, subtype: file, min_size: 3, max_size: 2}", "type.max_size", "FIELD_RANGE"),
    ],
)
def test_wrong_types_are_errors(descriptors, text: str, path: str, reason: str) -> None:
    checked = descriptors.parameters(f"inputs: {{x: {{description: d, type: {text}}}}}")
    assert [(problem.path, problem.reason) for problem in checked.errors] == [
        (f"inputs.x.{path}", reason)
    ]
    assert checked.errors[0].line == 8


@pytest.mark.rule("array.subtype")
def test_arrays_may_be_eight_levels_deep(descriptors) -> None:
    def nested(levels: int) -> str:
        text = "integer"
        for _ in range(levels):
            text = f"{{id: array, subtype: {text}}}"
        return f"inputs: {{x: {{description: d, type: {text}}}}}"

    assert descriptors.parameters(nested(8)).errors == ()
    (error,) = descriptors.parameters(nested(9)).errors
    assert error.path == "inputs.x.type" + ".subtype" * 8 + ".id"


def test_a_misspelt_type_gets_a_hint(descriptors) -> None:
    (error,) = descriptors.parameters("inputs: {x: {description: d, type: integr}}").errors
    assert "did you mean `integer`" in error.message


@pytest.mark.rule("parameter.both-bounds")
def test_two_bounds_on_one_side_are_a_warning_and_both_apply(descriptors, where) -> None:
    checked = descriptors.parameters(
        "inputs: {x: {description: d, type: {id: integer, gt: 1, geq: 1}}}"
    )
    assert checked.descriptor.inputs[0].type == IntegerType(gt=1, geq=1)
    assert where(checked.warnings) == {("inputs.x.type.geq", "BOUNDS_BOTH")}


@pytest.mark.rule("enumeration.duplicates")
def test_repeated_values_are_a_warning(descriptors, where) -> None:
    checked = descriptors.parameters(
        "inputs: {x: {description: d, type: {id: enumeration, values: [a, b, a]}}}"
    )
    assert checked.descriptor.inputs[0].type == EnumerationType(values=("a", "b"))
    assert where(checked.warnings) == {("inputs.x.type.values[2]", "VALUE_DUPLICATE")}


@pytest.mark.rule("enumeration.values")
def test_a_value_of_an_enumeration_has_up_to_256_characters(descriptors, where) -> None:
    kind = descriptors.type_of(f"{{id: enumeration, values: [{'v' * 256}]}}")
    assert kind == EnumerationType(values=("v" * 256,))
    checked = descriptors.parameters(
        f"inputs: {{x: {{description: d, type: {{id: enumeration, values: [{'v' * 257}]}}}}}}"
    )
    assert where(checked.errors) == {("inputs.x.type.values[0]", "FIELD_RANGE")}


@pytest.mark.rule("parameter.name")
@pytest.mark.parametrize("name", ["a b", "", "x.y", "n" * 201, "\u00e9", "a-b"])
def test_odd_parameter_names_are_errors(descriptors, name: str) -> None:
    checked = descriptors.parameters(f'inputs: {{"{name}": {{description: d, type: file}}}}')
    assert [problem.reason for problem in checked.errors] == ["FIELD_FORMAT"]


@pytest.mark.rule("parameter.two-name-spaces", "parameter.order")
def test_inputs_and_outputs_are_two_name_spaces_in_file_order(descriptors) -> None:
    entries = "{b: {description: d, type: file}, a: {description: e, type: image}}"
    descriptor = descriptors.right(f"inputs: {entries}", f"outputs: {entries}")
    assert [each.name for each in descriptor.inputs] == ["b", "a"]
    assert [each.name for each in descriptor.outputs] == ["b", "a"]
    assert descriptor.output("a").type == ImageType()
    assert descriptor.output("c") is None


@pytest.mark.rule("parameter.description", "report.all-at-once", "report.path-reason-line")
def test_every_problem_of_every_parameter_is_reported_at_once(descriptors, where) -> None:
    checked = descriptors.parameters(
        "inputs:\n  a: {type: nope}\n  b: 5\n  c: {description: d, type: {id: integer, geq: x}}",
        "outputs: [1]",
    )
    assert where(checked.errors) == {
        ("inputs.a.description", "FIELD_MISSING"),
        ("inputs.a.type", "TYPE_UNKNOWN"),
        ("inputs.b", "FIELD_KIND"),
        ("inputs.c.type.geq", "FIELD_KIND"),
        ("outputs", "FIELD_KIND"),
    }
    assert sorted(problem.line for problem in checked.errors) == [9, 9, 10, 11, 12]


@pytest.mark.rule("parameter.display-name")
def test_the_display_name_is_the_name_unless_given(descriptors, where) -> None:
    checked = descriptors.parameters(
        "inputs: {a: {description: d, type: file},"
        " b: {description: d, display_name: '', type: file},"
        " c: {description: d, display_name: C, type: file}}"
    )
    assert [each.display_name for each in checked.descriptor.inputs] == ["a", "b", "C"]
    assert where(checked.warnings) == {("inputs.b.display_name", "FIELD_EMPTY")}


@pytest.mark.rule("parameter.description")
def test_a_long_description_of_a_parameter_is_kept(descriptors) -> None:
    long = "d" * 5000
    descriptor = descriptors.right(f"inputs: {{a: {{description: {long}, type: file}}}}")
    assert descriptor.inputs[0].description == long


@pytest.mark.rule("parameter.default-kind")
@pytest.mark.parametrize(
    ("kind", "default", "expected"),
    [
        ("integer", "5", IntegerValue(5)),
        ("number", "1e-3", NumberValue(0.001)),
        ("{id: enumeration, values: [H, DAB]}", "DAB", EnumerationValue("DAB")),
        ("datetime", "2024-01-01T00:00:00Z", DateTimeValue("2024-01-01T00:00:00Z")),
    ],
)
def test_defaults_have_the_kind_of_the_parameter(
    descriptors, kind: str, default: str, expected
) -> None:
    checked = descriptors.parameters(
        f"inputs: {{a: {{description: d, type: {kind}, default: {default}}}}}"
    )
    assert (checked.errors, checked.warnings) == ((), ())
    assert checked.descriptor.inputs[0].default == expected


@pytest.mark.rule("parameter.default-kind")
@pytest.mark.parametrize(
    ("kind", "default"),
    [
        ("integer", "a"),
        ("integer", "'5'"),
        ("number", "true"),
        ("string", "[]"),
        ("boolean", "5"),
        ("datetime", "yesterday"),
    ],
)
def test_a_default_of_another_kind_is_an_error(descriptors, kind: str, default: str) -> None:
    checked = descriptors.parameters(
        f"inputs: {{a: {{description: d, type: {kind}, default: {default}}}}}"
    )
    assert [problem.path for problem in checked.errors] == ["inputs.a.default"]


@pytest.mark.rule("parameter.default-constraints")
@pytest.mark.parametrize(
    ("kind", "default"),
    [
        ("{id: integer, leq: 4}", "5"),
        ("number", ".nan"),
        ("{id: enumeration, values: [a]}", "b"),
        ("{id: string, max_length: 1}", "ab"),
        ("{id: datetime, after: '2025-01-01T00:00:00Z'}", "2024-01-01T00:00:00Z"),
    ],
)
def test_a_default_outside_its_constraints_is_dropped_with_a_warning(
    descriptors, where, kind: str, default: str
) -> None:
    checked = descriptors.parameters(
        f"inputs: {{a: {{description: d, type: {kind}, default: {default}}}}}"
    )
    assert checked.errors == ()
    assert checked.descriptor.inputs[0].default is None
    assert where(checked.warnings) == {("inputs.a.default", "DEFAULT_DROPPED")}


@pytest.mark.rule("parameter.default-ignored")
def test_defaults_of_files_and_outputs_are_ignored_with_a_warning(descriptors, where) -> None:
    checked = descriptors.parameters(
        "inputs: {a: {description: d, type: file, default: x}}",
        "outputs: {b: {description: d, type: integer, default: 5}}",
    )
    assert checked.descriptor.outputs[0].default is None
    assert where(checked.warnings) == {
        ("inputs.a.default", "DEFAULT_IGNORED"),
        ("outputs.b.default", "DEFAULT_IGNORED"),
    }
