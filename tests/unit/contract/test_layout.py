from __future__ import annotations

import pytest
from appengine_contract import layout


@pytest.mark.rule("image-type.companion", "array.layout")
def test_names_of_items_and_companions() -> None:
    assert layout.array_metadata(12) == b"size: 12\n"
    assert layout.item_label("groups", [0, 12]) == "groups[0][12]"
    assert layout.companion_name("image") == "image.geojson"
    assert layout.item_name(12) == "12"
    assert layout.item_path("groups", [0, 12]) == "groups/0/12"
    assert layout.item_path("groups", []) == "groups"


@pytest.mark.rule("array.layout")
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *(("0", True), ("10", True), ("01", False), ("00", False), ("", False), ("-1", False)),
        *(("1.0", False), ("\u0661", False), ("\u00b2", False)),
    ],
)
def test_an_item_is_named_by_its_index(name: str, expected: bool) -> None:
    assert layout.is_item_name(name) is expected
