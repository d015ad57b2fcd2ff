"""The chosen image of an archive, alone and without tags.

Loading an archive as it is takes over the user's own images of the names in it, and brings in
images that nobody asked for. Both ways out of here hold one image and no name.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path

from appengine_contract.problems import ContractError, Problem

from appengine_server.errors import ResourceExhausted
from appengine_server.tasks.archive_index import mapping
from appengine_server.tasks.image_archive import Counted
from appengine_server.tasks.image_layout import (
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    ImageArchive,
    LayerEntry,
)
from appengine_server.tasks.tar_stream import (
    END_OF_TAR,
    ByteStream,
    TarDamaged,
    TarStream,
    file_header,
    padding,
    plain_tar,
)

OpenStream = Callable[[], ByteStream]
Progress = Callable[[int], None]
_SPACE_CHECK_PIECES = 64


def untagged_archive(
    open_stream: OpenStream, image: ImageArchive, *, on_progress: Progress | None = None
) -> Generator[bytes, None, None]:
    """A tar for an engine's load endpoint, in pieces of at most 1 MiB: one image, no tags.

    `open_stream` opens the archive that `image` was found in; it is read once and closed, also
    when this generator is closed early. Layers go out as they are: engines find out themselves how
    they are compressed. `on_progress` is told the bytes read of the stream; what it raises ends the
    reading and comes out here. Raises ContractError
    (IMAGE_CORRUPT, BUNDLE_CORRUPT) when the archive has changed since.
    """
    yield _front(image)
    unique = {layer.diff_id: layer for layer in reversed(image.layers)}
    for layer, pieces in read_layers(open_stream, list(unique.values()), on_progress):
        yield file_header(_layer_name(layer), layer.size_bytes)
        yield from pieces
        yield padding(layer.size_bytes)
    yield END_OF_TAR


def extract_image(
    open_stream: OpenStream,
    image: ImageArchive,
    folder: Path,
    *,
    annotations: Mapping[str, str] | None = None,
    keep_free_bytes: int = 0,
    on_progress: Progress | None = None,
) -> str:
    """Write the image as an OCI layout into `folder`, an empty one, for `registry.push_image`.

    Answers the digest of its manifest, `sha256:…`.

    Layers stay compressed as they are, and a manifest that the archive has stays as it is, so that
    its digest does too; `annotations` are added to it, and give it another digest. Raises
    ResourceExhausted when the disk would have less than `keep_free_bytes` left, ContractError as
    `untagged_archive`. The caller deletes the folder, also after an error.
    """
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    unique = {layer.digest: layer for layer in image.layers}
    _check_space(folder, sum(layer.size_bytes for layer in unique.values()), keep_free_bytes)
    for layer, pieces in read_layers(open_stream, list(unique.values()), on_progress):
        _write_blob(blobs, layer, pieces, keep_free_bytes)
    manifest = oci_manifest(image)
    if annotations:
        manifest = _annotated(manifest, annotations)
    _write(blobs, image.config)
    digest = _write(blobs, manifest)
    index = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [{"mediaType": OCI_MANIFEST, "digest": digest, "size": len(manifest)}],
    }
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
    return digest


def read_layers(
    open_stream: OpenStream, layers: list[LayerEntry], on_progress: Progress | None
) -> Iterator[tuple[LayerEntry, Iterator[bytes]]]:
    """The layers in the order in which they lie in the archive, each with its bytes in pieces.

    Raises ContractError as `untagged_archive`.
    """
    wanted = {layer.number: layer for layer in layers}
    if not wanted:
        return
    stream = open_stream()
    try:
        tar = TarStream(plain_tar(Counted(stream, on_progress)))
        for entry in tar:
            layer = wanted.pop(entry.number, None)
            if layer is None:
                continue
            if entry.size_bytes != layer.size_bytes:
                raise TarDamaged(f"the layer {layer.name} has another size than before")
            yield layer, tar.pieces()
            if not wanted:
                return
        raise TarDamaged("the archive has fewer entries than before")
    except TarDamaged as error:
        problem = Problem(path="", reason="IMAGE_CORRUPT", message=str(error))
        raise ContractError([problem]) from error
    finally:
        stream.close()


def _front(image: ImageArchive) -> bytes:
    config_name = f"{image.config_digest.removeprefix('sha256:')}.json"
    layer_names = [_layer_name(layer) for layer in image.layers]
    manifest = [{"Config": config_name, "RepoTags": None, "Layers": layer_names}]
    small_files = (
        ("manifest.json", json.dumps(manifest).encode()),
        (config_name, image.config),
    )
    return b"".join(
        file_header(name, len(content)) + content + padding(len(content))
        for name, content in small_files
    )


def _layer_name(layer: LayerEntry) -> str:
    return f"{layer.diff_id.removeprefix('sha256:')}.tar"


def oci_manifest(image: ImageArchive) -> bytes:
    """The manifest that `extract_image` writes: the archive's own where it has one."""
    if image.manifest is not None:
        return image.manifest
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {
            "mediaType": OCI_CONFIG,
            "digest": image.config_digest,
            "size": len(image.config),
        },
        "layers": [
            {"mediaType": layer.media_type, "digest": layer.digest, "size": layer.size_bytes}
            for layer in image.layers
        ],
    }
    return json.dumps(manifest).encode()


def _annotated(manifest: bytes, annotations: Mapping[str, str]) -> bytes:
    document = json.loads(manifest)
    document["annotations"] = {**mapping(document.get("annotations")), **annotations}
    return json.dumps(document).encode()


def _write(blobs: Path, content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    (blobs / digest).write_bytes(content)
    return f"sha256:{digest}"


def _write_blob(
    blobs: Path, layer: LayerEntry, pieces: Iterator[bytes], keep_free_bytes: int
) -> None:
    with (blobs / layer.digest.removeprefix("sha256:")).open("xb") as file:
        for number, piece in enumerate(pieces):
            if number % _SPACE_CHECK_PIECES == 0:  # others write to this disk as well
                _check_space(blobs, 0, keep_free_bytes)
            file.write(piece)


def _check_space(folder: Path, needed_bytes: int, keep_free_bytes: int) -> None:
    disk = os.statvfs(folder)
    free_bytes = disk.f_bavail * disk.f_frsize
    if free_bytes - needed_bytes < keep_free_bytes:
        raise ResourceExhausted(
            f"the disk has {free_bytes} bytes free; unpacking the image takes {needed_bytes}, and "
            f"{keep_free_bytes} must stay free: make room",
            reason="DISK_FULL",
        )
