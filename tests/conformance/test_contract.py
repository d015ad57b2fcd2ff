"""What the contract says of values, references and outputs, with tasks of its own, in every way."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import pytest
from appengine.v1 import run_pb2
from appengine.v1 import storage_service_pb2 as storage
from appengine.v1.run_service_pb2 import InputValue, ProvisionInputsRequest
from appengine.v1.value_pb2 import Value
from appengine_client import LocalFile, Reference
from appengine_client.errors import FailedPrecondition, InvalidArgument
from appengine_client.transfer import following_links

from tests.conformance.pictures import slide
from tests.conformance.trees import Tree, tree_of
from tests.conformance.ways import Place
from tests.container.engine_server import Engine

pytestmark = [pytest.mark.container, pytest.mark.timeout(600)]  # a cluster may have to boot

CREATED, PROVISIONED = run_pb2.RUN_STATE_CREATED, run_pb2.RUN_STATE_PROVISIONED
SUCCEEDED, FAILED = run_pb2.RUN_STATE_SUCCEEDED, run_pb2.RUN_STATE_FAILED
OUTPUT_INVALID = run_pb2.FAILURE_REASON_OUTPUT_INVALID
DICOM = b"\0" * 128 + b"DICM"
FILES = {"id": "array", "subtype": "file"}

SHOW = r"""
cd /inputs; find . -type f -o -type l | sort | while read -r path; do
    printf '%s=%s;' "$path" "$(od -An -tx1 -v < "$path" | tr -d ' \n')"
done > /outputs/seen
"""
"""Writes each input file with the bytes that the task finds in it."""


def seen(engine: Engine, run: run_pb2.Run) -> dict[str, bytes]:
    """What a task with SHOW has found."""
    told = engine.outputs(run)["seen"].string
    pairs = [part.partition("=") for part in told.split(";") if part]
    return {path.removeprefix("./"): bytes.fromhex(content) for path, _, content in pairs}


def upload(
    engine: Engine, run: run_pb2.Run, name: str, files: Mapping[str, bytes], *, items: bool = False
) -> run_pb2.Run:
    part = storage.INPUT_PART_ITEMS if items else storage.INPUT_PART_WHOLE
    done = engine.client.uploads.send_input(run.id, name, following_links(files.items()), part=part)
    return done.run


def ended(engine: Engine, run: run_pb2.Run) -> run_pb2.Run:
    return engine.client.runs.wait(engine.client.runs.start(run.id).id)


def downloaded(engine: Engine, run: run_pb2.Run, folder: Path) -> Tree:
    engine.client.runs.download_outputs(run.id, folder)
    return tree_of(folder)


def problems(run: run_pb2.Run) -> set[tuple[str, str]]:
    assert run.failure.reason == OUTPUT_INVALID, run.failure
    return {(problem.path, problem.reason) for problem in run.failure.problems}


@pytest.mark.rule("value.canonical", "output.same-in-every-mode")
def test_uploaded_values_get_the_form_that_the_contract_gives_them(place: Place) -> None:
    engine = place.engine
    task = engine.task(
        SHOW,
        inputs={"ids": {"type": {"id": "array", "subtype": "integer"}}, "when": "datetime"},
        outputs={"seen": "string"},
    )
    run = engine.client.runs.create(task.id)
    files = {
        "ids/array.yml": b"{size: 3, by: hand}",
        "ids/0": b"0x10\n",
        "ids/1": b" -7 ",
        "ids/2": b"1_000",
        "ids/Thumbs.db": b"litter",
    }
    run = upload(engine, run, "ids", files)
    assert [(one.path, one.reason) for one in run.warnings] == [("ids/Thumbs.db", "INPUT_EXTRA")]
    upload(engine, run, "when", {"when": b"2024-05-01T12:00:00.10Z\r\n"})
    run = ended(engine, run)
    assert run.state == SUCCEEDED, run.failure
    assert seen(engine, run) == {
        "ids/array.yml": b"size: 3\n",
        "ids/0": b"16",
        "ids/1": b"-7",
        "ids/2": b"1000",
        "when": b"2024-05-01T12:00:00.10Z",
    }
    assert ("ids/Thumbs.db", "INPUT_EXTRA") in {(one.path, one.reason) for one in run.warnings}


@pytest.mark.rule("array.item-path", "array.provisioned", "array.no-gaps")
def test_items_of_inner_arrays_come_by_value_and_by_upload_at_once(place: Place) -> None:
    engine = place.engine
    type_: object = "integer"
    for _ in range(3):
        type_ = {"id": "array", "subtype": type_, "min_size": 4}
    task = engine.task(SHOW, inputs={"cube": {"type": type_}}, outputs={"seen": "string"})
    run = engine.client.runs.create(task.id)
    indexes = list(product(range(4), repeat=3))

    def give(index: tuple[int, ...]) -> None:
        content = str(100 + sum(index))
        if sum(index) % 2:
            path = "cube/" + "/".join(map(str, index))
            upload(engine, run, "cube", {path: content.encode()}, items=True)
        else:
            value = InputValue(parameter="cube", index=index, value=Value(integer=int(content)))
            engine.runs.ProvisionInputs(ProvisionInputsRequest(run_id=run.id, inputs=[value]))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(give, indexes[:0:-1]))
    assert engine.client.runs.get(run.id).state == CREATED
    with pytest.raises(FailedPrecondition) as refused:
        engine.client.runs.start(run.id)
    assert ("cube[0][0][0]", "ARRAY_GAP") in {
        (one.path, one.reason) for one in refused.value.problems
    }
    give(indexes[0])
    assert engine.client.runs.get(run.id).state == PROVISIONED
    run = ended(engine, run)
    assert run.state == SUCCEEDED, run.failure
    items = {
        "cube/" + "/".join(map(str, index)): str(100 + sum(index)).encode() for index in indexes
    }
    arrays = ["cube", *(f"cube/{i}" for i in range(4))]
    arrays += [f"cube/{i}/{j}" for i in range(4) for j in range(4)]
    assert seen(engine, run) == {**items, **{f"{one}/array.yml": b"size: 4\n" for one in arrays}}


def write_zip(path: Path, files: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.mark.rule("value.replaced", "image-type.companion", "run.closed-after-start")
def test_only_the_last_values_reach_the_task(place: Place, tmp_path: Path) -> None:
    engine = place.engine
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "crop.geojson").write_text('{"type": "Point", "coordinates": [1, 2]}')
    first = LocalFile(path=tmp_path / "a.png", companion=tmp_path / "crop.geojson")
    integers = {"type": {"id": "array", "subtype": "integer"}}
    task = engine.task(
        SHOW,
        inputs={"slide": "image", "slides": {"type": {"id": "array", "subtype": "image"}},
                "counts": integers, "label": "string"},
        outputs={"seen": "string"},
    )  # fmt: skip
    run = engine.client.runs.create(
        task.id, {"slide": first, "slides": [first] * 3, "counts": [1, 2, 3], "label": "first"}
    )
    second = LocalFile(path=tmp_path / "b.png")
    engine.client.runs.provision(
        run.id, {"slide": second, "slides": [second], "counts": [4], "label": ""}
    )
    upload(engine, run, "slides", {"slides/1": b"item"}, items=True)
    run = ended(engine, run)
    assert run.state == SUCCEEDED, run.failure
    assert seen(engine, run) == {
        "slide": b"b.png",
        "slides/array.yml": b"size: 2\n",
        "slides/0": b"b.png",
        "slides/1": b"item",
        "counts/array.yml": b"size: 1\n",
        "counts/0": b"4",
        "label": b"",
    }
    with pytest.raises(FailedPrecondition) as refused:
        engine.client.runs.provision(run.id, {"label": "too late"})
    assert refused.value.reason == "RUN_STATE"


@pytest.mark.rule("image-type.zip", "output.same-in-every-mode")
def test_a_zipped_wsi_dicom_is_its_folder_as_input_and_as_output(
    place: Place, tmp_path: Path
) -> None:
    engine = place.engine
    levels = {"level 0.dcm": DICOM + b"0", "level 1.dcm": DICOM + b"1"}
    zipped = write_zip(tmp_path / "slide.zip", {f"top/{name}": c for name, c in levels.items()})
    task = engine.task(
        SHOW + "cp /inputs/packed /outputs/made; cp -r /inputs/slide /outputs/copied",
        inputs={"slide": "image", "slides": {"type": {"id": "array", "subtype": "image"}},
                "packed": "file"},
        outputs={"seen": "string", "made": {"type": {"id": "image", "formats": ["wsidicom"]}},
                 "copied": "image"},
    )  # fmt: skip
    given = {"slide": zipped, "slides": [zipped, zipped], "packed": zipped}
    run = engine.client.runs.create(task.id, given, start=True)
    run = engine.client.runs.wait(run.id)
    assert run.state == SUCCEEDED, run.failure
    places = ("slide", "slides/0", "slides/1")
    assert seen(engine, run) == {
        **{f"{one}/{name}": content for one in places for name, content in levels.items()},
        "slides/array.yml": b"size: 2\n",
        "packed": zipped.read_bytes(),
    }
    values = engine.outputs(run)
    assert [values[name].file.format for name in ("made", "copied")] == ["wsidicom"] * 2
    found = downloaded(engine, run, tmp_path / "outputs")
    for name, content in levels.items():
        assert found[f"made/{name}"] == found[f"copied/{name}"] == content


@pytest.mark.rule("image-type.zip-unsafe", "output.same-in-every-mode")
def test_an_unsafe_zip_is_refused_as_input_and_fails_the_output(
    place: Place, tmp_path: Path
) -> None:
    engine = place.engine
    zipped = write_zip(tmp_path / "slide.zip", {"../../escaped.dcm": DICOM})
    task = engine.task("cp /inputs/packed /outputs/made",
                       inputs={"packed": "file"}, outputs={"made": "image"})  # fmt: skip
    run = engine.client.runs.wait(
        engine.client.runs.create(task.id, {"packed": zipped}, start=True).id
    )
    assert problems(run) == {("made", "ZIP_UNSAFE")}
    assert engine.left_behind(run) == ["made"]
    assert not list(place.engine.server.storage.rglob("escaped.dcm"))


@pytest.mark.rule("output.link", "reference.many", "output.same-in-every-mode")
def test_links_to_inputs_outputs_and_datasets_stand_for_what_is_there(
    place: Place, datasets: Path, tmp_path: Path
) -> None:
    engine = place.engine
    (datasets / "table 1.csv").write_bytes(b"of the dataset")
    for number in range(2):
        slide(number).save(datasets / f"{number}.png")
    (tmp_path / "ours.csv").write_bytes(b"uploaded")
    script = """
        cp -a /inputs/files /inputs/slides /outputs/
        ln -s /inputs/table /outputs/table; ln -s ../inputs/label /outputs/label
        cd /outputs; echo found > work
        mkdir again; ln -s ../work again/0; echo 'size: 1' > again/array.yml
    """
    types = {
        "table": "file",
        "label": "string",
        "files": {"type": FILES},
        "slides": {"type": {"id": "array", "subtype": "image"}},
    }
    task = engine.task(script, inputs=types, outputs={**types, "again": {"type": FILES}})
    given = {
        "table": Reference(str(datasets / "table 1.csv")),
        "label": "words",
        "files": [LocalFile(path=tmp_path / "ours.csv"), Reference(str(datasets / "table 1.csv"))],
        "slides": Reference.pattern(f"{datasets}/*.png"),
    }
    run = engine.client.runs.wait(engine.client.runs.create(task.id, given, start=True).id)
    assert run.state == SUCCEEDED, run.failure
    assert downloaded(engine, run, tmp_path / "outputs") == {
        "table": b"of the dataset",
        "label": b"words",
        "files/array.yml": b"size: 2\n",
        "files/0": b"uploaded",
        "files/1": b"of the dataset",
        "slides/array.yml": b"size: 2\n",
        **{f"slides/{number}": (datasets / f"{number}.png").read_bytes() for number in range(2)},
        "again/array.yml": b"size: 1\n",
        "again/0": b"found\n",
        "work": b"found\n",
    }
    assert engine.outputs(run)["label"].string == "words"


@pytest.mark.rule("output.unsafe-link", "output.special-file", "output.same-in-every-mode")
def test_all_other_links_and_special_files_are_told_by_name(place: Place) -> None:
    engine = place.engine
    script = """
        cd /outputs
        ln -s /etc/hostname away; ln -s /inputs/../etc/hostname round; ln -s nowhere dangling
        ln -s ../../../../../../etc/hostname up; ln -s itself itself; mkfifo pipe
        mkdir files; echo 'size: 2' > files/array.yml; ln -s /proc/self/environ files/0
        mkfifo files/1; ln -s /etc/hostname extra; mkfifo more
    """
    names = ("away", "round", "dangling", "up", "itself", "pipe")
    outputs = {**dict.fromkeys(names, "file"), "files": {"type": FILES}}
    run = engine.client.runs.wait(
        engine.client.runs.create(engine.task(script, outputs=outputs).id, start=True).id
    )
    unsafe = {(name, "OUTPUT_UNSAFE_LINK") for name in (*names[:-1], "files[0]")}
    special = {(one, "OUTPUT_SPECIAL_FILE") for one in ("pipe", "files[1]")}
    found = {(path.replace("files/1", "files[1]"), reason) for path, reason in problems(run)}
    assert found - {("files", "ARRAY_SIZE_MISMATCH"), ("files", "ARRAY_GAP")} == unsafe | special
    warned = {warning.path for warning in run.warnings if warning.reason == "OUTPUT_EXTRA"}
    assert warned == {"extra", "more"}


@pytest.mark.rule("array.collection-dropped", "array.collection-input")
def test_what_a_collection_loses_is_told_with_the_run(place: Place) -> None:
    engine = place.engine
    points = [{"type": "Point", "coordinates": [x, 1]} for x in range(2)]
    collection = {"type": "GeometryCollection", "name": "mine", "geometries": points}
    type_ = {"type": {"id": "array", "subtype": "geometry"}}
    task = engine.task(SHOW, inputs={"points": type_}, outputs={"seen": "string"})
    run = engine.client.runs.create(task.id, {"points": json.dumps(collection)}, start=True)
    run = engine.client.runs.wait(run.id)
    assert run.state == SUCCEEDED, run.failure
    assert [(one.path, one.reason) for one in run.warnings if one.path == "points"] == [
        ("points", "COLLECTION_MEMBERS_DROPPED")
    ]
    found = seen(engine, run)
    assert [json.loads(found[f"points/{index}"]) for index in range(2)] == points


@pytest.mark.rule("array.mixed", "array.item-path", "array.command-line", "reference.many")
def test_nested_arrays_mix_uploads_and_references_on_the_command_line(
    place: Place, datasets: Path, tmp_path: Path
) -> None:
    engine = place.engine
    (datasets / "theirs 1").write_bytes(b"theirs 1")
    (datasets / "theirs 2").write_bytes(b"theirs 2")
    (tmp_path / "ours").mkdir()
    for index, content in enumerate((b"zero", b"one")):
        (tmp_path / "ours" / f"{index}.bin").write_bytes(content)
    groups = {"type": {"id": "array", "subtype": FILES}}
    task = engine.task(
        SHOW.replace("-type f -o -type l", "! -type d"),
        inputs={"groups": groups, "more": {"type": FILES}, "alone": "file"},
        outputs={"seen": "string"},
    )
    done = engine.cli(
        "run", f"{task.namespace}:{task.version}", "--output-dir", tmp_path / "outputs",
        "--input", f"groups[1]=@{tmp_path / 'ours'}",
        "--input", f"groups[0][1]=@{tmp_path / 'ours/1.bin'}",
        "--input", f"groups[0][0]=ref:{datasets / 'theirs 1'}",
        "--input", "groups[2]=[]",
        "--input", f"more=ref:{datasets}/theirs*",
        "--input", f"alone=ref:{datasets / 'theirs 2'}",
        json=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    run = engine.client.runs.get(json.loads(done.stdout)["id"])
    assert seen(engine, run) == {
        "groups/array.yml": b"size: 3\n",
        "groups/0/array.yml": b"size: 2\n",
        "groups/0/0": b"theirs 1",
        "groups/0/1": b"one",
        "groups/1/array.yml": b"size: 2\n",
        "groups/1/0": b"zero",
        "groups/1/1": b"one",
        "groups/2/array.yml": b"size: 0\n",
        "more/array.yml": b"size: 2\n",
        "more/0": b"theirs 1",
        "more/1": b"theirs 2",
        "alone": b"theirs 2",
    }


@pytest.mark.rule(
    "output.whole-names", "output.extra-is-warning", "integer.output", "boolean.output",
    "string.newline", "string.empty", "value.trimmed",
)  # fmt: skip
def test_outputs_are_read_as_usual_tools_write_them(place: Place) -> None:
    engine = place.engine
    script = r"""
        cd /outputs; echo ' 0x7fffffffffffffff ' > big; echo True > yes; printf '  two\n\n' > text
        : > nothing; echo 1 > out; echo 2 > out2; echo 3 > out.txt; mkdir out3
        head -c 5000 /dev/zero | tr '\0' x > long; printf '\357\273\2771.5\r\n' > number
    """
    outputs = {
        "big": "integer", "yes": "boolean", "text": "string", "nothing": "string",
        "out": "integer", "out2": "integer", "long": "string", "number": "number",
    }  # fmt: skip
    run = engine.client.runs.wait(
        engine.client.runs.create(engine.task(script, outputs=outputs).id, start=True).id
    )
    assert run.state == SUCCEEDED, run.failure
    values = engine.outputs(run)
    assert (values["big"].integer, values["yes"].boolean) == (2**63 - 1, True)
    assert (values["text"].string, values["nothing"].string) == ("  two\n", "")
    assert (values["out"].integer, values["out2"].integer) == (1, 2)
    assert (len(values["long"].string), values["number"].number) == (5000, 1.5)
    warned = {warning.path for warning in run.warnings if warning.reason == "OUTPUT_EXTRA"}
    assert warned == {"out.txt", "out3"}


@pytest.mark.rule(
    "output.missing", "output.optional", "output.shape", "output.all-problems", "array.size",
    "array.no-gaps", "array.metadata", "dependency.matching-end", "datetime.bounds",
)  # fmt: skip
def test_everything_that_is_wrong_with_outputs_is_told_at_once(place: Place) -> None:
    engine = place.engine
    script = """
        cd /outputs; mkdir count list gap short bare one two; echo 5 > early
        echo 2019-12-31T23:59:59Z > early; echo maybe > yes
        echo 'size: 2' > list/array.yml; echo 1 > list/0; echo x > list/1
        echo 'size: 2' > gap/array.yml; echo 1 > gap/0; echo 1 > gap/2
        echo 'size: 3' > short/array.yml; echo 1 > short/0; echo 1 > bare/0
        echo 'size: 1' > one/array.yml; echo 1 > one/0; echo 'size: 0' > two/array.yml
    """
    array = {"type": {"id": "array", "subtype": "integer"}}
    early = {"type": {"id": "datetime", "after": "2020-01-01T00:00:00Z"}}
    outputs = {
        "gone": "string", "left_out": {"type": "string", "optional": True}, "count": "integer",
        "yes": "boolean", "early": early, "list": array, "gap": array, "short": array,
        "bare": array, "one": array,
        "two": {**array, "dependencies": {"matching": ["outputs/one"]}},
    }  # fmt: skip
    run = engine.client.runs.wait(
        engine.client.runs.create(engine.task(script, outputs=outputs).id, start=True).id
    )
    assert problems(run) == {
        ("gone", "OUTPUT_MISSING"), ("count", "IS_DIRECTORY"), ("yes", "NOT_BOOLEAN"),
        ("early", "NOT_AFTER"), ("list[1]", "NOT_INTEGER"), ("gap", "ARRAY_GAP"),
        ("short", "ARRAY_SIZE_MISMATCH"), ("bare", "ARRAY_METADATA_MISSING"),
        ("one", "MATCHING_SIZE"),
    }  # fmt: skip
    assert len(run.attempts) == 1


@pytest.mark.rule("parameter.absent-optional", "parameter.default-given", "value.null")
def test_what_is_not_given_is_its_default_or_nothing(place: Place) -> None:
    engine = place.engine
    inputs = {
        "level": {"type": "integer", "optional": True, "default": 7},
        "label": {"type": "string", "optional": True},
        "files": {"type": FILES, "optional": True},
        "cleared": {"type": "integer", "optional": True, "default": 1},
    }
    task = engine.task(SHOW, inputs=inputs, outputs={"seen": "string"})
    run = engine.client.runs.create(task.id, {"cleared": 5})
    engine.client.runs.provision(run.id, {"cleared": None})
    run = ended(engine, run)
    assert run.state == SUCCEEDED, run.failure
    assert seen(engine, run) == {"level": b"7", "cleared": b"1"}


@pytest.mark.rule("output.exit-code", "output.kept")
def test_a_task_that_crashes_fails_whatever_it_has_written(place: Place) -> None:
    engine = place.engine
    run = engine.run("echo 5 > /outputs/count; exit 3", outputs={"count": "integer"})
    assert run.state == FAILED
    assert run.failure.reason == run_pb2.FAILURE_REASON_TASK_EXIT_CODE
    assert run.failure.exit_code == 3
    assert engine.left_behind(run) == ["count"]
    with pytest.raises(FailedPrecondition):
        engine.client.runs.outputs(run.id)


@pytest.mark.rule("reference.inside", "reference.found", "reference.changed")
def test_references_are_refused_by_name_at_once_and_again_at_the_start(
    place: Place, datasets: Path, tmp_path: Path
) -> None:
    engine = place.engine
    (tmp_path / "secret").write_bytes(b"of somebody else")
    (datasets / "file").write_bytes(b"of the dataset")
    (datasets / "away").symlink_to(tmp_path / "secret")
    task = engine.task(inputs={"files": {"type": FILES}})
    run = engine.client.runs.create(task.id)
    paths = (datasets / "file", tmp_path / "secret", datasets / "away", datasets / "gone")
    with pytest.raises(InvalidArgument) as refused:
        engine.client.runs.provision(run.id, {"files": [Reference(str(one)) for one in paths]})
    assert [(one.path, one.reason) for one in refused.value.problems] == [
        ("files[1]", "REFERENCE_OUTSIDE"),
        ("files[2]", "REFERENCE_OUTSIDE"),
        ("files[3]", "REFERENCE_NOT_FOUND"),
    ]
    engine.client.runs.provision(run.id, {"files": [Reference(str(datasets / "file"))]})
    (datasets / "file").write_bytes(b"changed meanwhile")
    run = ended(engine, run)
    assert (run.state, run.failure.reason) == (FAILED, run_pb2.FAILURE_REASON_INPUT_UNAVAILABLE)
    assert "files[0]: " in run.failure.message
