"""Outputs that nobody should write: the run ends all the same, and says what is wrong."""

from __future__ import annotations

import pytest

from tests.container.engine_server import REAL, Engine, FailureReason, RunState

pytestmark = REAL

COUNT = {"count": "integer"}
NUMBERS = {"numbers": {"type": {"id": "array", "subtype": {"id": "integer"}}}}


@pytest.mark.parametrize(
    "script",
    [
        r"printf '1\0002' > /outputs/count",
        r"printf '\377\376' > /outputs/count",
        "yes | head -c 3000000 > /outputs/count",
        "mkdir /outputs/count",
        "truncate -s 100G /outputs/count",
        "echo x > /outputs/count; chmod 000 /outputs/count",
        "mknod /outputs/count p",
    ],
)
def test_a_wrong_value_is_a_problem_whatever_it_is(engine: Engine, script: str) -> None:
    run = engine.run(script, outputs=COUNT)
    assert run.state == RunState.RUN_STATE_FAILED
    assert run.failure.reason == FailureReason.FAILURE_REASON_OUTPUT_INVALID, run.failure
    assert [problem.path for problem in run.failure.problems] == ["count"]
    assert len(run.failure.problems[0].message) < 500


def test_names_of_any_bytes_are_warnings(engine: Engine) -> None:
    script = r"""
        cd /outputs; echo 1 > count; echo x > "$(printf 'a\377b')"; echo x > "$(printf 'c\nd')"
        echo x > ' '; mkdir -p deep/er; ln -s /etc/shadow link; mkfifo pipe
    """
    run = engine.run(script, outputs=COUNT)
    assert run.state == RunState.RUN_STATE_SUCCEEDED, run.failure
    assert len(run.warnings) >= 5
    engine.left_behind(run)


def test_thousands_of_wrong_items_still_make_an_answer(engine: Engine) -> None:
    script = """
        mkdir /outputs/numbers; cd /outputs/numbers; echo 'size: 3000' > array.yml
        seq 0 2999 | awk '{ print "wrong" > $1; close($1) }'
    """
    run = engine.run(script, outputs=NUMBERS)
    assert run.failure.reason == FailureReason.FAILURE_REASON_OUTPUT_INVALID, run.failure
    assert 0 < len(run.failure.problems) <= 3000
    assert run.ByteSize() < 2_000_000
    assert list(engine.client.runs.list())


def test_thousands_of_extra_files_still_make_an_answer(engine: Engine) -> None:
    script = (
        "cd /outputs; echo 1 > count; seq 3000 | awk '{ f = \"extra\" $1; print > f; close(f) }'"
    )
    run = engine.run(script, outputs=COUNT)
    assert run.state == RunState.RUN_STATE_SUCCEEDED, run.failure
    assert run.ByteSize() < 2_000_000
    assert len(engine.left_behind(run)) == 3001


@pytest.mark.rule("layout.many-items")
def test_an_array_of_thousands_of_items_is_read_and_told(engine: Engine) -> None:
    script = """
        mkdir /outputs/numbers; cd /outputs/numbers; echo 'size: 3000' > array.yml
        seq 0 2999 | awk '{ print $1 > $1; close($1) }'
    """
    run = engine.run(script, outputs=NUMBERS)
    assert run.state == RunState.RUN_STATE_SUCCEEDED, run.failure
    [numbers] = engine.client.runs.outputs(run.id)
    assert [item.integer for item in numbers.value.array.items] == list(range(3000))


@pytest.mark.parametrize("user", ["", "1234"])
def test_files_that_their_owner_closed_are_read_and_removed(engine: Engine, user: str) -> None:
    script = "cd /outputs; echo 1 > count; chmod 400 count; mkdir -m 700 d; echo x > d/x; chmod 0 d"
    run = engine.run(script, outputs=COUNT, user=user)
    assert run.state == RunState.RUN_STATE_SUCCEEDED, run.failure
    engine.left_behind(run)
