"""Looks at the registry of images: whether an image can be pushed there and read back."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from appengine_server import from_settings
from appengine_server.checks.check import Finding, LeftOut, Severity, Surroundings, fails, told
from appengine_server.errors import FailedPrecondition, Unavailable
from appengine_server.settings import SettingsRefused
from appengine_server.tasks.agent_image import agent_reference
from appengine_server.tasks.registry import Registry, exists, push_image

REPOSITORY = "appengine/check"
"""Where the image of the checks stays in the registry: a few hundred bytes, always the same."""

_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


async def push(surroundings: Surroundings) -> Sequence[Finding]:
    """Whether an image can be pushed, and is there then."""
    registry = from_settings.registry(surroundings.settings.tasks)
    if registry is None:
        raise LeftOut("there is no registry")
    try:
        reference = await push_check_image(surroundings, registry)
        if not await exists(registry, reference):
            return [
                fails(
                    "REGISTRY_URL",
                    f"the registry took {reference} and does not show it: give this server a "
                    "registry that keeps what is pushed to it.",
                )
            ]
    except Unavailable as error:
        return [fails("REGISTRY_URL", f"{error.message}.")]
    except FailedPrecondition as error:
        refused = "credentials" in error.message
        return [fails("REGISTRY_USER and REGISTRY_PASSWORD" if refused else "REGISTRY_URL",
                      f"{error.message}.")]  # fmt: skip
    return []


async def agent(surroundings: Surroundings) -> Sequence[Finding]:
    """Whether there is an image of the transfer agent to start in pods."""
    given = surroundings.settings
    if given.scheduling.kind != "kubernetes" or given.kubernetes.run_mode != "cluster":
        raise LeftOut("files do not travel")
    try:
        registry = from_settings.registry(given.tasks)
        await asyncio.to_thread(agent_reference, given.tasks, registry)
    except SettingsRefused as error:
        return [told(Severity.REFUSES, str(error))]
    return []


async def push_check_image(surroundings: Surroundings, registry: Registry) -> str:
    """Push an image that holds nothing; its name as nodes pull it.

    Raises as `push_image`, and LeftOut without a storage to write it in.
    """
    base = surroundings.settings.storage.base_path
    if not base.is_dir():
        raise LeftOut(f"there is no folder {base}")
    platform = from_settings.platforms(surroundings.settings.tasks)[0]
    with TemporaryDirectory(prefix="probe-", dir=base) as folder:
        layout = Path(folder, "image")
        digest = await asyncio.to_thread(write_check_image, layout, platform)
        await push_image(layout, registry, f"{REPOSITORY}:latest", temporary=Path(folder))
    return registry.reference(REPOSITORY, digest)


def write_check_image(layout: Path, platform: str) -> str:
    """Write the image as an OCI layout; the digest of its manifest, the same each time."""
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def keep(content: bytes, media_type: str) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    os_name, architecture = platform.split("/")[:2]
    plain = _empty_layer()
    config = {
        "os": os_name,
        "architecture": architecture,
        "config": {"Cmd": ["/none"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(plain).hexdigest()}"]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": keep(_json(config), _CONFIG),
        "layers": [keep(gzip.compress(plain, mtime=0), _LAYER)],
    }
    described = keep(_json(manifest), _MANIFEST)
    (layout / "index.json").write_bytes(_json({"schemaVersion": 2, "manifests": [described]}))
    (layout / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
    return str(described["digest"])


def _empty_layer() -> bytes:
    """A tar with one empty folder: some engines want a layer to hold something."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        folder = tarfile.TarInfo("none.d")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(folder)
    return stream.getvalue()


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
