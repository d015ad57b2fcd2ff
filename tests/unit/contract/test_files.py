from __future__ import annotations

import pytest
from appengine_contract.parameters.file import FileType
from appengine_contract.values import FileValue, ReferenceValue, StringValue


@pytest.mark.rule("file.formats")
def test_any_file_is_a_file(read_bytes) -> None:
    data = b"\x00\xff any bytes"
    assert read_bytes(FileType(), data).value == FileValue("x", len(data))
    assert read_bytes(FileType(), b"").value == FileValue("x", 0)
    assert read_bytes(FileType(formats=("binary", "text")), data).problems == ()
    assert read_bytes(FileType(formats=("binary",)), data).value == FileValue(
        "x", len(data), format="binary"
    )


@pytest.mark.rule("file.formats")
@pytest.mark.parametrize("data", [b"", b"text\n", b"\xef\xbb\xbftext", "\u00e9".encode() * 10**6])
def test_text_is_utf8(read_bytes, data: bytes) -> None:
    reading = read_bytes(FileType(formats=("text",)), data)
    assert reading.value == FileValue("x", len(data), format="text")


@pytest.mark.rule("file.formats")
@pytest.mark.parametrize("data", [b"\xff", b"a\0b", "\u00e9".encode() * 10**6 + b"\xc3"])
def test_other_bytes_are_no_text(read_bytes, where, data: bytes) -> None:
    reading = read_bytes(FileType(formats=("text",)), data)
    assert where(reading.problems) == {("x", "FILE_FORMAT")}


@pytest.mark.rule("file.size")
@pytest.mark.parametrize("direction", ["input", "output"])
def test_a_file_may_be_as_large_as_allowed(read_bytes, where, direction: str) -> None:
    kind = FileType(max_file_size_bytes=3)
    assert read_bytes(kind, b"abc", direction).problems == ()
    assert where(read_bytes(kind, b"abcd", direction).problems) == {("x", "FILE_TOO_LARGE")}


def test_only_bytes_and_references_are_files(where) -> None:
    assert FileType().check(FileValue("x", 1), "x") == []
    assert FileType().check(ReferenceValue("/data/x"), "x") == []
    assert where(FileType().check(StringValue("/data/x"), "x")) == {("x", "VALUE_KIND")}


@pytest.mark.rule("reference.absolute")
@pytest.mark.parametrize("path", ["", "x", "../x", "/data/\0x"])
def test_a_reference_is_an_absolute_path(where, path: str) -> None:
    problems = FileType().check(ReferenceValue(path), "x")
    assert where(problems) == {("x", "REFERENCE_OUTSIDE")}


@pytest.mark.rule("reference.link")
def test_a_reference_is_laid_out_as_a_link(tmp_path) -> None:
    FileType().write(ReferenceValue("/data/slide 1.svs"), tmp_path / "x")
    assert (tmp_path / "x").readlink().as_posix() == "/data/slide 1.svs"


@pytest.mark.rule("file.bytes")
def test_uploaded_bytes_stay_where_they_are(tmp_path) -> None:
    (tmp_path / "x").write_bytes(b"here")
    FileType().write(FileValue("x", 4), tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"here"
    with pytest.raises(FileNotFoundError):
        FileType().write(FileValue("y", 4), tmp_path / "y")
