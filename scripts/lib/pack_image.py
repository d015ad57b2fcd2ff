"""Pack folders into an image archive as `docker save` writes it, where no container engine is."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import sys
import tarfile
import zlib
from pathlib import Path
from typing import Any

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_PIECE_BYTES = 1 << 20


def pack_layer(folder: Path, layer: Path) -> None:
    """Write everything in `folder` as one layer. The same files give the same bytes."""
    with (
        layer.open("wb") as file,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in sorted(folder.rglob("*")):
            entry = tar.gettarinfo(path, str(path.relative_to(folder)))
            entry.uname = entry.gname = ""
            entry.mtime = int(entry.mtime)
            if entry.isreg():
                with path.open("rb") as content:
                    tar.addfile(entry, content)
            else:
                tar.addfile(entry)


def pack_image(settings: dict[str, Any], archive: Path, layers: list[Path]) -> None:
    """Write an image of these layers, the lowest first, with the `config` of Docker's words."""
    machine = platform.machine()
    config = {
        "architecture": _ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [_digest_unpacked(layer) for layer in layers]},
    }
    content = json.dumps(config).encode()
    config_name = f"{hashlib.sha256(content).hexdigest()}.json"
    names = [f"{number}.tar.gz" for number in range(len(layers))]
    manifest = json.dumps([{"Config": config_name, "RepoTags": None, "Layers": names}]).encode()
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, document in ((config_name, content), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(name)
            entry.size = len(document)
            tar.addfile(entry, io.BytesIO(document))
        for name, layer in zip(names, layers, strict=True):
            entry = tarfile.TarInfo(name)
            entry.size = layer.stat().st_size
            with layer.open("rb") as packed:
                tar.addfile(entry, packed)


def _digest_unpacked(layer: Path) -> str:
    digest, unpacking = hashlib.sha256(), zlib.decompressobj(wbits=31)
    with layer.open("rb") as packed:
        while piece := packed.read(_PIECE_BYTES):
            digest.update(unpacking.decompress(piece))
    return f"sha256:{digest.hexdigest()}"


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["layer", folder, layer]:
            pack_layer(Path(folder), Path(layer))
        case ["image", config, archive, *layers]:
            pack_image(json.loads(config), Path(archive), [Path(layer) for layer in layers])
        case _:
            sys.exit("usage: pack_image.py layer FOLDER LAYER | image CONFIG ARCHIVE LAYER…")
