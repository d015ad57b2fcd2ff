from __future__ import annotations

import json
import math

import pytest
from appengine_contract.values import (
    ArrayValue,
    BooleanValue,
    DateTimeValue,
    EnumerationValue,
    FileValue,
    GeometryValue,
    IntegerValue,
    NullValue,
    NumberValue,
    ReferencePattern,
    ReferenceValue,
    StringValue,
)
from appengine_contract.values_json import from_json, to_json, to_plain
from hypothesis import given
from hypothesis import strategies as st

_TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
_SCALARS = st.one_of(
    st.booleans().map(BooleanValue),
    st.integers(-(2**63), 2**63 - 1).map(IntegerValue),
    st.floats(allow_nan=False).map(NumberValue),
    _TEXTS.map(StringValue),
    _TEXTS.map(EnumerationValue),
    _TEXTS.map(DateTimeValue),
    _TEXTS.map(GeometryValue),
    st.builds(ReferenceValue, _TEXTS, st.integers(0), st.integers(1), _TEXTS, _TEXTS),
    _TEXTS.map(ReferencePattern),
    st.builds(FileValue, _TEXTS, st.integers(0), st.integers(1), _TEXTS),
    st.just(NullValue()),
)
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3).map(lambda items: ArrayValue(tuple(items)))
)


@given(_VALUES)
def test_every_value_survives_strict_json(value) -> None:
    text = json.dumps(to_json(value), allow_nan=False)
    assert from_json(json.loads(text)) == value


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, -0.0, 5.0, 1e308, 5e-324])
def test_numbers_survive_a_database_that_knows_only_decimals(number: float) -> None:
    # jsonb keeps numbers as decimals, without nan, infinity and negative zero.
    document = json.loads(
        json.dumps(to_json(NumberValue(number)), allow_nan=False), parse_float=int
    )
    found = from_json(document)
    assert isinstance(found, NumberValue)
    assert repr(found.value) == repr(number)


def test_an_array_of_one_kind_names_it_once() -> None:
    value = ArrayValue((IntegerValue(5), IntegerValue(7)))
    assert to_json(value) == {"array": {"integer": [5, 7]}}


def test_arrays_are_read_as_rows_have_them_from_before() -> None:
    document = {"array": [{"integer": 5}, {"integer": 7}]}
    assert from_json(document) == ArrayValue((IntegerValue(5), IntegerValue(7)))


@pytest.mark.parametrize(
    "document",
    [
        {}, {"integer": 5, "number": "5"}, {"int": 5}, {"file": {}},
        {"array": {"int": [5]}}, {"array": {"integer": 5}}, {"array": {}}, {"array": 5},
    ],
)  # fmt: skip
def test_other_documents_are_refused(document) -> None:
    with pytest.raises(ValueError, match=r"kind|wrong"):
        from_json(document)


def test_people_get_plain_json() -> None:
    geometry = '{"type":"Point","coordinates":[0,1.5]}'
    value = ArrayValue(
        (
            BooleanValue(True),
            IntegerValue(5),
            NumberValue(0.5),
            NumberValue(math.nan),
            NumberValue(-math.inf),
            StringValue("s"),
            EnumerationValue("e"),
            DateTimeValue("2024-01-01T00:00:00Z"),
            GeometryValue(geometry),
            FileValue("overlay", 7, format="png"),
            ReferenceValue("/data/a"),
            ReferencePattern("/data/*"),
            ArrayValue(()),
            NullValue(),
        )
    )
    assert to_plain(value) == [
        True, 5, 0.5, "nan", "-inf", "s", "e", "2024-01-01T00:00:00Z",
        json.loads(geometry), "overlay", "/data/a", "/data/*", [], None,
    ]  # fmt: skip
    json.dumps(to_plain(value), allow_nan=False)
