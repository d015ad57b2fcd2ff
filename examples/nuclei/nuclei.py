"""Count the cell nuclei of one stain in an H-DAB picture, and outline each of them."""

from __future__ import annotations

import heapq
import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from scipy import ndimage

# Optical density of red, green and blue for each stain, as Ruifrok and Johnston measured it in
# "Quantification of histochemical staining by color deconvolution" (2001).
STAINS = {"hematoxylin": (0.65, 0.70, 0.29), "dab": (0.27, 0.57, 0.78)}

CONTOUR_COLOUR = (0, 255, 0)  # pure green: neither stain comes near to it
SMOOTHING_SIGMA_PIXELS = 1.5  # evens out the grain of chromatin, keeps the borders of nuclei
SURROUNDINGS_SIGMA_PIXELS = 10.0  # about the size of a nucleus: it must be darker than this
DENSITY_SHARE = 0.9  # of Otsu's threshold: pale nuclei in stained cytoplasm lie just below it
CONTRAST_SHARE = 0.5  # of Otsu's threshold for the contrast: nuclei are paler at their borders
LEAST_CONTRAST = 0.005  # of optical density: less is noise, in a picture without any nucleus
SEED_SIGMA_PIXELS = 2.0  # rounds a nucleus off so that it has one centre
SEED_DISTANCE_PIXELS = 5  # no two centres of nuclei are nearer than this
DENSITY_LEVELS = 1024  # of the histogram that a threshold is read from
DEPTH_STEPS = 640  # of depth per pixel of way and unit of density

BESIDE = ((-1, 0), (0, 1), (1, 0), (0, -1))
AROUND = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class Nuclei:
    """What was found: 0 in `labels` is background, 1 to `count` are the nuclei."""

    labels: np.ndarray
    count: int
    mean_area: float


def find_nuclei(picture: np.ndarray, stain: str, min_area: int) -> Nuclei:
    """Find the nuclei in an RGB picture, shape (height, width, 3), 8 bits a channel.

    Each nucleus is one piece without holes of at least `min_area` pixels, and no two nuclei touch,
    not even by a corner.
    """
    density = stain_density(picture, stain)
    mask = stained_parts(density)
    labels = flood(depth_within(mask, density), mask)
    return keep_whole_nuclei(without_touching(labels), min_area)


def stain_density(picture: np.ndarray, stain: str) -> np.ndarray:
    """Compute how much of one stain each pixel holds, by colour deconvolution."""
    hematoxylin, dab = (np.array(STAINS[name]) for name in ("hematoxylin", "dab"))
    residual = np.cross(hematoxylin, dab)
    colours = np.stack([hematoxylin, dab, residual])
    colours /= np.linalg.norm(colours, axis=1, keepdims=True)
    optical_density = -np.log10((picture.astype(np.float64) + 1) / 256)
    amounts = optical_density @ np.linalg.inv(colours)
    return np.clip(amounts[..., list(STAINS).index(stain)], 0, None)


def otsu_threshold(values: np.ndarray) -> float:
    """Find the threshold that parts the values best into two classes."""
    counts, edges = np.histogram(values, bins=DENSITY_LEVELS)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centres)
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = sums / below - (sums[-1] - sums) / above
        variance = np.nan_to_num(below * above * distance**2)
    return float(edges[1:][np.argmax(variance)])


def stained_parts(density: np.ndarray) -> np.ndarray:
    """Mark what is stained, and more than its surroundings: nuclei, still touching each other."""
    smooth = ndimage.gaussian_filter(density, SMOOTHING_SIGMA_PIXELS)
    contrast = smooth - ndimage.gaussian_filter(density, SURROUNDINGS_SIGMA_PIXELS)
    stained = smooth > DENSITY_SHARE * otsu_threshold(smooth)
    stained &= contrast > max(CONTRAST_SHARE * otsu_threshold(contrast), LEAST_CONTRAST)
    return ndimage.binary_fill_holes(ndimage.binary_opening(stained, iterations=2))


def depth_within(mask: np.ndarray, density: np.ndarray) -> np.ndarray:
    """Say how far inside a nucleus each pixel is: by its way to the border and by its stain."""
    way = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask), SEED_SIGMA_PIXELS)
    depth = way * ndimage.gaussian_filter(density, SEED_SIGMA_PIXELS)
    # Whole numbers, so that a rounding error in the last digit cannot make or move a centre.
    return np.round(depth * DEPTH_STEPS).astype(np.int64)


def flood(depth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Grow a nucleus from every centre within the mask, deepest pixels first (a watershed)."""
    height, width = mask.shape
    centres = mask & (depth == ndimage.maximum_filter(depth, size=2 * SEED_DISTANCE_PIXELS + 1))
    labels, _ = ndimage.label(centres, structure=AROUND)
    queue = [(-int(depth[y, x]), n, int(y), int(x)) for n, (y, x) in enumerate(np.argwhere(labels))]
    heapq.heapify(queue)
    arrivals = len(queue)  # of two pixels as deep as each other, the one that came first goes first
    while queue:
        _, _, y, x = heapq.heappop(queue)
        for step_y, step_x in BESIDE:
            to_y, to_x = y + step_y, x + step_x
            if not (0 <= to_y < height and 0 <= to_x < width):
                continue
            if mask[to_y, to_x] and not labels[to_y, to_x]:
                labels[to_y, to_x] = labels[y, x]
                heapq.heappush(queue, (-int(depth[to_y, to_x]), arrivals, to_y, to_x))
                arrivals += 1
    return labels


def without_touching(labels: np.ndarray) -> np.ndarray:
    """Clear the pixels of a nucleus that touch another one of a higher number."""
    highest = ndimage.maximum_filter(labels, size=3)
    return np.where(highest > labels, 0, labels)


def keep_whole_nuclei(labels: np.ndarray, min_area: int) -> Nuclei:
    """Keep the largest piece of each nucleus, without holes, and number them from the top."""
    kept = np.zeros_like(labels)
    areas: list[int] = []
    for number, place in enumerate(ndimage.find_objects(labels), start=1):
        if place is None:
            continue
        piece = largest_piece(labels[place] == number)
        area = int(piece.sum())
        if area < min_area or kept[place][piece].any():
            continue
        areas.append(area)
        kept[place][piece] = len(areas)
    return Nuclei(kept, len(areas), float(np.mean(areas)) if areas else 0.0)


def largest_piece(mask: np.ndarray) -> np.ndarray:
    """Keep the largest piece whose pixels are joined by their sides, and fill its holes."""
    pieces, count = ndimage.label(mask)
    if count > 1:
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        mask = pieces == int(sizes.argmax())
    return ndimage.binary_fill_holes(mask)


def outline(mask: np.ndarray) -> list[tuple[float, float]]:
    """Trace the border of one piece without holes, as a closed ring of (x, y) from the top left.

    The ring joins the middles of the pixel sides at the border, so it never meets itself.
    """
    padded = np.pad(mask, 1)
    y, x = (int(v) for v in np.argwhere(padded)[0])
    start = (y, x, 0)  # the topmost, leftmost pixel, seen from its upper side
    ring: list[tuple[float, float]] = []
    side = start
    while not ring or side != start:
        y, x, facing = side
        out_y, out_x = BESIDE[facing]
        ring.append((x - 1 + 0.5 + out_x / 2, y - 1 + 0.5 + out_y / 2))
        side = next_side(padded, y, x, facing)
    return without_straight_points([*ring, ring[0]])


def next_side(mask: np.ndarray, y: int, x: int, facing: int) -> tuple[int, int, int]:
    """Go clockwise to the next pixel side that parts the mask from what is around it."""
    out_y, out_x = BESIDE[facing]
    along_y, along_x = BESIDE[(facing + 1) % 4]
    if not mask[y + along_y, x + along_x]:
        return y, x, (facing + 1) % 4  # round the corner of the same pixel
    if not mask[y + along_y + out_y, x + along_x + out_x]:
        return y + along_y, x + along_x, facing  # straight on
    return y + along_y + out_y, x + along_x + out_x, (facing + 3) % 4  # into an inner corner


def without_straight_points(ring: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Drop the points of a closed ring that lie on a straight line between their neighbours."""
    corners = []
    points = ring[:-1]
    for before, here, after in zip(
        [points[-1], *points[:-1]], points, [*points[1:], points[0]], strict=True
    ):
        turn = (here[0] - before[0]) * (after[1] - here[1]) - (here[1] - before[1]) * (
            after[0] - here[0]
        )
        if turn != 0:
            corners.append(here)
    return [*corners, corners[0]]


def polygons(nuclei: Nuclei) -> list[dict]:
    """Describe each nucleus as a GeoJSON feature: pixels, origin bottom left, y upwards."""
    height = nuclei.labels.shape[0]
    features = []
    for number, place in enumerate(ndimage.find_objects(nuclei.labels), start=1):
        mask = nuclei.labels[place] == number
        top, left = place[0].start, place[1].start
        # Turning the picture upside down turns the ring round; GeoJSON wants it counterclockwise.
        ring = [[left + x, height - (top + y)] for x, y in reversed(outline(mask))]
        features.append(
            {
                "type": "Feature",
                "properties": {"area": int(mask.sum())},
                "geometry": {"type": "Polygon", "coordinates": [ring]},
            }
        )
    return features


def draw(picture: np.ndarray, nuclei: Nuclei) -> np.ndarray:
    """Draw the contour of each nucleus on a copy of the picture, one pixel wide."""
    inside = nuclei.labels > 0
    core = ndimage.binary_erosion(inside, structure=AROUND, border_value=0)
    overlay = picture.copy()
    overlay[inside & ~core] = CONTOUR_COLOUR
    return overlay


def read_picture(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def write_outputs(folder: Path, picture: np.ndarray, nuclei: Nuclei) -> None:
    (folder / "count").write_text(str(nuclei.count))
    (folder / "mean_area").write_text(repr(round(nuclei.mean_area, 3)))
    items = folder / "nuclei"
    items.mkdir()
    (items / "array.yml").write_text(f"size: {nuclei.count}\n")
    for index, feature in enumerate(polygons(nuclei)):
        (items / str(index)).write_text(json.dumps(feature))
    Image.fromarray(draw(picture, nuclei)).save(folder / "overlay", format="PNG")


def say(text: str) -> None:
    print(text, flush=True)  # at once, so that who follows the logs sees it


def main(inputs: Path, outputs: Path) -> None:
    stain = (inputs / "stain").read_text()
    min_area = int((inputs / "min_area").read_text())
    try:
        picture = read_picture(inputs / "image")
    except UnidentifiedImageError:
        sys.exit("the input `image` is no picture in a format that this task reads")
    height, width = picture.shape[:2]
    say(f"read a picture of {width} x {height} pixels")
    say(f"looking for nuclei stained with {stain}, at least {min_area} pixels large")
    nuclei = find_nuclei(picture, stain, min_area)
    say(f"found {nuclei.count} nuclei of {nuclei.mean_area:.1f} pixels on average")
    write_outputs(outputs, picture, nuclei)
    say("wrote count, mean_area, nuclei and overlay")


def end_at_once(number: int, _: object) -> None:
    # Not by print, which may be at work right now.
    os.write(1, f"stopped by {signal.Signals(number).name}\n".encode())
    os._exit(128 + number)


if __name__ == "__main__":
    # The first process of a container gets no default action: without this, a cancel would wait
    # for the end of its grace time.
    signal.signal(signal.SIGTERM, end_at_once)
    main(*(Path(folder) for folder in (sys.argv[1:3] or ("/inputs", "/outputs"))))
