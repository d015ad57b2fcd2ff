from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from pathlib import Path

import pytest
from appengine_contract.problems import ContractError
from appengine_server.errors import ResourceExhausted
from appengine_server.tasks.image_layout import ImageArchive
from appengine_server.tasks.untagged import (
    extract_image,
    untagged_archive,
)

from tests.container.images import digest, tar
from tests.unit.tasks.archives import (
    OCI_LAYER,
    OciArchive,
    docker_archive,
    image,
    inspect,
    platform,
)

NAME = "org/example/nuclei:1.2.0"
ONE = image(Cmd=["one"])
OTHER = image(tar({"etc/other": b"other"}), Cmd=["other"])


class Source(io.BytesIO):
    """An archive that remembers that it was closed."""

    closed_ones = 0

    def close(self) -> None:
        Source.closed_ones += 1
        super().close()


def unpack(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert all(entry.isreg() for entry in archive)
        return {entry.name: archive.extractfile(entry).read() for entry in archive}  # type: ignore[union-attr]


def untagged(content: bytes, found: ImageArchive | None = None) -> bytes:
    found = found or inspect(content)
    return b"".join(untagged_archive(lambda: Source(content), found))


def oci_with_an_attestation(layer_type: str = OCI_LAYER, layer: bytes | None = None) -> bytes:
    oci = OciArchive()
    attestation = {"vnd.docker.reference.type": "attestation-manifest"}
    nested = oci.index(
        oci.manifest(ONE, layer_type, layer, platform=platform("amd64")),
        oci.manifest(OTHER, platform=platform("unknown"), annotations=attestation),
        annotations={"io.containerd.image.name": "docker.io/library/debian:12"},
    )
    return oci.tar(nested)


DOCKER = tar(
    {
        **docker_archive([(OTHER, ["debian:12", "x:1"]), (ONE, [NAME])]),
        "repositories": b'{"debian": {"12": "x"}}',
    }
)


@pytest.mark.parametrize("content", [DOCKER, gzip.compress(DOCKER), oci_with_an_attestation()])
def test_only_the_chosen_image_is_left_and_it_has_no_name(content: bytes) -> None:
    out = untagged(content)
    config, layer = f"{digest(ONE.config)}.json", f"{digest(ONE.layer)}.tar"
    entries = unpack(out)
    assert set(entries) == {"manifest.json", config, layer}
    assert entries[config] == ONE.config
    assert entries[layer] == ONE.layer
    assert json.loads(entries["manifest.json"]) == [
        {"Config": config, "RepoTags": None, "Layers": [layer]}
    ]
    assert inspect(out).config_digest == ONE.id


def test_a_layer_that_is_used_twice_is_sent_once() -> None:
    layer = tar({"a": b"1"})
    twice = image(layer, layer)
    manifest = [{"Config": "c", "RepoTags": ["x:1"], "Layers": ["1.tar", "2.tar"]}]
    content = tar(
        {
            "1.tar": layer,
            "2.tar": layer,
            "c": twice.config,
            "manifest.json": json.dumps(manifest).encode(),
        }
    )
    out = untagged(content)
    name = f"{digest(layer)}.tar"
    assert json.loads(unpack(out)["manifest.json"])[0]["Layers"] == [name, name]
    with tarfile.open(fileobj=io.BytesIO(out)) as archive:
        assert archive.getnames().count(name) == 1


@pytest.mark.rule("image.layer-compression", "image.nothing-sent-twice")
def test_compressed_layers_go_out_as_they_are() -> None:
    packed = gzip.compress(ONE.layer)
    out = unpack(untagged(oci_with_an_attestation(f"{OCI_LAYER}+gzip", packed)))
    assert out[f"{digest(ONE.layer)}.tar"] == packed


def test_the_source_is_closed_when_the_load_is_given_up() -> None:
    content = oci_with_an_attestation()
    pieces = untagged_archive(lambda: Source(content), inspect(content))
    next(pieces), next(pieces)
    before = Source.closed_ones
    pieces.close()  # type: ignore[attr-defined]
    assert Source.closed_ones == before + 1


def test_a_source_that_changed_is_told() -> None:
    found = inspect(DOCKER)
    for changed in (DOCKER[:5000], tar({"a": b""}), tar({"a": b"", "b": b"", "c": b"", "d": b""})):
        with pytest.raises(ContractError) as refused:
            untagged(changed, found)
        assert refused.value.problems[0].reason == "IMAGE_CORRUPT"


@pytest.mark.parametrize("content", [DOCKER, oci_with_an_attestation()])
def test_an_oci_folder_holds_the_chosen_image_alone(tmp_path: Path, content: bytes) -> None:
    found = inspect(content)
    progress: list[int] = []
    extract_image(lambda: Source(content), found, tmp_path, on_progress=progress.append)
    blobs = {path.name: path.read_bytes() for path in (tmp_path / "blobs/sha256").iterdir()}
    assert all(digest(blob) == name for name, blob in blobs.items())
    (top,) = json.loads((tmp_path / "index.json").read_bytes())["manifests"]
    assert "annotations" not in top
    manifest = json.loads(blobs[top["digest"].removeprefix("sha256:")])
    assert manifest["config"]["digest"] == ONE.id
    assert [layer["digest"] for layer in manifest["layers"]] == [f"sha256:{digest(ONE.layer)}"]
    assert len(blobs) == 3
    assert json.loads((tmp_path / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    assert progress[-1] > 0


def test_the_manifest_of_an_oci_layout_keeps_its_digest(tmp_path: Path) -> None:
    oci = OciArchive()
    descriptor = oci.manifest(ONE)
    content = oci.tar(descriptor)
    extract_image(lambda: Source(content), inspect(content), tmp_path)
    (top,) = json.loads((tmp_path / "index.json").read_bytes())["manifests"]
    assert top["digest"] == descriptor["digest"]


@pytest.mark.parametrize("form", ["docker", "oci"])
def test_annotations_tell_the_images_of_two_tasks_apart(tmp_path: Path, form: str) -> None:
    oci = OciArchive()
    content = DOCKER if form == "docker" else oci.tar(oci.manifest(ONE))
    manifests = {}
    for task in ("a", "b", "a again"):
        folder = tmp_path / task
        folder.mkdir()
        given = {"org.example.task": task[0]}
        name = extract_image(lambda: Source(content), inspect(content), folder, annotations=given)
        blob = (folder / "blobs/sha256" / name.removeprefix("sha256:")).read_bytes()
        manifests[task] = json.loads(blob)
        assert f"sha256:{digest(blob)}" == name
        assert manifests[task].pop("annotations") == given
    assert manifests["a"] == manifests["b"] == manifests["a again"]
    assert len({path.name for path in tmp_path.glob("*/blobs/sha256/*")}) == 4


def test_the_disk_is_not_filled(tmp_path: Path) -> None:
    disk = os.statvfs(tmp_path)
    too_much = disk.f_blocks * disk.f_frsize
    with pytest.raises(ResourceExhausted):
        extract_image(lambda: Source(DOCKER), inspect(DOCKER), tmp_path, keep_free_bytes=too_much)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_manifest_in_dockers_words_becomes_an_oci_one(tmp_path: Path) -> None:
    oci = OciArchive()
    packed = gzip.compress(ONE.layer)
    docker = "application/vnd.docker."
    document = {
        "schemaVersion": 2,
        "mediaType": f"{docker}distribution.manifest.v2+json",
        "config": oci.blob(ONE.config, f"{docker}container.image.v1+json"),
        "layers": [oci.blob(packed, f"{docker}image.rootfs.diff.tar.gzip")],
    }
    content = oci.tar(oci.blob(json.dumps(document).encode(), str(document["mediaType"])))
    extract_image(lambda: Source(content), inspect(content), tmp_path)
    (top,) = json.loads((tmp_path / "index.json").read_bytes())["manifests"]
    name = top["digest"].removeprefix("sha256:")
    manifest = json.loads((tmp_path / "blobs/sha256" / name).read_bytes())
    assert manifest["config"]["digest"] == ONE.id
    assert manifest["layers"] == [
        {
            "mediaType": f"{OCI_LAYER}+gzip",
            "digest": f"sha256:{digest(packed)}",
            "size": len(packed),
        }
    ]
