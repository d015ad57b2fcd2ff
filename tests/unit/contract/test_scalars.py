"""Booleans, integers and numbers: what the API takes, what lies on disk, what is read back."""

from __future__ import annotations

import math
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from appengine_contract.parameters.boolean import BooleanType
from appengine_contract.parameters.integer import IntegerType
from appengine_contract.parameters.number import NumberType
from appengine_contract.reading import ReadOptions
from appengine_contract.values import (
    BooleanValue,
    IntegerValue,
    NullValue,
    NumberValue,
    StringValue,
)
from hypothesis import given
from hypothesis import strategies as st


def _written(kind, value) -> bytes:
    with TemporaryDirectory() as folder:
        kind.write(value, Path(folder) / "x")
        return (Path(folder) / "x").read_bytes()


def _read_back(kind, value):
    with TemporaryDirectory() as folder:
        kind.write(value, Path(folder) / "x")
        reading = kind.read(Path(folder) / "x", "x", ReadOptions(root=Path(folder)))
        assert reading.problems == ()
        return reading.value


@pytest.mark.rule("layout.no-addition", "boolean.disk")
@pytest.mark.parametrize(("value", "data"), [(True, b"true"), (False, b"false")])
def test_booleans_are_written_in_lower_case(value: bool, data: bytes) -> None:
    assert _written(BooleanType(), BooleanValue(value)) == data


@pytest.mark.rule("value.trimmed", "boolean.output")
@pytest.mark.parametrize(
    ("data", "value"),
    [(b"true", True), (b"True\n", True), (b"\xef\xbb\xbf FALSE \r\n", False), (b"false", False)],
)
def test_booleans_are_read_in_any_case(read_bytes, data: bytes, value: bool) -> None:
    assert read_bytes(BooleanType(), data).value == BooleanValue(value)


@pytest.mark.rule("value.utf8", "value.empty-output", "boolean.output")
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"yes", "NOT_BOOLEAN"),
        (b"1", "NOT_BOOLEAN"),
        (b"true false", "NOT_BOOLEAN"),
        (b"", "OUTPUT_EMPTY"),
        (b" \n\t", "OUTPUT_EMPTY"),
        (b"\xef\xbb\xbf", "OUTPUT_EMPTY"),
        (b"\xff", "NOT_UTF8"),
    ],
)
def test_what_is_no_boolean_is_named_so(read_bytes, where, data: bytes, reason: str) -> None:
    reading = read_bytes(BooleanType(), data)
    assert reading.value is None
    assert where(reading.problems) == {("x", reason)}


@pytest.mark.rule("layout.no-addition", "integer.disk")
@pytest.mark.parametrize(
    ("value", "data"),
    [
        (0, b"0"),
        (-5, b"-5"),
        (2**63 - 1, b"9223372036854775807"),
        (-(2**63), b"-9223372036854775808"),
    ],
)
def test_integers_are_written_in_decimal(value: int, data: bytes) -> None:
    assert _written(IntegerType(), IntegerValue(value)) == data


@pytest.mark.rule("value.trimmed", "integer.output")
@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"5", 5),
        (b"5\n", 5),
        (b"+7", 7),
        (b"-0", 0),
        (b"1_000_000", 1000000),
        (b"0xFf", 255),
        (b"-0b101", -5),
        (b"0O17", 15),
        (b"0xdead_beef", 0xDEADBEEF),
        (b"-9223372036854775808", -(2**63)),
    ],
)
def test_integers_are_read_in_every_documented_form(read_bytes, data: bytes, value: int) -> None:
    reading = read_bytes(IntegerType(), data)
    assert reading.value == IntegerValue(value)
    assert reading.warnings == ()


@pytest.mark.rule("integer.leading-zero")
def test_a_leading_zero_is_decimal_with_a_warning(read_bytes, where) -> None:
    reading = read_bytes(IntegerType(), b"-010")
    assert reading.value == IntegerValue(-10)
    assert where(reading.warnings) == {("x", "LEADING_ZERO")}


@pytest.mark.rule("integer.range", "integer.output")
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"5.0", "NOT_INTEGER"),
        (b"1e3", "NOT_INTEGER"),
        (b"five", "NOT_INTEGER"),
        (b"1__0", "NOT_INTEGER"),
        (b"_1", "NOT_INTEGER"),
        (b"0x_1", "NOT_INTEGER"),
        (b"0b2", "NOT_INTEGER"),
        (b"1 2", "NOT_INTEGER"),
        ("\u0665".encode(), "NOT_INTEGER"),
        (b"9223372036854775808", "INTEGER_RANGE"),
        (b"-0xffffffffffffffffff", "INTEGER_RANGE"),
        (b"9" * 100_000, "INTEGER_RANGE"),
        (b"", "OUTPUT_EMPTY"),
    ],
)
def test_what_is_no_integer_is_named_so(read_bytes, where, data: bytes, reason: str) -> None:
    assert where(read_bytes(IntegerType(), data).problems) == {("x", reason)}


@pytest.mark.rule("value.bounds")
@pytest.mark.parametrize(
    ("kind", "inside", "outside", "reason"),
    [
        (IntegerType(gt=3), 4, 3, "NOT_GT"),
        (IntegerType(geq=3), 3, 2, "NOT_GEQ"),
        (IntegerType(lt=3), 2, 3, "NOT_LT"),
        (IntegerType(leq=3), 3, 4, "NOT_LEQ"),
    ],
)
def test_bounds_hold_for_values_and_files_alike(
    read_bytes, where, kind: IntegerType, inside: int, outside: int, reason: str
) -> None:
    assert kind.check(IntegerValue(inside), "x") == []
    assert where(kind.check(IntegerValue(outside), "x")) == {("x", reason)}
    assert read_bytes(kind, b"%d" % inside).problems == ()
    assert where(read_bytes(kind, b"%d" % outside).problems) == {("x", reason)}


@pytest.mark.rule("value.bounds")
def test_every_violated_bound_is_reported_with_value_and_bound() -> None:
    problems = IntegerType(gt=5, geq=7).check(IntegerValue(4), "x")
    assert [problem.reason for problem in problems] == ["NOT_GT", "NOT_GEQ"]
    assert "4" in problems[1].message
    assert "7" in problems[1].message


@pytest.mark.rule("value.no-conversion")
@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (IntegerType(), StringValue("5")),
        (IntegerType(), NumberValue(5.0)),
        (IntegerType(), BooleanValue(True)),
        (IntegerType(), IntegerValue(True)),
        (BooleanType(), IntegerValue(1)),
        (NumberType(), StringValue("nan")),
        (NumberType(), BooleanValue(True)),
        (NumberType(), NullValue()),
    ],
)
def test_kinds_are_never_converted(where, kind, value) -> None:
    assert where(kind.check(value, "x")) == {("x", "VALUE_KIND")}


@pytest.mark.rule("value.no-conversion")
def test_an_integer_is_a_number() -> None:
    assert NumberType(leq=5).check(IntegerValue(5), "x") == []
    assert _written(NumberType(), IntegerValue(5)) == b"5"


@pytest.mark.rule("integer.range")
def test_an_integer_beyond_64_bits_is_refused(where) -> None:
    for kind in (IntegerType(), NumberType()):
        assert where(kind.check(IntegerValue(2**63), "x")) == {("x", "INTEGER_RANGE")}
        assert where(kind.check(IntegerValue(10**400), "x")) == {("x", "INTEGER_RANGE")}


@pytest.mark.rule("number.disk")
@pytest.mark.parametrize(
    ("value", "data"),
    [
        (5.0, b"5"),
        (-3.0, b"-3"),
        (0.0, b"0"),
        (-0.0, b"-0.0"),
        (0.1, b"0.1"),
        (1e-07, b"1e-07"),
        (2.0**53 - 1, b"9007199254740991"),
        (2.0**53, b"9007199254740992.0"),
        (1e300, b"1e+300"),
        (math.nan, b"nan"),
        (math.inf, b"inf"),
        (-math.inf, b"-inf"),
    ],
)
def test_numbers_are_written_as_short_as_they_read_back(value: float, data: bytes) -> None:
    assert _written(NumberType(), NumberValue(value)) == data


@pytest.mark.rule("number.output")
@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"5", 5.0),
        (b"5.", 5.0),
        (b".5", 0.5),
        (b"+5.5e-1\n", 0.55),
        (b"1E3", 1000.0),
        (b"-0.0", -0.0),
        (b"INF", math.inf),
        (b"-Infinity", -math.inf),
        (b"1e999", math.inf),
        (b"007", 7.0),
    ],
)
def test_numbers_are_read_in_every_documented_form(read_bytes, data: bytes, value: float) -> None:
    reading = read_bytes(NumberType(infinity_allowed=True), data)
    assert reading.value == NumberValue(value)


@pytest.mark.rule("number.output")
@pytest.mark.parametrize(
    "data",
    [b"1_0.5", b"0x1p3", b"1.5f", b"1,5", b"e5", b".", b"1e", b"--1", b"inf inity", b"nan()"],
)
def test_what_is_no_number_is_named_so(read_bytes, where, data: bytes) -> None:
    kind = NumberType(infinity_allowed=True, nan_allowed=True)
    assert where(read_bytes(kind, data).problems) == {("x", "NOT_NUMBER")}


@pytest.mark.rule("number.nan")
def test_nan_must_be_allowed_and_then_has_no_bounds(read_bytes, where) -> None:
    assert where(read_bytes(NumberType(), b"nan").problems) == {("x", "NAN_NOT_ALLOWED")}
    reading = read_bytes(NumberType(nan_allowed=True, geq=5), b"NaN")
    assert isinstance(reading.value, NumberValue)
    assert math.isnan(reading.value.value)


@pytest.mark.rule("number.infinity")
def test_infinity_must_be_allowed_and_satisfy_the_bounds(where) -> None:
    infinity = NumberValue(math.inf)
    assert where(NumberType().check(infinity, "x")) == {("x", "INFINITY_NOT_ALLOWED")}
    assert NumberType(infinity_allowed=True, geq=5).check(infinity, "x") == []
    assert where(NumberType(infinity_allowed=True, leq=5).check(infinity, "x")) == {
        ("x", "NOT_LEQ")
    }


@pytest.mark.rule("integer.disk")
@given(st.integers(-(2**63), 2**63 - 1))
def test_every_integer_survives_the_disk(value: int) -> None:
    assert _read_back(IntegerType(), IntegerValue(value)) == IntegerValue(value)


@pytest.mark.rule("number.disk")
@given(st.floats())
def test_every_float_survives_the_disk_with_its_sign(value: float) -> None:
    kind = NumberType(infinity_allowed=True, nan_allowed=True)
    found = _read_back(kind, NumberValue(value)).value
    assert repr(found) == repr(value)


@pytest.mark.rule("layout.inputs-readable")
def test_written_files_can_be_read_by_every_user(tmp_path: Path) -> None:
    import os

    before = os.umask(0o077)
    try:
        IntegerType().write(IntegerValue(5), tmp_path / "x")
    finally:
        os.umask(before)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o644
