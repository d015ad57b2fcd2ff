"""Small task images made in Python, so that container tests need no registry and no builder.

The only layer holds a static busybox with links for its programs. Both forms that `docker save`
writes are made: the Docker layout from before Docker 25, and the OCI layout whose `index.json`
points at a nested index with an attestation beside the image, as Docker 29 writes it.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import random
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any, Literal

Form = Literal["docker", "oci"]

_OCI_INDEX = "application/vnd.oci.image.index.v1+json"
_OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
_OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
_CREATED = "2024-01-01T00:00:00Z"
_PASSWD = b"root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"
_ELF_PT_INTERP = 3
_NOISE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image in parts: what both archive forms are written from."""

    config: bytes
    layer: bytes
    architecture: str
    """In Go's words, such as `amd64`."""

    @property
    def id(self) -> str:
        """The image id as engines show it: `sha256:` and the digest of the config."""
        return f"sha256:{digest(self.config)}"


def busybox_archive(
    path: Path,
    *,
    form: Form = "docker",
    tags: Sequence[str] = (),
    entrypoint: Sequence[str] = (),
    command: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    user: str = "",
    architecture: str | None = None,
    files: Mapping[str, bytes] | None = None,
    compress: bool = False,
) -> None:
    """Write a `docker save` archive of a busybox image to `path`.

    `files` are added by their path without a leading slash, with mode 0755. `architecture` is only
    what the config claims; the programs are always this machine's. `compress` makes the whole
    archive a gzip file. The same arguments give the same bytes.
    """
    image = busybox_image(
        entrypoint=entrypoint,
        command=command,
        environment=environment,
        user=user,
        architecture=architecture,
        files=files,
    )
    write_archive(path, image, form=form, tags=tags, compress=compress)


def busybox_image(
    *,
    entrypoint: Sequence[str] = (),
    command: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    user: str = "",
    architecture: str | None = None,
    files: Mapping[str, bytes] | None = None,
) -> Image:
    """Make the image that `busybox_archive` writes, for its id or to spoil its parts."""
    layer = _layer(tuple(sorted((files or {}).items())))
    architecture = architecture or _architecture()
    settings: dict[str, Any] = {
        "Env": ["PATH=/bin", *(f"{name}={value}" for name, value in (environment or {}).items())],
        "WorkingDir": "/",
    }
    if entrypoint:
        settings["Entrypoint"] = list(entrypoint)
    if command:
        settings["Cmd"] = list(command)
    if user:
        settings["User"] = user
    config = {
        "created": _CREATED,
        "architecture": architecture,
        "os": "linux",
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest(layer)}"]},
        "history": [{"created": _CREATED, "created_by": "busybox"}],
    }
    return Image(config=_json(config), layer=layer, architecture=architecture)


def write_archive(
    path: Path, image: Image, *, form: Form, tags: Sequence[str] = (), compress: bool = False
) -> None:
    """Write `image` to `path` in one of the two forms."""
    entries = _docker_layout(image, tags) if form == "docker" else _oci_layout(image, tags)
    content = tar(entries)
    path.write_bytes(gzip.compress(content, compresslevel=1, mtime=0) if compress else content)


def tar(entries: Mapping[str, bytes]) -> bytes:
    """Pack files into a tar whose bytes depend on nothing but the entries and their order."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in entries.items():
            _add_file(archive, name, content, mode=0o644)
    return out.getvalue()


def digest(content: bytes) -> str:
    """Give the sha256 of `content` as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def _docker_layout(image: Image, tags: Sequence[str]) -> dict[str, bytes]:
    config_name = f"{digest(image.config)}.json"
    folder = digest(image.layer)
    manifest = [
        {"Config": config_name, "RepoTags": list(tags) or None, "Layers": [f"{folder}/layer.tar"]}
    ]
    entries = {
        f"{folder}/VERSION": b"1.0",
        f"{folder}/json": _json({"id": folder, "created": _CREATED, "os": "linux"}),
        f"{folder}/layer.tar": image.layer,
        config_name: image.config,
        "manifest.json": _json(manifest),
    }
    if tags:
        entries["repositories"] = _json(_repositories(tags, folder))
    return entries


def _repositories(tags: Sequence[str], layer_id: str) -> dict[str, dict[str, str]]:
    repositories: dict[str, dict[str, str]] = {}
    for tag in tags:
        name, _, label = tag.rpartition(":")
        repositories.setdefault(name, {})[label] = layer_id
    return repositories


def _oci_layout(image: Image, tags: Sequence[str]) -> dict[str, bytes]:
    blobs: dict[str, bytes] = {}

    def put(content: bytes, media_type: str, **fields: Any) -> dict[str, Any]:
        blobs[f"blobs/sha256/{digest(content)}"] = content
        return {
            "mediaType": media_type,
            "digest": f"sha256:{digest(content)}",
            "size": len(content),
            **fields,
        }

    layer = put(image.layer, _OCI_LAYER)
    config = put(image.config, _OCI_CONFIG)
    manifest = put(
        _json(_manifest(config, [layer])),
        _OCI_MANIFEST,
        platform={"architecture": image.architecture, "os": "linux"},
    )
    index = {
        "schemaVersion": 2,
        "mediaType": _OCI_INDEX,
        "manifests": [manifest, _attestation(manifest["digest"], put)],
    }
    nested = put(_json(index), _OCI_INDEX)
    tops = [{**nested, "annotations": {"io.containerd.image.name": tag}} for tag in tags] or [
        nested
    ]
    docker_manifest = {
        "Config": f"blobs/sha256/{digest(image.config)}",
        "RepoTags": list(tags) or None,
        "Layers": [f"blobs/sha256/{digest(image.layer)}"],
    }
    return {
        **blobs,
        "index.json": _json({"schemaVersion": 2, "mediaType": _OCI_INDEX, "manifests": tops}),
        "manifest.json": _json([docker_manifest]),
        "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
    }


def _attestation(subject: str, put: Any) -> dict[str, Any]:
    """Make the provenance that a builder stores beside an image: no one can run it."""
    statement = put(
        _json({"predicateType": "https://slsa.dev/provenance/v0.2"}), "application/json"
    )
    config = put(_json({"architecture": "unknown", "os": "unknown", "config": {}}), _OCI_CONFIG)
    descriptor: dict[str, Any] = put(
        _json(_manifest(config, [statement])),
        _OCI_MANIFEST,
        platform={"architecture": "unknown", "os": "unknown"},
        annotations={
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": subject,
        },
    )
    return descriptor


def _manifest(config: dict[str, Any], layers: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": _OCI_MANIFEST,
        "config": config,
        "layers": layers,
    }


def layered_archive(
    path: Path,
    layers: Sequence[tuple[bytes, int]],
    *,
    entrypoint: Sequence[str],
    user: str = "",
) -> None:
    """Write a `docker save` archive of busybox and more layers: (seed, bytes) each.

    The same seed and size give the same layer; nothing can compress it. What is written at once is
    64 MiB at most, so layers may be as large as the disk.
    """
    image = busybox_image(entrypoint=entrypoint, user=user)
    config = json.loads(image.config)
    names = [f"{digest(image.layer)}.tar"]
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        _add_file(archive, names[0], image.layer, mode=0o644)
        for seed, size_bytes in layers:
            with tempfile.TemporaryFile(dir=path.parent) as layer:
                found = _write_noise_layer(layer, seed, size_bytes)
                config["rootfs"]["diff_ids"].append(f"sha256:{found}")
                names.append(f"{found}.tar")
                entry = tarfile.TarInfo(names[-1])
                entry.size = layer.tell()
                layer.seek(0)
                archive.addfile(entry, layer)
        config["history"] = []
        _add_file(archive, "config.json", _json(config), mode=0o644)
        manifest = [{"Config": "config.json", "RepoTags": None, "Layers": names}]
        _add_file(archive, "manifest.json", _json(manifest), mode=0o644)


def _write_noise_layer(layer: IO[bytes], seed: bytes, size_bytes: int) -> str:
    """Write a layer of one file, and give the digest of its bytes."""
    hashing = hashlib.sha256()
    entry = tarfile.TarInfo(f"noise-{seed.hex()}")
    entry.size = size_bytes
    noise = random.Random(seed).randbytes(min(size_bytes, _NOISE_BYTES))
    pieces = [entry.tobuf(tarfile.PAX_FORMAT)]
    written_bytes = 0
    while written_bytes < size_bytes or pieces:
        if not pieces:
            pieces.append(noise[: size_bytes - written_bytes])
            written_bytes += len(pieces[0])
        piece = pieces.pop()
        hashing.update(piece)
        layer.write(piece)
    end = b"\0" * (-size_bytes % 512 + 1024)
    hashing.update(end)
    layer.write(end)
    return hashing.hexdigest()


@cache
def _layer(files: tuple[tuple[str, bytes], ...]) -> bytes:
    busybox = _busybox()
    programs = subprocess.run(
        [busybox, "--list"], check=True, capture_output=True, text=True
    ).stdout.split()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for folder, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777)):
            _add(archive, tarfile.DIRTYPE, folder, mode=mode)
        _add_file(archive, "bin/busybox", busybox.read_bytes(), mode=0o755)
        for program in sorted(set(programs) - {"busybox"}):
            _add(archive, tarfile.SYMTYPE, f"bin/{program}", mode=0o777, target="busybox")
        _add_file(archive, "etc/passwd", _PASSWD, mode=0o644)
        for name, content in files:
            _add_file(archive, name, content, mode=0o755)
    return out.getvalue()


def _add(archive: tarfile.TarFile, kind: bytes, name: str, *, mode: int, target: str = "") -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.linkname = kind, mode, target
    archive.addfile(entry)


def _add_file(archive: tarfile.TarFile, name: str, content: bytes, *, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))


@cache
def _busybox() -> Path:
    """Find a static busybox, or fetch Debian's package, which needs no root."""
    for candidate in ("/bin/busybox", "/usr/bin/busybox", shutil.which("busybox") or ""):
        if candidate and Path(candidate).is_file() and _is_static(Path(candidate)):
            return Path(candidate)
    folder = Path(tempfile.mkdtemp(prefix="busybox-"))
    try:
        subprocess.run(
            ["apt-get", "download", "-qq", "busybox-static"], cwd=folder, check=True, timeout=120
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise RuntimeError("no static busybox found: install the package busybox-static") from error
    (package,) = folder.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
    (program,) = (path for path in folder.rglob("busybox") if path.is_file() and _is_static(path))
    return program


def _is_static(program: Path) -> bool:
    """Tell whether an ELF file of 64 bits asks for no dynamic loader."""
    content = program.read_bytes()
    if content[:5] != b"\x7fELF\x02":
        return False
    table = int.from_bytes(content[32:40], "little")
    entry_bytes = int.from_bytes(content[54:56], "little")
    count = int.from_bytes(content[56:58], "little")
    return not any(
        int.from_bytes(content[at : at + 4], "little") == _ELF_PT_INTERP
        for at in range(table, table + count * entry_bytes, entry_bytes)
    )


def _architecture() -> str:
    machine = platform.machine()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
