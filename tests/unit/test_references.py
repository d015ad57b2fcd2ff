"""References to files of datasets: resolved and checked together, compared again, few mounts."""

from __future__ import annotations

import os
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from appengine_contract.descriptor import Descriptor, read_descriptor
from appengine_contract.values import ArrayValue, ReferencePattern, ReferenceValue, Value
from appengine_server.errors import FailedPrecondition
from appengine_server.runs.layout import lay_out_once
from appengine_server.runs.provisioning import GivenInput, GivenInputs, provision
from appengine_server.runs.references import References, failure_of, merge_folders
from appengine_server.runs.stored import (
    StoredInput,
    StoredInputs,
    inputs_from_json,
    inputs_to_json,
)
from appengine_server.storage.datasets import DatasetRoots, Datasets
from appengine_server.storage.downloads import read_chunks
from appengine_server.storage.layout import StorageLayout
from appengine_server.storage.listing import Tree, list_tree

from tests.container.bundles import dump, make_descriptor

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (64).to_bytes(4, "big") + (32).to_bytes(4, "big")
DICOM = bytes(128) + b"DICM"


def described(**inputs: Any) -> Descriptor:
    found = read_descriptor(dump(make_descriptor(inputs=inputs))).descriptor
    assert found is not None
    return found


def array_of(subtype: Any, **bounds: int) -> Mapping[str, Any]:
    return {"type": {"id": "array", "subtype": subtype, **bounds}}


TASK = described(
    image="image",
    table="file",
    count="integer",
    narrow={"type": {"id": "image", "formats": ["png"], "max_width": 50}},
    slides=array_of({"id": "image"}, max_size=20_000),
    groups=array_of({"id": "array", "subtype": {"id": "image"}}),
    files=array_of({"id": "file", "max_file_size": "1k"}),
)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "wsi").mkdir(parents=True)
    for number in (1, 2, 10):
        (folder / f"s{number}.png").write_bytes(PNG)
        (folder / "wsi" / f"{number}.dcm").write_bytes(DICOM)
    (folder / "table.csv").write_text("a,b")
    with zipfile.ZipFile(folder / "wsi.zip", "w") as archive:
        archive.writestr("1.dcm", DICOM)
    return folder


@pytest.fixture
def references(base: Path) -> References:
    return References(Datasets(base=base, narrowed={"narrow": ["wsi"]}))


async def given(
    references: References, project: str = "p", task: Descriptor = TASK, **values: Value
) -> tuple[StoredInputs, dict[str, str]]:
    """What the values become, and the reasons of the problems."""
    order = GivenInputs(values=[GivenInput(parameter=n, value=v) for n, v in values.items()])
    resolved = await references.resolve(project, task, order)
    inputs, problems = provision(task, StoredInputs(), resolved, index_guard=100)
    return inputs, {problem.path: problem.reason for problem in problems}


def array(*items: Value) -> ArrayValue:
    return ArrayValue(items)


def snapshot(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Everything of a folder that writing would change."""
    return {
        str(path): (status.st_ino, status.st_size, status.st_mtime_ns)
        for path in [folder, *folder.rglob("*")]
        if (status := path.lstat())
    }


@pytest.mark.rule("reference.absolute", "reference.read-only", "reference.many")
async def test_references_of_every_shape(references: References, base: Path) -> None:
    before = snapshot(base)
    slide = ReferenceValue(str(base / "s1.png"))
    inputs, problems = await given(
        references,
        image=ReferenceValue(str(base / "wsi")),
        table=ReferenceValue(str(base / "table.csv")),
        slides=ReferencePattern(str(base / "*.png")),
        groups=array(array(slide), ReferencePattern(str(base / "s1*")), array()),
    )
    assert problems == {}
    found = dict(inputs.references())
    assert [os.path.basename(found[f"slides[{i}]"].path) for i in range(3)] == [
        "s1.png", "s2.png", "s10.png",
    ]  # fmt: skip
    assert set(found) == {
        "image", "table", "slides[0]", "slides[1]", "slides[2]",
        "groups[0][0]", "groups[1][0]", "groups[1][1]",
    }  # fmt: skip
    assert (found["image"].format, found["image"].file_count) == ("wsidicom", 3)
    assert found["image"].size_bytes == 3 * len(DICOM)
    assert found["slides[0]"].format == "png"
    assert inputs_from_json(inputs_to_json(inputs)) == inputs
    assert snapshot(base) == before


@pytest.mark.rule(
    "reference.absolute",
    "reference.inside",
    "reference.found",
    "reference.zip",
    "reference.checked",
)
async def test_every_problem_is_told_at_once_by_name(
    references: References, base: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret.png").write_bytes(PNG)
    (base / "out.png").symlink_to(tmp_path / "secret.png")
    os.mkfifo(base / "pipe")
    (base / "large").write_bytes(bytes(1001))
    (base / "nested" / "inner").mkdir(parents=True)
    _, problems = await given(
        references,
        image=ReferenceValue(str(base / "wsi.zip")),
        table=ReferenceValue(str(base / "wsi")),
        count=ReferenceValue(str(base / "table.csv")),
        narrow=ReferenceValue(str(base / "s1.png")),
        slides=array(
            ReferenceValue(str(base / "s1.png")),
            ReferenceValue(str(base / "none.png")),
            ReferenceValue(str(base / "out.png")),
            ReferenceValue("relative.png"),
            ReferenceValue(str(base / "pipe")),
            ReferenceValue(str(base / "nested")),
            ReferencePattern(str(base / "*.png")),
        ),
        groups=array(ReferencePattern(str(base / "*.svs")), ReferencePattern("/etc/*")),
        files=array(ReferenceValue(str(base / "large"))),
        unknown=ReferenceValue(str(base / "table.csv")),
    )
    assert problems == {
        "image": "REFERENCE_ZIP",
        "table": "IS_DIRECTORY",
        "count": "VALUE_KIND",
        "narrow": "IMAGE_TOO_WIDE",
        "slides[1]": "REFERENCE_NOT_FOUND",
        "slides[2]": "REFERENCE_OUTSIDE",
        "slides[3]": "REFERENCE_OUTSIDE",
        "slides[4]": "REFERENCE_NOT_FOUND",
        "slides[5]": "REFERENCE_NOT_FOUND",
        "slides[6]": "VALUE_KIND",
        "groups[0]": "REFERENCE_NOT_FOUND",
        "groups[1]": "REFERENCE_OUTSIDE",
        "files[0]": "FILE_TOO_LARGE",
        "unknown": "PARAMETER_UNKNOWN",
    }


@pytest.mark.rule("reference.zip")
async def test_a_zip_of_another_format_is_no_image(references: References, base: Path) -> None:
    _, problems = await given(references, narrow=ReferenceValue(str(base / "wsi.zip")))
    assert problems == {"narrow": "IMAGE_FORMAT"}
    inputs, problems = await given(references, table=ReferenceValue(str(base / "wsi.zip")))
    assert problems == {}
    assert len(list(inputs.references())) == 1


@pytest.mark.rule("reference.checked")
async def test_what_a_pattern_stands_for_is_checked_like_any_array(
    references: References, base: Path
) -> None:
    task = described(two=array_of({"id": "image"}, max_size=2))
    pattern = ReferencePattern(str(base / "*.png"))
    assert (await given(references, task=task, two=pattern))[1] == {"two": "ARRAY_TOO_LARGE"}


async def test_projects_have_their_own_roots(references: References, base: Path) -> None:
    both = array(ReferenceValue(str(base / "wsi" / "1.dcm")), ReferenceValue(str(base / "s1.png")))
    assert (await given(references, "p", slides=both))[1] == {}
    assert (await given(references, "narrow", slides=both))[1] == {"slides[1]": "REFERENCE_OUTSIDE"}
    pattern = ReferencePattern(str(base / "*.png"))
    assert (await given(references, "narrow", slides=pattern))[1] == {"slides": "REFERENCE_OUTSIDE"}


@pytest.mark.rule("reference.changed")
async def test_changes_before_the_start_are_named(references: References, base: Path) -> None:
    slides = ReferencePattern(str(base / "s*.png"))
    inputs, _ = await given(references, slides=slides, image=ReferenceValue(str(base / "wsi")))
    assert (await references.check("p", inputs)).problems == []
    (base / "s1.png").unlink()
    (base / "s2.png").write_bytes(PNG + b"more")
    (base / "s10.png").rename(base / "moved.png")
    (base / "s10.png").symlink_to(base / "moved.png")
    (base / "wsi" / "3.dcm").touch()
    checked = await references.check("p", inputs)
    assert {problem.path: problem.reason for problem in checked.problems} == {
        "slides[0]": "REFERENCE_NOT_FOUND",
        "slides[1]": "REFERENCE_CHANGED",
        "slides[2]": "REFERENCE_NOT_FOUND",
        "image": "REFERENCE_CHANGED",
    }
    sentence = failure_of(checked.problems).message
    assert str(base / "s1.png") in sentence
    assert "And 1 more." in sentence
    assert {p.reason for p in (await references.check("narrow", inputs)).problems} == {
        "REFERENCE_OUTSIDE", "REFERENCE_CHANGED",
    }  # fmt: skip


async def test_another_run_takes_them_as_they_are_then(references: References, base: Path) -> None:
    inputs, _ = await given(references, image=ReferenceValue(str(base / "s1.png")))
    items = {(0,): StoredInput(value=ReferenceValue(str(base / "s2.png")))}
    inputs = inputs.with_items("slides", items)
    inputs, problems = await references.refresh("p", TASK, inputs)
    assert not problems
    (base / "s1.png").write_bytes(PNG + b"more")
    assert (await references.check("p", inputs)).problems
    again, problems = await references.refresh("p", TASK, inputs)
    assert not problems
    assert (await references.check("p", again)).problems == []
    (base / "s2.png").unlink()
    assert [p.path for p in (await references.refresh("p", TASK, again))[1]] == ["slides[0]"]
    without = StoredInputs()
    assert await references.refresh("p", TASK, without) == (without, ())


@pytest.mark.rule("array.item-order")
async def test_items_replace_those_of_an_array_that_was_given_whole(
    references: References, base: Path
) -> None:
    inputs, _ = await given(references, slides=ReferencePattern(str(base / "s*.png")))
    other = ReferenceValue(str(base / "wsi"))
    order = GivenInputs(values=[GivenInput(parameter="slides", index=(1,), value=other)])
    resolved = await references.resolve("p", TASK, order)
    inputs, problems = provision(TASK, inputs, resolved, index_guard=100)
    assert not problems
    names = [os.path.basename(value.path) for _, value in inputs.references()]
    assert names == ["s1.png", "wsi", "s10.png"]


async def test_only_the_folders_that_are_referenced_are_mounted(
    references: References, base: Path
) -> None:
    (base / "wsi" / "4.dcm").symlink_to("../more/4.dcm")
    (base / "more").mkdir()
    (base / "more" / "4.dcm").write_bytes(DICOM)
    inputs, problems = await given(references, image=ReferenceValue(str(base / "wsi")))
    assert not problems
    folders = (await references.check("p", inputs)).folders
    assert folders == (base / "more", base / "wsi")
    inputs, _ = await given(references, table=ReferenceValue(str(base / "table.csv")))
    assert (await references.check("p", inputs)).folders == (base,)
    assert (await references.check("p", StoredInputs())).folders == ()


def test_many_folders_become_their_parents() -> None:
    roots = DatasetRoots(("/data/p",))
    assert merge_folders({"/data/p/a/b", "/data/p/a", "/data/p/ab"}, roots) == [
        "/data/p/a", "/data/p/ab",
    ]  # fmt: skip
    many = {f"/data/p/{n % 7}/{n}" for n in range(100)}
    assert merge_folders(many, roots) == [f"/data/p/{n}" for n in range(7)]
    assert merge_folders({f"/data/p/{n}" for n in range(100)}, roots) == ["/data/p"]
    assert len(merge_folders({f"/data/p/{n}" for n in range(32)}, roots)) == 32
    wide = DatasetRoots(tuple(f"/data/{n}" for n in range(40)))
    assert len(merge_folders({f"/data/{n}/x" for n in range(40)}, wide)) == 40


async def laid_out(references: References, base: Path, storage: Path) -> tuple[Path, StoredInputs]:
    inputs, problems = await given(
        references,
        image=ReferenceValue(str(base / "wsi")),
        slides=ReferencePattern(str(base / "s*.png")),
        table=ReferenceValue(str(base / "table.csv")),
    )
    assert not problems
    layout = StorageLayout(storage)
    layout.prepare()
    run = "run-1"
    return lay_out_once(layout, run, TASK, inputs), inputs  # type: ignore[arg-type]


async def fetched(tree: Tree) -> bytes:
    return b"".join([chunk.data async for chunk in read_chunks(tree)])


@pytest.mark.rule("reference.link", "reference.cluster")
async def test_the_input_folder_has_links_and_others_are_sent_the_content(
    references: References, base: Path, tmp_path: Path
) -> None:
    folder, inputs = await laid_out(references, base, tmp_path / "storage")
    assert os.readlink(folder / "image") == str(base / "wsi")
    assert os.readlink(folder / "slides" / "2") == str(base / "s10.png")
    links = references.links("p", inputs)
    tree = list_tree(folder, links=links)
    assert [(entry.path, entry.kind.name.lower(), entry.size_bytes) for entry in tree.entries] == [
        ("image", "folder", 0),
        ("image/1.dcm", "file", len(DICOM)),
        ("image/10.dcm", "file", len(DICOM)),
        ("image/2.dcm", "file", len(DICOM)),
        ("slides", "folder", 0),
        ("slides/0", "file", len(PNG)),
        ("slides/1", "file", len(PNG)),
        ("slides/2", "file", len(PNG)),
        ("slides/array.yml", "file", len("size: 3\n")),
        ("table", "file", 3),
    ]
    assert not tree.left_out
    assert await fetched(tree) == DICOM * 3 + PNG * 3 + b"size: 3\n" + b"a,b"
    for path, content in (
        ("table", b"a,b"), ("slides/2", PNG), ("image", DICOM * 3), ("image/10.dcm", DICOM),
    ):  # fmt: skip
        assert await fetched(list_tree(folder, path, links=links)) == content
    again = list_tree(folder, links=references.links("p", inputs))
    assert again.etag == tree.etag


@pytest.mark.rule("reference.cluster")
async def test_links_travel_as_they_are_to_who_mounts_the_datasets(
    references: References, base: Path, tmp_path: Path
) -> None:
    folder, inputs = await laid_out(references, base, tmp_path / "storage")
    (folder / "foreign").symlink_to("/etc/passwd")
    assert list_tree(folder, links=references.agents_links("p", inputs)).elsewhere
    mounted = References(references.datasets, on_nodes=True)
    tree = list_tree(folder, links=mounted.agents_links("p", inputs))
    targets = {entry.path: entry.link_target for entry in tree.entries if entry.link_target}
    assert targets["image"] == str(base / "wsi")
    assert len(targets) == 5
    assert [problem.path for problem in tree.left_out] == ["foreign"]
    followed = list_tree(folder, links=references.links("p", inputs))
    assert [problem.path for problem in followed.left_out] == ["foreign"]


async def test_content_that_changed_is_not_sent(
    references: References, base: Path, tmp_path: Path
) -> None:
    folder, inputs = await laid_out(references, base, tmp_path / "storage")
    tree = list_tree(folder, links=references.links("p", inputs))
    (tmp_path / "secret").write_text("a,b")
    (base / "table.csv").unlink()
    (base / "table.csv").symlink_to(tmp_path / "secret")
    with pytest.raises(Exception, match="table"):
        await fetched(tree)
    with pytest.raises(FailedPrecondition) as refused:
        list_tree(folder, links=references.links("p", inputs))
    assert [problem.path for problem in refused.value.problems] == ["table"]
    with pytest.raises(FailedPrecondition, match="outside"):
        list_tree(folder, "slides", links=references.links("narrow", inputs))


@pytest.mark.timeout(60)
async def test_ten_thousand_references(tmp_path: Path) -> None:
    base = tmp_path / "data"
    base.mkdir()
    for number in range(10_000):
        (base / f"{number}.png").write_bytes(PNG)
    references = References(Datasets(base=base))
    started = time.monotonic()
    inputs, problems = await given(references, slides=ReferencePattern(f"{base}/*.png"))
    checked = await references.check("p", inputs)
    seconds = time.monotonic() - started
    assert (problems, checked.problems, checked.folders) == ({}, [], (base,))
    found = [value for _, value in inputs.references()]
    assert [value.path for value in found] == [f"{base}/{number}.png" for number in range(10_000)]
    assert seconds < 10, seconds  # 0.6 s on an idle machine; the container test holds the limit
