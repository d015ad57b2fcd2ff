"""Right inputs of every parser, from which damaged ones are made."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.container.images import tar
from tests.unit.tasks import archives

DICOM_HEAD = bytes(128) + b"DICM"

DESCRIPTOR_TOKENS = (
    b"~", b"[]", b"{}", b"*t", b"&t ", b"!!int ", b"!x ", b"'", b": ", b"\n", b"- ", b"1e9", b"\0",
    b"-", b"\xff", b"\xc3\xa9", b"<<: *t", b"? ", b"|\n", b">-\n", b"%TAG ! x\n", b"\t", b"true",
    b"0x1", b".nan", b"-.inf", b"1e999999999999999999999", b"0.1e-99999999999",
    b"99999999999999999999", b"---\n", b"...\n", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"null",
    b"12GiB", b"1.5", b"{id: array, subtype: ", b"inputs/image", b"inputs/a", b"outputs/e", b"/",
    b"512m", b"16", b"0", b"x" * 3000, b"[[[[[[[[", b"{a: ", b"\r\n",
    b"2024-01-01T00:00:00.5-12:30", b"/proc/x", b"..",
)  # fmt: skip


def descriptors() -> list[bytes]:
    right = _described("right")
    return [
        *map(_described, ("right", "usual", "odd", "numbers")),
        right.replace(b"2Gi", b"16Ei"),
        right.replace(b"image: {file: a.tar}", b"output_folder: /"),
        right.replace(b"configuration:", b"other:"),
    ]


def _described(name: str) -> bytes:
    return (Path(__file__).parent / "descriptors" / f"{name}.yml").read_bytes()


def _shapes() -> list[Any]:
    ring = [[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]]
    hole = [[1, 1], [2, 1], [2, 2], [1, 1]]
    bow = [[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]
    plain = [
        {"type": "Point", "coordinates": [1.5, -2e3, 3]},
        {"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]},
        {"type": "LineString", "coordinates": [[1, 2], [3, 4, 5]]},
        {"type": "MultiLineString", "coordinates": [[[1, 2], [3, 4]], []]},
        {"type": "Polygon", "coordinates": [ring, hole], "bbox": [0, 0, 4, 4]},
        {"type": "Polygon", "coordinates": [bow]},
        {"type": "MultiPolygon", "coordinates": [[ring], [bow, hole]]},
        {"type": "Polygon", "coordinates": []},
    ]
    circle = {"subType": "Circle", "radius": 3.5}
    features = [
        {"type": "Feature", "geometry": plain[0], "properties": circle, "id": 7},
        {"type": "Feature", "geometry": plain[4], "properties": {"subType": "Rectangle"}},
        {"type": "Feature", "geometry": plain[3], "properties": None},
        {"type": "Feature", "geometry": plain[2], "properties": circle},
        {"type": "Feature", "geometry": plain[0], "properties": {"subType": "Circle", "radius": 0}},
        {"type": "Feature", "geometry": plain[0], "properties": {"subType": "Rectangle"}},
    ]
    wrong = [
        {"type": "Feature", "geometry": None},
        {"type": "Feature", "geometry": plain[0], "properties": []},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 0]]]},
        {"type": "Polygon", "coordinates": [[[0, 0], [4, 0], [4, 4], [0, 4]]]},
        {"type": "LineString", "coordinates": [[1]]},
        {"type": "Point", "coordinates": ["1", True]},
        {"type": "Point"},
        [1],
    ]
    collections = [
        {"type": "FeatureCollection", "features": features, "crs": {}, "name": "x"},
        {"type": "GeometryCollection", "geometries": [*plain, *wrong]},
        {"type": "GeometryCollection", "geometries": []},
        {"type": "FeatureCollection", "features": 1},
    ]
    return [*plain, *features, *wrong, *collections]


def geometries() -> list[bytes]:
    return [json.dumps(shape).encode() for shape in _shapes()] + [
        b"{}",
        b'\xef\xbb\xbf {"features" : [ {"a":1} , {} ] , "type" : "FeatureCollection"} ',
        b'{"type":"Point","coordinates":[NaN,1]}',
        b"[" * 3000,
        b'{"features":' + b"[" * 3000,
        b"",
    ]


GEOMETRY_TOKENS = (
    b"[", b"]", b"{", b"}", b",", b":", b'"', b"null", b"true", b"1e400", b"NaN", b"-Infinity",
    b'"type"', b'"coordinates"', b'"features"', b'"geometries"', b'"geometry"', b'"properties"',
    b'"Polygon"', b'"MultiPolygon"', b'"Feature"', b'"FeatureCollection"', b'"subType"',
    b'"Circle"', b"[0,0]", b"[[0,0],[1,1],[1,0],[0,0]]", b"9" * 5000, b"\\ud800", b"\xed\xa0\x80",
    b" ",
)  # fmt: skip


def pictures() -> list[bytes]:
    from PIL import Image

    made = []
    for kind, options in (("PNG", {}), ("JPEG", {"progressive": True}), ("TIFF", {})):
        out = io.BytesIO()
        Image.new("RGB", (30, 20)).save(out, kind, **options)
        made.append(out.getvalue()[:2000])
    made += [_tiff(order=order, big=big) for order in "<>" for big in (False, True)]
    made += [_dicom(), _dicom(total=True), _dicom(total=True, implicit=True)]
    made += [b"\xff\xd8\xff\xff\xd0\xff\x01\xff\xe0\x00\x04ab\xff\xc0\x00\x0b\x08\0\x05\0\x06", b""]
    return made


PICTURE_TOKENS = (
    b"\xff\xd8\xff", b"\xff\xc0\x00\x0b\x08", b"\xff\xda", b"\xff\xd0", b"\xff" * 70, b"IHDR",
    b"\x89PNG\r\n\x1a\n", b"II\x2a\0", b"MM\0\x2a", b"II\x2b\0\x08\0\0\0", b"MM\0\x2b\0\x08\0\0",
    b"DICM", b"\x28\0\x10\0US\x02\0\x05\0", b"\x28\0\x11\0US\x02\0\x05\0",
    b"\x48\0\x06\0UL\x04\0\0\1\0\0", b"SQ\0\0\xff\xff\xff\xff", b"\xfe\xff\0\xe0\xff\xff\xff\xff",
    b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.1.99", b"PK\3\4",
)  # fmt: skip


def _tiff(*, order: str, big: bool) -> bytes:
    """Two directories of which the second is smaller; sizes as SHORT, LONG, BYTE and LONG8."""
    mark = b"II" if order == "<" else b"MM"
    count, offset, entry = ("Q", "Q", "HHQQ") if big else ("H", "I", "HHII")
    head = mark + struct.pack(f"{order}H", 43 if big else 42)
    head += struct.pack(f"{order}HHQ", 8, 0, 16) if big else struct.pack(f"{order}I", 8)
    out = head
    kinds = [(4, 300, 16 if big else 4, 200), (1, 15, 3, 10)]
    for number, (width_kind, width, height_kind, height) in enumerate(kinds):
        tags = [(256, width_kind, width), (257, height_kind, height), (258, 3, 8)]
        size = struct.calcsize(f"{order}{count}") + len(tags) * struct.calcsize(f"{order}{entry}")
        after = len(out) + size + struct.calcsize(f"{order}{offset}")
        out += struct.pack(f"{order}{count}", len(tags))
        for tag, kind, value in tags:
            form = {1: "B", 3: "H", 4: "I", 16: "Q"}[kind]
            room = 8 if big else 4
            packed = struct.pack(f"{order}{form}", value).ljust(room, b"\0")
            out += struct.pack(f"{order}HH{count if big else 'I'}", tag, kind, 1) + packed
        out += struct.pack(f"{order}{offset}", after if number == 0 else 0)
    return out


def _dicom(*, total: bool = False, implicit: bool = False) -> bytes:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.6"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    data = Dataset()
    data.file_meta = meta
    inner = Dataset()
    inner.PatientName = "x"
    data.ReferencedStudySequence = [inner]
    data.Columns, data.Rows = 7, 5
    if total:
        data.TotalPixelMatrixColumns, data.TotalPixelMatrixRows = 9000, 8000
    out = io.BytesIO()
    data.save_as(out, enforce_file_format=True)
    return out.getvalue()


def zipped_slides() -> list[bytes]:
    levels = {"level0.dcm": _dicom(), "level1.dcm": _dicom(total=True)}
    inside = {f"slide/{name}": content for name, content in levels.items()}
    return [
        _zip(levels),
        _zip({**inside, "slide/": b"", "__MACOSX/._x": b"", "slide/.DS_Store": b""}),
        _zip({"a.txt": b"no picture"}),
        _zip({}),
        _dicom(),
    ]


def _zip(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


ZIP_TOKENS = (
    b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"\xff\xff\xff\xff", b"../", b"\0",
    b"\\", b"C:", b"descriptor.yml", b"logo.png", b"image.tar",
)  # fmt: skip


def bundles() -> list[bytes]:
    right = {
        "descriptor.yml": archives.descriptor("image.tar"),
        "image.tar": archives.small_image(),
        "logo.png": b"\x89PNG\r\n\x1a\n" + bytes(20),
    }
    hostile = {"descriptor.yml": _described("usual"), "a.tar": archives.small_image()}
    deeper = {
        "task/Descriptor.YAML": _described("usual"),
        "x": b"",
        "__MACOSX/x": b"",
        "b.tar": b"no tar",
    }
    two = {**right, "other.tar": b"", "descriptor.yaml": b"", "LOGO.png": b"GIF89a"}
    return [_zip(one) for one in (right, hostile, deeper, two, {})] + [b"", b"PK\3\4 cut"]


def image_archives() -> list[bytes]:
    return [
        archives.small_image(),
        gzip.compress(archives.small_image(), mtime=0),
        *_docker_layouts(),
        *_oci_layouts(),
        *_with_accounts(),
        _other_entries(),
        _unsafe_entries(),
        bytes(1024),
        b"no tar",
    ]


def _docker_layouts() -> list[bytes]:
    one, other = archives.image(User="nobody:users"), archives.image(architecture="arm64")
    third = archives.image(tar({"etc/passwd": b"nobody:x:65534:65534::/:/bin/sh\n"}), User="nobody")
    entries = archives.docker_archive(
        [(one, ["org/example/nuclei:1.2.0"]), (other, []), (third, [])]
    )
    packed = archives.docker_archive([(third, ["x:1"])])
    packed["0/layer.tar"] = gzip.compress(packed["0/layer.tar"], mtime=0)
    return [tar(entries), tar(packed)]


def _oci_layouts() -> list[bytes]:
    one, other = archives.image(User="1000", Cmd=["a"]), archives.image(architecture="arm64")
    first = archives.OciArchive()
    attestation = first.manifest(
        one,
        platform={"os": "unknown", "architecture": "unknown"},
        annotations={"vnd.docker.reference.type": "attestation-manifest"},
    )
    nested = first.index(
        first.manifest(one, platform=archives.platform("amd64")),
        first.manifest(other, platform=archives.platform("arm64", "v8")),
        attestation,
        annotations={"io.containerd.image.name": "docker.io/org/example/nuclei:1.2.0"},
    )
    second = archives.OciArchive()
    packed = gzip.compress(one.layer, mtime=0)
    zipped = second.manifest(one, f"{archives.OCI_LAYER}+gzip", packed)
    absent = {"mediaType": archives.OCI_MANIFEST, "digest": "sha256:" + "0" * 64, "size": 1}
    return [first.tar(nested), second.tar(zipped, absent), second.tar()]


def _with_accounts() -> list[bytes]:
    files = {
        "etc/passwd": b"nobody:x:65534:65534::/:/bin/sh\nodd:x:99999999999:1\n",
        "etc/group": b"users:x:100:\n",
        "etc/.wh.passwd": b"",
    }
    made = []
    for user in ("nobody", "nobody:users", "1000:100", "7", "root", "odd", "nobody:none", "1:none"):
        lowest, highest = tar(files), tar({"etc/.wh..wh..opq": b"", "etc/group": b""})
        one = archives.image(lowest, highest, User=user)
        content = archives.docker_archive([(one, [])])
        manifest = json.loads(content["manifest.json"])
        manifest[0]["Layers"].append("1/layer.tar")
        content |= {"1/layer.tar": highest, "manifest.json": archives.dump(manifest)}
        made.append(tar(content))
        single = archives.image(lowest, User=user)
        made.append(tar(archives.docker_archive([(single, [])])))
    return made


def _unsafe_entries() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name in ("/absolute", "../up", "C:x", "n" * 300):
            _add(archive, name, b"\x28\xb5\x2f\xfd")
        _add(archive, "device", b"", type=tarfile.CHRTYPE)
        _add(archive, "away", b"", type=tarfile.SYMTYPE, linkname="../../x")
        _add(archive, "gzip", gzip.compress(b"a", mtime=0) * 2 + bytes(3))
        _add(archive, "noise", b"\x1f\x8bno gzip at all")
    return out.getvalue()


def _other_entries() -> bytes:
    """A symbolic link to the layer, a hard link, a folder, long names, and pax headers."""
    out = io.BytesIO()
    content = archives.docker_archive([(archives.image(), ["x:1"])])
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        layer = content.pop("0/layer.tar")
        _add(archive, "deep/" * 40 + "layer.tar", layer)
        _add(
            archive,
            "0/layer.tar",
            b"",
            type=tarfile.SYMTYPE,
            linkname="../" + "deep/" * 40 + "layer.tar",
        )
        _add(archive, "1/layer.tar", b"", type=tarfile.LNKTYPE, linkname="0/layer.tar")
        _add(archive, "folder", b"", type=tarfile.DIRTYPE)
        _add(archive, "\u00e9", b"x", pax_headers={"comment": "x"})
        for name, one in content.items():
            _add(archive, name, one)
    return out.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes, **fields: Any) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    for field, value in fields.items():
        setattr(entry, field, value)
    archive.addfile(entry, io.BytesIO(content))


ENTRY_END, NAME_END = b"\x1e", b"\x1f"
"""Between the entries of a folder, and between the name of one and its content."""


def arrays() -> list[bytes]:
    """Folders of arrays, each written as one run of bytes."""
    point = b'{"type": "Point", "coordinates": [1, 2]}'
    collection = b'{"type": "FeatureCollection", "features": []}'
    return [
        _folder({"array.yml": b"size: 2\n", "0": b"1", "1": b" -0x2f\n"}),
        _folder(
            {"array.yml": b"{size: 3, other: [a]}", "0": point, "2": point, "2.geojson": point}
        ),
        _folder({"array.yml": b"size: 2.0 # two", "0.geojson": collection, "1": point, "x": b""}),
        _folder({"array.yml": b"size: -1", "00": b"true", "0.geojson": b"x"}),
        _folder({"array.yml": b"- 1"}),
        _folder({"0": b"1"}),
        _folder({"array.yml": b"size: 2", "0.geojson": collection, "1.geojson": collection}),
        _folder({"array.yml": b"size: 99999999999999999999\n", "0": b"\xff"}),
        _folder({"array.yml": b"size: 1\nsize: 2"}),
        _folder({"array.yml": b"a: &a [x, x]\nb: &b [*a, *a]\nsize: *b"}),
    ]


def _folder(entries: Mapping[str, bytes]) -> bytes:
    return ENTRY_END.join(name.encode() + NAME_END + content for name, content in entries.items())


ARRAY_TOKENS = (ENTRY_END, NAME_END, b"array.yml", b"size: ", b"0", b".geojson", *DESCRIPTOR_TOKENS)
