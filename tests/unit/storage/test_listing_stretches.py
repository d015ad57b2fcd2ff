"""Listings in parts: together they are the whole listing, and each looks only at its own part."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from appengine_server.errors import NotFound
from appengine_server.storage.listing import LinkedFile, Links, Stretch, list_stretch, plan_tree
from appengine_server.storage.tree import Entry


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for folder in ("a", "b/inner/deep", "b!", "empty", "z/ü"):
        (root / folder).mkdir(parents=True)
    for file in ("a/1", "a/10", "a/2", "b/inner/deep/x", "b/inner/y", "b/n", "b!/n", "b0", "z/ü/ä"):
        (root / file).write_bytes(file.encode())
    for number in range(6):  # they are left out, and count nowhere
        os.mkfifo(root / f"f{number}")
    (root / "b" / "link").symlink_to("inner")
    (root / "out").symlink_to("../elsewhere")
    return root


async def in_parts(root: Path, limit: int, path: str = "", **more) -> list[Entry]:
    entries: list[Entry] = []
    while True:
        after = entries[-1].path if entries else ""
        stretch = Stretch(after=after, first_index=len(entries), limit=limit)
        found = await list_stretch(root, path, stretch, **more)
        entries += found[:limit]
        if len(found) <= limit:
            return entries


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 7, 100])
@pytest.mark.parametrize("path", ["", "b", "z/ü", "b0"])
async def test_the_parts_are_the_whole(root, limit, path):
    whole = (await plan_tree(root, path)).entries
    assert await in_parts(root, limit, path) == list(whole)
    assert len(whole) > 3 or path in ("z/ü", "b0")


@pytest.mark.parametrize("limit", [1, 2, 4])
async def test_files_in_the_place_of_links_come_in_parts_as_well(root, limit):
    found = os.stat(root / "b0")

    def content(path: str, _target: str) -> list[LinkedFile] | None:
        names = ["one", "two", "zwei"] if path == "out" else None
        return names and [
            LinkedFile(name=name, root=root, path="b0", found=found) for name in names
        ]

    links = Links(content=content)
    whole = (await plan_tree(root, links=links)).entries
    assert [one.path for one in whole if one.path.startswith("out/")] == [
        "out/one", "out/two", "out/zwei",
    ]  # fmt: skip
    assert await in_parts(root, limit, links=links) == list(whole)


async def test_what_comes_before_a_part_is_not_looked_at(root, monkeypatch):
    for number in range(10_000):
        (root / "a" / f"{number:05}").touch()
    seen: list[str] = []
    stat = os.stat
    monkeypatch.setattr(os, "stat", lambda name, **more: (seen.append(name), stat(name, **more))[1])
    found = await list_stretch(root, "", Stretch(after="a/09990", first_index=9991, limit=4))
    assert [entry.path for entry in found] == [f"a/0999{digit}" for digit in range(1, 6)]
    assert found[0].index == 9991
    assert len(seen) < 40


async def test_an_entry_that_has_gone_is_no_obstacle(root):
    stretch = Stretch(after="a/11 was here", first_index=4, limit=2)
    found = await list_stretch(root, "", stretch)
    assert [entry.path for entry in found] == ["a/2", "b", "b/inner"]
    with pytest.raises(NotFound):
        await list_stretch(root, "gone", stretch)
