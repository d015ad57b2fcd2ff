"""The algorithm: replace `run` with yours, and descriptor.yml with what it takes and gives."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

from parameters import Parameters
from PIL import Image

DESCRIPTOR = Path(__file__).with_name("descriptor.yml")


def run(inputs: dict[str, Any]) -> dict[str, Any]:
    """Take the values of all inputs by name, and give those of all outputs."""
    threshold = inputs["threshold"]
    with Image.open(inputs["image"]) as picture:
        grey = picture.convert("L")
    print(f"looking for what is darker than {threshold}")  # the log of the run
    mask = grey.point([255 if value < threshold else 0 for value in range(256)])
    dark = mask.histogram()[255]
    return {"share": dark / (mask.width * mask.height), "mask": as_png(mask)}


def as_png(picture: Image.Image) -> bytes:
    """The bytes of its file."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def main(input_folder: Path, output_folder: Path) -> None:
    """What the container does: inputs are files in one folder, outputs in the other."""
    parameters = Parameters(DESCRIPTOR)
    parameters.write(output_folder, run(parameters.read(input_folder)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
