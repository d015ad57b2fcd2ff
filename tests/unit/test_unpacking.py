"""Zipped WSI-DICOM: unpacked safely in a place of our own, or refused with nothing left behind."""

from __future__ import annotations

import errno
import io
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import pytest
from appengine_contract.descriptor import Parameter, read_descriptor
from appengine_server.database.records import InputPart
from appengine_server.errors import InvalidArgument
from appengine_server.runs.read_back import read_back
from appengine_server.runs.received import ReceivingLimits, check_received
from appengine_server.runs.stored import StoredInputs
from appengine_server.storage.layout import StorageLayout

from tests.container.bundles import dump, make_descriptor

RUN = uuid4()
MIB = 1 << 20
DICOM = b"\0" * 128 + b"DICM" + b"picture"
LEVELS = {"level0.dcm": DICOM + b"0" * MIB, "level1.dcm": DICOM}


def zip_of(files: Mapping[str, bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def with_entry(entry: zipfile.ZipInfo, content: bytes = DICOM) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(entry, content)
    return made.getvalue()


@pytest.fixture
def layout(tmp_path: Path) -> StorageLayout:
    made = StorageLayout(tmp_path / "storage")
    made.prepare()
    made.make_run(RUN)
    return made


def image(**constraints: object) -> Parameter:
    """The input `slide`, an image."""
    inputs = {"slide": {"type": {"id": "image", **constraints}}}
    found = read_descriptor(dump(make_descriptor(inputs=inputs))).descriptor
    assert found is not None
    return found.inputs[0]


def images() -> Parameter:
    """The input `slide`, an array of images."""
    slides = {"type": {"id": "array", "subtype": {"id": "image", "formats": ["png", "wsidicom"]}}}
    found = read_descriptor(dump(make_descriptor(inputs={"slide": slides}))).descriptor
    assert found is not None
    return found.inputs[0]


def received(
    layout: StorageLayout,
    one: Parameter,
    files: Mapping[str, bytes],
    *,
    part: InputPart = InputPart.WHOLE,
    limits: ReceivingLimits | None = None,
) -> tuple[Path, StoredInputs]:
    """The folder that the upload of these files became, and the inputs with it."""
    upload = uuid4()
    tree = layout.uploaded(RUN, upload)
    for name, content in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(content)
    before = contents(layout.base)
    try:
        found = check_received(one, part, tree, upload, limits or ReceivingLimits())
    except InvalidArgument:
        assert contents(layout.base) == before, "what was refused leaves nothing behind"
        raise
    return tree, found.into(StoredInputs())


def refusal(
    layout: StorageLayout, one: Parameter, content: bytes, limits: ReceivingLimits | None = None
) -> str:
    with pytest.raises(InvalidArgument) as refused:
        received(layout, one, {"slide": content}, limits=limits)
    [problem] = refused.value.problems
    assert problem.path.startswith("slide")
    return problem.reason


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.rule("image-type.zip")
@pytest.mark.parametrize("top", ["", "slide 1/", "./"])
@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_a_zip_becomes_the_folder_that_it_holds(
    layout: StorageLayout, top: str, compression: int
) -> None:
    litter = {"__MACOSX/._level0.dcm": b"x", f"{top}.DS_Store": b"x", f"{top}": b""}
    files = {f"{top}{name}": content for name, content in LEVELS.items()}
    zipped = zip_of({**files, **{n: c for n, c in litter.items() if n}}, compression=compression)
    one = image()
    tree, inputs = received(layout, one, {"picture.zip": zipped})
    assert contents(tree) == {f"slide/{name}": content for name, content in LEVELS.items()}
    assert stat.S_IMODE((tree / "slide").stat().st_mode) == 0o755
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tree / "slide").iterdir()} == {0o644}
    value = inputs.by_name["slide"].value
    assert read_back(layout, RUN, one, inputs.by_name["slide"]) == value
    assert (getattr(value, "format", ""), getattr(value, "file_count", 0)) == ("wsidicom", 2)


@pytest.mark.rule("image-type.zip", "array.wsidicom-item")
@pytest.mark.parametrize("part", [InputPart.WHOLE, InputPart.ITEMS])
def test_zips_in_an_array_become_folders(layout: StorageLayout, part: InputPart) -> None:
    png = b"\x89PNG\r\n\x1a\n" + b"\0" * 30
    files = {
        "slide/array.yml": b"size: 3\n",
        "slide/0": zip_of(LEVELS),
        "slide/1": png,
        "slide/2": zip_of({"only.dcm": DICOM}),
    }
    tree, _ = received(layout, images(), files, part=part)
    assert contents(tree / "slide") == {
        "array.yml": b"size: 3\n",
        **{f"0/{name}": content for name, content in LEVELS.items()},
        "1": png,
        "2/only.dcm": DICOM,
    }


@pytest.mark.rule("image-type.zip")
def test_a_zip_is_unpacked_only_where_wsi_dicom_may_be(layout: StorageLayout) -> None:
    zipped = zip_of(LEVELS)
    assert refusal(layout, image(formats=["tiff", "dicom"]), zipped) == "IMAGE_FORMAT"
    tree, _ = received(layout, image(formats=["tiff", "wsidicom"]), {"slide": zipped})
    assert (tree / "slide").is_dir()


@pytest.mark.rule("image-type.zip", "image-type.size")
def test_constraints_hold_for_what_was_in_the_zip(layout: StorageLayout) -> None:
    zipped = zip_of(LEVELS)
    assert len(zipped) < MIB
    assert refusal(layout, image(max_file_size="1Mi"), zipped) == "FILE_TOO_LARGE"
    received(layout, image(max_file_size="2Mi"), {"slide": zipped})
    unreadable = refusal(layout, image(max_width=10), zip_of({"one.dcm": DICOM}))
    assert unreadable == "IMAGE_DIMENSIONS_UNREADABLE"


LINK = zipfile.ZipInfo("link.dcm")
LINK.external_attr = (stat.S_IFLNK | 0o777) << 16
DEVICE = zipfile.ZipInfo("device.dcm")
DEVICE.external_attr = (stat.S_IFCHR | 0o666) << 16


def encrypted() -> bytes:
    """The zip says that its entry is encrypted, in both places."""
    made = bytearray(zip_of({"a.dcm": DICOM}))
    made[6] |= 1
    made[made.index(b"PK\x01\x02") + 8] |= 1
    return bytes(made)


def twice() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("a.dcm", DICOM)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.dcm", DICOM)
    return made.getvalue()


def with_nul() -> bytes:
    return zip_of({"aXb.dcm": DICOM}).replace(b"aXb.dcm", b"a\0b.dcm")


@pytest.mark.rule("image-type.zip-unsafe")
@pytest.mark.parametrize(
    "zipped",
    [
        pytest.param(zip_of({"../a.dcm": DICOM}), id="leads out"),
        pytest.param(zip_of({"top/../../a.dcm": DICOM}), id="leads out behind a folder"),
        pytest.param(zip_of({"..\\a.dcm": DICOM}), id="leads out on Windows"),
        pytest.param(zip_of({"/etc/a.dcm": DICOM}), id="absolute"),
        pytest.param(zip_of({"C:a.dcm": DICOM}), id="drive"),
        pytest.param(with_nul(), id="NUL"),
        pytest.param(with_entry(LINK, b"/etc/passwd"), id="link"),
        pytest.param(with_entry(DEVICE), id="device"),
        pytest.param(encrypted(), id="encrypted"),
        pytest.param(zip_of({"a/0.dcm": DICOM, "b/1.dcm": DICOM}), id="folders"),
        pytest.param(zip_of({"a/b/0.dcm": DICOM}), id="nested"),
        pytest.param(zip_of({"a/0.dcm": DICOM, "1.dcm": DICOM}), id="folder beside a file"),
        pytest.param(zip_of({f"{i}.dcm": DICOM for i in range(10_001)}), id="many files"),
        pytest.param(zip_of({"x" * 300: DICOM}), id="long name"),
        pytest.param(zip_of({"a.dcm": DICOM}, compression=zipfile.ZIP_BZIP2), id="bzip2"),
        pytest.param(zip_of({"a.dcm": DICOM}, compression=zipfile.ZIP_LZMA), id="lzma"),
    ],
)
def test_what_is_unsafe_is_refused(layout: StorageLayout, zipped: bytes) -> None:
    assert refusal(layout, image(), zipped) == "ZIP_UNSAFE"


@pytest.mark.rule("image-type.zip-unsafe")
def test_two_files_of_one_name_are_refused(layout: StorageLayout) -> None:
    assert refusal(layout, image(), twice()) == "ZIP_UNSAFE"


@pytest.mark.rule("image-type.zip-unsafe")
def test_what_is_unpacked_has_a_limit(layout: StorageLayout) -> None:
    bomb = zip_of({"a.dcm": DICOM + b"\0" * (64 * MIB)})
    assert len(bomb) < MIB
    limits = ReceivingLimits(unpacked_bytes=16 * MIB)
    assert refusal(layout, image(), bomb, limits) == "ZIP_UNSAFE"


@pytest.mark.rule("image-type.zip")
@pytest.mark.parametrize(
    "zipped",
    [
        pytest.param(zip_of({**LEVELS, "notes.txt": b"no picture"}), id="another file"),
        pytest.param(zip_of({"short.dcm": b"DICM"}), id="too short"),
        pytest.param(zip_of({"__MACOSX/._a": DICOM, "a/": b""}), id="nothing"),
        pytest.param(zip_of(LEVELS)[:-30], id="cut short"),
        pytest.param(b"PK\x03\x04" + b"\0" * 500, id="no zip at all"),
    ],
)
def test_what_is_no_wsi_dicom_is_refused(layout: StorageLayout, zipped: bytes) -> None:
    assert refusal(layout, image(), zipped) == "IMAGE_FORMAT"


@pytest.mark.rule("image-type.zip")
def test_a_broken_file_in_it_is_refused(layout: StorageLayout) -> None:
    zipped = bytearray(zip_of({"a.dcm": DICOM + b"123"}, compression=zipfile.ZIP_STORED))
    zipped[zipped.index(b"123")] ^= 1
    assert refusal(layout, image(), bytes(zipped)) == "IMAGE_FORMAT"


def test_a_full_disk_is_no_fault_of_the_zip(
    layout: StorageLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("appengine_server.runs.unpacking._write_all", full)
    with pytest.raises(OSError, match="No space left"):
        received(layout, image(), {"slide": zip_of(LEVELS)})
