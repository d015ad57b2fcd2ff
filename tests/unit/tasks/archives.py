"""Small archives for the tests of this folder: their layers hold nothing that could run."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from appengine_server.tasks.image_archive import inspect_image_archive
from appengine_server.tasks.image_layout import ImageArchive, ImageChoice

from tests.container.images import Image, digest, tar

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
WANTED = ImageChoice(namespace="org.example.nuclei", version="1.2.0")
DEFAULT_NAME = "org.example.nuclei-1.2.0.tar"


def dump(value: Any) -> bytes:
    return json.dumps(value).encode()


def image(*layers: bytes, architecture: str = "amd64", **settings: Any) -> Image:
    """An image whose config lists the layers; `Image.layer` is the first."""
    layers = layers or (tar({"etc/hello": b"hello"}),)
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest(layer)}" for layer in layers]},
    }
    return Image(config=dump(config), layer=layers[0], architecture=architecture)


def docker_archive(images: Sequence[tuple[Image, Sequence[str]]]) -> dict[str, bytes]:
    """Entries of a Docker layout with images of one layer each, and their tags."""
    entries: dict[str, bytes] = {}
    manifest = []
    for number, (one, tags) in enumerate(images):
        name = f"{digest(one.config)}.json"
        entries |= {f"{number}/layer.tar": one.layer, name: one.config}
        manifest.append({"Config": name, "RepoTags": list(tags), "Layers": [f"{number}/layer.tar"]})
    entries["manifest.json"] = dump(manifest)
    return entries


class OciArchive:
    """Entries of an OCI layout, put together blob by blob."""

    def __init__(self) -> None:
        self.entries: dict[str, bytes] = {}

    def blob(self, content: bytes, media_type: str, **fields: Any) -> dict[str, Any]:
        self.entries[f"blobs/sha256/{digest(content)}"] = content
        name = f"sha256:{digest(content)}"
        return {"mediaType": media_type, "digest": name, "size": len(content), **fields}

    def manifest(
        self, one: Image, layer_type: str = OCI_LAYER, layer: bytes | None = None, **fields: Any
    ) -> dict[str, Any]:
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": self.blob(one.config, OCI_CONFIG),
            "layers": [self.blob(layer or one.layer, layer_type)],
        }
        return self.blob(dump(document), OCI_MANIFEST, **fields)

    def index(self, *manifests: dict[str, Any], **fields: Any) -> dict[str, Any]:
        return self.blob(dump({"schemaVersion": 2, "manifests": manifests}), OCI_INDEX, **fields)

    def tar(self, *top: dict[str, Any]) -> bytes:
        self.entries["index.json"] = dump({"schemaVersion": 2, "manifests": top})
        return tar(self.entries)


def platform(architecture: str, variant: str = "") -> dict[str, str]:
    return {"os": "linux", "architecture": architecture} | ({"variant": variant} if variant else {})


def inspect(content: bytes, wanted: ImageChoice = WANTED, **more: Any) -> ImageArchive:
    return inspect_image_archive(io.BytesIO(content), wanted, **more)


def descriptor(image_file: str | None = None, **fields: Any) -> bytes:
    content: dict[str, Any] = {
        "$schema": "https://cytomine.com/schema-store/tasks/task.v0.json",
        "name": "Nuclei",
        "namespace": "org.example.nuclei",
        "version": "1.2.0",
        "authors": [
            {
                "first_name": "Ada",
                "last_name": "Lovelace",
                "organization": "Example",
                "email": "ada@example.org",
            }
        ],
        "configuration": {
            "input_folder": "/inputs",
            "output_folder": "/outputs",
            "resources": {"ram": "1Gi", "cpus": 1},
        },
        "inputs": {},
        "outputs": {},
    }
    if image_file is not None:
        content["configuration"]["image"] = {"file": image_file}
    return yaml.safe_dump(content | fields, sort_keys=False).encode()


def small_image() -> bytes:
    return tar(docker_archive([(image(), ["whatever:1"])]))


def write_zip(path: Path, entries: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path
