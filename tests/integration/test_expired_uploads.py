"""What a server that died between moving an input and recording it left behind is swept."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from appengine_server.database import uploads
from appengine_server.database.pool import Database
from appengine_server.database.records import InputPart, UploadState, UploadTarget
from appengine_server.metrics import Metrics
from appengine_server.runs.retention import Retention
from appengine_server.settings import RetentionSettings
from appengine_server.storage.layout import StorageLayout
from appengine_server.storage.limits import UploadLimits
from appengine_server.storage.quota import FreeSpace
from appengine_server.storage.uploads import Uploads
from appengine_server.tasks.kept_images import KeptImages
from appengine_server.tasks.registry_images import RegistryImages


class NoAttempts:
    """A scheduler that has nothing."""

    async def list_attempts(self) -> list[object]:
        return []


@pytest.mark.parametrize("state", ["OPEN", "CANCELLED", "FINISHED"])
async def test_only_bytes_of_an_expired_upload_that_became_no_input_are_removed(
    database: Database, tmp_path: Path, state: str
) -> None:
    layout = StorageLayout(tmp_path)
    layout.prepare()
    run_id, upload_id = uuid4(), uuid4()
    await _insert(database, run_id, upload_id, state)
    layout.make_run(run_id)
    moved = layout.uploaded(run_id, upload_id)
    moved.mkdir(parents=True)
    (moved / "image").write_bytes(b"pixels")
    upload_bytes = Uploads(layout, UploadLimits(), FreeSpace(base=tmp_path, low_water_bytes=0))
    await Retention(
        database=database,
        layout=layout,
        scheduler=NoAttempts(),  # type: ignore[arg-type]
        images=KeptImages(database=database, images=RegistryImages(None, ()), registry=None),
        upload_bytes=upload_bytes,
        settings=RetentionSettings(),
        metrics=Metrics().retention,
        effects_added=lambda: None,
    ).sweep()
    assert moved.exists() == (state == "FINISHED")


@pytest.mark.parametrize("age", [timedelta(seconds=-1), timedelta(hours=1)])
async def test_an_upload_that_nobody_went_on_with_loses_its_bytes(
    database: Database, tmp_path: Path, age: timedelta
) -> None:
    layout = StorageLayout(tmp_path)
    layout.prepare()
    upload_id = uuid4()
    await _insert(database, uuid4(), upload_id, "OPEN", expiry=age)
    upload_bytes = Uploads(layout, UploadLimits(), FreeSpace(base=tmp_path, low_water_bytes=0))
    await upload_bytes.create(upload_id)
    async with upload_bytes.open_writer(upload_id, "writer"):
        pass
    assert list(layout.upload(upload_id).iterdir()) != []
    await Retention(
        database=database,
        layout=layout,
        scheduler=NoAttempts(),  # type: ignore[arg-type]
        images=KeptImages(database=database, images=RegistryImages(None, ()), registry=None),
        upload_bytes=upload_bytes,
        settings=RetentionSettings(),
        metrics=Metrics().retention,
        effects_added=lambda: None,
    ).sweep()
    is_kept = age > timedelta(0)
    assert layout.upload(upload_id).exists() == is_kept
    async with database.connection() as connection:
        assert (await uploads.get(connection, upload_id, None) is not None) == is_kept


async def _insert(
    database: Database,
    run_id: UUID,
    upload_id: UUID,
    state: str,
    *,
    expiry: timedelta = timedelta(seconds=-1),
) -> None:
    new = uploads.NewUpload(
        id=upload_id,
        project="project",
        owner="owner",
        target=UploadTarget.INPUT,
        run_id=run_id,
        parameter="image",
        part=InputPart.WHOLE,
        request_id=uuid4(),
        request_hash=b"",
        expiry=expiry,
    )
    async with database.transaction() as connection:
        await uploads.insert(connection, new)
        if state != "OPEN":
            await uploads.end(connection, upload_id, state=UploadState(state))
