"""Values put into the inputs of a run one after the other, and what keeps the run from starting."""

from __future__ import annotations

from uuid import uuid4

import pytest
from appengine_contract.descriptor import Descriptor, read_descriptor
from appengine_contract.values import ArrayValue, IntegerValue, NullValue, ReferenceValue, Value
from appengine_server.runs.provisioning import GivenInput, GivenInputs, for_start, provision
from appengine_server.runs.stored import StoredInputs

from tests.container.bundles import dump, make_descriptor

Pairs = set[tuple[str, str]]
"""Problems as (path, reason)."""


@pytest.fixture
def task() -> Descriptor:
    sizes = {"id": "array", "subtype": {"id": "integer"}, "min_size": 2, "max_size": 4}
    inputs = {
        "sizes": {"type": sizes},
        "level": {"type": "integer", "optional": True},
        "picture": {"type": "image", "optional": True},
    }
    found = read_descriptor(dump(make_descriptor(inputs=inputs))).descriptor
    assert found is not None
    return found


def given(
    task: Descriptor, inputs: StoredInputs, *values: GivenInput
) -> tuple[StoredInputs, Pairs]:
    changed, problems = provision(task, inputs, GivenInputs(values=values))
    return changed, {(problem.path, problem.reason) for problem in problems}


def whole(name: str, value: Value) -> GivenInput:
    return GivenInput(parameter=name, value=value)


def item(index: int, value: int) -> GivenInput:
    return GivenInput(parameter="sizes", index=(index,), value=IntegerValue(value))


def items_of(inputs: StoredInputs) -> dict[int, Value | None]:
    return {index: one.value for index, one in (inputs.by_name["sizes"].items or {}).items()}


def kept_from_starting(task: Descriptor, inputs: StoredInputs) -> Pairs:
    return {(problem.path, problem.reason) for problem in for_start(task, inputs)[1]}


@pytest.mark.rule("value.null")
def test_null_clears_an_optional_input_and_no_other(task: Descriptor) -> None:
    inputs, _ = given(task, StoredInputs(), whole("level", IntegerValue(3)), item(0, 5))
    cleared, problems = given(task, inputs, whole("level", NullValue()))
    assert (problems, cleared.names()) == (set(), {"sizes"})
    kept, problems = given(task, inputs, whole("sizes", NullValue()))
    assert (problems, kept) == ({("sizes", "VALUE_MISSING")}, inputs)


@pytest.mark.rule("value.replaced")
def test_a_value_takes_the_place_of_all_items(task: Descriptor) -> None:
    inputs, _ = given(task, StoredInputs(), *(item(index, index) for index in range(4)))
    two = ArrayValue((IntegerValue(7), IntegerValue(8)))
    inputs, problems = given(task, inputs, whole("sizes", two))
    assert problems == set()
    assert inputs.by_name["sizes"].value == two
    assert inputs.by_name["sizes"].items is None


@pytest.mark.rule("value.replaced")
def test_a_companion_goes_with_its_image(task: Descriptor) -> None:
    inputs = StoredInputs().with_companion("picture", uuid4())
    inputs, problems = given(task, inputs, whole("picture", ReferenceValue("/data/a.png")))
    assert problems == set()
    assert inputs.by_name["picture"].companion is None


@pytest.mark.rule("array.item-order")
def test_items_come_in_any_order_and_can_be_replaced(task: Descriptor) -> None:
    inputs = StoredInputs()
    for index, value in ((2, 20), (0, 1), (1, 10), (0, 0)):
        inputs, problems = given(task, inputs, item(index, value))
        assert problems == set()
    assert items_of(inputs) == {0: IntegerValue(0), 1: IntegerValue(10), 2: IntegerValue(20)}
    assert kept_from_starting(task, inputs) == set()


@pytest.mark.rule("array.no-gaps", "run.start-refused")
def test_a_gap_keeps_the_run_from_starting(task: Descriptor) -> None:
    inputs, problems = given(task, StoredInputs(), item(0, 1), item(3, 1))
    assert problems == set(), "items may still come"
    assert kept_from_starting(task, inputs) == {("sizes[1]", "ARRAY_GAP")}


@pytest.mark.rule("array.small-at-start")
def test_too_few_items_keep_the_run_from_starting(task: Descriptor) -> None:
    assert kept_from_starting(task, StoredInputs()) == {("sizes", "VALUE_MISSING")}
    inputs, problems = given(task, StoredInputs(), item(0, 1))
    assert problems == set()
    assert kept_from_starting(task, inputs) == {("sizes", "ARRAY_TOO_SMALL")}


@pytest.mark.rule("array.item-index")
@pytest.mark.parametrize("index", [4, 1 << 40, -1])
def test_an_index_out_of_bounds_is_refused_at_once(task: Descriptor, index: int) -> None:
    inputs, problems = given(task, StoredInputs(), item(index, 1))
    assert {reason for _, reason in problems} == {"ARRAY_INDEX"}
    assert inputs == StoredInputs()
