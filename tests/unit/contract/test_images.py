from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from appengine_contract.parameters.image import ImageType
from appengine_contract.parameters.image_formats import formats
from appengine_contract.problems import ContractError, Problem
from appengine_contract.reading import ReadOptions
from appengine_contract.values import FileValue, GeometryValue, ReferenceValue
from PIL import Image


def _pillow(kind: str, width: int, height: int, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height)).save(buffer, kind, **options)
    return buffer.getvalue()


def _tiff(**options: object) -> bytes:
    import tifffile

    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, **options) as writer:  # type: ignore[arg-type]
        levels = [(300, 200), (150, 100)]
        for width, height in levels:
            data = np.zeros((height, width), dtype=np.uint16)
            writer.write(data, tile=(64, 64), photometric="minisblack")
    return buffer.getvalue()


def _dicom(columns: int = 7, rows: int = 5, total: tuple[int, int] | None = None) -> bytes:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.6"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    data = Dataset()
    data.file_meta = meta
    data.Columns, data.Rows = columns, rows
    if total is not None:
        data.TotalPixelMatrixColumns, data.TotalPixelMatrixRows = total
    buffer = io.BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


_FILES = {
    "png": lambda: _pillow("PNG", 30, 20),
    "jpeg": lambda: _pillow("JPEG", 30, 20, progressive=True, exif=b"Exif\0\0" + b"\xff\xc0" * 99),
    "tiff": lambda: _pillow("TIFF", 30, 20),
    "dicom": lambda: _dicom(30, 20),
}


@pytest.mark.rule("image-type.signature")
@pytest.mark.parametrize("name", _FILES)
def test_formats_are_known_by_their_signature(read_bytes, where, name: str) -> None:
    data = _FILES[name]()
    reading = read_bytes(ImageType(formats=(name,)), data)
    assert reading.value == FileValue("x", len(data), format=name)
    others = tuple(other for other in _FILES if other != name)
    assert where(read_bytes(ImageType(formats=others), data).problems) == {("x", "IMAGE_FORMAT")}


@pytest.mark.rule("image-type.dimensions")
@pytest.mark.parametrize("name", _FILES)
def test_the_size_in_pixels_is_read_from_the_header(read_bytes, where, name: str) -> None:
    data = _FILES[name]()
    assert read_bytes(ImageType(max_width=30, max_height=20), data).problems == ()
    assert where(read_bytes(ImageType(max_width=29, max_height=19), data).problems) == {
        ("x", "IMAGE_TOO_WIDE"),
        ("x", "IMAGE_TOO_HIGH"),
    }


@pytest.mark.rule("image-type.tiff")
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("bigtiff", [True, False])
def test_tiled_pyramids_of_grey_16_bit_count_with_their_largest_level(
    byteorder: str, bigtiff: bool
) -> None:
    data = _tiff(byteorder=byteorder, bigtiff=bigtiff)
    assert formats.detect(data) == "tiff"
    assert formats.dimensions("tiff", io.BytesIO(data)) == (300, 200)


@pytest.mark.rule("image-type.dicom")
def test_a_tile_set_has_the_size_of_the_slide() -> None:
    data = _dicom(256, 256, total=(9000, 8000))
    assert formats.dimensions("dicom", io.BytesIO(data)) == (9000, 8000)


@pytest.mark.rule("image-type.any")
def test_any_file_is_an_image_where_no_format_is_listed(read_bytes, where) -> None:
    assert read_bytes(ImageType(), b"some vendor's slide").value == FileValue("x", 19)
    assert read_bytes(ImageType(), b"PK\x03\x04 a zip").value == FileValue("x", 10)
    assert where(read_bytes(ImageType(), b"").problems) == {("x", "IMAGE_FORMAT")}
    assert where(read_bytes(ImageType(formats=("png",)), b"GIF89a").problems) == {
        ("x", "IMAGE_FORMAT")
    }


@pytest.mark.rule("image-type.dimensions")
@pytest.mark.parametrize(
    "data",
    [
        b"an unknown format",
        b"\x89PNG\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n" + bytes(40),
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8\xff\xe0\x00\x01",
        b"\xff\xd8" + b"\xff\xe0\x00\x02" * 100_000,
        b"\xff\xd8" + b"\xff" * 100_000,
        b"II\x2a\x00",
        b"II\x2a\x00\x08\x00\x00\x00\x00\x00\x08\x00\x00\x00",  # a directory that follows itself
        b"II\x2a\x00\x08\x00\x00\x00\xff\xff",
        b"MM\x00\x2b\x00\x08\x00\x00" + b"\x00" * 7 + b"\x10" + b"\xff" * 8,
        bytes(128) + b"DICM",
        bytes(128) + b"DICM" + bytes(range(256)) * 4,
    ],
)
def test_unreadable_sizes_are_named_so(read_bytes, where, data: bytes) -> None:
    reading = read_bytes(ImageType(max_width=10), data)
    assert where(reading.problems) == {("x", "IMAGE_DIMENSIONS_UNREADABLE")}
    assert read_bytes(ImageType(), data).problems == ()


@pytest.mark.rule("image-type.tiff")
def test_a_long_chain_of_tiff_directories_is_not_walked_for_ever() -> None:
    count = 50_000
    directories = b"".join(
        struct.pack("<HHHIII", 1, 256, 3, 1, 5, 8 + 18 * (index + 1)) for index in range(count)
    )
    with pytest.raises(ValueError, match="width and a height"):
        formats.dimensions("tiff", io.BytesIO(b"II\x2a\x00\x08\x00\x00\x00" + directories))


@pytest.mark.rule("image-type.dimensions")
def test_a_compressed_dicom_header_is_not_inflated() -> None:
    from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

    data = _dicom().replace(
        ExplicitVRLittleEndian.encode() + b"\0", DeflatedExplicitVRLittleEndian.encode()
    )
    with pytest.raises(ValueError, match="compressed"):
        formats.dimensions("dicom", io.BytesIO(data))


@pytest.mark.rule("image-type.dimensions")
def test_an_element_that_claims_gigabytes_is_not_read(tmp_path: Path) -> None:
    from pydicom.tag import Tag

    claim = struct.pack("<HH2sHI", Tag("Rows").group, Tag("Rows").element, b"OB", 0, 0xFFFFFF00)
    data = _dicom(5, 5)
    rows = data.index(struct.pack("<HH2s", 0x28, 0x10, b"US"))
    with (tmp_path / "x").open("w+b") as file:
        file.write(data[:rows] + claim)
        file.truncate(5 << 30)  # sparse: it takes no room
        with pytest.raises(ValueError, match="longer than"):
            formats.dimensions("dicom", file)


@pytest.mark.rule("image-type.tiff")
def test_overlapping_tiff_directories_are_not_walked_for_hours() -> None:
    tags = 65_535
    body = bytearray(b"\xff" * (tags * 12 + 50_000))
    body[:8] = b"II\x2a\x00\x08\x00\x00\x00"
    for start in range(8, 40_000, 4):  # ten thousand directories of 65,535 tags in 800 kB
        end = start + 2 + tags * 12
        body[end : end + 4] = struct.pack("<I", start + 4)
    with pytest.raises(ValueError, match="too many tags"):
        formats.dimensions("tiff", io.BytesIO(bytes(body)))


def _slide(folder: Path, **files: bytes) -> Path:
    (folder / "x").mkdir()
    for name, data in files.items():
        (folder / "x" / name).write_bytes(data)
    return folder / "x"


@pytest.mark.rule("image-type.wsidicom", "image-type.size")
def test_a_flat_folder_of_dicom_files_is_an_image(tmp_path, where) -> None:
    small, large = _dicom(5, 5), _dicom(256, 256, total=(900, 800))
    path = _slide(tmp_path, a=small, b=large)
    options = ReadOptions(root=tmp_path)
    value = FileValue("x", len(small) + len(large), file_count=2, format="wsidicom")
    assert ImageType().read(path, "x", options).value == value
    assert ImageType(formats=("wsidicom",), max_width=900).read(path, "x", options).value == value
    limited = ImageType(max_height=799, max_file_size_bytes=len(large))
    assert where(limited.read(path, "x", options).problems) == {
        ("x", "IMAGE_TOO_HIGH"),
        ("x", "FILE_TOO_LARGE"),
    }
    [problem] = ImageType(formats=("png",)).read(path, "x", options).problems
    assert str(problem) == "x: expected png, but it is a folder"


@pytest.mark.rule("image-type.wsidicom")
def test_the_largest_file_of_a_folder_gives_its_size(tmp_path, where) -> None:
    path = _slide(tmp_path, flat=_dicom(60, 1), square=_dicom(20, 21), tall=_dicom(1, 50))
    options = ReadOptions(root=tmp_path)
    assert ImageType(max_width=20, max_height=21).read(path, "x", options).problems == ()
    problems = ImageType(max_width=19, max_height=20).read(path, "x", options).problems
    assert [str(problem) for problem in problems] == [
        "x: 20 pixels are wider than 19",
        "x: 21 pixels are higher than 20",
    ]


@pytest.mark.rule("image-type.wsidicom")
def test_other_folders_are_no_images(tmp_path, where) -> None:
    path = _slide(tmp_path, good=_dicom(), bad=b"text")
    (path / "inner").mkdir()
    reading = ImageType().read(path, "x", ReadOptions(root=tmp_path))
    assert where(reading.problems) == {("x/bad", "IMAGE_FORMAT"), ("x/inner", "IMAGE_FORMAT")}


@pytest.mark.rule("image-type.wsidicom")
def test_an_empty_folder_is_no_image(tmp_path, where) -> None:
    path = _slide(tmp_path)
    reading = ImageType().read(path, "x", ReadOptions(root=tmp_path))
    assert where(reading.problems) == {("x", "IMAGE_FORMAT")}


def test_only_bytes_and_references_are_images(where) -> None:
    assert ImageType().check(FileValue("x", 1), "x") == []
    assert ImageType().check(ReferenceValue("/data/x.svs"), "x") == []
    assert where(ImageType().check(GeometryValue("{}"), "x")) == {("x", "VALUE_KIND")}


class _Unpacked:
    """Stands for whoever unpacks zips: gives a folder, or refuses."""

    def __init__(self, folder: Path, problem: Problem | None = None) -> None:
        self.seen: list[tuple[bytes, str, str]] = []
        self._folder = folder
        self._problem = problem

    def __call__(self, file: BinaryIO, path: str, at: str) -> Path:
        file.seek(0)
        self.seen.append((file.read(), path, at))
        if self._problem is not None:
            raise ContractError([self._problem])
        return self._folder


@pytest.mark.rule("image-type.zip")
@pytest.mark.parametrize(
    ("listed", "is_unpacked"),
    [((), True), (("wsidicom",), True), (("png", "wsidicom"), True), (("png", "dicom"), False)],
)
def test_a_zip_counts_as_the_folder_that_is_in_it(
    tmp_path: Path, where, listed: tuple[str, ...], is_unpacked: bool
) -> None:
    (tmp_path / "inputs").mkdir()
    (tmp_path / "inputs" / "x").write_bytes(b"PK\x03\x04 zipped")
    unpacked = _Unpacked(_slide(tmp_path, a=_dicom(9, 8), b=_dicom(7, 5)))
    options = ReadOptions(root=tmp_path / "inputs", unpack=unpacked)
    kind = ImageType(formats=listed, max_width=8)
    reading = kind.read(tmp_path / "inputs" / "x", "slides[3]", options)
    assert kind.takes_zip() is is_unpacked
    if is_unpacked:
        assert unpacked.seen == [(b"PK\x03\x04 zipped", "x", "slides[3]")]
        assert where(reading.problems) == {("slides[3]", "IMAGE_TOO_WIDE")}
        found = ImageType(formats=listed).read(tmp_path / "inputs" / "x", "x", options).value
        size_bytes = len(_dicom(9, 8)) + len(_dicom(7, 5))
        assert found == FileValue("x", size_bytes, file_count=2, format="wsidicom")
    else:
        assert unpacked.seen == []
        assert where(reading.problems) == {("slides[3]", "IMAGE_FORMAT")}


@pytest.mark.rule("image-type.zip")
def test_what_is_wrong_in_a_zip_is_named_below_its_item(tmp_path: Path, where) -> None:
    (tmp_path / "inputs").mkdir()
    (tmp_path / "inputs" / "x").write_bytes(b"PK\x03\x04")
    unpacked = _Unpacked(_slide(tmp_path, good=_dicom(), bad=b"text"))
    options = ReadOptions(root=tmp_path / "inputs", unpack=unpacked)
    reading = ImageType().read(tmp_path / "inputs" / "x", "slides[3]", options)
    assert where(reading.problems) == {("slides[3]/bad", "IMAGE_FORMAT")}


@pytest.mark.rule("image-type.zip-unsafe")
def test_a_zip_that_is_refused_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"PK\x03\x04")
    problem = Problem(path="x", reason="ZIP_UNSAFE", message="a link")
    options = ReadOptions(root=tmp_path, unpack=_Unpacked(tmp_path, problem))
    reading = ImageType().read(tmp_path / "x", "x", options)
    assert (reading.value, reading.problems) == (None, (problem,))


@pytest.mark.rule("image-type.dimensions")
def test_the_size_of_a_png_has_no_sign() -> None:
    head = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 2**32 - 1, 2**31)
    assert formats.dimensions("png", io.BytesIO(head)) == (2**32 - 1, 2**31)


@pytest.mark.rule("image-type.wsidicom")
def test_what_is_wrong_in_a_folder_is_told_of_its_files(tmp_path: Path) -> None:
    path = _slide(tmp_path, broken=bytes(128) + b"DICM", text=b"text")
    (path / "inner").mkdir()
    reading = ImageType(max_width=9).read(path, "x", ReadOptions(root=tmp_path))
    told = {problem.path: problem.message for problem in reading.problems}
    assert told["x/inner"] == "a folder of WSI-DICOM files must be flat; this is a folder in it"
    assert told["x/text"] == "a folder is an image only if every file in it is DICOM; this is not"
    assert told["x/broken"].startswith("width and height cannot be read: ")
    few = ReadOptions(root=tmp_path, max_entries=2)
    [problem] = ImageType().read(path, "x", few).problems
    assert str(problem) == "x: the folder holds too many files"
