"""Names in the folders of inputs and outputs."""

from __future__ import annotations

from collections.abc import Sequence

ARRAY_METADATA = "array.yml"
GEOJSON_SUFFIX = ".geojson"


def array_metadata(size: int) -> bytes:
    """The content of `array.yml` for an array of `size` items."""
    return b"size: %d\n" % size


def item_name(index: int) -> str:
    """The name of an item in its array's folder."""
    return str(index)


def item_path(parameter: str, indexes: Sequence[int]) -> str:
    """Where an item lies in the folder of inputs or outputs: `groups/0/2`."""
    return "/".join((parameter, *map(item_name, indexes)))


def item_label(parameter: str, indexes: Sequence[int]) -> str:
    """How problems name an item: `groups[0][2]`."""
    return parameter + "".join(f"[{index}]" for index in indexes)


def companion_name(name: str) -> str:
    """The name of the GeoJSON that says which region an image was cropped from."""
    return name + GEOJSON_SUFFIX


def is_item_name(name: str) -> bool:
    """Whether the name is a decimal index without a leading zero."""
    return name.isascii() and name.isdigit() and (name[0] != "0" or name == "0")
