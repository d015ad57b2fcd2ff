"""Task bundles whose task is a shell script run by busybox: made in milliseconds, 2 MB each."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.container.images import Form, busybox_archive, layered_archive

Parameters = Mapping[str, str | Mapping[str, Any]]


def make_bundle(
    path: Path,
    *,
    namespace: str = "org.example.task",
    version: str = "1.0.0",
    inputs: Parameters | None = None,
    outputs: Parameters | None = None,
    script: str = "true",
    ram: str = "64Mi",
    cpus: int = 1,
    form: Form = "docker",
    user: str = "",
    architecture: str | None = None,
    files: Mapping[str, bytes] | None = None,
) -> Path:
    """Write a bundle whose task runs `script` by `/bin/sh -c`, and give its path back.

    A parameter is the id of a type (`{"count": "integer"}`) or its mapping in the descriptor
    (`{"count": {"type": {"id": "integer", "geq": 0}, "default": 1}}`); a description is added
    where there is none. Inputs lie in /inputs, outputs belong into /outputs.
    """
    descriptor = make_descriptor(
        namespace=namespace, version=version, inputs=inputs, outputs=outputs, ram=ram, cpus=cpus
    )
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "image.tar"
        busybox_archive(
            archive,
            form=form,
            entrypoint=["/bin/sh", "-c", script],
            user=user,
            architecture=architecture,
            files=files,
        )
        write_bundle(
            path,
            {
                "descriptor.yml": dump(descriptor),
                f"{namespace}-{version}.tar": archive.read_bytes(),
            },
        )
    return path


def make_layered_bundle(
    path: Path, layers: Sequence[tuple[bytes, int]], *, namespace: str, version: str, script: str
) -> Path:
    """Write a bundle whose image has these layers above busybox, and give its path back.

    `layers` as for `layered_archive`.
    """
    descriptor = make_descriptor(namespace=namespace, version=version)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        archive = Path(folder) / "image.tar"
        layered_archive(archive, layers, entrypoint=["/bin/sh", "-c", script])
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as bundle:
            bundle.writestr("descriptor.yml", dump(descriptor))
            bundle.write(archive, f"{namespace}-{version}.tar")
    return path


def make_descriptor(
    *,
    namespace: str = "org.example.task",
    version: str = "1.0.0",
    inputs: Parameters | None = None,
    outputs: Parameters | None = None,
    ram: str = "64Mi",
    cpus: int = 1,
) -> dict[str, Any]:
    """Make a descriptor as a mapping, for tests that spoil one part of it before `dump`."""
    return {
        "$schema": "https://cytomine.com/schema-store/tasks/task.v0.json",
        "name": "Test task",
        "name_short": "test",
        "namespace": namespace,
        "version": version,
        "authors": [
            {
                "first_name": "Ada",
                "last_name": "Lovelace",
                "organization": "Example",
                "email": "ada@example.org",
                "is_contact": True,
            }
        ],
        "configuration": {
            "input_folder": "/inputs",
            "output_folder": "/outputs",
            "image": {"file": f"/{namespace}-{version}.tar"},
            "resources": {"ram": ram, "cpus": cpus},
        },
        "inputs": _parameters(inputs),
        "outputs": _parameters(outputs),
    }


def dump(descriptor: Mapping[str, Any]) -> bytes:
    """Write a descriptor as YAML, with its parameters in their order."""
    text: str = yaml.safe_dump(dict(descriptor), sort_keys=False, allow_unicode=True)
    return text.encode()


def write_bundle(path: Path, entries: Mapping[str, bytes]) -> None:
    """Write a zip of stored entries, in the order given."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as bundle:
        for name, content in entries.items():
            bundle.writestr(name, content)


def _parameters(parameters: Parameters | None) -> dict[str, dict[str, Any]]:
    return {name: _parameter(name, given) for name, given in (parameters or {}).items()}


def _parameter(name: str, given: str | Mapping[str, Any]) -> dict[str, Any]:
    fields = {"type": given} if isinstance(given, str) else dict(given)
    return {"display_name": name, "description": f"The {name}.", **fields}
