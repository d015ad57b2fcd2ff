"""Values put into the inputs of a run one after the other, and what keeps the run from starting."""

from __future__ import annotations

import json
from itertools import product
from uuid import uuid4

import pytest
from appengine_contract.descriptor import Descriptor, read_descriptor
from appengine_contract.values import (
    ArrayValue,
    GeometryValue,
    IntegerValue,
    NullValue,
    ReferenceValue,
    Value,
)
from appengine_server.runs.provisioning import (
    GivenInput,
    GivenInputs,
    for_start,
    missing,
    provision,
)
from appengine_server.runs.stored import StoredInputs, inputs_from_json, inputs_to_json

from tests.container.bundles import dump, make_descriptor

GUARD = 1000
Pairs = set[tuple[str, str]]
"""Problems as (path, reason)."""


@pytest.fixture
def task() -> Descriptor:
    sizes = {"id": "array", "subtype": {"id": "integer"}, "min_size": 2, "max_size": 4}
    rows = {"id": "array", "subtype": "integer", "min_size": 1, "max_size": 3}
    groups = {"id": "array", "subtype": rows, "min_size": 2}
    points = {"id": "array", "subtype": "geometry"}
    inputs = {
        "sizes": {"type": sizes},
        "level": {"type": "integer", "optional": True},
        "groups": {"type": groups, "optional": True},
        "points": {"type": points, "optional": True},
        "picture": {"type": "image", "optional": True},
    }
    found = read_descriptor(dump(make_descriptor(inputs=inputs))).descriptor
    assert found is not None
    return found


def given(
    task: Descriptor, inputs: StoredInputs, *values: GivenInput
) -> tuple[StoredInputs, Pairs]:
    changed, problems = provision(task, inputs, GivenInputs(values=values), index_guard=GUARD)
    return changed, {(problem.path, problem.reason) for problem in problems}


def whole(name: str, value: Value) -> GivenInput:
    return GivenInput(parameter=name, value=value)


def item(index: int, value: int) -> GivenInput:
    return GivenInput(parameter="sizes", index=(index,), value=IntegerValue(value))


def in_group(*index: int, value: int = 1) -> GivenInput:
    return GivenInput(parameter="groups", index=index, value=IntegerValue(value))


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


@pytest.mark.rule("value.replaced", "array.item-order")
def test_items_replace_all_others_beside_an_empty_array(task: Descriptor) -> None:
    inputs, _ = given(task, StoredInputs(), *(item(index, index) for index in range(4)))
    inputs, problems = given(task, inputs, item(0, 7), whole("sizes", ArrayValue(())), item(1, 8))
    assert problems == set()
    assert items_of(inputs) == {0: IntegerValue(7), 1: IntegerValue(8)}
    _, problems = given(task, inputs, whole("sizes", ArrayValue(())))
    assert problems == {("sizes", "ARRAY_TOO_SMALL")}


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
    assert problems == {(f"sizes[{index}]", "ARRAY_INDEX")}
    assert inputs == StoredInputs()


@pytest.mark.rule("array.item-index")
@pytest.mark.parametrize(
    ("index", "path"),
    [
        ((GUARD,), f"groups[{GUARD}]"),
        ((0, 3), "groups[0][3]"),
        ((GUARD, 0), f"groups[{GUARD}]"),
        ((0, 0, 0), "groups[0][0][0]"),
    ],
)
def test_an_index_that_leads_nowhere_is_refused_by_name(
    task: Descriptor, index: tuple[int, ...], path: str
) -> None:
    _, problems = given(task, StoredInputs(), in_group(*index))
    assert problems == {(path, "ARRAY_INDEX")}


@pytest.mark.rule("array.item-index")
def test_what_is_no_array_has_no_items(task: Descriptor) -> None:
    one = GivenInput(parameter="level", index=(0,), value=IntegerValue(1))
    assert given(task, StoredInputs(), one)[1] == {("level[0]", "ARRAY_INDEX")}


@pytest.mark.rule("array.item-path", "array.item-order")
def test_items_of_inner_arrays_come_in_any_order(task: Descriptor) -> None:
    inputs = StoredInputs()
    row = ArrayValue((IntegerValue(5), IntegerValue(6)))
    whole_row = GivenInput(parameter="groups", index=(1,), value=row)
    for one in (in_group(0, 1, value=2), whole_row, in_group(1, 1, value=7), in_group(0, 0)):
        inputs, problems = given(task, inputs, one)
        assert problems == set()
    assert [(index, value) for name, index, value in inputs.values() if name == "groups"] == [
        ((0, 1), IntegerValue(2)),
        ((0, 0), IntegerValue(1)),
        ((1, 0), IntegerValue(5)),
        ((1, 1), IntegerValue(7)),
    ]
    assert {name for name, _ in kept_from_starting(task, inputs)} == {"sizes"}


@pytest.mark.rule("array.item-path")
def test_arrays_in_eight_levels_are_given_by_item() -> None:
    type_: object = "integer"
    for _ in range(8):
        type_ = {"id": "array", "subtype": type_, "min_size": 2}
    deep = read_descriptor(dump(make_descriptor(inputs={"deep": {"type": type_}}))).descriptor
    assert deep is not None
    inputs = StoredInputs()
    for last in reversed(list(product((0, 1), repeat=8))):
        assert missing(deep, inputs) == ("deep",)
        one = GivenInput(parameter="deep", index=last, value=IntegerValue(sum(last)))
        inputs, problems = given(deep, inputs, one)
        assert problems == set()
    assert missing(deep, inputs) == ()
    assert kept_from_starting(deep, inputs) == set()


@pytest.mark.rule("array.provisioned")
def test_an_array_in_parts_is_missing_until_every_level_is_complete(task: Descriptor) -> None:
    sizes = whole("sizes", ArrayValue((IntegerValue(1), IntegerValue(2))))
    inputs, _ = given(task, StoredInputs(), sizes)
    steps = [
        (in_group(1, 1), {("groups[0]", "ARRAY_GAP"), ("groups", "ARRAY_TOO_SMALL"),
                          ("groups[1][0]", "ARRAY_GAP")}),
        (in_group(1, 0), {("groups[0]", "ARRAY_GAP"), ("groups", "ARRAY_TOO_SMALL")}),
        (GivenInput(parameter="groups", index=(0,), value=ArrayValue((IntegerValue(1),))), set()),
        (in_group(0, 2), {("groups[0][1]", "ARRAY_GAP")}),
        (in_group(0, 1), set()),
    ]  # fmt: skip
    for one, lacks in steps:
        inputs, problems = given(task, inputs, one)
        assert problems == set()
        assert kept_from_starting(task, inputs) == lacks
        assert missing(task, inputs) == (("groups",) if lacks else ())


@pytest.mark.rule("array.provisioned")
def test_an_optional_array_may_be_left_out_or_cleared_but_not_have_gaps(task: Descriptor) -> None:
    inputs, _ = given(task, StoredInputs(), item(0, 1), item(1, 1), in_group(3, 0))
    assert missing(task, inputs) == ("groups",)
    inputs, _ = given(task, inputs, whole("groups", NullValue()))
    assert missing(task, inputs) == ()


@pytest.mark.rule("image-type.companion-alone")
def test_a_companion_without_its_image_keeps_the_run_from_starting(task: Descriptor) -> None:
    inputs, _ = given(task, StoredInputs(), item(0, 1), item(1, 1))
    inputs = inputs.with_companion("picture", uuid4())
    assert missing(task, inputs) == ("picture",)
    assert kept_from_starting(task, inputs) == {("picture", "VALUE_MISSING")}


@pytest.mark.rule("array.collection-dropped")
def test_dropped_members_of_a_collection_are_a_warning_while_the_value_stands(
    task: Descriptor,
) -> None:
    points = {"type": "GeometryCollection", "name": "mine", "bbox": [0, 0, 1, 1], "geometries": []}
    inputs, problems = given(
        task, StoredInputs(), whole("points", GeometryValue(json.dumps(points)))
    )
    assert problems == set()
    [warning] = inputs.warnings()
    assert (warning.path, warning.reason) == ("points", "COLLECTION_MEMBERS_DROPPED")
    assert "name, bbox" in warning.message
    assert inputs_from_json(inputs_to_json(inputs)) == inputs
    inputs, _ = given(task, inputs, whole("points", ArrayValue(())))
    assert inputs.warnings() == []
