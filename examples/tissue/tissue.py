"""Say how much of each slide is tissue, on the whole and in regions of interest."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops
from slides import read_slide

Ring = list[tuple[float, float]]


@dataclass(frozen=True)
class Rule:
    """What counts as tissue: the pixels that are darker than a level, or brighter."""

    level: float
    """Of 255."""
    is_bright: bool


@dataclass(frozen=True)
class Found:
    """What was found on one slide."""

    size: tuple[int, int]
    looked_at: int
    """Pixels."""
    tissue: int
    """Pixels."""
    box: tuple[int, int, int, int] | None
    """Left, upper, right and lower side of the tissue in pixels from the top left."""
    in_regions: list[float]
    thumbnail: Image.Image

    @property
    def fraction(self) -> float:
        return share(self.tissue, self.looked_at)


def share(part: int, whole: int) -> float:
    return round(part / whole, 6) if whole else 0.0


def look_at(slide: Image.Image, rule: Rule, inside: Any, regions: list[Any], width: int) -> Found:
    """Find the tissue of one slide, and make a thumbnail of at most `width` pixels."""
    area = Image.new("L", slide.size, 255) if inside is None else filled(inside, slide.size)
    mask = ImageChops.darker(tissue_mask(slide, rule), area)
    in_regions = []
    for region in regions:
        part = ImageChops.darker(filled(region, slide.size), area)
        in_regions.append(share(lit(ImageChops.darker(mask, part)), lit(part)))
    small = slide.reduce(math.ceil(slide.width / width))
    return Found(slide.size, lit(area), lit(mask), mask.getbbox(), in_regions, small)


def tissue_mask(slide: Image.Image, rule: Rule) -> Image.Image:
    """A picture that is 255 where there is tissue, and 0 elsewhere."""
    levels = ((v > rule.level) if rule.is_bright else (v < rule.level) for v in range(256))
    return slide.convert("L").point([255 * is_tissue for is_tissue in levels])


def lit(mask: Image.Image) -> int:
    return mask.histogram()[255]


def filled(annotation: Any, size: tuple[int, int]) -> Image.Image:
    """A picture that is 255 at the pixels whose middle lies within the polygons."""
    width, height = size
    rings = rings_of(annotation)
    pixels = bytearray(width * height)
    for row in range(height):
        crossings = sorted(crossed(rings, height - row - 0.5))
        for begin, end in zip(crossings[::2], crossings[1::2], strict=True):
            first = min(max(math.ceil(begin - 0.5), 0), width)
            last = min(max(math.ceil(end - 0.5), first), width)
            pixels[row * width + first : row * width + last] = b"\xff" * (last - first)
    return Image.frombytes("L", size, bytes(pixels))


def crossed(rings: list[Ring], y: float) -> Iterable[float]:
    """Where the sides of the rings cross a horizontal line."""
    for ring in rings:
        for (x0, y0), (x1, y1) in pairwise(ring):
            if (y0 <= y) != (y1 <= y):
                yield x0 + (y - y0) * (x1 - x0) / (y1 - y0)


def rings_of(annotation: Any) -> list[Ring]:
    geometry = annotation["geometry"] if annotation["type"] == "Feature" else annotation
    if geometry["type"] not in ("Polygon", "MultiPolygon"):
        return []  # points and lines have no inside
    nested = geometry["coordinates"]
    polygons = [nested] if geometry["type"] == "Polygon" else nested
    return [[(x, y) for x, y, *_ in ring] for polygon in polygons for ring in polygon]


def bounding_polygon(found: Found) -> dict[str, Any]:
    """The box around the tissue as GeoJSON: pixels, origin bottom left, y upwards."""
    if found.box is None:
        return {"type": "Polygon", "coordinates": []}
    left, upper, right, lower = found.box
    top, bottom = found.size[1] - upper, found.size[1] - lower
    ring = [[left, bottom], [right, bottom], [right, top], [left, top], [left, bottom]]
    return {"type": "Polygon", "coordinates": [ring]}


class Inputs:
    """The input folder: a file for each value, a folder for each array."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def text(self, name: str) -> str:
        return (self.folder / name).read_bytes().decode()

    def items(self, name: str) -> list[Path]:
        """The items of an array; none if it was not given."""
        metadata = self.folder / name / "array.yml"
        size = int(metadata.read_text().removeprefix("size: ")) if metadata.exists() else 0
        return [self.folder / name / str(index) for index in range(size)]

    def texts(self, name: str) -> list[str]:
        return [path.read_bytes().decode() for path in self.items(name)]

    def regions(self, slide: int) -> list[Any]:
        return [json.loads(text) for text in self.texts(f"regions/{slide}")]

    def companion(self, slide: Path) -> Any:
        path = slide.with_name(f"{slide.name}.geojson")
        return json.loads(path.read_text()) if path.exists() else None


def find(inputs: Inputs) -> list[Found]:
    share_of_white, width = float(inputs.text("brightness")), int(inputs.text("thumbnail_width"))
    white = 255.0
    if (inputs.folder / "blank").exists():
        white = mean_brightness(read_slide(inputs.folder / "blank"))
        say(f"the blank slide has a brightness of {white:.1f} of 255")
    stains = inputs.texts("stains")
    found = []
    for number, path in enumerate(inputs.items("slides")):
        is_bright = bool(stains) and stains[number] == "fluorescence"
        slide, rule = read_slide(path), Rule(share_of_white * white, is_bright)
        regions = inputs.regions(number)
        found.append(look_at(slide, rule, inputs.companion(path), regions, width))
        say(f"slide {number}: {slide.width} x {slide.height}, {found[-1].fraction:.1%} tissue")
    return found


def mean_brightness(slide: Image.Image) -> float:
    counts = slide.convert("L").histogram()
    return sum(value * count for value, count in enumerate(counts)) / sum(counts)


def write_array(folder: Path, items: Iterable[str]) -> None:
    texts = list(items)
    folder.mkdir()
    (folder / "array.yml").write_text(f"size: {len(texts)}\n")
    for index, text in enumerate(texts):
        (folder / str(index)).write_bytes(text.encode())


def write_thumbnails(folder: Path, found: list[Found]) -> None:
    folder.mkdir()
    (folder / "array.yml").write_text(f"size: {len(found)}\n")
    for index, one in enumerate(found):
        one.thumbnail.save(folder / str(index), format="PNG")


def write_region_fractions(folder: Path, found: list[Found]) -> None:
    folder.mkdir()
    (folder / "array.yml").write_text(f"size: {len(found)}\n")
    for index, one in enumerate(found):
        write_array(folder / str(index), map(str, one.in_regions))


def instant(moment: str) -> datetime:
    return datetime.fromisoformat(moment.upper())


def universal(moment: str) -> str:
    return instant(moment).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def report(inputs: Inputs, found: list[Found]) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([inputs.text("title")])
    table.writerow(["slide", "stain", "scanned at", "width", "height", "tissue pixels", "fraction"])
    stains, moments = inputs.texts("stains"), inputs.texts("scanned_at")
    for number, one in enumerate(found):
        about = [stains[number] if stains else "", moments[number] if moments else ""]
        table.writerow([number, *about, *one.size, one.tissue, one.fraction])
    return text.getvalue()


def verdict(found: list[Found]) -> str:
    with_tissue = sum(one.tissue > 0 for one in found)
    return "none" if not with_tissue else "all" if with_tissue == len(found) else "some"


def write_outputs(folder: Path, inputs: Inputs, found: list[Found]) -> None:
    (folder / "report").write_bytes(report(inputs, found).encode())
    write_array(folder / "fractions", (str(one.fraction) for one in found))
    write_array(folder / "tissue_pixels", (str(one.tissue) for one in found))
    write_array(folder / "has_tissue", (str(one.tissue > 0) for one in found))
    write_array(folder / "bounds", (json.dumps(bounding_polygon(one)) for one in found))
    if (inputs.folder / "regions").exists():
        write_region_fractions(folder / "region_fractions", found)
    if inputs.text("thumbnails") == "true":
        write_thumbnails(folder / "thumbnails", found)
    moments = inputs.texts("scanned_at")
    if moments:
        write_array(folder / "scanned_at", map(universal, moments))
        (folder / "last_scan").write_text(max(moments, key=instant))
    (folder / "verdict").write_text(verdict(found))
    mean = sum(one.fraction for one in found) / len(found)
    (folder / "summary").write_text(f"{len(found)} slides, on average {mean:.1%} of them tissue.")


def say(text: str) -> None:
    print(text, flush=True)  # at once, so that who follows the logs sees it


def main(inputs: Inputs, outputs: Path) -> None:
    write_outputs(outputs, inputs, find(inputs))


if __name__ == "__main__":
    folders = sys.argv[1:3] or ("/inputs", "/outputs")
    main(Inputs(Path(folders[0])), Path(folders[1]))
