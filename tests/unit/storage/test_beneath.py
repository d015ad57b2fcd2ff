"""Nothing is opened, made or removed through a link."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from appengine_server.storage import beneath
from appengine_server.storage.beneath import (
    HAS_OPENAT2,
    Beneath,
    PathRefused,
    check_link_target,
    check_path,
    open_beneath,
    open_by_components,
    opened,
    remove_tree,
)

OPENERS = [open_by_components, *([open_beneath] if HAS_OPENAT2 else [])]


@pytest.mark.parametrize("path", ["a", "a/b", "ü", "..a", "a..", "...", " ", "a\\b", "x" * 255])
def test_plain_paths_are_allowed(path):
    check_path(path)


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("l", "x"),
        ("l", "./x"),
        ("l", "."),
        ("a/l", ".."),
        ("a/l", "../b/c"),
        ("a/b/l", "../../c"),
        ("a/l", "..b/c"),
    ],
)
def test_links_that_stay_inside_are_allowed(path, target):
    check_link_target(path, target)


def test_a_link_may_not_climb_behind_another_link(tmp_path):
    """`p/q/r/d` leads to the top, so `p/q/r/d/..` would be outside."""
    check_link_target("p/q/r/d", "../../..")
    with pytest.raises(PathRefused):
        check_link_target("e", "p/q/r/d/../x")


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize(
    "path", ["link", "folder/link", "inside/f", "outside/f", "up/f", "loop", "loop/f"]
)
def test_links_are_not_followed(tmp_path, opener: Callable[[int, str, int], int], path):
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    (root / "real").mkdir()
    (root / "real" / "f").write_bytes(b"1")
    (tmp_path / "root-twin").mkdir()
    (tmp_path / "root-twin" / "f").write_bytes(b"secret")
    (root / "link").symlink_to("real/f")
    (root / "folder" / "link").symlink_to("/etc/passwd")
    (root / "inside").symlink_to("real")
    (root / "outside").symlink_to(tmp_path / "root-twin")
    (root / "up").symlink_to("../root-twin")
    (root / "loop").symlink_to("loop")
    with opened(root) as root_fd:
        with pytest.raises(OSError, match=r"symbolic links|Not a directory"):
            os.close(opener(root_fd, path, os.O_RDONLY))
        os.close(opener(root_fd, "real/f", os.O_RDONLY))


def test_making_keeps_modes_whatever_the_umask(tmp_path):
    mask = os.umask(0o077)
    try:
        below = Beneath(tmp_path)
        os.close(below.create_file("a/b/f", executable=False))
        os.close(below.create_file("a/b/x", executable=True))
        below.make_folder("c")
        below.close()
        below.close()
    finally:
        os.umask(mask)
    modes = {str(p.relative_to(tmp_path)): p.stat().st_mode & 0o7777 for p in tmp_path.rglob("*")}
    assert modes == {"a": 0o755, "a/b": 0o755, "a/b/f": 0o644, "a/b/x": 0o755, "c": 0o755}


def test_many_folders_keep_few_descriptors(tmp_path):
    below = Beneath(tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    for number in range(500):
        os.close(below.create_file(f"d{number}/f", executable=False))
    assert len(os.listdir("/proc/self/fd")) - before <= 32
    below.close()
    assert len(list(tmp_path.iterdir())) == 500


def test_each_file_can_be_synced_without_syncfs(tmp_path):
    below = Beneath(tmp_path)
    os.close(below.create_file("a/f", executable=False))
    below.make_link("a/l", "f")
    below.make_folder("d")
    below.sync(["a/f", "a/l", "d"])
    below.close()


def test_without_openat2_the_same_paths_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(beneath, "HAS_OPENAT2", False)
    (tmp_path / "l").symlink_to("/tmp")
    below = Beneath(tmp_path)
    with pytest.raises(OSError, match=r"symbolic links|Not a directory"):
        below.create_file("l/x", executable=False)
    os.close(below.create_file("deep/er/x", executable=False))
    below.close()


class TestRemoving:
    def test_links_are_removed_and_not_followed(self, tmp_path):
        kept = tmp_path / "kept"
        (kept / "inner").mkdir(parents=True)
        (kept / "inner" / "f").write_bytes(b"1")
        gone = tmp_path / "gone"
        (gone / "d").mkdir(parents=True)
        (gone / "l").symlink_to(kept)
        (gone / "d" / "l").symlink_to("../../kept/inner")
        remove_tree(gone)
        remove_tree(gone)
        assert not gone.exists()
        assert (kept / "inner" / "f").exists()
        (tmp_path / "direct").symlink_to(kept)
        remove_tree(tmp_path / "direct")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["kept"]

    def test_depth_does_not_matter(self, tmp_path):
        top = tmp_path / "top"
        top.mkdir()
        folder = os.open(top, os.O_RDONLY)
        for number in range(1500):
            os.mkdir("d", dir_fd=folder)
            os.close(os.open(f"f{number}", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
            inner = os.open("d", os.O_RDONLY, dir_fd=folder)
            os.close(folder)
            folder = inner
        os.close(folder)
        remove_tree(top)
        assert not top.exists()

    def test_special_files_and_closed_folders_are_removed(self, tmp_path):
        top = tmp_path / "top"
        (top / "closed" / "inner").mkdir(parents=True)
        (top / "1.lifted" / "2.lifted" / "x").mkdir(parents=True)
        os.mkfifo(top / "closed" / "inner" / "pipe")
        (top / "closed" / "inner").chmod(0)
        (top / "closed").chmod(0o500)
        remove_tree(top)
        assert not top.exists()

    @pytest.mark.parametrize("name", ["..", "."])
    def test_a_name_is_needed(self, tmp_path: Path, name):
        with pytest.raises(ValueError, match="not a name"):
            remove_tree(Path("/") if name == "." else tmp_path / name)
