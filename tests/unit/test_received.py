"""Arrays that are uploaded whole, and what becomes of them in the folder of a run."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from appengine_contract.descriptor import Descriptor, Parameter, read_descriptor
from appengine_contract.values import IntegerValue
from appengine_server.database.records import InputPart
from appengine_server.runs.layout import lay_out_once
from appengine_server.runs.received import check_received
from appengine_server.runs.stored import StoredInput, StoredInputs
from appengine_server.storage.layout import StorageLayout

from tests.container.bundles import dump, make_descriptor

RUN = uuid4()
POINTS = [{"type": "Point", "coordinates": [x, 0]} for x in range(3)]
COLLECTION = {
    "type": "FeatureCollection",
    "features": [{"type": "Feature", "geometry": p, "properties": {"n": 1}} for p in POINTS],
}


@pytest.fixture
def layout(tmp_path: Path) -> StorageLayout:
    made = StorageLayout(tmp_path / "storage")
    made.prepare()
    made.make_run(RUN)
    return made


@pytest.fixture
def task() -> Descriptor:
    points = {"id": "array", "subtype": {"id": "geometry"}}
    inputs = {
        "sizes": {"type": {"id": "array", "subtype": {"id": "integer"}}},
        "points": {"type": points},
        "groups": {"type": {"id": "array", "subtype": points}},
    }
    found = read_descriptor(dump(make_descriptor(inputs=inputs))).descriptor
    assert found is not None
    return found


def parameter(task: Descriptor, name: str) -> Parameter:
    [found] = [one for one in task.inputs if one.name == name]
    return found


def received(layout: StorageLayout, one: Parameter, files: dict[str, bytes]) -> StoredInputs:
    """What the inputs of a run are after the upload of these files as the whole parameter."""
    upload: UUID = uuid4()
    tree = layout.uploaded(RUN, upload)
    for name, content in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(content)
    return check_received(one, InputPart.WHOLE, tree, upload).into(StoredInputs())


@pytest.mark.rule("value.replaced")
def test_an_item_replaces_one_of_an_array_that_was_uploaded_whole(
    layout: StorageLayout, task: Descriptor
) -> None:
    files = {f"sizes/{index}": b"%d" % index for index in range(3)}
    inputs = received(layout, parameter(task, "sizes"), {"sizes/array.yml": b"size: 3\n", **files})
    inputs = inputs.with_items("sizes", {1: StoredInput(value=IntegerValue(7))})
    assert inputs.by_name["sizes"].array_size() == 3
    folder = lay_out_once(layout, RUN, task, inputs) / "sizes"
    assert [(folder / str(index)).read_bytes() for index in range(3)] == [b"0", b"7", b"2"]
    assert (folder / "array.yml").read_bytes() == b"size: 3\n"


@pytest.mark.rule("array.collection-input")
def test_a_collection_that_is_uploaded_whole_reaches_the_task_as_items(
    layout: StorageLayout, task: Descriptor
) -> None:
    content = json.dumps(COLLECTION).encode()
    inputs = received(layout, parameter(task, "points"), {"points": content})
    folder = lay_out_once(layout, RUN, task, inputs) / "points"
    assert sorted(path.name for path in folder.iterdir()) == ["0", "1", "2", "array.yml"]
    found = [json.loads((folder / str(index)).read_bytes()) for index in range(3)]
    assert found == COLLECTION["features"]


@pytest.mark.rule("array.collection-input")
@pytest.mark.parametrize("name", ["0", "0.geojson"])
def test_a_collection_inside_an_array_becomes_a_folder_too(
    layout: StorageLayout, task: Descriptor, name: str
) -> None:
    content = json.dumps(COLLECTION).encode()
    files = {"groups/array.yml": b"size: 1\n", f"groups/{name}": content}
    inputs = received(layout, parameter(task, "groups"), files)
    groups = lay_out_once(layout, RUN, task, inputs) / "groups"
    assert sorted(path.name for path in groups.iterdir()) == ["0", "array.yml"]
    folder = groups / "0"
    assert sorted(path.name for path in folder.iterdir()) == ["0", "1", "2", "array.yml"]
