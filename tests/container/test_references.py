"""Inputs that are files of datasets: read by real tasks through links, and never copied."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from appengine.v1 import run_pb2, storage_service_pb2, task_pb2
from appengine_client import Client, InputPython, LocalFile, Reference, connect
from appengine_client.errors import FailedPrecondition, InvalidArgument

from tests.container.bundles import make_bundle
from tests.container.callers import issue_certificate
from tests.container.engine_server import REAL, Engine, FailureReason, RunState, started
from tests.server_process import ServerProcess

pytestmark = REAL

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (64).to_bytes(4, "big") + (32).to_bytes(4, "big")
DICOM = bytes(128) + b"DICM"


def array_of(subtype: object, **more: object) -> dict[str, object]:
    return {"type": {"id": "array", "subtype": subtype}, **more}


INPUTS = {
    "image": {"type": "image", "optional": True},
    "table": {"type": {"id": "file", "formats": ["text"]}, "optional": True},
    "slides": array_of({"id": "image"}, optional=True),
    "more": array_of({"id": "file"}, optional=True),
    "groups": array_of({"id": "array", "subtype": {"id": "image"}}, optional=True),
}
SCRIPT = r"""
cd /inputs
for place in /inputs/x "$(readlink table)" "$(readlink image)/x" "$(readlink slides/0)"; do
    (echo x >> "$place") 2>/dev/null && echo "wrote $place"
done
find -L . -type f ! -name array.yml | sort | xargs -r md5sum
find . -name array.yml | sort | xargs -r cat
true
"""


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all datasets, whose path has what shells trip over."""
    folder: Path = tmp_path_factory.mktemp("data sets $x")
    return folder


@pytest.fixture(scope="module")
def engine(
    engine_url: str, tmp_path_factory: pytest.TempPathFactory, datasets: Path
) -> Iterator[Engine]:
    settings = {"REF_STORAGE_BASE_PATH": str(datasets)}
    with started(tmp_path_factory.mktemp("engine"), engine_url, settings) as running:
        yield running


@pytest.fixture(scope="module")
def reader(engine: Engine) -> task_pb2.Task:
    """A task that tells what it finds in its input folder."""
    return engine.task(SCRIPT, inputs=INPUTS)


@pytest.fixture
def data(datasets: Path, request: pytest.FixtureRequest) -> Path:
    """A dataset of the test's own."""
    folder: Path = datasets / request.node.name
    (folder / "wsi").mkdir(parents=True)
    for number in (1, 2, 10):
        (folder / f"s{number}.png").write_bytes(PNG + b"%d" % number)
        (folder / "wsi" / f"{number}.dcm").write_bytes(DICOM + b"%d" % number)
    (folder / "table.csv").write_text("a,b\n")
    (folder / "link.png").symlink_to("s2.png")
    return folder


def found_by(engine: Engine, run: run_pb2.Run) -> tuple[list[str], list[str]]:
    """Paths that the task could read, and the other lines that it printed."""
    assert run.state == RunState.RUN_STATE_SUCCEEDED, run.failure
    lines = engine.log(run).decode().splitlines()
    read = [line.partition("  ./")[2] for line in lines if "  ./" in line]
    return read, [line for line in lines if "  ./" not in line]


def own_bytes(folder: Path) -> int:
    """Content in the regular files below a folder; what links lead to is not in it."""
    return sum(
        path.lstat().st_size
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    )


def reasons(error: InvalidArgument | FailedPrecondition) -> dict[str, str]:
    return {problem.path: problem.reason for problem in error.problems}


@pytest.mark.rule("array.mixed", "reference.read-only", "reference.link", "reference.many")
def test_references_of_every_shape_are_read_through_links(
    engine: Engine, reader: task_pb2.Task, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "own.png").write_bytes(PNG)
    before = {path: path.lstat() for path in [data, *data.rglob("*")]}
    inputs: dict[str, InputPython] = {
        "image": Reference(f"{data}/wsi"),
        "table": Reference(f"{data}/table.csv"),
        "slides": Reference.pattern(f"{data}/s*.png"),
        "more": [Reference(f"{data}/link.png"), tmp_path / "own.png"],
        "groups": [[Reference(f"{data}/s1.png")], Reference.pattern(f"{data}/s1*")],
    }
    run = engine.client.runs.create(reader.id, inputs, start=True)
    run = engine.client.runs.wait(run.id)
    read, others = found_by(engine, run)
    assert read == [
        "groups/0/0", "groups/1/0", "groups/1/1", "image/1.dcm", "image/10.dcm", "image/2.dcm",
        "more/0", "more/1", "slides/0", "slides/1", "slides/2", "table",
    ]  # fmt: skip
    assert others == ["size: 1", "size: 2", "size: 2", "size: 2", "size: 3"]
    after = {path: path.lstat() for path in [data, *data.rglob("*")]}
    assert {path: (s.st_ino, s.st_mtime_ns, s.st_size) for path, s in after.items()} == {
        path: (s.st_ino, s.st_mtime_ns, s.st_size) for path, s in before.items()
    }
    stored = engine.server.storage / "runs" / run.id
    assert os.readlink(stored / "inputs" / "more" / "0") == f"{data}/s2.png"
    assert own_bytes(stored / "inputs") == len(PNG) + 5 * len("size: n\n")
    values = {value.parameter: value for value in engine.client.runs.inputs(run.id)}
    assert values["image"].value.dataset.path == f"{data}/wsi"
    assert values["image"].content.file_count == 3
    assert values["image"].content.format == "wsidicom"
    assert [item.dataset.path for item in values["slides"].value.array.items] == [
        f"{data}/s{number}.png" for number in (1, 2, 10)
    ]


def test_whoever_asks_for_the_inputs_gets_the_content(
    engine: Engine, reader: task_pb2.Task, data: Path, tmp_path: Path
) -> None:
    inputs: dict[str, InputPython] = {
        "image": Reference(f"{data}/wsi"),
        "slides": [Reference(f"{data}/s1.png"), Reference(f"{data}/link.png")],
    }
    run = engine.client.runs.create(reader.id, inputs)
    resource = storage_service_pb2.Resource(run_inputs=run.id)
    for state in ("before the start", "after the end"):
        listed = {entry.path: entry.size_bytes for entry in engine.client.runs.files(resource)}
        assert listed["image/10.dcm"] == len(DICOM) + 2
        assert listed["slides/1"] == len(PNG) + 1
        folder = tmp_path / state
        engine.client.runs.download_inputs(run.id, folder)
        assert (folder / "image" / "2.dcm").read_bytes() == DICOM + b"2"
        assert (folder / "slides" / "1").read_bytes() == PNG + b"2"
        assert not any(path.is_symlink() for path in folder.rglob("*"))
        if state == "before the start":
            engine.client.runs.start(run.id)
            engine.client.runs.wait(run.id)
    (data / "s1.png").write_bytes(PNG)
    with pytest.raises(FailedPrecondition) as refused:
        engine.client.runs.download_inputs(run.id, tmp_path / "changed")
    assert reasons(refused.value) == {"slides/0": "REFERENCE_CHANGED"}


@pytest.mark.rule("reference.checked")
def test_every_problem_is_told_at_once(
    engine: Engine, reader: task_pb2.Task, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret.png").write_bytes(PNG)
    (data / "out.png").symlink_to(tmp_path / "secret.png")
    inputs: dict[str, InputPython] = {
        "image": Reference(f"{data}/none"),
        "table": Reference(f"{data}/s1.png"),
        "slides": [
            Reference(f"{data}/s1.png"), Reference(f"{data}/out.png"), Reference("/etc/passwd"),
        ],
        "more": Reference.pattern(f"{data}/*.svs"),
    }  # fmt: skip
    expected = {
        "image": "REFERENCE_NOT_FOUND",
        "table": "FILE_FORMAT",
        "slides[1]": "REFERENCE_OUTSIDE",
        "slides[2]": "REFERENCE_OUTSIDE",
        "more": "REFERENCE_NOT_FOUND",
    }
    with pytest.raises(InvalidArgument) as refused:
        engine.client.runs.create(reader.id, inputs)
    assert reasons(refused.value) == expected
    assert all(str(data) in p.message or "passwd" in p.message for p in refused.value.problems)
    run = engine.client.runs.create(reader.id, {})
    with pytest.raises(InvalidArgument) as refused:
        engine.client.runs.provision(run.id, inputs)
    assert reasons(refused.value) == expected


@pytest.mark.rule("reference.changed")
def test_what_changes_before_the_start_fails_the_run_by_name(
    engine: Engine, reader: task_pb2.Task, data: Path, tmp_path: Path
) -> None:
    inputs: dict[str, InputPython] = {
        "image": Reference(f"{data}/s10.png"),
        "slides": [Reference(f"{data}/s1.png"), Reference(f"{data}/s2.png")],
    }
    run = engine.client.runs.create(reader.id, inputs)
    (data / "s10.png").unlink()
    (tmp_path / "secret").write_bytes(PNG + b"10")
    (data / "s10.png").symlink_to(tmp_path / "secret")
    (data / "s2.png").write_bytes(PNG + b"another")
    engine.client.runs.start(run.id)
    failed = engine.client.runs.wait(run.id)
    assert failed.state == RunState.RUN_STATE_FAILED
    assert failed.failure.reason == FailureReason.FAILURE_REASON_INPUT_UNAVAILABLE
    assert f"{data}/s10.png" in failed.failure.message
    assert f"{data}/s2.png" in failed.failure.message
    assert f"{data}/s1.png" not in failed.failure.message
    assert len(failed.attempts) == 1
    assert engine.containers(run.id) == []
    with pytest.raises(FailedPrecondition) as refused:
        engine.client.runs.retry(run.id)
    assert reasons(refused.value) == {"image": "REFERENCE_OUTSIDE"}
    (data / "s10.png").unlink()
    (data / "s10.png").write_bytes(PNG)
    again = engine.client.runs.wait(engine.client.runs.retry(run.id).id)
    assert found_by(engine, again)[0] == ["image", "slides/0", "slides/1"]


def test_the_command_line_takes_patterns_paths_and_local_files(
    engine: Engine, reader: task_pb2.Task, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "own.txt").write_text("own")
    (tmp_path / "inputs.json").write_text(
        json.dumps({"groups": [[f"ref:{data}/s1.png"], f"ref:{data}/s?.png"]})
    )
    done = engine.cli(
        "run", reader.id, "--inputs", tmp_path / "inputs.json",
        "--input", f"slides=ref:{data}/s*.png", "--input", f"image=ref:{data}/link.png",
        "--input", f"more=ref:{data}/table.csv", "--input", f"more=@{tmp_path}/own.txt",
        "--output-dir", tmp_path / "out", json=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    run = engine.client.runs.get(json.loads(done.stdout)["id"])
    assert found_by(engine, run)[0] == [
        "groups/0/0", "groups/1/0", "groups/1/1", "image", "more/0", "more/1",
        "slides/0", "slides/1", "slides/2",
    ]  # fmt: skip
    links = engine.server.storage / "runs" / run.id / "inputs" / "slides"
    assert [os.readlink(links / str(index)) for index in range(3)] == [
        f"{data}/s{number}.png" for number in (1, 2, 10)
    ]
    wrong = engine.cli(
        "run", reader.id, "--input", f"slides=ref:{data}/*.svs", "--output-dir", tmp_path / "out2"
    )
    assert wrong.returncode != 0
    assert f"No file matches {data}/*.svs" in wrong.stderr


@pytest.mark.rule("image-type.companion", "reference.many")
def test_companions_lie_beside_references(
    engine: Engine, reader: task_pb2.Task, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "where.geojson").write_text('{"type": "Point", "coordinates": [1, 2]}')
    (tmp_path / "own.png").write_bytes(PNG)
    own = LocalFile(path=tmp_path / "own.png", companion=tmp_path / "where.geojson")
    run = engine.client.runs.create(
        reader.id, {"slides": [Reference(f"{data}/s1.png"), own]}, start=True
    )
    run = engine.client.runs.wait(run.id)
    assert found_by(engine, run)[0] == ["slides/0", "slides/1", "slides/1.geojson"]


@pytest.mark.timeout(120)
def test_ten_thousand_files_are_provisioned_and_a_thousand_are_read(
    engine: Engine, reader: task_pb2.Task, data: Path
) -> None:
    (data / "many").mkdir()
    for number in range(10_000):
        (data / "many" / f"{number}.png").write_bytes(PNG)
    run = engine.client.runs.create(reader.id, {})
    stored = engine.server.storage / "runs" / run.id
    started_at = time.monotonic()
    engine.client.runs.provision(run.id, {"slides": Reference.pattern(f"{data}/many/*.png")})
    seconds = time.monotonic() - started_at
    print(f"10,000 references in {seconds:.2f} s")
    assert seconds < 3 * _slowness()
    assert not stored.exists() or own_bytes(stored) == 0
    thousand = [Reference(f"{data}/many/{number}.png") for number in range(1000)]
    run = engine.client.runs.create(reader.id, {"slides": thousand}, start=True)
    read, others = found_by(engine, engine.client.runs.wait(run.id))
    assert len(read) == 1000
    assert others == ["size: 1000"]


def _slowness() -> float:
    """How many times busier the machine is than its processors can serve."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@pytest.fixture
async def two_labs(
    engine_url: str, tmp_path: Path, datasets: Path
) -> AsyncIterator[tuple[Client, Client]]:
    """Clients of two projects, each with a folder of its own and one for all."""
    ca_certificate, tls = issue_certificate(tmp_path)
    tokens = tmp_path / "tokens"
    tokens.touch(mode=0o600)
    tokens.write_text("token-of-anna-0123456789 anna annas\ntoken-of-bert-0123456789 bert berts\n")
    settings = {
        **tls, "TOKENS_FILE": str(tokens), "REF_STORAGE_BASE_PATH": str(datasets),
        "REF_STORAGE_PROJECT_ROOTS": "annas=annas,all;*=all", "SCHEDULER_SHM": "16Mi",
    }  # fmt: skip
    for name in ("annas", "all", "nobodys"):
        (datasets / name).mkdir()
        (datasets / name / "a.png").write_bytes(PNG)
    server = ServerProcess(folder=tmp_path / "server", engine_url=engine_url, settings=settings)
    server.start()
    try:
        async with AsyncExitStack() as stack:
            anna, bert = [
                await stack.enter_async_context(
                    connect(
                        server.address,
                        token=f"token-of-{name}-0123456789",
                        ca_certificate=ca_certificate,
                    )
                )
                for name in ("anna", "bert")
            ]
            yield anna, bert
    finally:
        server.stop()


async def test_projects_use_their_own_folders(
    two_labs: tuple[Client, Client], datasets: Path, tmp_path: Path
) -> None:
    inputs: dict[str, str | dict[str, object]] = {"slides": array_of({"id": "image"})}
    bundle = make_bundle(tmp_path / "task.zip", inputs=inputs, script="cat /inputs/slides/*")
    refused: list[list[str]] = []
    for client in two_labs:
        task = await client.tasks.upload(bundle)
        wanted = [Reference(f"{datasets}/{name}/a.png") for name in ("annas", "all", "nobodys")]
        with pytest.raises(InvalidArgument) as error:
            await client.runs.create(task.id, {"slides": wanted})
        refused.append(sorted(reasons(error.value)))
        run = await client.runs.create(
            task.id, {"slides": Reference.pattern(f"{datasets}/all/*")}, start=True
        )
        assert (await client.runs.wait(run.id)).state == RunState.RUN_STATE_SUCCEEDED
        await client.tasks.delete(task.id, force=True)
    assert refused == [["slides[2]"], ["slides[0]", "slides[2]"]]


def test_a_start_that_would_serve_the_storage_as_a_dataset_is_refused(
    engine_url: str, tmp_path: Path
) -> None:
    settings = {"REF_STORAGE_BASE_PATH": str(tmp_path)}
    server = ServerProcess(folder=tmp_path / "server", engine_url=engine_url, settings=settings)
    with pytest.raises(AssertionError, match="REF_STORAGE_BASE_PATH"):
        server.start()
