"""The examples in every way of running: what they find on disk, and what they give, by the byte."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.conformance.cases import CASES, IDS, NOTES, OPTIONAL_OUTPUTS, as_arguments
from tests.conformance.conftest import Bench, Records, run_outside, task_of
from tests.conformance.pictures import slide
from tests.conformance.trees import lay_out, tree_of, with_pixels

pytestmark = [pytest.mark.container, pytest.mark.timeout(600)]  # images may have to be built

FAILED, REFUSED = 1, 4


@pytest.fixture(params=list(CASES))
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.mark.rule("output.same-in-every-mode")
def test_the_outputs_are_those_of_the_algorithm_alone(
    bench: Bench, name: str, tmp_path: Path
) -> None:
    ran = bench.run(name)
    assert with_pixels(ran.outputs) == with_pixels(run_outside(ran.case, tmp_path))


@pytest.mark.rule("reference.cluster", "output.same-in-every-mode")
def test_every_way_gives_the_same_bytes(bench: Bench, name: str, records: Records) -> None:
    assert records.differences(bench.run(name), bench.place.way) == {}


@pytest.mark.rule("layout.input-names", "geometry.bytes", "array.wsidicom-item")
def test_the_task_found_what_the_contract_says(bench: Bench, name: str, tmp_path: Path) -> None:
    ran = bench.run(name)
    lay_out(ran.case.on_disk, tmp_path / "expected")
    bench.place.engine.client.runs.download_inputs(ran.run_id, tmp_path / "found")
    assert tree_of(tmp_path / "found") == tree_of(tmp_path / "expected")


@pytest.mark.rule("output.optional")
def test_optional_outputs_are_there_only_if_they_were_written(bench: Bench, name: str) -> None:
    ran = bench.run(name)
    optional = OPTIONAL_OUTPUTS[ran.case.example]
    missing = {output for output in optional if ran.values[output] is None}
    assert missing == ran.case.absent
    for output in missing:
        assert not list(ran.folder.glob(f"{output}*"))


@pytest.mark.rule("string.newline", "string.empty", "datetime.kept")
def test_awkward_values_come_back_as_they_were_sent(bench: Bench) -> None:
    values = bench.run("measure-by-value").values
    # By their area: the ring, the triangle, the circle, and two without any.
    order = [4, 0, 3, 1, 2]
    assert values["kept_ids"] == [IDS[i] for i in order]
    # The newline in the end is the one that tools add by habit.
    notes = [*NOTES[:4], "ends in one newline"]
    notes[1] = "line one\r\nline two"
    assert values["kept_notes"] == [notes[i] for i in order]
    scores = values["kept_scores"]
    assert isinstance(scores, list)
    assert [str(score) for score in scores] == ["1e-07", "0.1", "-0.0", "nan", "inf"]
    assert values["mean_score"] == "nan"
    assert values["title"] == ""
    assert values["acquired_at"] == "2024-02-29T00:00:59.123456789-11:30"
    assert values["kept_reviewed"] == [True, True, True, False, True]


@pytest.mark.rule("image-type.companion")
def test_texts_keep_their_line_ends_and_the_companion_its_bytes(bench: Bench) -> None:
    ran = bench.run("measure-by-file")
    assert ran.values["title"] == "Line one\r\n🔬 line two"
    assert ran.outputs["region"] == ran.case.on_disk["picture.geojson"]
    assert ran.outputs["merged"].startswith(b"\xef\xbb\xbfcover\r\nof two lines\0\1")
    assert ran.values["acquired_at"] == "2024-05-01T12:00:00z"


@pytest.mark.rule("array.empty")
def test_nested_arrays_keep_their_shape(bench: Bench) -> None:
    values = bench.run("tissue-by-folder").values["region_fractions"]
    assert isinstance(values, list)
    assert [len(inner) for inner in values] == [2, 0, 1, 0, 1, 1]
    groups = bench.run("measure-nothing").values["groups"]
    assert groups == [[], [], [], []]


def run_instead(bench: Bench, folder: Path, **instead: str) -> subprocess.CompletedProcess[str]:
    """Run the smallest case with some inputs given otherwise."""
    case = bench.run("measure-nothing").case
    given = dict(part.split("=", 1) for part in map(str, case.arguments) if part != "--input")
    arguments = as_arguments(**{**given, **instead})
    return bench.place.engine.cli("run", task_of("measure"), *arguments, "--output-dir", folder)


@pytest.mark.rule("dependency.matching-start")
def test_arrays_that_do_not_match_are_refused(bench: Bench, tmp_path: Path) -> None:
    done = run_instead(bench, tmp_path, labels='["tumour"]')
    assert done.returncode == REFUSED, done.stderr
    assert "inputs/annotations has 0, inputs/labels has 1" in done.stderr


@pytest.mark.rule("output.exit-code")
def test_a_task_that_gives_up_fails_with_its_exit_code_and_its_words(
    bench: Bench, tmp_path: Path
) -> None:
    done = run_instead(bench, tmp_path, acquired_at="0001-01-01T00:00:00Z", clock_error="-1")
    assert done.returncode == FAILED, done.stderr
    assert "TASK_EXIT_CODE" in done.stderr
    assert "the clock cannot be set right by -1 minutes" in done.stderr


@pytest.mark.parametrize("kind", ["outside", "missing", "leading-out"])
def test_files_that_are_not_in_the_datasets_are_refused_by_name(
    bench: Bench, tmp_path: Path, kind: str
) -> None:
    datasets, outside = bench.place.datasets, tmp_path / "outside.png"
    slide(0).save(outside)
    (datasets / "leading-out.png").unlink(missing_ok=True)
    (datasets / "leading-out.png").symlink_to(outside)
    path = outside if kind == "outside" else datasets / f"{kind}.png"
    done = run_instead(bench, tmp_path / "out", picture=f"ref:{path}")
    assert done.returncode == REFUSED, done.stderr
    assert path.name in done.stderr
