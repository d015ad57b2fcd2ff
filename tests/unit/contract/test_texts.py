"""Strings, enumerations and date-times."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from appengine_contract.parameters.datetime import DateTimeType, instant_nanoseconds, timestamp_text
from appengine_contract.parameters.enumeration import EnumerationType
from appengine_contract.parameters.string import StringType
from appengine_contract.reading import ReadOptions
from appengine_contract.values import DateTimeValue, EnumerationValue, IntegerValue, StringValue
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.rule("value.trimmed", "string.newline", "string.empty")
@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (b"\n", ""),
        (b"a\n", "a"),
        (b"a\r\n", "a"),
        (b"a\n\n", "a\n"),
        (b"a\r", "a\r"),
        (b"  a \n", "  a "),
        (b"\xef\xbb\xbfa", "\ufeffa"),
        (b"\xc3\xa9", "\u00e9"),
    ],
)
def test_a_string_output_loses_exactly_one_newline(read_bytes, data: bytes, text: str) -> None:
    assert read_bytes(StringType(), data).value == StringValue(text)


@pytest.mark.rule("string.newline")
def test_a_string_input_loses_nothing(read_bytes) -> None:
    assert read_bytes(StringType(), b"a\n", "input").value == StringValue("a\n")


@pytest.mark.rule("string.length")
def test_string_lengths_are_code_points_after_the_newline_rule(read_bytes, where) -> None:
    kind = StringType(min_length=2, max_length=3)
    assert kind.check(StringValue("\U0001f52c" * 3), "x") == []
    assert where(kind.check(StringValue("\U0001f52c" * 4), "x")) == {("x", "TOO_LONG")}
    assert read_bytes(kind, b"abc\n").problems == ()
    assert where(read_bytes(kind, b"a\n").problems) == {("x", "TOO_SHORT")}


@pytest.mark.rule("string.nul")
def test_nul_is_refused_both_ways(read_bytes, where) -> None:
    assert where(StringType().check(StringValue("a\0b"), "x")) == {("x", "TEXT_NUL")}
    assert where(read_bytes(StringType(), b"a\0b").problems) == {("x", "TEXT_NUL")}


@pytest.mark.rule("value.utf8")
def test_a_string_is_utf8(read_bytes, where) -> None:
    assert where(read_bytes(StringType(), b"\xff").problems) == {("x", "NOT_UTF8")}
    assert where(StringType().check(StringValue("\ud800"), "x")) == {("x", "NOT_UTF8")}
    assert where(StringType().check(IntegerValue(5), "x")) == {("x", "VALUE_KIND")}


@pytest.mark.rule("layout.no-addition")
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_every_text_survives_the_disk_as_an_input(text: str) -> None:
    with TemporaryDirectory() as folder:
        StringType().write(StringValue(text), Path(folder) / "x")
        assert (Path(folder) / "x").read_bytes() == text.encode()
        options = ReadOptions(root=Path(folder), direction="input")
        assert StringType().read(Path(folder) / "x", "x", options).value == StringValue(text)


@pytest.mark.rule("value.no-conversion", "enumeration.exact")
def test_an_enumeration_value_is_one_of_the_list_exactly(where) -> None:
    kind = EnumerationType(values=("H", "DAB"))
    assert kind.check(EnumerationValue("DAB"), "x") == []
    assert where(kind.check(EnumerationValue("dab"), "x")) == {("x", "NOT_IN_VALUES")}
    assert where(kind.check(StringValue("DAB"), "x")) == {("x", "VALUE_KIND")}
    assert kind.encode(EnumerationValue("DAB")) == b"DAB"


@pytest.mark.rule("enumeration.output")
@pytest.mark.parametrize(
    ("data", "text"), [(b"DAB\n", "DAB"), (b"\tDAB \r\n", "DAB"), (b" padded \n", " padded ")]
)
def test_an_enumeration_output_is_compared_exactly_then_trimmed(
    read_bytes, data: bytes, text: str
) -> None:
    kind = EnumerationType(values=("H", "DAB", " padded "))
    assert read_bytes(kind, data).value == EnumerationValue(text)


@pytest.mark.rule("enumeration.output")
@pytest.mark.parametrize(
    ("data", "reason"), [(b"other", "NOT_IN_VALUES"), (b"", "OUTPUT_EMPTY"), (b"\xff", "NOT_UTF8")]
)
def test_other_enumeration_outputs_are_problems(
    read_bytes, where, data: bytes, reason: str
) -> None:
    kind = EnumerationType(values=("H", "DAB"))
    assert where(read_bytes(kind, data).problems) == {("x", reason)}


@pytest.mark.rule("datetime.form", "datetime.kept")
@pytest.mark.parametrize(
    "text",
    [
        "2024-02-29T23:59:59Z",
        "2024-01-01t00:00:00z",
        "2024-01-01T00:00:00.123456789+05:30",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
    ],
)
def test_date_times_keep_their_text(read_bytes, text: str) -> None:
    assert DateTimeType().check(DateTimeValue(text), "x") == []
    assert DateTimeType().encode(DateTimeValue(text)) == text.encode()
    assert read_bytes(DateTimeType(), f"{text}\n".encode()).value == DateTimeValue(text)


@pytest.mark.rule("datetime.form")
@pytest.mark.parametrize(
    "text",
    [
        "2024-01-01",
        "2024-01-01T00:00Z",
        "2024-01-01 00:00:00Z",
        "2023-02-29T00:00:00Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T00:00:60Z",
        "2024-01-01T00:00:00.1234567890Z",
        "2024-01-01T00:00:00+24:00",
        "2024-01-01T00:00:00+0100",
        "\u0662024-01-01T00:00:00Z",
    ],
)
def test_other_forms_are_no_date_times(read_bytes, where, text: str) -> None:
    assert where(DateTimeType().check(DateTimeValue(text), "x")) == {("x", "NOT_DATETIME")}
    assert where(read_bytes(DateTimeType(), text.encode()).problems) == {("x", "NOT_DATETIME")}


@pytest.mark.rule("datetime.form")
def test_a_missing_zone_is_said(read_bytes) -> None:
    (problem,) = read_bytes(DateTimeType(), b"2024-01-01T00:00:00").problems
    assert "no zone" in problem.message


@pytest.mark.rule("datetime.bounds")
def test_date_times_are_compared_as_instants_with_bounds_excluded(where) -> None:
    kind = DateTimeType(after="2024-01-01T00:00:00Z", before="2024-01-02T00:00:00+02:00")
    assert kind.check(DateTimeValue("2024-01-01T00:00:00.000000001Z"), "x") == []
    assert where(kind.check(DateTimeValue("2024-01-01T01:00:00+01:00"), "x")) == {
        ("x", "NOT_AFTER")
    }
    assert where(kind.check(DateTimeValue("2024-01-01T22:00:00Z"), "x")) == {("x", "NOT_BEFORE")}


@pytest.mark.rule("datetime.timestamp")
@pytest.mark.parametrize(
    ("seconds", "nanoseconds", "text"),
    [
        (0, 0, "1970-01-01T00:00:00Z"),
        (1704067200, 500_000_000, "2024-01-01T00:00:00.5Z"),
        (-1, 1, "1969-12-31T23:59:59.000000001Z"),
        (-62135596800, 0, "0001-01-01T00:00:00Z"),
    ],
)
def test_a_timestamp_becomes_text_in_utc(seconds: int, nanoseconds: int, text: str) -> None:
    assert timestamp_text(seconds, nanoseconds) == text
    assert instant_nanoseconds(text) == seconds * 10**9 + nanoseconds


@pytest.mark.parametrize("data", ["\u00a0DAB", "DAB\u2003", "XDAB", "\x1cDAB"])
def test_only_ascii_whitespace_round_a_value_of_an_enumeration_is_no_data(
    read_bytes, where, data: str
) -> None:
    reading = read_bytes(EnumerationType(values=("H", "DAB")), data.encode())
    assert where(reading.problems) == {("x", "NOT_IN_VALUES")}


@pytest.mark.parametrize("size", [16_383, 16_384, 16_385, (1 << 20) + 16_384, 3 << 20])
def test_long_texts_are_read_whole(tmp_path: Path, size: int) -> None:
    text = ("0123456789abcdef" * (size // 16 + 1))[:size]
    (tmp_path / "x").write_text(text)
    options = ReadOptions(root=tmp_path, max_text_bytes=size)
    assert StringType().read(tmp_path / "x", "x", options).value == StringValue(text)


def test_a_text_may_have_the_one_length_that_is_allowed(descriptors) -> None:
    kind = descriptors.type_of("{id: string, min_length: 3, max_length: 3}")
    assert kind.check(StringValue("abc"), "x") == []
