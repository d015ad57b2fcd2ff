"""Links in outputs: what the task meant by them counts, and nothing else is ever reached."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from appengine_contract.descriptor import Descriptor, read_descriptor
from appengine_contract.values import FileValue, ReferenceValue
from appengine_server.errors import FailedPrecondition
from appengine_server.runs.layout import lay_out_once
from appengine_server.runs.outputs import (
    CollectedOutputs,
    OutputLimits,
    Outputs,
    indexed_value,
    output_references,
)
from appengine_server.runs.provisioning import GivenInput, GivenInputs, provision
from appengine_server.runs.references import References
from appengine_server.runs.stored import StoredInput, StoredInputs
from appengine_server.scheduling.scheduler import AttemptRef
from appengine_server.storage.datasets import Datasets
from appengine_server.storage.layout import StorageLayout
from appengine_server.storage.listing import list_tree

from tests.container.bundles import dump, make_descriptor
from tests.unit.test_unpacking import DICOM, LEVELS, zip_of

RUN = AttemptRef(uuid4(), 1)
FILES = {"id": "array", "subtype": "file"}
TYPES = {
    "table": "file",
    "label": "string",
    "files": FILES,
    "groups": {"id": "array", "subtype": FILES},
    "slide": "image",
    "slides": {"id": "array", "subtype": "image"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A run whose task has ended, with inputs of every kind."""

    layout: StorageLayout
    references: References
    inputs: StoredInputs
    datasets: Path

    @property
    def outputs(self) -> Path:
        return self.layout.outputs(RUN.run_id, RUN.number)

    def link(self, path: str, target: str) -> None:
        at = self.outputs / path
        at.parent.mkdir(parents=True, exist_ok=True)
        at.symlink_to(target)

    def array(self, path: str, *, size: int) -> None:
        (self.outputs / path).mkdir(parents=True)
        (self.outputs / path / "array.yml").write_text(f"size: {size}\n")

    async def collect(self, *names: str, entries: int = 1000) -> CollectedOutputs:
        limits = OutputLimits(total_bytes=1 << 40, entries=entries, unpacked_bytes=1 << 30)
        outputs = Outputs(layout=self.layout, references=self.references, limits=limits)
        collected = await outputs.collect(RUN, "p", described(*names), self.inputs)
        again = await outputs.collect(RUN, "p", described(*names), self.inputs)
        assert again == collected, "a server may be killed in between"
        assert not list(self.outputs.parent.glob("*.scratch"))
        return collected

    async def refusals(self, *names: str, entries: int = 1000) -> set[tuple[str, str]]:
        before = tree_of(self.outputs)
        problems = (await self.collect(*names, entries=entries)).problems
        assert tree_of(self.outputs) == before, "what a task left stays as it was"
        return {(problem.path, problem.reason) for problem in problems}

    def downloaded(self) -> dict[str, bytes]:
        """What whoever fetches the outputs gets."""
        recorded = output_references(self.layout, RUN.run_id, RUN.number)
        tree = list_tree(self.outputs, links=self.references.followed("p", recorded))
        found = {}
        for entry in tree.entries:
            linked = tree.elsewhere.get(entry.index)
            if entry.link_target:
                continue
            root, path = (linked.root, linked.path) if linked else (tree.root, entry.path)
            if (root / path).is_file():
                found[entry.path] = (root / path).read_bytes()
        return found


def described(*outputs: str) -> Descriptor:
    inputs = {name: {"type": type_, "optional": True} for name, type_ in TYPES.items()}
    chosen = {name: {"type": TYPES[name]} for name in outputs}
    found = read_descriptor(dump(make_descriptor(inputs=inputs, outputs=chosen))).descriptor
    assert found is not None
    return found


def tree_of(folder: Path) -> dict[str, bytes | str]:
    return {
        path.relative_to(folder).as_posix(): (
            os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else ""
        )
        for path in folder.rglob("*")
    }


def uploaded(layout: StorageLayout, files: Mapping[str, bytes]) -> StoredInput:
    upload = uuid4()
    for name, content in files.items():
        path = layout.uploaded(RUN.run_id, upload) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return StoredInput(upload=upload)


@pytest.fixture
async def bench(tmp_path: Path) -> Bench:
    datasets = tmp_path / "datasets"
    (datasets / "wsi").mkdir(parents=True)
    (datasets / "table.csv").write_bytes(b"of the dataset")
    for name, content in LEVELS.items():
        (datasets / "wsi" / name).write_bytes(content)
    (tmp_path / "secret").write_bytes(b"secret")
    layout = StorageLayout(tmp_path / "storage")
    layout.prepare()
    layout.make_attempt(RUN.run_id, RUN.number)
    references = References(Datasets(base=datasets))
    given = [
        GivenInput(parameter="table", value=ReferenceValue(str(datasets / "table.csv"))),
        GivenInput(parameter="slide", value=ReferenceValue(str(datasets / "wsi"))),
    ]
    found = await references.resolve("p", described(), GivenInputs(values=given))
    inputs, problems = provision(described(), StoredInputs(), found, index_guard=10)
    assert problems == []
    folder = {"files/array.yml": b"size: 2\n", "files/0": b"zero", "files/1": b"one"}
    inputs = inputs.with_input("files", uploaded(layout, folder))
    inputs = inputs.with_input("label", uploaded(layout, {"label": b"words"}))
    lay_out_once(layout, RUN.run_id, described(), inputs)
    return Bench(layout=layout, references=references, inputs=inputs, datasets=datasets)


@pytest.mark.rule("output.link")
@pytest.mark.parametrize(
    "target", ["/inputs/files/1", "../inputs/files/1", "/outputs/../inputs/files/1"]
)
async def test_a_link_to_an_input_stands_for_its_content(bench: Bench, target: str) -> None:
    bench.link("table", target)
    assert (await bench.collect("table")).problems == ()
    made, given = bench.outputs / "table", bench.layout.inputs(RUN.run_id) / "files/1"
    assert made.stat(follow_symlinks=False).st_ino == given.stat().st_ino, "it was not copied"
    assert bench.downloaded() == {"table": b"one"}


@pytest.mark.rule("output.link")
async def test_a_link_to_a_folder_of_items_stands_for_all_of_them(bench: Bench) -> None:
    bench.link("files", "/inputs/files")
    bench.array("groups", size=2)
    bench.link("groups/0", "../files")
    bench.link("groups/1", "/inputs/files/")
    assert (await bench.collect("files", "groups")).problems == ()
    items = {"array.yml": b"size: 2\n", "0": b"zero", "1": b"one"}
    assert bench.downloaded() == {
        **{f"files/{name}": content for name, content in items.items()},
        "groups/array.yml": b"size: 2\n",
        **{f"groups/{i}/{name}": content for i in (0, 1) for name, content in items.items()},
    }
    assert not any(path.is_symlink() for path in bench.outputs.rglob("*"))


@pytest.mark.rule("output.link")
async def test_links_to_other_outputs_and_through_other_links_are_followed(bench: Bench) -> None:
    (bench.outputs / "work").mkdir()
    (bench.outputs / "work/found").write_bytes(b"found")
    bench.link("work/latest", "found")
    bench.link("label", "work/latest")
    bench.array("files", size=1)
    bench.link("files/0", "../work/../label")
    assert (await bench.collect("label", "files")).problems == ()
    found = bench.downloaded()
    assert (found["label"], found["files/0"]) == (b"found", b"found")


@pytest.mark.rule("output.link", "reference.read-only")
@pytest.mark.parametrize("by_input", [True, False])
async def test_what_lies_in_a_dataset_stays_there(bench: Bench, by_input: bool) -> None:
    bench.link("table", "/inputs/table" if by_input else str(bench.datasets / "table.csv"))
    bench.array("slides", size=1)
    bench.link("slides/0", "/inputs/slide" if by_input else str(bench.datasets / "wsi"))
    before = tree_of(bench.datasets)
    assert (await bench.collect("table", "slides")).problems == ()
    assert tree_of(bench.datasets) == before
    assert (bench.outputs / "table").is_symlink()
    assert bench.downloaded() == {
        "table": b"of the dataset",
        "slides/array.yml": b"size: 1\n",
        **{f"slides/0/{name}": content for name, content in LEVELS.items()},
    }


@pytest.mark.rule("output.link")
async def test_what_changed_in_the_dataset_since_is_told(bench: Bench) -> None:
    bench.link("table", "/inputs/table")
    assert (await bench.collect("table")).problems == ()
    (bench.datasets / "table.csv").write_bytes(b"something else")
    with pytest.raises(FailedPrecondition, match="has changed"):
        bench.downloaded()


@pytest.mark.rule("output.link")
async def test_one_file_of_a_picture_may_be_a_link(bench: Bench) -> None:
    (bench.outputs / "slide").mkdir()
    bench.link("slide/a.dcm", "/inputs/slide/level0.dcm")
    (bench.outputs / "slide/b.dcm").write_bytes(DICOM)
    assert (await bench.collect("slide")).problems == ()
    assert bench.downloaded() == {"slide/a.dcm": LEVELS["level0.dcm"], "slide/b.dcm": DICOM}


@pytest.mark.rule("output.unsafe-link")
@pytest.mark.parametrize(
    "target",
    [
        "/etc/passwd",
        "../../../../secret",
        "/outputs/../../secret",
        "/inputs/../etc/passwd",
        "nothing",
        "table",
        "/inputs/nothing",
        "/",
        "/proc/self/environ",
        "{base}/secret",
        "{base}/storage/runs",
        "{base}/datasets/../secret",
        "{base}/datasets/other.csv",
        "/inputs2/table",
    ],
)
async def test_any_other_link_is_refused_by_name(bench: Bench, target: str) -> None:
    (bench.datasets / "other.csv").symlink_to(bench.datasets.parent / "secret")
    target = target.format(base=bench.datasets.parent)
    bench.link("table", target)
    bench.array("files", size=1)
    bench.link("files/0", target if target.startswith("/") else f"../{target}")
    found = await bench.refusals("table", "files")
    if target == "/":
        assert {path for path, _ in found} == {"table", "files[0]"}
    else:
        assert found == {("table", "OUTPUT_UNSAFE_LINK"), ("files[0]", "OUTPUT_UNSAFE_LINK")}


@pytest.mark.rule("output.unsafe-link")
async def test_links_in_a_circle_are_refused(bench: Bench) -> None:
    bench.link("table", "label")
    bench.link("label", "table")
    bench.array("groups", size=1)
    bench.link("groups/0", "../groups")
    assert await bench.refusals("table", "label", "groups") == {
        ("table", "OUTPUT_UNSAFE_LINK"),
        ("label", "OUTPUT_UNSAFE_LINK"),
        ("groups[0][0]", "IS_DIRECTORY"),
    }


@pytest.mark.rule("output.unsafe-link", "output.extra-is-warning")
async def test_links_beside_the_outputs_are_neither_followed_nor_handed_out(bench: Bench) -> None:
    (bench.outputs / "table").write_bytes(b"table")
    bench.link("loop", ".")
    bench.link("away", "/etc/passwd")
    bench.array("files", size=0)
    bench.link("files/notes", "/etc/passwd")
    bench.link("files/round", "..")
    collected = await bench.collect("table", "files")
    assert collected.problems == ()
    extras = {warning.path for warning in collected.warnings}
    assert extras == {"loop", "away", "files/notes", "files/round"}
    assert bench.downloaded() == {"table": b"table", "files/array.yml": b"size: 0\n"}


@pytest.mark.rule("output.special-file")
async def test_pipes_are_refused_unopened(bench: Bench) -> None:
    os.mkfifo(bench.outputs / "pipe")
    bench.link("table", "pipe")
    os.mkfifo(bench.outputs / "label")
    assert await bench.refusals("table", "label") == {
        ("table", "OUTPUT_UNSAFE_LINK"),
        ("label", "OUTPUT_SPECIAL_FILE"),
    }


@pytest.mark.rule("output.limits")
async def test_links_may_not_lead_to_more_than_a_task_may_write(bench: Bench) -> None:
    bench.array("groups", size=20)
    for index in range(20):
        bench.link(f"groups/{index}", "/inputs/files")
    assert await bench.refusals("groups", entries=30) == {("", "OUTPUT_TOO_LARGE")}


@pytest.mark.rule("image-type.zip")
async def test_zipped_pictures_become_folders_also_behind_links(bench: Bench) -> None:
    (bench.outputs / "slide").write_bytes(zip_of(LEVELS))
    bench.array("slides", size=2)
    bench.link("slides/0", "../slide")
    (bench.outputs / "slides/1").write_bytes(zip_of({"only.dcm": DICOM}))
    collected = await bench.collect("slide", "slides")
    assert collected.problems == ()
    slide = indexed_value(collected.index["slide"])
    assert slide == FileValue("slide", sum(map(len, LEVELS.values())), 2, "wsidicom")
    assert bench.downloaded() == {
        **{f"slide/{name}": content for name, content in LEVELS.items()},
        "slides/array.yml": b"size: 2\n",
        **{f"slides/0/{name}": content for name, content in LEVELS.items()},
        "slides/1/only.dcm": DICOM,
    }


@pytest.mark.rule("image-type.zip-unsafe")
async def test_an_unsafe_zip_fails_the_output(bench: Bench) -> None:
    (bench.outputs / "slide").write_bytes(zip_of({"../../inputs/label": DICOM}))
    assert await bench.refusals("slide") == {("slide", "ZIP_UNSAFE")}
