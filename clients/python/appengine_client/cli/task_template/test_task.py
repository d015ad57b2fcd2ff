"""The task on folders as the engine makes them: `python3 -m pytest`."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from task import main


def test_the_dark_half_is_found(tmp_path: Path) -> None:
    """The left half is black, so a share of 0.5 is dark."""
    inputs, outputs = tmp_path / "inputs", tmp_path / "outputs"
    inputs.mkdir()
    outputs.mkdir()
    picture = Image.new("L", (10, 10), 255)
    picture.paste(0, (0, 0, 5, 10))
    picture.save(inputs / "image", "PNG")
    (inputs / "threshold").write_text("100")
    main(inputs, outputs)
    assert (outputs / "share").read_text() == "0.5"
    with Image.open(outputs / "mask") as mask:
        assert (mask.getpixel((0, 0)), mask.getpixel((9, 9))) == (255, 0)
