"""Datasets are read below their folders only, whatever links say, and patterns match as people
mean them.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from appengine_server.storage import dataset_patterns
from appengine_server.storage.dataset_patterns import match_pattern
from appengine_server.storage.datasets import (
    DatasetFolders,
    DatasetRoots,
    Datasets,
    ReferenceRefused,
    dataset_folders,
)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """`set1` with slides and a link, beside it what nobody may read."""
    folder = tmp_path / "data"
    for name in ("set1", "set10", "other"):
        (folder / name).mkdir(parents=True)
    for name in ("slide1.tiff", "slide2.tiff", "slide10.tiff", "Notes.txt", ".hidden.tiff"):
        (folder / "set1" / name).write_bytes(name.encode())
    (folder / "set10" / "a.tiff").touch()
    (folder / "link.tiff").symlink_to("set1/slide1.tiff")
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "data-secret").mkdir()
    (tmp_path / "data-secret" / "a.tiff").touch()
    (folder / "out.tiff").symlink_to(tmp_path / "secret")
    (folder / "away").symlink_to(tmp_path / "data-secret")
    return folder


def located(base: Path, path: Path | str, project: str = "p", **narrowed: list[str]) -> str:
    roots = Datasets(base=base, narrowed=narrowed).of_project(project)
    with dataset_folders(roots) as folders:
        return folders.locate(str(path)).path


def reason(base: Path, path: Path | str, **narrowed: list[str]) -> str:
    with pytest.raises(ReferenceRefused) as refused:
        located(base, path, **narrowed)
    return refused.value.reason


def matched(base: Path, pattern: str) -> list[str]:
    with dataset_folders(Datasets(base=base).of_project("p")) as folders:
        found = match_pattern(folders, f"{base}/{pattern}")
    return [os.path.relpath(path, base) for path in found]


def pattern_reason(base: Path, pattern: str) -> str:
    with (
        dataset_folders(Datasets(base=base).of_project("p")) as folders,
        pytest.raises(ReferenceRefused) as refused,
    ):
        match_pattern(folders, pattern)
    return refused.value.reason


@pytest.mark.rule("reference.inside")
def test_links_are_resolved_wherever_they_are(base: Path, tmp_path: Path) -> None:
    (tmp_path / "entry").symlink_to(base)
    slide = str(base / "set1" / "slide1.tiff")
    assert located(base, slide) == slide
    assert located(base, base / "link.tiff") == slide
    assert located(base, tmp_path / "entry" / "link.tiff") == slide
    assert located(tmp_path / "entry", slide) == slide
    assert located(base, f"{base}/set1/../set1//./slide1.tiff") == slide
    assert located(base, base) == str(base)


@pytest.mark.rule("reference.inside")
def test_what_lies_outside_is_refused_whether_it_is_there_or_not(
    base: Path, tmp_path: Path
) -> None:
    outside = [
        "/etc/passwd", "/", "/no/such", tmp_path / "secret", tmp_path / "none",
        f"{base}/../secret", base / "out.tiff", base / "away" / "a.tiff", base / "away" / "none",
        tmp_path / "data-secret" / "a.tiff",
    ]  # fmt: skip
    assert [reason(base, path) for path in outside] == ["REFERENCE_OUTSIDE"] * len(outside)


@pytest.mark.rule("reference.found")
def test_what_is_missing_is_refused(base: Path) -> None:
    (base / "loop").symlink_to("loop")
    (base / "dangling").symlink_to("set1/none")
    missing = ["none", "set1/none", "set1/slide1.tiff/x", "loop", "dangling", "x" * 300]
    assert [reason(base, base / path) for path in missing] == ["REFERENCE_NOT_FOUND"] * 6


def test_where_there_is_no_dataset_nothing_is_inside(tmp_path: Path) -> None:
    assert reason(tmp_path / "none", tmp_path / "x") == "REFERENCE_OUTSIDE"
    assert reason(tmp_path / "none", tmp_path / "none" / "x") == "REFERENCE_NOT_FOUND"


def test_roots_are_narrowed_by_project(base: Path) -> None:
    narrowed = {"p": ["set1", "away"], "*": ["set10"], "nobody": []}
    assert located(base, base / "set1" / "slide1.tiff", **narrowed)
    assert reason(base, base / "set10" / "a.tiff", **narrowed) == "REFERENCE_OUTSIDE"
    assert reason(base, base / "away" / "a.tiff", **narrowed) == "REFERENCE_OUTSIDE"
    assert located(base, base / "set10" / "a.tiff", "q", **narrowed)
    with pytest.raises(ReferenceRefused):
        located(base, base / "set10" / "a.tiff", "nobody", **narrowed)
    assert located(base, base / "set10" / "a.tiff", "q", p=["set1"])


def test_a_link_that_is_swapped_in_after_the_check_is_not_followed(
    base: Path, tmp_path: Path
) -> None:
    roots = Datasets(base=base).of_project("p")
    slide = base / "set1" / "slide1.tiff"
    with dataset_folders(roots) as folders:
        folders.locate(str(slide))  # its folder is known now
    slide.unlink()
    slide.symlink_to(tmp_path / "secret")
    with dataset_folders(roots) as folders, pytest.raises(ReferenceRefused) as refused:
        folders.locate_resolved(str(slide))
    assert refused.value.reason == "REFERENCE_NOT_FOUND"
    (base / "set1").rename(base / "moved")
    (base / "set1").symlink_to(tmp_path / "data-secret")
    with dataset_folders(roots) as folders, pytest.raises(ReferenceRefused):
        folders.locate_resolved(str(base / "set1" / "a.tiff"))
    with dataset_folders(roots) as folders, pytest.raises(OSError, match=r".*"):
        folders.open_folder(base / "set1")


def test_an_open_folder_stays_the_one_that_was_checked(base: Path, tmp_path: Path) -> None:
    with dataset_folders(Datasets(base=base).of_project("p")) as folders:
        first = folders.locate(str(base / "set1" / "slide1.tiff"))
        (base / "set1").rename(base / "moved")
        (base / "set1").symlink_to(tmp_path / "data-secret")
        again = folders.locate(str(base / "set1" / "slide2.tiff"))
        assert os.stat(again.name, dir_fd=again.folder).st_size == len("slide2.tiff")
        assert again.folder == first.folder


def test_more_folders_than_are_kept_open(base: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with dataset_folders(Datasets(base=base).of_project("p")) as folders:
        for number in range(200):
            (base / "many" / str(number)).mkdir(parents=True)
            (base / "many" / str(number) / "a").touch()
            folders.locate(str(base / "many" / str(number) / "a"))
        assert len(os.listdir("/proc/self/fd")) < before + 80
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.rule("reference.changed")
def test_stamps_tell_sizes_times_and_names(base: Path) -> None:
    roots = Datasets(base=base).of_project("p")

    def stamp(path: Path) -> str:
        with dataset_folders(roots) as folders:
            return folders.look(folders.locate(str(path))).stamp()

    slide, folder = base / "set1" / "slide1.tiff", base / "set1"
    stamps = [(stamp(slide), stamp(folder))]
    os.utime(slide, ns=(0, 1))
    stamps.append((stamp(slide), stamp(folder)))
    slide.write_bytes(b"another size")
    os.utime(slide, ns=(0, 1))
    stamps.append((stamp(slide), stamp(folder)))
    assert len({one for one, _ in stamps}) == len({both for _, both in stamps}) == 3
    (folder / "more").touch()
    assert stamp(folder) != stamps[-1][1]
    assert stamp(slide) == stamps[-1][0]


@pytest.mark.rule("reference.found")
def test_a_folder_of_files_has_the_same_test_for_each(base: Path, tmp_path: Path) -> None:
    roots = Datasets(base=base).of_project("p")
    (base / "set10" / "b.tiff").symlink_to("../set1/slide1.tiff")

    def look() -> list[str]:
        with dataset_folders(roots) as folders:
            target = folders.look(folders.locate(str(base / "set10")))
        return [os.path.relpath(file.path, base) for file in target.files]

    assert look() == ["set10/a.tiff", "set1/slide1.tiff"]
    for spoil in (
        lambda path: path.symlink_to(tmp_path / "secret"), os.mkfifo, os.mkdir,
        lambda path: path.symlink_to("none"),
    ):  # fmt: skip
        spoil(base / "set10" / "c")
        with pytest.raises(ReferenceRefused) as refused:
            look()
        assert "set10/c" in str(refused.value)
        (base / "set10" / "c").rename(tmp_path / f"spoilt{len(list(tmp_path.iterdir()))}")


def test_natural_order(base: Path) -> None:
    slides = ["set1/slide1.tiff", "set1/slide2.tiff", "set1/slide10.tiff"]
    assert matched(base, "set1/*.tiff") == slides
    assert matched(base, "set*/[as]*.tiff") == [*slides, "set10/a.tiff"]
    assert matched(base, "set1/slide?.tiff") == slides[:2]
    assert matched(base, "set1/slide[!2]*.tiff") == [slides[0], slides[2]]
    assert matched(base, "set1/.h*") == ["set1/.hidden.tiff"]
    assert matched(base, "set*/a.tiff") == ["set10/a.tiff"]
    assert matched(base, "set1/slide2.tiff") == [slides[1]]
    assert matched(base, "*") == ["away", "link.tiff", "other", "out.tiff", "set1", "set10"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("set1/*.png", "REFERENCE_NOT_FOUND"),
        ("none/*", "REFERENCE_NOT_FOUND"),
        ("set1/slide1.tiff/*", "REFERENCE_NOT_FOUND"),
        ("set1/../set1/*", "REFERENCE_PATTERN"),
        ("set1//*", "REFERENCE_PATTERN"),
        ("set1/**", "REFERENCE_PATTERN"),
        ("set1/*\0", "REFERENCE_PATTERN"),
        ("x" * 5000, "REFERENCE_PATTERN"),
        ("away/*", "REFERENCE_OUTSIDE"),
        ("a*/*", "REFERENCE_OUTSIDE"),
    ],
)
def test_patterns_that_are_refused(base: Path, pattern: str, expected: str) -> None:
    assert pattern_reason(base, f"{base}/{pattern}") == expected


def test_patterns_elsewhere(base: Path) -> None:
    assert pattern_reason(base, "set1/*") == "REFERENCE_PATTERN"
    assert pattern_reason(base, "") == "REFERENCE_PATTERN"
    assert pattern_reason(base, "/etc/*") == "REFERENCE_OUTSIDE"
    assert pattern_reason(base, "/*/passwd") == "REFERENCE_OUTSIDE"


def test_names_that_are_no_text(base: Path) -> None:
    with open(os.fsencode(base) + b"/other/\xff.tiff", "wb"):
        pass
    assert pattern_reason(base, f"{base}/other/*") == "REFERENCE_NOT_FOUND"


def test_patterns_have_limits(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_patterns, "MAX_MATCHES", 2)
    assert pattern_reason(base, f"{base}/set1/*.tiff") == "REFERENCE_PATTERN"
    monkeypatch.setattr(dataset_patterns, "MAX_MATCHES", 9)
    monkeypatch.setattr(dataset_patterns, "_MAX_SCANNED", 4)
    assert pattern_reason(base, f"{base}/set1/*.tiff") == "REFERENCE_PATTERN"


@pytest.mark.rule("reference.inside")
def test_roots_hold_by_components() -> None:
    roots = DatasetRoots(("/data/a",))
    assert roots.root_of("/data/a/x") == roots.root_of("/data/a") == "/data/a"
    assert roots.root_of("/data/ab") is None
    assert DatasetRoots(("/",)).root_of("/x") == "/"
    DatasetFolders(roots).close()
