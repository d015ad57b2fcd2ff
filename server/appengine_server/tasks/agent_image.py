"""The transfer agent's image: brought to the registry by the server itself where it is missing."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from pathlib import Path
from uuid import uuid4

import structlog
from appengine_contract.problems import ContractError

from appengine_server.settings import SettingsRefused, TaskSettings
from appengine_server.storage.layout import StorageLayout
from appengine_server.tasks.image_archive import inspect_image_archive
from appengine_server.tasks.image_layout import ImageArchive, ImageChoice
from appengine_server.tasks.registry import Registry, exists, push_image
from appengine_server.tasks.untagged import extract_image, oci_manifest

log = structlog.get_logger(__name__)

_REPOSITORY = "appengine/transfer-agent"


async def ensure_agent_image(
    settings: TaskSettings, registry: Registry | None, layout: StorageLayout
) -> str:
    """The agent's image as nodes pull it: TRANSFER_AGENT_IMAGE, or else pinned by its digest.

    When it is in the registry already nothing is sent. Raises SettingsRefused where there is none
    to send, or nowhere to send it; Unavailable while the registry cannot be reached, and
    FailedPrecondition when it refuses the image.
    """
    reference, image = await asyncio.to_thread(_find, settings, registry)
    if image is not None and registry is not None and not await exists(registry, reference):
        await _push(settings.agent_archive, image, registry, layout)
        log.info("agent.image_published", image=reference)
    return reference


def agent_reference(settings: TaskSettings, registry: Registry | None) -> str:
    """What `ensure_agent_image` answers; whether it is in the registry is not asked.

    Raises SettingsRefused as that does. Reads the archive: not for the event loop.
    """
    return _find(settings, registry)[0]


def _find(settings: TaskSettings, registry: Registry | None) -> tuple[str, ImageArchive | None]:
    """The name of the image, and what is to be sent if it is not there; None for one of others."""
    if settings.agent_image:
        return settings.agent_image, None
    if registry is None:
        raise SettingsRefused(
            "TRANSFER_AGENT_IMAGE: name the transfer agent's image as nodes pull it, or set "
            "REGISTRY_URL, so that the server brings its own there."
        )
    image = _inspect(settings.agent_archive)
    digest = f"sha256:{hashlib.sha256(oci_manifest(image)).hexdigest()}"
    return registry.reference(_REPOSITORY, digest), image


def _inspect(archive: Path) -> ImageArchive:
    try:
        with archive.open("rb") as stream:
            return inspect_image_archive(stream, ImageChoice(namespace="agent", version=""))
    except OSError as error:
        raise SettingsRefused(
            "TRANSFER_AGENT_IMAGE: name the transfer agent's image, or build it and let "
            f"TRANSFER_AGENT_ARCHIVE tell where it is: {archive} cannot be read: {error.strerror}."
        ) from error
    except ContractError as error:
        raise SettingsRefused(
            f"TRANSFER_AGENT_ARCHIVE: {archive} is not the archive of one image: "
            f"{error.problems[0].message}."
        ) from error


async def _push(
    archive: Path, image: ImageArchive, registry: Registry, layout: StorageLayout
) -> None:
    # It looks like a task without a row: what a killed server leaves there is swept as such.
    folder = layout.task(uuid4())
    try:
        await asyncio.to_thread(_extract, archive, image, folder)
        await push_image(
            folder / "image", registry, f"{_REPOSITORY}:{image.config_digest[7:19]}",
            temporary=folder,
        )  # fmt: skip
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _extract(archive: Path, image: ImageArchive, folder: Path) -> None:
    (folder / "image").mkdir(parents=True)
    extract_image(lambda: archive.open("rb"), image, folder / "image")
