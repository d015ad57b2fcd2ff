"""What the examples are run with: how it is given on the command line, and what a task must find.

The second is written by hand from the contract, so that the engine's own writing is tested too.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.pictures import slide, write_dicom, write_tiff
from tests.conformance.trees import Content, array

EXAMPLES = ("nuclei", "tissue", "measure")

DEFAULTS: Mapping[str, Mapping[str, bytes]] = {
    "nuclei": {"stain": b"hematoxylin", "min_area": b"40"},
    "tissue": {
        "brightness": b"0.85",
        "thumbnails": b"true",
        "thumbnail_width": b"128",
        "title": b"Tissue on slides",
    },
    "measure": {
        "clock_error": b"0",
        "pixel_size": b"1",
        "max_area": b"inf",
        "only_reviewed": b"false",
        "order": b"given",
        "title": b"",
    },
}
"""What stands in the input folder where nothing was given."""

OPTIONAL_OUTPUTS: Mapping[str, frozenset[str]] = {
    "nuclei": frozenset(),
    "tissue": frozenset({"region_fractions", "thumbnails", "scanned_at", "last_scan"}),
    "measure": frozenset({
        "kept_ids", "kept_scores", "kept_notes", "kept_reviewed", "mean_score", "bounds",
        "dominant_label", "merged",
    }),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Where a case may put its files."""

    folder: Path
    """Of the user."""
    datasets: Path
    """In the server's datasets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One run of an example."""

    name: str
    example: str
    arguments: tuple[str | Path, ...]
    """Of `appengine run`."""
    given: Mapping[str, Content]
    """What the task finds of what was given, by name."""
    absent: frozenset[str] = frozenset()
    """The optional outputs that there must not be."""

    @property
    def on_disk(self) -> Mapping[str, Content]:
        """The whole input folder."""
        return {**DEFAULTS[self.example], **self.given}


Text = Mapping[str, object]

TRIANGLE: Text = {"type": "Polygon", "coordinates": [[[1, 1], [9, 1], [1, 7], [1, 1]]]}
LINE: Text = {"type": "LineString", "coordinates": [[0, 0], [3, 4]]}
POINT: Text = {"type": "Point", "coordinates": [5.5, 0.1]}
CIRCLE: Text = {
    "type": "Feature",
    "id": "c-1",
    "geometry": {"type": "Point", "coordinates": [30, 20]},
    "properties": {"subType": "Circle", "radius": 2.5, "note": "kept, with all its members 🔬"},
}
RING: Text = {
    "type": "MultiPolygon",
    "coordinates": [
        [
            [[20, 20], [40, 20], [40, 40], [20, 40], [20, 20]],
            [[25, 25], [25, 30], [30, 30], [30, 25], [25, 25]],
        ]
    ],
}
FIELD: Text = {"type": "Polygon", "coordinates": [[[0, 0], [96, 0], [96, 64], [0, 64], [0, 0]]]}

SCORES = [0.1, "nan", "inf", -0.0, 1e-7]
SCORES_ON_DISK = [b"0.1", b"nan", b"inf", b"-0.0", b"1e-07"]
IDS = [2**63 - 1, -(2**63), 0, -1, 10]
NOTES = ["", "line one\r\nline two\r\n", "🔬 größer als µ", " padded\t", "ends in one newline\n"]


def as_json(value: object) -> str:
    """As the command line hands it on, without a character lost."""
    return json.dumps(value, ensure_ascii=False)


def geojson(geometry: Text) -> bytes:
    return as_json(geometry).encode()


def as_arguments(**texts: object) -> tuple[str, ...]:
    """Each as `--input NAME=TEXT`."""
    return tuple(part for name, text in texts.items() for part in ("--input", f"{name}={text}"))


def _picture(ground: Ground) -> Path:
    path = ground.folder / "picture.png"
    slide(1).save(path)
    return path


def _written(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def measure_by_value(ground: Ground) -> Case:
    """Awkward values of every type, on the command line itself."""
    geometries = [TRIANGLE, LINE, POINT, CIRCLE, RING]
    labels = ["tumour", "stroma", "tumour", "other", "necrosis"]
    reviewed = [True, False, True, True, True]
    moment = "2024-02-28T23:59:59.123456789-11:30"
    picture = _picture(ground)
    return Case(
        name="measure-by-value",
        example="measure",
        arguments=as_arguments(
            picture=f"@{picture}", annotations=as_json(geometries), labels=as_json(labels),
            ids=as_json(IDS), scores=as_json(SCORES), notes=as_json(NOTES),
            reviewed=as_json(reviewed), acquired_at=moment, clock_error="+1", pixel_size="1e-7",
            max_area="inf", only_reviewed="False", order="area", title="", documents="[]",
            within=as_json(FIELD),
        ),
        given={
            "picture": picture,
            "annotations": [geojson(one) for one in geometries],
            "labels": [label.encode() for label in labels],
            "ids": [str(number).encode() for number in IDS],
            "scores": SCORES_ON_DISK,
            "notes": [note.encode() for note in NOTES],
            "reviewed": [b"true", b"false", b"true", b"true", b"true"],
            "acquired_at": moment.encode(),
            "clock_error": b"1",
            "pixel_size": b"1e-07",
            "order": b"area",
            "documents": [],
            "within": geojson(FIELD),
        },
        absent=frozenset({"merged"}),
    )  # fmt: skip


def measure_by_file(ground: Ground) -> Case:
    """Values from files and folders, and a picture with its companion."""
    folder, picture = ground.folder, _picture(ground)
    companion = b'{"type": "Polygon",\r\n "coordinates": [[[0, 0], [9, 0], [9, 9], [0, 0]]]}\n'
    cover = b"\xef\xbb\xbfcover\r\nof two lines"
    documents = {"a2.bin": bytes(range(256)), "a10.bin": b"", "b.txt": b"no newline"}
    for name, content in documents.items():
        _written(folder / "documents" / name, content)
    features = [{"type": "Feature", "properties": {}, "geometry": one} for one in (TRIANGLE, RING)]
    collection = {"type": "FeatureCollection", "features": features}
    moment, title = "2024-05-01t12:00:00z", "Line one\r\n🔬 line two"
    return Case(
        name="measure-by-file",
        example="measure",
        arguments=as_arguments(
            picture=f"@{picture}",
            **{"picture.geojson": f"@{_written(folder / 'crop.geojson', companion)}"},
            annotations=f"@{_written(folder / 'annotations.geojson', as_json(collection))}",
            labels=f"@{_written(folder / 'labels.json', as_json(['stroma', 'stroma']))}",
            within=f"@{_written(folder / 'within.geojson', geojson(POINT))}",
            cover=f"@{_written(folder / 'cover.txt', cover)}", documents=f"@{folder / 'documents'}",
            acquired_at=moment, title=title,
        ),
        given={
            "picture": picture,
            "picture.geojson": companion,
            "annotations": [geojson(feature) for feature in features],
            "labels": [b"stroma", b"stroma"],
            "within": geojson(POINT),
            "cover": cover,
            "documents": [documents[name] for name in ("a2.bin", "a10.bin", "b.txt")],
            "acquired_at": moment.encode(),
            "title": title.encode(),
        },
        absent=OPTIONAL_OUTPUTS["measure"] - {"merged"},
    )  # fmt: skip


def measure_from_json(ground: Ground) -> Case:
    """Every value in one JSON file, as Cytomine's users write it; one is overruled."""
    picture = _picture(ground)
    _written(ground.folder / "one.bin", b"\0one")
    inputs = [
        {"parameterName": "picture", "value": "@picture.png"},
        {"param_name": "annotations", "value": [{"index": 1, "value": POINT}, {"index": 0, "value": RING}]},  # noqa: E501
        {"parameter": "labels", "value": ["tumour", "other"]},
        {"parameterName": "scores", "value": [-1e300, 12345678901234567890]},
        {"parameterName": "reviewed", "value": [True, False]},
        {"parameterName": "only_reviewed", "value": True},
        {"parameterName": "within", "value": None},
        {"parameterName": "acquired_at", "value": "1999-12-31T23:59:59+00:00"},
        {"parameterName": "title", "value": "overruled"},
        {"parameterName": "documents", "value": ["@one.bin", "@one.bin"]},
        {"parameterName": "max_area", "value": 5e-324},
    ]  # fmt: skip
    document = _written(ground.folder / "inputs.json", as_json(inputs))
    return Case(
        name="measure-from-json",
        example="measure",
        arguments=("--inputs", document, "--input", "title=by hand", "--input", "max_area=375"),
        given={
            "picture": picture,
            "annotations": [geojson(RING), geojson(POINT)],
            "labels": [b"tumour", b"other"],
            "scores": [b"-1e+300", b"1.2345678901234567e+19"],
            "reviewed": [b"true", b"false"],
            "only_reviewed": b"true",
            "acquired_at": b"1999-12-31T23:59:59+00:00",
            "title": b"by hand",
            "documents": [b"\0one", b"\0one"],
            "max_area": b"375",
        },
        absent=frozenset({"kept_ids", "kept_notes"}),
    )


def measure_nothing(ground: Ground) -> Case:
    """Empty arrays, and all that may be left out left out."""
    picture = _picture(ground)
    return Case(
        name="measure-nothing",
        example="measure",
        arguments=as_arguments(
            picture=f"@{picture}", annotations="[]", labels="[]", acquired_at="2024-05-01T00:00:00Z"
        ),
        given={
            "picture": picture,
            "annotations": [],
            "labels": [],
            "acquired_at": b"2024-05-01T00:00:00Z",
        },
        absent=OPTIONAL_OUTPUTS["measure"],
    )


def write_slides(folder: Path) -> list[Path]:
    """Slides of every format, in the natural order of their names."""
    folder.mkdir()
    slide(0).save(folder / "slide2.png")
    slide(3).save(folder / "slide2b.jpg", quality=95)
    write_tiff(folder / "slide10.tif", slide(4))
    write_tiff(folder / "slide11.tif", slide(5), big=True)
    write_dicom(folder / "slide12.dcm", slide(6))
    write_wsi_dicom(folder / "slide13", slide_number=7)
    names = ("slide2.png", "slide2b.jpg", "slide10.tif", "slide11.tif", "slide12.dcm", "slide13")
    return [folder / name for name in names]


def write_wsi_dicom(folder: Path, *, slide_number: int) -> None:
    """A whole slide as two levels, one of them in tiles."""
    folder.mkdir()
    write_dicom(folder / "level0.dcm", slide(slide_number), tile=32)
    write_dicom(folder / "level1.dcm", slide(slide_number).reduce(2))


def tissue_by_folder(ground: Ground) -> Case:
    """A folder of slides of every format, and arrays that belong to them."""
    slides = write_slides(ground.folder / "slides")
    companion = _written(ground.folder / "slides/slide10.geojson", geojson(FIELD))
    write_wsi_dicom(ground.folder / "blank", slide_number=2)
    regions = [[FIELD, RING], [], [TRIANGLE], [], [RING], [FIELD]]
    stains = ["immunohistochemistry", "hematoxylin and eosin"] * 2 + ["fluorescence"] * 2
    moments = [
        f"2024-0{month}-01T12:00:00{'+05:45' if month % 2 else 'Z'}" for month in range(1, 7)
    ]
    return Case(
        name="tissue-by-folder",
        example="tissue",
        arguments=as_arguments(
            slides=f"@{ground.folder / 'slides'}", blank=f"@{ground.folder / 'blank'}",
            regions=as_json(regions), stains=as_json(stains), scanned_at=as_json(moments),
            brightness="0.9", thumbnail_width="0032", title="Größe, “quoted”",
        ),
        given={
            "slides": array(*slides, companion_of_2=companion),
            "blank": ground.folder / "blank",
            "regions": [[geojson(region) for region in inner] for inner in regions],
            "stains": [stain.encode() for stain in stains],
            "scanned_at": [moment.encode() for moment in moments],
            "brightness": b"0.9",
            "thumbnail_width": b"32",
            "title": "Größe, “quoted”".encode(),
        },
    )  # fmt: skip


def tissue_one_by_one(ground: Ground) -> Case:
    """Slides named one by one, one of them a folder; nothing that may be left out."""
    first, second = ground.folder / "first.png", ground.folder / "second"
    slide(2).save(first)
    write_wsi_dicom(second, slide_number=3)
    return Case(
        name="tissue-one-by-one",
        example="tissue",
        arguments=(
            *as_arguments(slides=f"@{first}", thumbnails="false"),
            *as_arguments(slides=f"@{second}"),
        ),
        given={"slides": [first, second], "thumbnails": b"false"},
        absent=OPTIONAL_OUTPUTS["tissue"],
    )


def tissue_by_reference(ground: Ground) -> Case:
    """Slides that the server has: all that match a pattern, and a folder of WSI-DICOM."""
    slides = write_slides(ground.datasets / "slides")
    tiffs = [path for path in slides if path.suffix == ".tif"]
    return Case(
        name="tissue-by-reference",
        example="tissue",
        arguments=as_arguments(
            slides=f"ref:{ground.datasets / 'slides/*.tif'}", blank=f"ref:{slides[-1]}"
        ),
        given={"slides": tiffs, "blank": slides[-1]},
        absent=OPTIONAL_OUTPUTS["tissue"] - {"thumbnails"},
    )


def tissue_of_both(ground: Ground) -> Case:
    """Slides that are uploaded beside slides that the server has, in a JSON file."""
    theirs = write_slides(ground.datasets / "slides")
    ours = ground.folder / "ours.png"
    slide(1).save(ours)
    values = {"slides": ["@ours.png", f"ref:{theirs[0]}", str(theirs[-1])], "brightness": 0.5}
    document = _written(ground.folder / "inputs.json", as_json(values))
    return Case(
        name="tissue-of-both",
        example="tissue",
        arguments=("--inputs", document),
        given={"slides": [ours, theirs[0], theirs[-1]], "brightness": b"0.5"},
        absent=OPTIONAL_OUTPUTS["tissue"] - {"thumbnails"},
    )


def measure_by_reference(ground: Ground) -> Case:
    """A picture and other files that the server has, with spaces in their names."""
    folder, picture = ground.datasets, ground.datasets / "picture 1.png"
    slide(1).save(picture)
    contents = {"part 10.txt": b"ten\r\n", "part 9.txt": b"nine\n", "other.txt": b"no part"}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return Case(
        name="measure-by-reference",
        example="measure",
        arguments=as_arguments(
            picture=f"ref:{picture}", cover=f"ref:{folder / 'other.txt'}",
            documents=f"ref:{folder / 'part *.txt'}", annotations=as_json([CIRCLE]),
            labels='["necrosis"]', acquired_at="2024-05-01T00:00:00+14:00",
        ),
        given={
            "picture": picture,
            "cover": folder / "other.txt",
            "documents": [contents["part 9.txt"], contents["part 10.txt"]],
            "annotations": [geojson(CIRCLE)],
            "labels": [b"necrosis"],
            "acquired_at": b"2024-05-01T00:00:00+14:00",
        },
        absent=frozenset({
            "kept_ids", "kept_scores", "kept_notes", "kept_reviewed", "mean_score"
        }),
    )  # fmt: skip


def measure_a_thousand(ground: Ground) -> Case:
    """As many files of a dataset as a real one has, in natural order."""
    picture, folder = _picture(ground), ground.datasets / "parts"
    folder.mkdir()
    contents = [f"part {number}\n".encode() for number in range(1000)]
    for number, content in enumerate(contents):
        (folder / f"part{number}").write_bytes(content)
    return Case(
        name="measure-a-thousand",
        example="measure",
        arguments=as_arguments(
            picture=f"@{picture}", annotations="[]", labels="[]", documents=f"ref:{folder}/*",
            acquired_at="2024-05-01T00:00:00Z",
        ),
        given={
            "picture": picture,
            "annotations": [],
            "labels": [],
            "documents": contents,
            "acquired_at": b"2024-05-01T00:00:00Z",
        },
        absent=OPTIONAL_OUTPUTS["measure"] - {"merged"},
    )  # fmt: skip


def nuclei_of_a_real_slide(ground: Ground) -> Case:
    """A region of a real slide."""
    found = subprocess.run(
        [Path(__file__).parents[2] / "scripts/sample-image"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    picture = ground.folder / "ihc.png"
    shutil.copyfile(found.stdout.strip(), picture)
    return Case(
        name="nuclei-of-a-real-slide",
        example="nuclei",
        arguments=as_arguments(image=f"@{picture}", min_area="60"),
        given={"image": picture, "min_area": b"60"},
    )


CASES: Mapping[str, Callable[[Ground], Case]] = {
    "measure-by-value": measure_by_value,
    "measure-by-file": measure_by_file,
    "measure-from-json": measure_from_json,
    "measure-nothing": measure_nothing,
    "tissue-by-folder": tissue_by_folder,
    "tissue-one-by-one": tissue_one_by_one,
    "tissue-by-reference": tissue_by_reference,
    "tissue-of-both": tissue_of_both,
    "measure-by-reference": measure_by_reference,
    "measure-a-thousand": measure_a_thousand,
    "nuclei-of-a-real-slide": nuclei_of_a_real_slide,
}

REFERENCING = frozenset(
    {"tissue-by-reference", "tissue-of-both", "measure-by-reference", "measure-a-thousand"}
)
"""The cases with inputs that the server has already."""
