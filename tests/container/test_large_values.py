"""Texts and geometries that are too large for an answer are named by their file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from appengine.v1 import run_pb2

from tests.container.engine_server import Engine

pytestmark = pytest.mark.container

LARGE_BYTES = 5_000_000
"""More than a message of gRPC holds."""

_LINE = """
printf '{"type":"LineString","coordinates":[[0,0]' > $1
awk 'BEGIN { for (i = 1; i < 50000; i++) printf ",[%d,1]", i }' >> $1
printf ']}' >> $1
"""
_SCRIPT = f"""
head -c {LARGE_BYTES} /dev/zero | tr '\\0' a > /outputs/text
set -- /outputs/shape; {_LINE}
mkdir /outputs/shapes; echo 'size: 2' > /outputs/shapes/array.yml
set -- /outputs/shapes/0; {_LINE}
printf '{{"type":"Point","coordinates":[1,2]}}' > /outputs/shapes/1
"""
_OUTPUTS = {
    "text": "string",
    "shape": "geometry",
    "shapes": {"type": {"id": "array", "subtype": {"id": "geometry"}}},
}


def test_large_outputs_are_answered_as_files_that_can_be_fetched(
    engine: Engine, tmp_path: Path
) -> None:
    run = engine.run(_SCRIPT, outputs=_OUTPUTS, ram="256Mi")
    assert run.state == run_pb2.RUN_STATE_SUCCEEDED, run.failure
    found = engine.outputs(run)
    assert found["text"].file.path == "text"
    assert found["text"].file.size_bytes == LARGE_BYTES
    assert found["text"].file.format == "text"
    assert (found["shape"].file.path, found["shape"].file.format) == ("shape", "geojson")
    large, small = found["shapes"].array.items
    assert large.file.path == "shapes/0"
    assert json.loads(small.geometry)["coordinates"] == [1, 2]
    engine.client.runs.download_outputs(run.id, tmp_path)
    assert (tmp_path / "text").read_text() == "a" * LARGE_BYTES
    assert len(json.loads((tmp_path / "shapes" / "0").read_text())["coordinates"]) == 50_000


def test_the_command_line_writes_large_values_whole(engine: Engine, tmp_path: Path) -> None:
    run = engine.run(_SCRIPT, outputs=_OUTPUTS, ram="256Mi")
    done = engine.cli("runs", "download", run.id, "--output-dir", tmp_path)
    assert done.returncode == 0, done.stderr
    values = json.loads((tmp_path / "outputs.json").read_text())
    assert values["text"] == "a" * LARGE_BYTES
    assert len(values["shape"]["coordinates"]) == 50_000
    assert len(values["shapes"][0]["coordinates"]) == 50_000


def test_a_large_input_is_answered_as_a_file(engine: Engine, tmp_path: Path) -> None:
    task = engine.task("true", inputs={"text": "string"})
    run = engine.client.runs.create(task.id, {"text": "é" * LARGE_BYTES})
    [text] = engine.client.runs.inputs(run.id)
    assert text.value.file.path == "text"
    assert text.value.file.size_bytes == 2 * LARGE_BYTES
    engine.client.runs.download_inputs(run.id, tmp_path)
    assert (tmp_path / "text").read_text("utf-8") == "é" * LARGE_BYTES
