from __future__ import annotations

import pytest
from appengine_contract.dependencies import check_sizes, matching_groups
from appengine_contract.values import ArrayValue, NullValue

_HEAD = """inputs:
  image: {description: d, type: image}
  a: {description: d, type: {id: array, subtype: file}}
  broken: {description: d, type: nothing}
"""


def _outputs(dependencies: str, kind: str = "{id: array, subtype: file}") -> str:
    return f"outputs: {{o: {{description: d, type: {kind}, dependencies: {dependencies}}}}}"


@pytest.mark.rule("dependency.derived-from", "dependency.matching-arrays")
@pytest.mark.parametrize(
    ("dependencies", "path", "reason"),
    [
        ("{derived_from: inputs/nothing}", "derived_from", "DERIVED_FROM_UNKNOWN"),
        ("{derived_from: inputs/Image}", "derived_from", "DERIVED_FROM_UNKNOWN"),
        ("{derived_from: image}", "derived_from", "FIELD_FORMAT"),
        ("{derived_from: outputs/o}", "derived_from", "FIELD_FORMAT"),
        ("{matching: [a]}", "matching[0]", "FIELD_FORMAT"),
        ("{matching: [inputs/a/b]}", "matching[0]", "FIELD_FORMAT"),
        ("{matching: [inputs/nothing]}", "matching[0]", "MATCHING_INVALID"),
        ("{matching: [inputs/a, inputs/image]}", "matching[1]", "MATCHING_INVALID"),
        ("{matching: [outputs/o]}", "matching[0]", "MATCHING_INVALID"),
        ("{matching: {}}", "matching", "FIELD_KIND"),
        ("[]", "", "FIELD_KIND"),
    ],
)
def test_targets_are_checked(descriptors, where, dependencies: str, path: str, reason: str) -> None:
    checked = descriptors.parameters(_HEAD, _outputs(dependencies))
    at = ".".join(["outputs.o.dependencies", *([path] if path else [])])
    assert where(checked.errors) == {("inputs.broken.type", "TYPE_UNKNOWN"), (at, reason)}


@pytest.mark.rule("dependency.matching-arrays")
def test_only_arrays_match(descriptors, where) -> None:
    checked = descriptors.parameters(_HEAD, _outputs("{matching: [inputs/a]}", "file"))
    assert ("outputs.o.dependencies.matching[0]", "MATCHING_INVALID") in where(checked.errors)


def test_a_target_whose_own_type_is_wrong_is_reported_once(descriptors, where) -> None:
    checked = descriptors.parameters(
        _HEAD, _outputs("{matching: [inputs/broken], derived_from: inputs/broken}")
    )
    assert where(checked.errors) == {("inputs.broken.type", "TYPE_UNKNOWN")}


@pytest.mark.rule("dependency.matching-text")
def test_a_single_text_is_a_list_of_one_with_a_warning(descriptors, where) -> None:
    head = _HEAD.rsplit("\n", 2)[0]
    checked = descriptors.parameters(head, _outputs("{matching: inputs/a}"))
    assert checked.descriptor.outputs[0].matching == ("inputs/a",)
    assert where(checked.warnings) == {("outputs.o.dependencies.matching", "LIST_EXPECTED")}


@pytest.mark.rule("dependency.derived-from-ignored")
def test_an_input_is_derived_from_nothing(descriptors, where) -> None:
    checked = descriptors.parameters(
        "inputs: {i: {description: d, type: file, dependencies: {derived_from: inputs/x}}}"
    )
    assert checked.descriptor.inputs[0].derived_from is None
    assert where(checked.warnings) == {("inputs.i.dependencies.derived_from", "DEPENDENCY_IGNORED")}


def test_dependencies_may_hold_nothing(descriptors) -> None:
    descriptor = descriptors.right(outputs=_outputs("{}"))
    assert (descriptor.outputs[0].derived_from, descriptor.outputs[0].matching) == (None, ())


@pytest.mark.rule("dependency.matching-groups")
def test_groups_are_the_connected_arrays_of_both_sides(descriptors) -> None:
    def array(name: str, *targets: str) -> str:
        listed = ", ".join(targets)
        kind = "type: {id: array, subtype: file}"
        return f"{name}: {{description: d, {kind}, dependencies: {{matching: [{listed}]}}}}"

    descriptor = descriptors.right(
        f"inputs: {{{array('a')}, {array('b')}, {array('alone')}, {array('x', 'inputs/y')},"
        f" {array('y')}}}",
        f"outputs: {{{array('a', 'inputs/b')}, {array('c', 'inputs/a', 'outputs/a')}}}",
    )
    assert matching_groups(descriptor) == (
        ("inputs/a", "inputs/b", "outputs/a", "outputs/c"),
        ("inputs/x", "inputs/y"),
    )


@pytest.mark.rule("dependency.matching-groups")
def test_arrays_of_different_sizes_are_listed_with_them() -> None:
    group = ("inputs/a", "inputs/absent", "outputs/a", "outputs/c")
    sizes = {"inputs/a": 1, "outputs/a": 2, "outputs/c": 1}
    values = {name: ArrayValue((NullValue(),) * size) for name, size in sizes.items()}
    [problem] = check_sizes([group, ("inputs/a", "outputs/c")], values)
    assert (problem.path, problem.reason) == ("a", "MATCHING_SIZE")
    assert problem.message == (
        "these arrays must have the same size: inputs/a has 1, outputs/a has 2, outputs/c has 1"
    )
