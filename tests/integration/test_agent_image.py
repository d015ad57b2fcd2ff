"""The server brings the transfer agent's image to the registry, once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from appengine_server.errors import Unavailable
from appengine_server.settings import SettingsRefused, TaskSettings
from appengine_server.storage.layout import StorageLayout
from appengine_server.tasks.agent_image import ensure_agent_image
from appengine_server.tasks.registry import Registry, registry_of

from tests.registry import ImageRegistry, free_port, running_registry

_PACK_IMAGE = Path(__file__).parents[2] / "scripts" / "lib" / "pack_image.py"
_CONFIG = {"User": "65532:65532", "Entrypoint": ["/agent"]}


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[ImageRegistry]:
    with running_registry(tmp_path) as made:
        yield made


@pytest.fixture
def layout(tmp_path: Path) -> StorageLayout:
    made = StorageLayout(tmp_path / "storage")
    made.prepare()
    return made


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return make_archive(tmp_path, base=b"base", agent=b"agent")


def make_archive(folder: Path, *, base: bytes, agent: bytes) -> Path:
    """An archive as the Dockerfile makes it."""
    layers = []
    for name, content in (("base", base), ("agent", agent)):
        (folder / name / "opt").mkdir(parents=True, exist_ok=True)
        if not (folder / name / "link").is_symlink():
            (folder / name / "link").symlink_to("opt")
        file = folder / name / "opt" / name
        if not file.exists() or file.read_bytes() != content:  # its time is in the layer
            file.write_bytes(content)
        layers.append(folder / f"{name}.tar.gz")
        pack_image("layer", folder / name, layers[-1])
    pack_image("image", json.dumps(_CONFIG), folder / "agent.tar", *layers)
    return folder / "agent.tar"


def pack_image(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, _PACK_IMAGE, *arguments], check=True)


def settings(archive: Path, image: str | None = None) -> TaskSettings:
    return TaskSettings(agent_archive=archive, agent_image=image)


def ours(registry: ImageRegistry) -> Registry:
    return registry_of(f"http://{registry.host}", "nodes.example:5000", "", "")


async def test_the_agents_image_is_sent_once_and_named_by_its_digest(
    registry: ImageRegistry, layout: StorageLayout, archive: Path
) -> None:
    image = await ensure_agent_image(settings(archive), ours(registry), layout)
    name, _, digest = image.partition("@")
    assert name == "nodes.example:5000/appengine/transfer-agent"
    manifest = json.loads(registry.get(f"appengine/transfer-agent/manifests/{digest}"))
    config = registry.get(f"appengine/transfer-agent/blobs/{manifest['config']['digest']}")
    assert json.loads(config)["config"] == _CONFIG
    sent = registry.sent_blobs()
    assert len(sent) == 3
    assert await ensure_agent_image(settings(archive), ours(registry), layout) == image
    assert registry.sent_blobs() == sent
    assert list(layout.task_ids()) == []


async def test_a_new_agent_does_not_send_its_base_again(
    registry: ImageRegistry, layout: StorageLayout, archive: Path, tmp_path: Path
) -> None:
    first = await ensure_agent_image(settings(archive), ours(registry), layout)
    sent = registry.sent_blobs()
    newer = make_archive(tmp_path, base=b"base", agent=b"newer")
    assert await ensure_agent_image(settings(newer), ours(registry), layout) != first
    assert len(registry.sent_blobs()) == len(sent) + 2  # the agent's layer, the config


async def test_an_image_that_is_named_is_taken_as_it_is(
    layout: StorageLayout, tmp_path: Path
) -> None:
    named = settings(tmp_path / "none.tar", image="registry.example/agent:1")
    assert await ensure_agent_image(named, None, layout) == "registry.example/agent:1"


async def test_what_is_missing_is_told(
    layout: StorageLayout, archive: Path, tmp_path: Path
) -> None:
    away = registry_of(f"http://127.0.0.1:{free_port()}", None, "", "")
    with pytest.raises(SettingsRefused, match="REGISTRY_URL"):
        await ensure_agent_image(settings(archive), None, layout)
    with pytest.raises(
        SettingsRefused, match=r"TRANSFER_AGENT_ARCHIVE tell where it is: .*none\.tar"
    ):
        await ensure_agent_image(settings(tmp_path / "none.tar"), away, layout)
    (tmp_path / "text.tar").write_text("no archive")
    with pytest.raises(SettingsRefused, match=r"text\.tar is not the archive of one image"):
        await ensure_agent_image(settings(tmp_path / "text.tar"), away, layout)
    with pytest.raises(Unavailable, match="cannot be reached"):
        await ensure_agent_image(settings(archive), away, layout)
