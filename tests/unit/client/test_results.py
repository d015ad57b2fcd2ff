"""Outputs are Python values of their types, also when they are read again from their folder."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from appengine.v1 import run_pb2, run_service_pb2, task_pb2, value_pb2
from appengine_client import Geometry, RunFailed
from appengine_client._api.folders import complete_folder, make_folder
from appengine_client._api.results import failed, read_folder, to_typed
from appengine_client.cli.errors import ExitCode, exit_code_of
from appengine_client.errors import LocalFileError
from shapely.geometry import Point

from tests.unit.client.declared import typed

POINT = {"type": "Point", "coordinates": [1, 2]}
CIRCLE = {
    "type": "Feature",
    "geometry": POINT,
    "properties": {"subType": "Circle", "radius": 3},
}


@pytest.mark.parametrize(
    ("kind", "plain", "expected"),
    [
        ("boolean", True, True),
        ("integer", 5, 5),
        ("number", 5, 5.0),
        ("number", "-inf", -math.inf),
        ("string", "2024-05-01T00:00:00Z", "2024-05-01T00:00:00Z"),
        ("image", "overlay", Path("out/overlay")),
        ("array/file", ["tiles/0", None], [Path("out/tiles/0"), None]),
        ("array/array/integer", [[1], []], [[1], []]),
        ("geometry", POINT, POINT),
        ("integer", None, None),
    ],
)
def test_plain_values_become_values_of_their_types(kind, plain, expected):
    value = to_typed(typed(kind), plain, Path("out"))
    assert value == expected
    assert type(value) is type(expected) or isinstance(value, Geometry)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-05-01T10:00:00.5Z", datetime(2024, 5, 1, 10, 0, 0, 500_000, UTC)),
        ("2024-05-01t10:00:00.123456789z", datetime(2024, 5, 1, 10, 0, 0, 123456, UTC)),
        ("0001-01-01T00:00:00+23:59", datetime(1, 1, 1, tzinfo=timezone(timedelta(minutes=1439)))),
    ],
)
def test_every_moment_that_a_task_may_write_is_a_datetime(text, moment):
    value = to_typed(typed("datetime"), text, Path())
    assert value == moment
    assert value.utcoffset() == moment.utcoffset()


def test_nan_is_a_number():
    assert math.isnan(to_typed(typed("number"), "nan", Path()))


def test_geometries_become_those_of_shapely():
    assert Geometry(POINT).to_shapely() == Point(1, 2)
    circle = Geometry(CIRCLE).to_shapely()
    assert circle.area == pytest.approx(math.pi * 9, rel=0.02)
    both = Geometry({"type": "FeatureCollection", "features": [CIRCLE, CIRCLE]}).to_shapely()
    assert len(both.geoms) == 2
    assert json.loads(json.dumps(Geometry(CIRCLE))) == CIRCLE


def test_a_folder_tells_the_same_as_the_server_did(tmp_path):
    outputs = {
        "count": ("integer", value_pb2.Value(integer=17)),
        "mean": ("number", value_pb2.Value(number=math.inf)),
        "at": ("datetime", value_pb2.Value(datetime={"text": "2024-05-01T10:00:00Z"})),
        "outline": ("geometry", value_pb2.Value(geometry=json.dumps(POINT))),
        "overlay": ("image", value_pb2.Value(file={"path": "overlay", "format": "png"})),
        "large": ("string", value_pb2.Value(file={"path": "large"})),
    }
    (tmp_path / "large").write_text("x" * 300_000 + "\n")
    task = task_pb2.Task(
        id="t", outputs=[{"name": name, "type": typed(kind)} for name, (kind, _) in outputs.items()]
    )
    values = [
        run_service_pb2.ParameterValue(parameter=name, value=value)
        for name, (_, value) in outputs.items()
    ]
    complete_folder(tmp_path, {one.name: one.type for one in task.outputs}, values)
    result = read_folder(task, "r", tmp_path)
    assert (result.run.id, result.run.state) == ("r", run_pb2.RUN_STATE_SUCCEEDED)
    assert result.outputs == {
        "count": 17,
        "mean": math.inf,
        "at": datetime(2024, 5, 1, 10, tzinfo=UTC),
        "outline": POINT,
        "overlay": tmp_path / "overlay",
        "large": "x" * 300_000,
    }


def test_a_failed_run_is_an_error_with_its_reason_and_problems():
    run = run_pb2.Run(
        id="r",
        state=run_pb2.RUN_STATE_FAILED,
        failure={
            "reason": run_pb2.FAILURE_REASON_OUTPUT_INVALID,
            "message": "an output is wrong",
            "problems": [{"path": "share", "reason": "NOT_LEQ", "message": "1.75 is too much"}],
        },
    )
    error = failed(run)
    assert isinstance(error, RunFailed)
    assert (error.reason, error.run) == ("OUTPUT_INVALID", run)
    assert str(error).splitlines() == [
        "the run r failed (OUTPUT_INVALID): an output is wrong",
        "  share: 1.75 is too much",
    ]
    assert exit_code_of(error) is ExitCode.FAILED
    cancelled = failed(run_pb2.Run(id="r", state=run_pb2.RUN_STATE_CANCELLED))
    assert (cancelled.reason, str(cancelled)) == ("CANCELLED", "the run r was cancelled")


def test_a_folder_that_is_read_only_is_told_before_anything_is_done(tmp_path, monkeypatch):
    make_folder(tmp_path / "new" / "one")
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write into every mode
    with pytest.raises(LocalFileError, match="one is read-only: name another one"):
        make_folder(tmp_path / "new" / "one")
