"""Measure annotations on a picture, with what belongs to each of them."""

from __future__ import annotations

import json
import math
import re
import shutil
import struct
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from shapes import Box, Shape, box_around, is_inside, rectangle
from shapes import measure as measure_shape

LABELS = ("tumour", "stroma", "necrosis", "other")
OF_EACH = {"ids": int, "scores": float, "notes": str, "reviewed": "true".__eq__}
"""The optional arrays that say more about each annotation, and how an item is read."""


@dataclass(frozen=True)
class Annotation:
    """One annotation, with its text as it was given."""

    text: str
    label: str
    shape: Shape
    more: dict[str, Any]
    """Its items of the arrays of `OF_EACH` that were given."""


@dataclass(frozen=True)
class Wish:
    """Which annotations are measured, and how."""

    pixel_size: float
    max_area: float
    within: Box | None
    only_reviewed: bool
    order: str


class Inputs:
    """The input folder: a file for each value, a folder for each array."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def has(self, name: str) -> bool:
        return (self.folder / name).exists()

    def text(self, name: str) -> str:
        return (self.folder / name).read_bytes().decode()

    def paths(self, name: str) -> list[Path]:
        """The items of an array."""
        size = (self.folder / name / "array.yml").read_text()
        return [self.folder / name / str(i) for i in range(int(size.removeprefix("size: ")))]

    def texts(self, name: str) -> list[str]:
        return [path.read_bytes().decode() for path in self.paths(name)]


class Outputs:
    """The output folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def text(self, name: str, text: str) -> None:
        (self.folder / name).write_bytes(text.encode())

    def texts(self, name: str, items: Iterable[str]) -> None:
        texts = list(items)
        (self.folder / name).mkdir()
        for index, text in enumerate(texts):
            self.text(f"{name}/{index}", text)
        self.text(f"{name}/array.yml", f"size: {len(texts)}\n")


def written(value: Any) -> str:
    """A value as the file of an output."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def read_wish(inputs: Inputs) -> Wish:
    within = None
    if inputs.has("within"):
        shape = measure_shape(json.loads(inputs.text("within")))
        within = shape.box if shape else None
    return Wish(
        float(inputs.text("pixel_size")),
        float(inputs.text("max_area")),
        within,
        inputs.text("only_reviewed") == "true",
        inputs.text("order"),
    )


def read_annotations(inputs: Inputs) -> list[Annotation]:
    """All annotations that have coordinates."""
    given = {
        name: [read(item) for item in inputs.texts(name)]
        for name, read in OF_EACH.items()
        if inputs.has(name)
    }
    found = []
    pairs = zip(inputs.texts("annotations"), inputs.texts("labels"), strict=True)
    for index, (text, label) in enumerate(pairs):
        shape = measure_shape(json.loads(text))
        if shape is None:
            say(f"annotation {index} has no coordinates")
            continue
        more = {name: items[index] for name, items in given.items()}
        found.append(Annotation(text, label, shape, more))
    return found


def choose(annotations: list[Annotation], wish: Wish) -> list[Annotation]:
    """Leave out what is not wanted, and put the rest in order."""
    kept = [
        one
        for one in annotations
        if area_of(one, wish) <= wish.max_area
        and (wish.within is None or is_inside(one.shape.centroid, wish.within))
        and (not wish.only_reviewed or one.more.get("reviewed", False))
    ]
    return sorted(kept, key=lambda one: -one.shape.area) if wish.order == "area" else kept


def area_of(annotation: Annotation, wish: Wish) -> float:
    return annotation.shape.area * wish.pixel_size * wish.pixel_size


def mean(values: Sequence[float]) -> float:
    try:
        return math.fsum(values) / len(values) if values else math.nan
    except (OverflowError, ValueError):  # sums beyond floats, or of both infinities
        return math.nan


def shifted(moment: str, minutes: int) -> str:
    """A date and time some minutes later; fraction and zone stay as they were written."""
    parts = re.fullmatch(r"(.{10})[Tt](.{8})(\.[0-9]+)?(.+)", moment)
    if parts is None:
        sys.exit(f"the input `acquired_at` is no date and time: {moment}")
    day, clock, fraction, zone = parts.groups(default="")
    try:
        later = datetime.fromisoformat(f"{day}T{clock}") + timedelta(minutes=minutes)
    except (ValueError, OverflowError):
        sys.exit(f"the clock cannot be set right by {minutes} minutes from {moment}")
    return f"{later.isoformat()}{fraction}{zone}"


def region(inputs: Inputs) -> str:
    """The companion of the picture, or all of the picture."""
    if inputs.has("picture.geojson"):
        return inputs.text("picture.geojson")
    with (inputs.folder / "picture").open("rb") as file:
        width, height = struct.unpack(">16x2I", file.read(24))  # PNG's first part is IHDR
    return json.dumps(rectangle((0, 0, width, height)))


def dominant(areas: dict[str, float]) -> str:
    """The label of the largest area; of two alike the first in the list of labels."""
    return max(areas, key=lambda label: (areas[label], -LABELS.index(label)))


def write_measures(outputs: Outputs, kept: list[Annotation], wish: Wish) -> None:
    areas = [area_of(one, wish) for one in kept]
    outputs.text("count", str(len(kept)))
    outputs.text("total_area", str(math.fsum(areas)))
    outputs.texts("areas", map(str, areas))
    outputs.texts("perimeters", (str(one.shape.perimeter * wish.pixel_size) for one in kept))
    outputs.texts("kept_labels", (one.label for one in kept))
    of_label: dict[str, float] = {}
    for one, area in zip(kept, areas, strict=True):
        of_label[one.label] = of_label.get(one.label, 0.0) + area
    if of_label:
        outputs.text("dominant_label", dominant(of_label))
    outputs.texts("tables", (table(label, kept, wish) for label in LABELS if label in of_label))


def table(label: str, kept: list[Annotation], wish: Wish) -> str:
    lines = ["number,label,area,perimeter"]
    for number, one in enumerate(kept, start=1):
        if one.label == label:
            perimeter = one.shape.perimeter * wish.pixel_size
            lines.append(f"{number},{label},{area_of(one, wish)},{perimeter}")
    return "\n".join(lines) + "\n"


def write_places(outputs: Outputs, kept: list[Annotation]) -> None:
    points = [{"type": "Point", "coordinates": list(one.shape.centroid)} for one in kept]
    # An array of geometries may be one file that holds a collection.
    collection = {"type": "GeometryCollection", "geometries": points}
    outputs.text("centroids.geojson", json.dumps(collection))
    (outputs.folder / "groups").mkdir()
    outputs.text("groups/array.yml", f"size: {len(LABELS)}\n")
    for index, label in enumerate(LABELS):
        outputs.texts(f"groups/{index}", (one.text for one in kept if one.label == label))
    if kept:
        boxes = [one.shape.box for one in kept]
        corners = [corner for box in boxes for corner in (box[:2], box[2:])]
        outputs.text("bounds", json.dumps(rectangle(box_around(corners))))


def write_given(inputs: Inputs, outputs: Outputs, kept: list[Annotation]) -> None:
    """Hand back what was given for each annotation that was kept."""
    for name in OF_EACH:
        if inputs.has(name):
            outputs.texts(f"kept_{name}", (written(one.more[name]) for one in kept))
    if inputs.has("scores"):
        outputs.text("mean_score", str(mean([one.more["scores"] for one in kept])))
    shutil.copyfile(inputs.folder / "picture", outputs.folder / "picture")


def write_merged(inputs: Inputs, outputs: Outputs) -> None:
    parts = [inputs.folder / "cover"] if inputs.has("cover") else []
    parts += inputs.paths("documents") if inputs.has("documents") else []
    if not parts:
        return
    with (outputs.folder / "merged").open("wb") as merged:
        for part in parts:
            with part.open("rb") as file:
                shutil.copyfileobj(file, merged)


def say(text: str) -> None:
    print(text, flush=True)  # at once, so that who follows the logs sees it


def main(inputs: Inputs, outputs: Outputs) -> None:
    wish = read_wish(inputs)
    annotations = read_annotations(inputs)
    given = len(inputs.paths("annotations"))
    kept = choose(annotations, wish)
    say(f"measured {len(kept)} of {given} annotations")
    write_measures(outputs, kept, wish)
    write_places(outputs, kept)
    write_given(inputs, outputs, kept)
    write_merged(inputs, outputs)
    outputs.text("complete", written(len(kept) == given))
    moment, minutes = inputs.text("acquired_at"), int(inputs.text("clock_error"))
    outputs.text("acquired_at", shifted(moment, minutes))
    outputs.text("region", region(inputs))
    title = inputs.text("title")
    outputs.text("title", f"{title}\n")  # the engine takes one newline for the end of the line
    outputs.text("summary", f"{len(kept)} of {given} annotations of “{title}” were measured.")


if __name__ == "__main__":
    folders = sys.argv[1:3] or ("/inputs", "/outputs")
    main(Inputs(Path(folders[0])), Outputs(Path(folders[1])))
