"""The nuclei example outside the engine: what it finds, draws and writes, on a real picture too."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
from itertools import product
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from appengine_contract.descriptor import read_descriptor
from PIL import Image
from scipy import ndimage
from shapely.geometry import Point, Polygon, shape

_ROOT = Path(__file__).parents[2]
_SCRIPT = _ROOT / "examples/nuclei/nuclei.py"
_BLUE, _BROWN, _WHITE = (90, 85, 150), (140, 80, 40), (240, 240, 240)
_ANY_SIDE = np.ones((3, 3))


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("nuclei", _SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["nuclei"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


nuclei = _load()


@pytest.fixture(scope="session")
def slide() -> np.ndarray:
    """ihc.png: a region of an immunohistochemistry slide."""
    found = subprocess.run(
        [_ROOT / "scripts/sample-image"], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    return nuclei.read_picture(Path(found.stdout.strip()))


def disks(*centres: tuple[int, int], colour: tuple[int, int, int] = _BLUE) -> np.ndarray:
    """A white picture of 96 x 128 pixels with disks of radius 9 at (x, y)."""
    y, x = np.mgrid[:96, :128]
    picture = np.full((96, 128, 3), _WHITE, dtype=np.uint8)
    for centre_x, centre_y in centres:
        picture[(x - centre_x) ** 2 + (y - centre_y) ** 2 <= 81] = colour
    return picture


def contours(overlay: np.ndarray) -> int:
    """Count the green contours; two that touch by a corner count as one."""
    green = (overlay == nuclei.CONTOUR_COLOUR).all(axis=-1)
    return int(ndimage.label(green, structure=_ANY_SIDE)[1])


def run_script(inputs: Path, outputs: Path) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, _SCRIPT, inputs, outputs]
    return subprocess.run(command, capture_output=True, check=False)


def test_each_nucleus_is_found_once() -> None:
    assert nuclei.find_nuclei(disks((20, 20), (60, 30), (100, 70)), "hematoxylin", 40).count == 3


def test_touching_nuclei_are_parted() -> None:
    assert nuclei.find_nuclei(disks((40, 40), (55, 40)), "hematoxylin", 40).count == 2


def test_only_the_stain_that_was_asked_for_counts() -> None:
    picture = np.minimum(disks((20, 20), (60, 30)), disks((100, 70), colour=_BROWN))
    assert nuclei.find_nuclei(picture, "hematoxylin", 40).count == 2
    assert nuclei.find_nuclei(picture, "dab", 40).count == 1


def test_small_spots_are_no_nuclei() -> None:
    picture = disks((20, 20), (60, 30))
    assert nuclei.find_nuclei(picture, "hematoxylin", 40).count == 2
    assert nuclei.find_nuclei(picture, "hematoxylin", 5000).count == 0


@pytest.mark.parametrize("value", [0, 128, 255])
def test_an_empty_picture_has_no_nuclei(value: int) -> None:
    found = nuclei.find_nuclei(np.full((64, 64, 3), value, dtype=np.uint8), "hematoxylin", 40)
    assert (found.count, found.mean_area) == (0, 0.0)


def test_polygons_have_their_origin_at_the_bottom_left() -> None:
    picture = disks((20, 10))
    (feature,) = nuclei.polygons(nuclei.find_nuclei(picture, "hematoxylin", 40))
    assert shape(feature["geometry"]).contains(Point(20, 96 - 10))


def test_outlines_of_all_small_shapes_are_simple_rings() -> None:
    """All 4 x 4 shapes in one piece without holes: a ring must not cross or touch itself."""
    seen = 0
    for bits in product((False, True), repeat=16):
        mask = np.array(bits).reshape(4, 4)
        if ndimage.label(mask)[1] != 1 or not (mask == ndimage.binary_fill_holes(mask)).all():
            continue
        seen += 1
        ring = Polygon(nuclei.outline(mask))
        assert ring.is_valid, mask
        # Each pixel's middle is inside, each other pixel's is outside.
        for y, x in product(range(4), repeat=2):
            assert ring.covers(Point(x + 0.5, y + 0.5)) == mask[y, x], mask
        if seen == 2000:
            break
    assert seen == 2000


def test_a_real_slide_gives_one_contour_and_one_valid_polygon_for_each_nucleus(
    slide: np.ndarray,
) -> None:
    found = nuclei.find_nuclei(slide, "hematoxylin", 40)
    assert 200 < found.count < 500
    overlay = nuclei.draw(slide, found)
    assert contours(overlay) == found.count
    assert 0.01 < (overlay != slide).any(axis=-1).mean() < 0.30
    shapes = [shape(feature["geometry"]) for feature in nuclei.polygons(found)]
    assert len(shapes) == found.count
    assert all(one.is_valid and one.exterior.is_ccw for one in shapes)
    areas = [feature["properties"]["area"] for feature in nuclei.polygons(found)]
    assert np.mean(areas) == pytest.approx(found.mean_area)
    assert min(areas) >= 40


def test_the_same_picture_gives_the_same_nuclei(slide: np.ndarray) -> None:
    first, second = (nuclei.find_nuclei(slide, "dab", 40) for _ in range(2))
    assert (first.labels == second.labels).all()


def test_it_writes_every_output_that_its_descriptor_declares(tmp_path: Path) -> None:
    inputs, outputs = tmp_path / "inputs", tmp_path / "outputs"
    inputs.mkdir()
    outputs.mkdir()
    picture = disks((20, 20), (60, 30))
    Image.fromarray(picture).save(inputs / "image", format="PNG")
    (inputs / "stain").write_text("hematoxylin")
    (inputs / "min_area").write_text("40")
    ended = run_script(inputs, outputs)
    assert ended.returncode == 0, ended.stderr
    assert b"found 2 nuclei" in ended.stdout
    assert {path.name for path in outputs.iterdir()} == {"count", "mean_area", "nuclei", "overlay"}
    assert (outputs / "count").read_text() == "2"
    assert float((outputs / "mean_area").read_text()) > 200
    assert (outputs / "nuclei/array.yml").read_text() == "size: 2\n"
    for index in range(2):
        assert json.loads((outputs / f"nuclei/{index}").read_text())["type"] == "Feature"
    with Image.open(outputs / "overlay") as overlay:
        assert (overlay.format, overlay.size) == ("PNG", (128, 96))


def test_a_file_that_is_no_picture_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "image").write_text("no picture")
    (tmp_path / "stain").write_text("dab")
    (tmp_path / "min_area").write_text("40")
    ended = run_script(tmp_path, tmp_path)
    assert ended.returncode == 1
    assert ended.stderr == b"the input `image` is no picture in a format that this task reads\n"


def test_a_cancel_ends_it_at_once(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (2000, 2000, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "image", format="PNG")
    (tmp_path / "stain").write_text("dab")
    (tmp_path / "min_area").write_text("1")
    command = [sys.executable, nuclei.__file__, tmp_path, tmp_path / "outputs"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout is not None
    assert running.stdout.readline().startswith("read a picture")
    running.send_signal(signal.SIGTERM)
    said, errors = running.communicate(timeout=15)
    assert (running.returncode, errors) == (143, "")
    assert said.endswith("stopped by SIGTERM\n")


def test_its_descriptor_is_accepted_without_a_warning() -> None:
    checked = read_descriptor((_ROOT / "examples/nuclei/descriptor.yml").read_bytes())
    assert checked.warnings == ()
    assert {parameter.name for parameter in checked.descriptor.inputs if parameter.optional} == {
        "stain",
        "min_area",
    }
