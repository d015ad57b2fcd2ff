"""Both layouts that `docker save` writes: the images in an archive, and the one that is to run.

The OCI layout (`index.json`) goes first; `manifest.json` counts where that lists nothing to run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from appengine_contract.problems import ContractError, Problem

from appengine_server.architectures import image_architecture
from appengine_server.tasks.archive_index import (
    ArchiveIndex,
    BrokenDocument,
    Compression,
    Document,
    Member,
    mapping,
    mappings,
    parse_document,
    text,
    texts,
)
from appengine_server.tasks.entry_names import shown

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
_INDEXES = {OCI_INDEX, "application/vnd.docker.distribution.manifest.list.v2+json"}
_CONFIGS = {"", OCI_CONFIG, "application/vnd.docker.container.image.v1+json"}
_LAYER_TYPES: dict[Compression, str] = {
    "none": "application/vnd.oci.image.layer.v1.tar",
    "gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
}
_DIGEST = re.compile("sha256:[0-9a-f]{64}")
_INDEX_LEVELS = 4
_DESCRIPTORS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageChoice:
    """Which image of an archive is wanted."""

    namespace: str
    version: str
    platforms: tuple[str, ...] = ("linux/amd64",)
    """What the scheduler can run, best first; `os/architecture` or `os/architecture/variant`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerEntry:
    """One layer, as it lies in the archive."""

    number: int
    """Place of its entry in the tar, counted from 0."""
    name: str
    size_bytes: int
    digest: str
    """`sha256:` of the bytes in the archive."""
    diff_id: str
    """`sha256:` of the layer when decompressed, as the image's config says."""
    media_type: str
    """In OCI's words; says how it is compressed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageArchive:
    """The one image of an archive that is to run."""

    layout: Literal["docker", "oci"]
    config: bytes
    config_digest: str
    """`sha256:…`: the image's id in a container engine."""
    manifest: bytes | None
    """OCI layout: the OCI manifest, byte for byte. None where the archive has none."""
    layers: tuple[LayerEntry, ...]
    """From the lowest to the highest; one entry of the archive may be here several times."""
    os: str
    architecture: str
    user: str
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    layout: Literal["docker", "oci"]
    group: str
    """The same for several platforms of one image."""
    names: frozenset[str]
    platform: str
    config: Member
    manifest: Member | None
    layers: tuple[tuple[str, str], ...]
    """(name of the entry, media type or empty)"""


def choose_image(index: ArchiveIndex, wanted: ImageChoice) -> ImageArchive:
    """Find the image to run. Raises ContractError with IMAGE_NOT_ARCHIVE, IMAGE_PLATFORM,
    IMAGE_AMBIGUOUS or IMAGE_CORRUPT.
    """
    try:
        candidates = list(_oci_candidates(index))
        chosen = _runnable(candidates, wanted.platforms)
        if not chosen:
            docker = list(_docker_candidates(index))
            chosen = _runnable(docker, wanted.platforms)
            candidates += docker
        if not chosen:
            raise ContractError([_nothing_to_run(index, candidates, wanted.platforms)])
        return _image(index, _the_one(chosen, wanted))
    except BrokenDocument as error:
        problem = Problem(path=shown(error.name), reason="IMAGE_CORRUPT", message=str(error))
        raise ContractError([problem]) from error


def _oci_candidates(index: ArchiveIndex) -> Iterator[_Candidate]:
    top = mapping(index.document("index.json"))
    walk = _Walk(index)
    for place, descriptor in enumerate(mappings(top.get("manifests"))):
        yield from walk.below(descriptor, _names_of(descriptor), group=f"{place}", level=1)


class _Walk:
    """Finds the images below the descriptors of an OCI layout."""

    def __init__(self, index: ArchiveIndex) -> None:
        self._index = index
        self._left = _DESCRIPTORS

    def below(
        self, descriptor: Document, names: frozenset[str], *, group: str, level: int
    ) -> Iterator[_Candidate]:
        self._left -= 1
        if self._left < 0:  # indexes that list each other many times would take hours
            raise BrokenDocument("index.json", f"it lists more than {_DESCRIPTORS} images")
        member = self._index.blob(text(descriptor.get("digest")))
        if member is None or _is_attestation(descriptor):
            return
        document = mapping(parse_document(member))
        if not _is_index(descriptor, document):
            # what is listed side by side at the top is one image when it goes by the same names
            own_group = group if level > 1 else f"names {sorted(names)}"
            yield from self._manifest(descriptor, member, document, names, own_group)
        elif level < _INDEX_LEVELS:
            for inner in mappings(document.get("manifests")):
                inner_names = names | _names_of(inner)
                yield from self.below(inner, inner_names, group=group, level=level + 1)

    def _manifest(
        self,
        descriptor: Document,
        member: Member,
        document: Document,
        names: frozenset[str],
        group: str,
    ) -> Iterator[_Candidate]:
        config_descriptor = mapping(document.get("config"))
        config = self._index.blob(text(config_descriptor.get("digest")))
        if config is None or text(config_descriptor.get("mediaType")) not in _CONFIGS:
            return
        platform = mapping(descriptor.get("platform")) or mapping(parse_document(config))
        yield _Candidate(
            layout="oci",
            group=group,
            names=names,
            platform=_platform(platform),
            config=config,
            manifest=member,
            layers=tuple(
                (f"blobs/{text(d.get('digest')).replace(':', '/', 1)}", text(d.get("mediaType")))
                for d in mappings(document.get("layers"))
            ),
        )


def _is_index(descriptor: Document, document: Document) -> bool:
    media_type = text(descriptor.get("mediaType")) or text(document.get("mediaType"))
    return media_type in _INDEXES or "manifests" in document


def _docker_candidates(index: ArchiveIndex) -> Iterator[_Candidate]:
    for entry in mappings(index.document("manifest.json")):
        names = frozenset(map(_plain_reference, texts(entry.get("RepoTags"))))
        config = index.find(text(entry.get("Config")))
        if config is None:
            raise BrokenDocument("manifest.json", "it names a config that is not in the archive")
        yield _Candidate(
            layout="docker",
            group=f"names {sorted(names)}",
            names=names,
            platform=_platform(mapping(parse_document(config))),
            config=config,
            manifest=None,
            layers=tuple((name, "") for name in texts(entry.get("Layers"))),
        )


def _names_of(descriptor: Document) -> frozenset[str]:
    annotations = mapping(descriptor.get("annotations"))
    found = (
        text(annotations.get("io.containerd.image.name")),
        text(annotations.get("org.opencontainers.image.ref.name")),
    )
    return frozenset(_plain_reference(name) for name in found if name)


def _plain_reference(name: str) -> str:
    for registry in ("docker.io/library/", "docker.io/", "localhost/"):
        name = name.removeprefix(registry)
    repository, colon, tag = name.rpartition(":")
    return f"{repository.lower()}{colon}{tag}"


def _is_attestation(descriptor: Document) -> bool:
    annotations = mapping(descriptor.get("annotations"))
    platform = mapping(descriptor.get("platform"))
    return (
        annotations.get("vnd.docker.reference.type") == "attestation-manifest"
        or _platform(platform) == "unknown/unknown"
    )


def _platform(document: Document) -> str:
    parts = (
        text(document.get("os")).lower(),
        image_architecture(text(document.get("architecture")).lower()),
        text(document.get("variant")).lower(),
    )
    return "/".join(parts).removesuffix("/")


def _is_platform(found: str, wanted: str) -> bool:
    # one side may leave the variant open
    return all(a == b for a, b in zip(found.split("/"), wanted.lower().split("/"), strict=False))


def _runnable(candidates: Sequence[_Candidate], platforms: Sequence[str]) -> list[_Candidate]:
    """Of every image those candidates that are of the best platform it has, each once."""
    groups: dict[str, list[_Candidate]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.group, []).append(candidate)
    chosen: dict[str, _Candidate] = {}
    for group in groups.values():
        for candidate in _of_best_platform(group, platforms):
            same = chosen.get(candidate.config.digest)
            names = candidate.names | (same.names if same else frozenset())
            chosen[candidate.config.digest] = replace(same or candidate, names=names)
    return list(chosen.values())


def _of_best_platform(group: Sequence[_Candidate], platforms: Sequence[str]) -> list[_Candidate]:
    for platform in platforms:
        if found := [c for c in group if _is_platform(c.platform, platform)]:
            return found
    return []


def _the_one(candidates: Sequence[_Candidate], wanted: ImageChoice) -> _Candidate:
    if len(candidates) == 1:
        return candidates[0]
    name = f"{wanted.namespace.replace('.', '/').lower()}:{wanted.version}"
    named = [candidate for candidate in candidates if name in candidate.names]
    if len(named) == 1:
        return named[0]
    found = ", ".join(sorted(name for c in candidates for name in c.names)[:10]) or "none tagged"
    message = (
        f"the archive holds {len(candidates)} images ({shown(found)}): "
        f"save only one, or tag the one to run {name}"
    )
    raise ContractError([Problem(path="", reason="IMAGE_AMBIGUOUS", message=message)])


def _nothing_to_run(
    index: ArchiveIndex, candidates: Sequence[_Candidate], platforms: Sequence[str]
) -> Problem:
    found = sorted({candidate.platform for candidate in candidates})
    if found:
        message = (
            f"the archive holds images for {shown(', '.join(found))}; "
            f"runnable here are {', '.join(platforms)}: build it for one of these"
        )
        return Problem(path="", reason="IMAGE_PLATFORM", message=message)
    if index.find("index.json") or index.find("manifest.json"):
        message = "the archive lists no image whose parts it holds"
    else:
        message = (
            "the tar has neither index.json nor manifest.json: "
            "write it by `docker save`, not by `docker export`"
        )
    return Problem(path="", reason="IMAGE_NOT_ARCHIVE", message=message)


def _image(index: ArchiveIndex, candidate: _Candidate) -> ImageArchive:
    document = mapping(parse_document(candidate.config))
    settings = mapping(document.get("config"))
    os, _, architecture = candidate.platform.partition("/")
    return ImageArchive(
        layout=candidate.layout,
        config=candidate.config.content or b"",
        config_digest=candidate.config.digest,
        manifest=_oci_manifest(candidate),
        layers=_layers(index, candidate, texts(mapping(document.get("rootfs")).get("diff_ids"))),
        os=os,
        architecture=architecture,
        user=text(settings.get("User")),
        entrypoint=texts(settings.get("Entrypoint")),
        command=texts(settings.get("Cmd")),
    )


def _oci_manifest(candidate: _Candidate) -> bytes | None:
    if candidate.manifest is None:
        return None
    document = mapping(parse_document(candidate.manifest))
    is_oci = text(document.get("mediaType")) in {"", OCI_MANIFEST}
    return candidate.manifest.content if is_oci else None


def _layers(
    index: ArchiveIndex, candidate: _Candidate, diff_ids: Sequence[str]
) -> tuple[LayerEntry, ...]:
    problems: list[Problem] = []
    if len(diff_ids) != len(candidate.layers):
        message = f"its config lists {len(diff_ids)} layers, its manifest {len(candidate.layers)}"
        problems.append(_corrupt(candidate.config.name, message))
        raise ContractError(problems)
    layers = []
    problems += [
        _corrupt(candidate.config.name, f"{shown(diff_id)} is not a sha256 digest")
        for diff_id in diff_ids
        if not _DIGEST.fullmatch(diff_id)
    ]
    for (name, media_type), diff_id in zip(candidate.layers, diff_ids, strict=True):
        member = index.find(name)
        if member is None:
            problems.append(_corrupt(name, "this layer is not in the archive"))
            continue
        if (broken := _what_is_broken(candidate, member, diff_id)) is not None:
            problems.append(_corrupt(name, broken))
        layers.append(
            LayerEntry(
                number=member.number,
                name=member.name,
                size_bytes=member.size_bytes,
                digest=member.digest,
                diff_id=diff_id,
                media_type=_layer_type(member, media_type),
            )
        )
    if problems:
        raise ContractError(problems)
    return tuple(layers)


def _what_is_broken(candidate: _Candidate, member: Member, diff_id: str) -> str | None:
    is_blob = member.name.startswith("blobs/sha256/")  # checked against its name already
    if candidate.layout == "oci" or (is_blob and member.compression != "none"):
        return None
    if member.plain_digest == diff_id:
        return None
    if member.plain_digest is None:
        return "this layer is compressed in a way that cannot be checked; save the image again"
    return f"this layer is {member.plain_digest}, the config asks for {shown(diff_id)}"


def _layer_type(member: Member, media_type: str) -> str:
    if media_type.startswith("application/vnd.oci.image.layer."):
        return media_type
    return _LAYER_TYPES.get(member.compression, _LAYER_TYPES["none"])


def _corrupt(name: str, message: str) -> Problem:
    return Problem(path=shown(name), reason="IMAGE_CORRUPT", message=message)
