"""One run for each of many values: which runs these are, and what makes two of them the same."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from appengine_client import Each, LocalFile, Reference, errors
from appengine_client._api.many import identity
from appengine_client._api.mapping import make_items
from shapely.geometry import box


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return [folder / name for name in names]


def test_a_generator_gives_a_run_for_each_value_and_the_rest_is_the_same(tmp_path):
    one, two = touch(tmp_path, "a/one.png", "b/two.png")
    items = make_items({"image": tmp_path.glob("*/*.png"), "min_area": 20, "sizes": [1, 2]})
    assert {(item.name, item.given) for item in items} == {("a/one", one), ("b/two", two)}
    assert [{**item.inputs, "image": None} for item in items] == [
        {"image": None, "min_area": 20, "sizes": [1, 2]}
    ] * 2
    assert [item.inputs["image"] for item in items] == [item.given for item in items]


def test_several_inputs_that_differ_go_side_by_side(tmp_path):
    images = touch(tmp_path, "x.png", "y.png")
    items = make_items(
        {"area": Each((3, 4)), "image": Each([LocalFile(path=path) for path in images])}
    )
    assert [item.name for item in items] == ["x", "y"], "files give the names"
    assert items[1].inputs == {"area": 4, "image": LocalFile(path=images[1])} == items[1].given
    with pytest.raises(errors.InvalidValue, match="they have: area 1, image 2"):
        make_items({"area": Each([3]), "image": iter(images)})


def test_values_that_are_no_files_are_numbered():
    assert [item.name for item in make_items({"area": Each([20, 20])})] == ["0", "1"]
    assert make_items({"area": Each([])}) == []


def test_what_cannot_be_mapped_is_explained(tmp_path):
    with pytest.raises(errors.InvalidValue, match=r"as Each\(\[\.\.\.\]\); for a single run"):
        make_items({"image": [tmp_path]})
    [one] = touch(tmp_path, "one.png")
    with pytest.raises(errors.InvalidValue, match=r"image: the file one\.png is given 2 times"):
        make_items({"image": Each([one, one])})


def test_a_changed_file_is_another_input(tmp_path):
    one, folder = tmp_path / "one", tmp_path / "folder"
    folder.mkdir()
    one.write_bytes(b"1")
    before = [identity(one), identity(folder), identity(LocalFile(path=one))]
    assert before == [identity(one), identity(folder), identity(LocalFile(path=one))]
    os.utime(one, ns=(0, 0))
    (folder / "new").touch()
    after = [identity(one), identity(folder), identity(LocalFile(path=one))]
    assert all(old != new for old, new in zip(before, after, strict=True))
    with pytest.raises(errors.LocalFileError, match="No such file"):
        identity([tmp_path / "gone"])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 2),
        ("1", 1),
        (True, 1),
        (Reference("/a"), Reference("/b")),
        (datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 5, 2, tzinfo=UTC)),
        (box(0, 0, 1, 1), box(0, 0, 1, 2)),
        ([1, 2], [2, 1]),
        ({"type": "Point"}, {"type": "Polygon"}),
    ],
)
def test_other_values_are_other_inputs(one, other):
    assert identity(one) == identity(one)
    assert repr(identity(one)) != repr(identity(other))


def test_paths_are_told_as_they_are_given(tmp_path, monkeypatch):
    """A project that was moved goes on with its results."""
    touch(tmp_path, "one.png")
    monkeypatch.chdir(tmp_path)
    assert identity(Path("one.png"))[0][0] == "one.png"
