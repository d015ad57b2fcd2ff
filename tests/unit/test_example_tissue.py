"""The tissue example outside the engine: which pixels it takes for tissue, and what it reads."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.conformance.pictures import write_dicom, write_tiff

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "tissue"))

import slides
import tissue

DARK = tissue.Rule(level=200.0, is_bright=False)
BRIGHT = tissue.Rule(level=200.0, is_bright=True)


def slide() -> Image.Image:
    """A white slide of 20 x 10 with tissue of 4 x 3 whose upper left corner is at (5, 2)."""
    picture = Image.new("RGB", (20, 10), "white")
    picture.paste((120, 60, 130), (5, 2, 9, 5))
    return picture


def polygon(left: float, bottom: float, right: float, top: float) -> dict[str, object]:
    ring = [[left, bottom], [right, bottom], [right, top], [left, top], [left, bottom]]
    return {"type": "Polygon", "coordinates": [ring]}


def test_what_is_darker_is_tissue_and_on_fluorescence_what_is_brighter() -> None:
    dark = tissue.look_at(slide(), DARK, None, [], 20)
    assert (dark.tissue, dark.looked_at, dark.fraction) == (12, 200, 0.06)
    bright = tissue.look_at(slide(), BRIGHT, None, [], 20)
    assert bright.tissue == 188


def test_the_box_has_its_origin_at_the_bottom_left() -> None:
    found = tissue.look_at(slide(), DARK, None, [], 20)
    assert tissue.bounding_polygon(found) == polygon(5, 5, 9, 8)


def test_a_slide_without_tissue_has_an_empty_box() -> None:
    empty = tissue.look_at(Image.new("RGB", (4, 4), "white"), DARK, None, [], 20)
    assert empty.fraction == 0
    assert tissue.bounding_polygon(empty) == {"type": "Polygon", "coordinates": []}


def test_regions_and_companions_bound_what_is_looked_at() -> None:
    regions = [polygon(5, 5, 9, 8), polygon(0, 0, 20, 4), polygon(8, 4, 10, 6)]
    found = tissue.look_at(slide(), DARK, None, regions, 20)
    assert found.in_regions == [1.0, 0.0, 0.25]
    inside = tissue.look_at(slide(), DARK, polygon(0, 0, 7, 10), regions, 20)
    assert (inside.tissue, inside.looked_at) == (6, 70)
    assert inside.in_regions == [1.0, 0.0, 0.0]


def test_pixels_count_by_their_middle() -> None:
    size = (6, 6)
    assert tissue.lit(tissue.filled(polygon(0.5, 0.5, 2.5, 2.5), size)) == 4
    assert tissue.lit(tissue.filled(polygon(0.6, 0.6, 2.4, 2.4), size)) == 1
    assert tissue.lit(tissue.filled(polygon(-9, -9, 99, 99), size)) == 36
    assert tissue.lit(tissue.filled({"type": "Point", "coordinates": [1, 1]}, size)) == 0


def test_a_hole_is_not_inside() -> None:
    ring, hole = (polygon(*box)["coordinates"] for box in ((0, 0, 6, 6), (2, 2, 4, 4)))
    with_hole = {"type": "Polygon", "coordinates": [ring[0], hole[0]]}  # type: ignore[index]
    feature = {"type": "Feature", "geometry": with_hole, "properties": {}}
    assert tissue.lit(tissue.filled(feature, (6, 6))) == 32


def test_a_thumbnail_is_no_wider_than_asked_and_no_larger_than_the_slide() -> None:
    assert tissue.look_at(slide(), DARK, None, [], 16).thumbnail.size == (10, 5)
    assert tissue.look_at(slide(), DARK, None, [], 512).thumbnail.size == (20, 10)


@pytest.mark.parametrize("tile", [None, 8])
def test_dicom_is_read_as_one_picture_whatever_its_tiles(tmp_path: Path, tile: int | None) -> None:
    write_dicom(tmp_path / "slide", slide(), tile=tile)
    assert slides.read_slide(tmp_path / "slide").tobytes() == slide().tobytes()


def test_of_a_folder_of_dicom_the_largest_picture_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "slide"
    folder.mkdir()
    write_dicom(folder / "a.dcm", slide().reduce(2))
    write_dicom(folder / "b.dcm", slide(), tile=16)
    assert slides.read_slide(folder).tobytes() == slide().tobytes()


@pytest.mark.parametrize("big", [False, True])
def test_pyramids_are_read_at_their_largest(tmp_path: Path, big: bool) -> None:
    write_tiff(tmp_path / "slide", slide(), big=big)
    assert slides.read_slide(tmp_path / "slide").tobytes() == slide().tobytes()


def test_a_file_that_is_no_picture_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "0").write_bytes(b"no picture")
    with pytest.raises(SystemExit, match="is no picture in a format that this task reads"):
        slides.read_slide(tmp_path / "0")


def test_dates_are_given_by_universal_time() -> None:
    assert tissue.universal("2024-01-01t00:30:00+02:00") == "2023-12-31T22:30:00Z"
