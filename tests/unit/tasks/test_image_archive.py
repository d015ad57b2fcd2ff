from __future__ import annotations

import contextlib
import gzip
import io
import json
import tarfile

import pytest
from appengine_contract.problems import ContractError
from appengine_server.tasks.image_archive import (
    ImageLimits,
    image_archive_is_there,
    inspect_image_archive,
)
from appengine_server.tasks.image_layout import ImageChoice
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.container.images import digest, tar, write_archive
from tests.unit.tasks.archives import (
    OCI_LAYER,
    WANTED,
    OciArchive,
    docker_archive,
    dump,
    image,
    inspect,
    platform,
    small_image,
)

NAME = "org/example/nuclei:1.2.0"


def refused(content: bytes, wanted: ImageChoice = WANTED, **limits: int) -> list[tuple[str, str]]:
    """(reason, path) of every problem."""
    with pytest.raises(ContractError) as refusal:
        inspect(content, wanted, limits=ImageLimits(**limits))
    return [(problem.reason, problem.path) for problem in refusal.value.problems]


@pytest.mark.rule(
    "bundle.identity-from-descriptor",
    "image.docker-layout",
    "image.oci-layout",
    "image.whole-gzip",
)
@pytest.mark.parametrize("form", ["docker", "oci"])
@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("tags", [(), ("debian:bookworm", "x/y:1")])
def test_both_forms_of_docker_save_give_the_image(tmp_path, form, compress, tags) -> None:
    one = image(User="1000:1000", Entrypoint=["/bin/task"], Cmd=["--fast"])
    path = tmp_path / "image.tar"
    write_archive(path, one, form=form, tags=tags, compress=compress)
    progress: list[int] = []
    with path.open("rb") as stream:
        found = inspect_image_archive(stream, WANTED, on_progress=progress.append)
    assert found.config_digest == one.id
    assert found.config == one.config
    assert found.layout == form
    assert [layer.diff_id for layer in found.layers] == [f"sha256:{digest(one.layer)}"]
    assert (found.user, found.entrypoint, found.command) == (
        "1000:1000",
        ("/bin/task",),
        ("--fast",),
    )
    assert (found.os, found.architecture) == ("linux", "amd64")
    assert progress[-1] == path.stat().st_size


@pytest.mark.rule("image.links-inside")
@pytest.mark.parametrize("tags", [None, [], ["a:1"]])
def test_repeated_layers_may_be_links_inside_the_archive(tags: list[str] | None) -> None:
    layer = tar({"a": b"1"})
    one = image(layer, layer, layer)
    names = ["0/layer.tar", "1/layer.tar", "2/layer.tar"]
    manifest = [{"Config": "config.json", "RepoTags": tags, "Layers": names}]
    out = io.BytesIO(
        tar({"0/layer.tar": layer, "config.json": one.config, "manifest.json": dump(manifest)})
    )
    with tarfile.open(fileobj=out, mode="a") as archive:
        for name, kind, target in (
            ("1/layer.tar", tarfile.SYMTYPE, "../0/layer.tar"),
            ("2/layer.tar", tarfile.LNKTYPE, "0/layer.tar"),
        ):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, target
            archive.addfile(link)
    found = inspect(out.getvalue())
    assert [layer.name for layer in found.layers] == ["0/layer.tar"] * 3


@pytest.mark.rule("image.layer-compression")
def test_layers_of_the_docker_layout_may_be_gzip() -> None:
    one = image()
    entries = docker_archive([(one, [])])
    members = gzip.compress(one.layer[:100]) + gzip.compress(one.layer[100:])
    found = inspect(tar({**entries, "0/layer.tar": members}))
    assert found.layers[0].media_type == f"{OCI_LAYER}+gzip"
    assert found.layers[0].digest == f"sha256:{digest(members)}"
    assert refused(tar({**entries, "0/layer.tar": members[:-9]})) == [
        ("IMAGE_CORRUPT", "0/layer.tar")
    ]
    assert refused(tar({**entries, "0/layer.tar": members}), layer_bytes=1000) == [
        ("BUNDLE_TOO_LARGE", "0/layer.tar")
    ]


@pytest.mark.rule("image.layer-compression")
@pytest.mark.parametrize("layer_type", [f"{OCI_LAYER}+zstd", f"{OCI_LAYER}+gzip", OCI_LAYER])
def test_layers_of_the_oci_layout_are_what_their_media_type_says(layer_type: str) -> None:
    packed = {
        f"{OCI_LAYER}+zstd": b"\x28\xb5\x2f\xfd as it lies in the archive",
        f"{OCI_LAYER}+gzip": gzip.compress(image().layer),
        OCI_LAYER: image().layer,
    }[layer_type]
    oci = OciArchive()
    (layer,) = inspect(oci.tar(oci.manifest(image(), layer_type, packed))).layers
    assert (layer.media_type, layer.digest) == (layer_type, f"sha256:{digest(packed)}")


@pytest.mark.rule("image.attestations")
@pytest.mark.parametrize(
    "marks",
    [
        {"annotations": {"vnd.docker.reference.type": "attestation-manifest"}},
        {"platform": {"os": "unknown", "architecture": "unknown"}},
    ],
)
def test_attestations_are_no_images(marks: dict[str, dict[str, str]]) -> None:
    oci = OciArchive()
    beside = oci.manifest(image(Cmd=["attest"]), **marks)
    assert inspect(oci.tar(oci.index(beside, oci.manifest(image())))).config_digest == image().id
    assert refused(oci.tar(oci.index(beside))) == [("IMAGE_NOT_ARCHIVE", "")]


@pytest.mark.rule("image.platform-order")
def test_the_first_platform_of_the_setting_is_taken() -> None:
    amd, arm = image(architecture="amd64"), image(architecture="arm64")
    oci = OciArchive()
    nested = oci.index(
        oci.manifest(amd, platform=platform("amd64")),
        oci.manifest(arm, platform=platform("arm64", "v8")),
    )
    content = oci.tar(nested)
    for platforms, expected in (
        (("linux/amd64",), amd),
        (("linux/arm64", "linux/amd64"), arm),
        (("linux/arm64/v8",), arm),
        (("linux/riscv64", "linux/amd64"), amd),
    ):
        wanted = ImageChoice(namespace="a.b", version="1.0.0", platforms=platforms)
        assert inspect(content, wanted).config_digest == expected.id
    wanted = ImageChoice(namespace="a.b", version="1.0.0", platforms=("linux/s390x",))
    with pytest.raises(ContractError) as refusal:
        inspect(content, wanted)
    (problem,) = refusal.value.problems
    assert problem.reason == "IMAGE_PLATFORM"
    assert "linux/amd64, linux/arm64/v8" in problem.message


@pytest.mark.rule("image.absent-platforms")
def test_platforms_that_are_listed_but_absent_are_skipped() -> None:
    oci = OciArchive()
    here = oci.manifest(image(), platform=platform("amd64"))
    absent = {**here, "digest": f"sha256:{'0' * 64}", "platform": platform("arm64")}
    content = oci.tar(oci.index(absent, here))
    wanted = ImageChoice(namespace="a.b", version="1.0.0", platforms=("linux/arm64", "linux/amd64"))
    assert inspect(content, wanted).config_digest == image().id


@pytest.mark.rule("image.platform-from-config")
def test_without_a_platform_the_config_tells() -> None:
    oci = OciArchive()
    content = oci.tar(oci.manifest(image(architecture="arm64")), oci.manifest(image()))
    assert inspect(content).config_digest == image().id


@pytest.mark.rule("image.nested-indexes")
def test_indexes_may_be_nested_in_three_levels_below_the_top() -> None:
    oci = OciArchive()
    deep = oci.manifest(image())
    for _ in range(3):
        deep = oci.index(deep)
    assert inspect(oci.tar(deep)).config_digest == image().id
    assert refused(oci.tar(oci.index(deep))) == [("IMAGE_NOT_ARCHIVE", "")]


@pytest.mark.rule("image.nested-indexes")
def test_indexes_that_repeat_each_other_end_soon() -> None:
    oci = OciArchive()
    deep = oci.manifest(image())
    for _ in range(3):
        deep = oci.index(*[deep] * 500)
    assert refused(oci.tar(deep)) == [("IMAGE_CORRUPT", "index.json")]


@pytest.mark.rule("image.index-without-images")
def test_an_index_without_images_leaves_it_to_manifest_json() -> None:
    oci = OciArchive()
    oci.entries |= docker_archive([(image(), [])])
    assert inspect(oci.tar()).layout == "docker"


@pytest.mark.rule("image.several")
def test_of_several_images_the_one_tagged_as_the_task_is_taken() -> None:
    first, second = image(Cmd=["first"]), image(Cmd=["second"])
    tags = (["debian:12"], [f"docker.io/{NAME}", "x:1"])
    content = tar(docker_archive([(first, tags[0]), (second, tags[1])]))
    assert inspect(content).config_digest == second.id
    oci = OciArchive()
    named = {"annotations": {"io.containerd.image.name": f"docker.io/{NAME}"}}
    content = oci.tar(oci.manifest(first), oci.index(oci.manifest(second), **named))
    assert inspect(content).config_digest == second.id


@pytest.mark.rule("image.several")
def test_several_images_without_that_tag_are_ambiguous() -> None:
    first, second = image(Cmd=["first"]), image(Cmd=["second"])
    content = tar(docker_archive([(first, ["a:1"]), (second, ["b:1"])]))
    assert refused(content) == [("IMAGE_AMBIGUOUS", "")]
    oci = OciArchive()
    assert refused(oci.tar(oci.manifest(first), oci.manifest(second))) == [("IMAGE_AMBIGUOUS", "")]


@pytest.mark.rule("image.several")
def test_one_image_under_several_tags_is_one_image() -> None:
    content = tar(docker_archive([(image(), ["a:1"]), (image(), ["b:1"])]))
    assert inspect(content).config_digest == image().id


@pytest.mark.rule("image.digests")
def test_every_blob_that_does_not_match_its_name_is_listed() -> None:
    oci = OciArchive()
    content = oci.tar(oci.manifest(image()))
    blobs = [name for name in oci.entries if name.startswith("blobs/")]
    for name in blobs:
        oci.entries[name] = b"spoiled"
    assert sorted(refused(tar(oci.entries))) == sorted(("IMAGE_CORRUPT", name) for name in blobs)
    assert inspect(content).config_digest == image().id


@pytest.mark.rule("image.digests")
def test_layers_of_the_docker_layout_must_be_those_of_the_config() -> None:
    entries = docker_archive([(image(), [])])
    assert refused(tar({**entries, "0/layer.tar": b"other"})) == [("IMAGE_CORRUPT", "0/layer.tar")]
    del entries["0/layer.tar"]
    assert refused(tar(entries)) == [("IMAGE_CORRUPT", "0/layer.tar")]


@pytest.mark.rule("image.digests")
@pytest.mark.parametrize("diff_ids", [[], ["sha256:../../evil"], [7], None])
def test_a_config_with_impossible_layers_is_corrupt(diff_ids: object) -> None:
    config = dump({"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": diff_ids}})
    manifest = [{"Config": "c", "RepoTags": None, "Layers": ["layer.tar"]}]
    content = tar({"c": config, "layer.tar": tar({}), "manifest.json": dump(manifest)})
    assert {reason for reason, _ in refused(content)} == {"IMAGE_CORRUPT"}


@pytest.mark.rule("image.unsafe-names")
@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/passwd", "C:/evil", "..\\evil"])
def test_unsafe_names_are_refused(name: str) -> None:
    content = tar({**docker_archive([(image(), [])]), name: b"x"})
    assert refused(content) == [("BUNDLE_UNSAFE_ENTRY", name.replace("\\", "\\\\"))]


@pytest.mark.rule("image.links-inside")
@pytest.mark.parametrize("target", ["../../../etc/shadow", "/etc/shadow"])
def test_links_that_lead_out_of_the_archive_are_refused(target: str) -> None:
    out = io.BytesIO(small_image())
    with tarfile.open(fileobj=out, mode="a") as archive:
        link = tarfile.TarInfo("a/layer.tar")
        link.type, link.linkname = tarfile.SYMTYPE, target
        archive.addfile(link)
    assert refused(out.getvalue()) == [("BUNDLE_UNSAFE_ENTRY", "a/layer.tar")]


@pytest.mark.rule("image.unsafe-names")
def test_devices_are_refused() -> None:
    out = io.BytesIO(small_image())
    with tarfile.open(fileobj=out, mode="a") as archive:
        device = tarfile.TarInfo("disk")
        device.type = tarfile.BLKTYPE
        archive.addfile(device)
    assert refused(out.getvalue()) == [("BUNDLE_UNSAFE_ENTRY", "disk")]


@pytest.mark.rule("image.no-archive")
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"\0" * 10_240,
        b"x" * 10_240,
        gzip.compress(b"hello", mtime=0),
        b"\x1f\x8bnot",
    ],
)
def test_what_is_no_archive_is_refused(content: bytes) -> None:
    assert not image_archive_is_there(io.BytesIO(content))
    ((reason, _),) = refused(content)
    assert reason in {"IMAGE_NOT_ARCHIVE", "IMAGE_CORRUPT"}


@pytest.mark.rule("image.no-archive")
def test_an_exported_file_system_is_no_image() -> None:
    content = tar({"bin/sh": b"x", "etc/passwd": b"root"})
    assert image_archive_is_there(io.BytesIO(content))
    assert refused(content) == [("IMAGE_NOT_ARCHIVE", "")]


@pytest.mark.rule("image.no-archive")
@pytest.mark.parametrize("compress", [False, True])
def test_a_truncated_archive_is_corrupt(compress: bool) -> None:
    content = small_image()
    if compress:
        content = gzip.compress(content)
    assert refused(content[: len(content) // 2])[0][0] == "IMAGE_CORRUPT"


@pytest.mark.rule("image.limits")
def test_limits_count_entries_and_unpacked_bytes() -> None:
    content = tar(docker_archive([(image(), [])]))
    assert inspect(content).layout == "docker"
    assert refused(content, entries=2) == [("BUNDLE_TOO_LARGE", "")]
    assert refused(gzip.compress(content), unpacked_bytes=5000) == [("BUNDLE_TOO_LARGE", "")]
    assert refused(content, document_bytes=100)[0][0] == "IMAGE_CORRUPT"


def test_long_names_are_read_and_endless_ones_are_not() -> None:
    long = "/".join(["deep"] * 60)
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=form) as archive:
            one = image()
            name = f"{long}/layer.tar"
            manifest = [{"Config": "c", "RepoTags": None, "Layers": [name]}]
            for path, content in ((name, one.layer), ("c", one.config), ("manifest.json", None)):
                data = dump(manifest) if content is None else content
                entry = tarfile.TarInfo(path)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        assert inspect(out.getvalue()).layers[0].name == name
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 50 << 30
    assert refused(header.tobuf(tarfile.GNU_FORMAT)) == [("IMAGE_NOT_ARCHIVE", "")]


def test_deep_json_is_corrupt_and_not_a_crash() -> None:
    content = tar({"manifest.json": b"[" * 100_000})
    assert refused(content) == [("IMAGE_CORRUPT", "manifest.json")]


@pytest.mark.parametrize(
    "document", [None, 7, [], {}, [7], [None], [{}], [{"Config": 7}], {"manifests": {"a": 1}}]
)
@pytest.mark.parametrize("name", ["manifest.json", "index.json"])
def test_odd_documents_are_refused(name: str, document: object) -> None:
    content = tar({name: json.dumps(document).encode(), "oci-layout": b"{}"})
    ((reason, _),) = refused(content)
    assert reason in {"IMAGE_NOT_ARCHIVE", "IMAGE_CORRUPT"}


OCI = OciArchive()
SPOILABLE = (
    small_image(),
    OCI.tar(OCI.index(OCI.manifest(image(), platform=platform("amd64")))),
    gzip.compress(small_image()),
)


@settings(max_examples=300)
@given(
    content=st.sampled_from(SPOILABLE),
    cut=st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 7)), max_size=4),
)
def test_a_spoiled_archive_gives_problems_and_nothing_else(
    content: bytes, cut: float, flips: list[tuple[float, int]]
) -> None:
    spoiled = bytearray(content)
    for place, bit in flips:
        spoiled[int(place * (len(spoiled) - 1))] ^= 1 << bit
    if cut < 0.5:
        del spoiled[int(len(spoiled) * cut * 2) :]
    with contextlib.suppress(ContractError):
        inspect(bytes(spoiled))
