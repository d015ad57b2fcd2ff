"""Pack a descriptor, a logo and an image archive into a task bundle."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

import yaml


def find_descriptor(folder: Path) -> Path:
    found = [
        path for path in folder.iterdir() if path.name in ("descriptor.yml", "descriptor.yaml")
    ]
    if len(found) != 1:
        sys.exit(f"error: {folder} must hold one descriptor.yml, it holds {len(found)}.")
    return found[0]


def read_descriptor(folder: Path) -> dict[str, Any]:
    # BaseLoader takes every scalar as text: a version such as 1.0 must not become a number.
    descriptor = yaml.load(find_descriptor(folder).read_text(), Loader=yaml.BaseLoader)
    if not isinstance(descriptor, dict) or not {"namespace", "version"} <= descriptor.keys():
        sys.exit(f"error: the descriptor in {folder} must give a namespace and a version.")
    return descriptor


def bundle_name(descriptor: dict[str, Any]) -> str:
    return f"{descriptor['namespace']}-{descriptor['version']}"


def image_entry(descriptor: dict[str, Any]) -> str:
    image = (descriptor.get("configuration") or {}).get("image") or {}
    return image.get("file", "").lstrip("/") or f"{bundle_name(descriptor)}.tar"


def pack(folder: Path, archive: Path, bundle: Path) -> None:
    """Write the bundle. Its entries are stored: compressing an image would take minutes."""
    descriptor = find_descriptor(folder)
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_STORED) as entries:
        entries.write(descriptor, descriptor.name)
        if (folder / "logo.png").is_file():
            entries.write(folder / "logo.png", "logo.png")
        entries.write(archive, image_entry(read_descriptor(folder)))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["name", folder]:
            print(bundle_name(read_descriptor(Path(folder))))
        case ["pack", folder, archive, bundle]:
            pack(Path(folder), Path(archive), Path(bundle))
        case _:
            sys.exit("usage: pack_bundle.py name FOLDER | pack FOLDER ARCHIVE BUNDLE")
