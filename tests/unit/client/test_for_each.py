"""Many runs by one command: which files, and what is remembered of their ends."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from appengine_client._api.batches import Ended, open_batch
from appengine_client._api.many import _why
from appengine_client.cli.board import Count
from appengine_client.cli.for_each import find_files
from appengine_client.errors import Details, InvalidArgument, InvalidValue, LocalFileError, Problem


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def names(pattern):
    return [name for name, _ in find_files(str(pattern))]


def test_items_are_named_by_what_differs_and_come_in_natural_order(tmp_path):
    touch(tmp_path, "a/s10.png", "a/s9.png", "b/s9.png", "b/.hidden.png", "b/s1.txt")
    assert names(tmp_path / "a/*.png") == ["s9", "s10"]
    assert names(tmp_path / "*/*.png") == ["a/s9", "a/s10", "b/s9"]
    assert names(tmp_path / "**/*.png") == ["a/s9", "a/s10", "b/s9"]
    assert names(tmp_path / "a/s9.png") == ["s9"]
    assert [path for _, path in find_files(str(tmp_path / "*/s10.png"))] == [tmp_path / "a/s10.png"]


def test_items_keep_the_extension_that_tells_them_apart(tmp_path):
    touch(tmp_path, "one.png", "one.tiff", "two.png")
    assert names(tmp_path / "*") == ["one.png", "one.tiff", "two"]
    touch(tmp_path, "two/three.png")
    assert names(tmp_path / "**/*.png") == ["one", "two.png", "two/three"]


def test_a_pattern_in_the_working_folder(tmp_path, monkeypatch):
    touch(tmp_path, "one.png")
    monkeypatch.chdir(tmp_path)
    assert names("*.png") == names("@./*.png") == names("one.png") == ["one"]


@pytest.mark.parametrize("pattern", ["none/*.png", "*.tiff", "gone.png"])
def test_a_pattern_without_files_is_refused(tmp_path, pattern):
    touch(tmp_path, "one.png")
    with pytest.raises(InvalidValue, match="there is no such file"):
        find_files(str(tmp_path / pattern))


def ended(request, state):
    return Ended(item="one", request=request, run="r1", state=state)


def test_a_request_keeps_its_id_until_its_run_has_failed(tmp_path):
    with open_batch(tmp_path) as batch:
        first = batch.newest(["one", 1])
        assert first == batch.newest(["one", 1]) != batch.newest(["one", 2])
        batch.add(ended(first, "FAILED"))
        assert batch.succeeded(first) is None
    with open_batch(tmp_path) as batch:
        second = batch.newest(["one", 1])
        assert second != first
        batch.add(ended(second, "SUCCEEDED"))
        assert batch.newest(["one", 1]) == second
    with open_batch(tmp_path) as batch:
        assert batch.newest(["one", 1]) == second
        assert batch.succeeded(second) == ended(second, "SUCCEEDED")


def test_a_name_that_is_no_utf8_is_remembered(tmp_path):
    name = b"bad\xff".decode(errors="surrogateescape")
    with open_batch(tmp_path) as batch:
        asked = batch.newest([name])
        batch.add(replace(ended(asked, "SUCCEEDED"), item=name))
    (tmp_path / "runs.jsonl").read_text("utf-8")
    with open_batch(tmp_path) as batch:
        assert batch.succeeded(batch.newest([name])).item == name


def test_why_an_item_was_refused_is_told_with_every_problem():
    problems = [Problem(path="image", reason="IMAGE_FORMAT", message="expected png")]
    details = Details(status="INVALID_ARGUMENT", problems=problems, problem_count=1)
    refusal = InvalidArgument("The value of image is refused.", details)
    assert _why(refusal) == "The value of image is refused. image: expected png"


@pytest.mark.parametrize("kept", range(1, 60))
def test_a_torn_line_is_as_if_it_had_not_been_written(tmp_path, kept):
    with open_batch(tmp_path) as batch:
        first = batch.newest(["one"])
        whole = (tmp_path / "runs.jsonl").read_bytes()
        batch.add(ended(first, "SUCCEEDED"))
    added = (tmp_path / "runs.jsonl").read_bytes().removeprefix(whole)
    (tmp_path / "runs.jsonl").write_bytes(whole + added[:kept])
    with open_batch(tmp_path) as batch:
        assert batch.newest(["one"]) == first
        assert batch.succeeded(first) is None
        batch.add(ended(first, "SUCCEEDED"))
    with open_batch(tmp_path) as batch:
        assert batch.succeeded(first)


def test_two_batches_ask_for_different_runs(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with open_batch(tmp_path / "a") as one, open_batch(tmp_path / "b") as other:
        assert one.newest(["x"]) != other.newest(["x"])


def test_a_folder_is_for_one_command_at_a_time(tmp_path):
    with open_batch(tmp_path), pytest.raises(LocalFileError, match="another command works in"):
        open_batch(tmp_path).__enter__()


@pytest.mark.parametrize("content", ["[1]\n", '{"item": "one"}\n', '{"batch": "x"}\n', "5\n"])
def test_a_file_of_somebody_else_is_not_touched(tmp_path, content):
    (tmp_path / "runs.jsonl").write_text(content)
    with pytest.raises(LocalFileError, match="is no file of ours"):
        open_batch(tmp_path).__enter__()
    assert (tmp_path / "runs.jsonl").read_text() == content


def test_the_lines_are_plain_json(tmp_path):
    with open_batch(tmp_path) as batch:
        batch.add(ended(batch.newest(["one"]), "FAILED"))
    lines = (tmp_path / "runs.jsonl").read_text().split("\n")
    told = [json.loads(line) for line in lines if line]
    assert [sorted(line) for line in told] == [
        ["batch"], ["item", "message", "request", "run", "state"],
    ]  # fmt: skip


def test_failures_are_counted():
    count = Count(3)
    count.add(ended("1", "SUCCEEDED"))
    assert str(count) == "1 of 3"
    count.add(ended("2", "REFUSED"))
    assert str(count) == "2 of 3, 1 failed"
