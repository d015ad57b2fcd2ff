"""Values to and from their messages, where the two differ."""

from __future__ import annotations

import pytest
from appengine.v1 import value_pb2
from appengine_contract.problems import ContractError
from appengine_contract.values import DateTimeValue
from appengine_server.rpc.values import value_message, value_of
from google.protobuf.timestamp_pb2 import Timestamp


def moment(seconds: int, nanos: int = 0) -> value_pb2.Value:
    instant = Timestamp(seconds=seconds, nanos=nanos)
    return value_pb2.Value(datetime=value_pb2.DateTime(instant=instant))


@pytest.mark.rule("datetime.timestamp")
@pytest.mark.parametrize(
    ("message", "text"),
    [
        (moment(0), "1970-01-01T00:00:00Z"),
        (moment(1_700_000_000, 500_000_000), "2023-11-14T22:13:20.5Z"),
        (moment(-1, 1), "1969-12-31T23:59:59.000000001Z"),
        (moment(-62_135_596_800), "0001-01-01T00:00:00Z"),
    ],
)
def test_an_instant_becomes_the_shortest_text(message: value_pb2.Value, text: str) -> None:
    assert value_of(message, "at") == DateTimeValue(text)


def test_a_text_is_kept_and_its_instant_is_told() -> None:
    message = value_message(DateTimeValue("2024-02-29T12:00:00.250+02:00"))
    assert message.datetime.text == "2024-02-29T12:00:00.250+02:00"
    assert message.datetime.instant == Timestamp(seconds=1_709_200_800, nanos=250_000_000)
    message.datetime.instant.seconds += 7
    assert value_of(message, "at") == DateTimeValue("2024-02-29T12:00:00.250+02:00")


@pytest.mark.parametrize("seconds", [-62_135_596_801, 253_402_300_800, 2**62])
def test_an_instant_that_no_calendar_has_is_refused(seconds: int) -> None:
    with pytest.raises(ContractError) as caught:
        value_of(moment(seconds), "at")
    assert [problem.reason for problem in caught.value.problems] == ["NOT_DATETIME"]


@pytest.mark.parametrize(
    "message", [value_pb2.Value(), value_pb2.Value(datetime=value_pb2.DateTime())]
)
def test_a_message_without_a_value_is_refused(message: value_pb2.Value) -> None:
    with pytest.raises(ContractError) as caught:
        value_of(message, "at")
    assert [problem.reason for problem in caught.value.problems] == ["VALUE_MISSING"]
