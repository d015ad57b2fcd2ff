"""What is fuzzed: every reader of what strangers wrote. Bad input is a list of problems, no more.

A target takes bytes. It raises AssertionError, or whatever the parser lets out, where the parser is
wrong; problems and refusals are right answers.
"""

from __future__ import annotations

import functools
import io
import json
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from appengine_contract.dependencies import check_sizes, matching_groups
from appengine_contract.descriptor import read_descriptor
from appengine_contract.parameters.array import ArrayType
from appengine_contract.parameters.geometry import GeometryType, check_companion
from appengine_contract.parameters.image import ImageType
from appengine_contract.parameters.image_formats import formats
from appengine_contract.parameters.integer import IntegerType
from appengine_contract.parameters.type import ParameterType
from appengine_contract.problems import ContractError, Problem
from appengine_contract.reading import Reading, ReadOptions
from appengine_contract.values import ArrayValue, GeometryValue, IntegerValue, Value
from appengine_server.runs.unpacking import Unpacker
from appengine_server.tasks.bundle import BundleLimits, read_bundle
from appengine_server.tasks.image_archive import ImageLimits, inspect_image_archive
from appengine_server.tasks.image_user import numeric_user
from appengine_server.tasks.untagged import untagged_archive
from appengine_server.tasks.zip_archive import open_image_entry

from tests.fuzz import mutations, samples
from tests.fuzz.mutations import Mutate
from tests.unit.tasks.archives import WANTED

_MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One kind of input."""

    name: str
    check: Callable[[bytes], None]
    samples: Callable[[], list[bytes]]
    tokens: tuple[bytes, ...]
    damage: Callable[[bytes, random.Random, Mutate], bytes]
    """By structure, with the given damage for plain bytes."""
    parsers: tuple[str, ...]
    """Modules whose branches are counted."""


def _descriptor(data: bytes) -> None:
    checked = read_descriptor(data)
    assert (checked.descriptor is None) == bool(checked.errors)
    _told([*checked.errors, *checked.warnings])
    if checked.descriptor is not None:
        groups = matching_groups(checked.descriptor)
        names = dict.fromkeys(name for group in groups for name in group)
        sizes = {name: ArrayValue((IntegerValue(1),) * i) for i, name in enumerate(names)}
        assert len(check_sizes(groups, sizes)) == len(groups)


def _geometry(data: bytes) -> None:
    check_companion(data, "x")
    try:
        value = GeometryValue(data.decode())
    except UnicodeDecodeError:
        return
    _told(GeometryType().check(value, "x"))
    _told(ArrayType(subtype=GeometryType()).check(value, "x"))


def _picture(data: bytes) -> None:
    kind = ImageType(max_width=1000, max_height=1000)
    with _scratch() as folder:
        (folder / "x").write_bytes(data)
        _read(kind, folder)
    found = formats.detect(data)
    try:
        width, height = formats.dimensions(found, io.BytesIO(data))
    except ValueError:
        return
    assert min(width, height) >= 0


def _slide(data: bytes) -> None:
    with _scratch() as folder:
        inputs, unpacked = folder / "inputs", folder / "unpacked"
        inputs.mkdir()
        unpacked.mkdir()
        (inputs / "x").write_bytes(data)
        unpacker = Unpacker(unpacked, limit_bytes=8 * _MIB)
        with unpacker.reading():
            _read(ImageType(max_width=1000), inputs, unpack=unpacker)
        assert _names(folder) == {"inputs", "unpacked"}, "something was written elsewhere"
        assert _names(inputs) == {"x"}, "something was written beside the zip"
        for made in unpacked.iterdir():
            kinds = {(one.is_file(), one.is_symlink()) for one in made.iterdir()}
            assert kinds <= {(True, False)}, "something but a file was unpacked"


def _bundle(data: bytes) -> None:
    with _scratch() as folder:
        path = folder / "bundle.zip"
        path.write_bytes(data)
        found = read_bundle(path, BundleLimits(entries=20))
        _told([*found.errors, *found.warnings])
        assert found.errors or (found.descriptor and found.image_entry)
        assert _names(folder) == {"bundle.zip"}, "something was unpacked"
        if not found.errors:
            with _refusing(), open_image_entry(path, found.image_entry) as stream:
                inspect_image_archive(stream, WANTED, limits=_IMAGE_LIMITS)


_IMAGE_LIMITS = ImageLimits(unpacked_bytes=8 * _MIB, layer_bytes=8 * _MIB, entries=1000)


def _image_archive(data: bytes) -> None:
    with _refusing():
        image = inspect_image_archive(io.BytesIO(data), WANTED, limits=_IMAGE_LIMITS)
        assert all(layer.name for layer in image.layers)
        with _refusing():
            numeric_user(lambda: io.BytesIO(data), image)
        plain = b"".join(untagged_archive(lambda: io.BytesIO(data), image))
        again = inspect_image_archive(io.BytesIO(plain), WANTED)
        assert again.config_digest == image.config_digest


def _array(data: bytes) -> None:
    with _scratch() as folder:
        (folder / "x").mkdir()
        for entry in data.split(samples.ENTRY_END)[:50]:
            name, _, content = entry.partition(samples.NAME_END)
            if name and len(name) < 250 and not set(name) & {0, 0x2F} and name not in (b".", b".."):
                with open(os.fsencode(folder / "x") + b"/" + name, "wb") as file:
                    file.write(content)
        for subtype in (IntegerType(), GeometryType(), ArrayType(subtype=GeometryType())):
            kind = ArrayType(subtype=subtype, min_size=1, max_size=3)
            _told(kind.check_index(list(data[:3]), "x", guard=100))
            value = _read(kind, folder).value
            if value is not None:
                _assert_it_comes_back(kind, value, folder / "again")


def _assert_it_comes_back(kind: ArrayType, value: Value, folder: Path) -> None:
    assert kind.check(value, "x") == []
    folder.mkdir(exist_ok=True)
    kind.write(value, folder / "x")
    assert _read(kind, folder).value == value
    shutil.rmtree(folder)


def _read(kind: ParameterType, folder: Path, unpack: Unpacker | None = None) -> Reading:
    reading = kind.read(folder / "x", "x", ReadOptions(root=folder, unpack=unpack))
    assert (reading.value is None) == bool(reading.problems)
    _told([*reading.problems, *reading.warnings])
    return reading


def _told(problems: Iterable[Problem]) -> None:
    """Every problem can be told: it has a reason, and a sentence that may travel."""
    for problem in problems:
        assert problem.reason
        assert problem.message
        json.dumps([problem.path, problem.message], ensure_ascii=False).encode("utf-8")


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except ContractError as refused:
        problems = refused.problems
    else:
        return
    assert problems
    _told(problems)


@contextmanager
def _scratch() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(dir=_MEMORY_FOLDER))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


_MEMORY_FOLDER = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _damaged_entry(name: str, content: bytes, chance: random.Random, mutate: Mutate) -> bytes:
    """The content of an entry of an archive, damaged as what its name or begin says."""
    if content[:1] in (b"{", b"["):
        return mutations.damaged_json(content, chance, mutate)
    if name.lower().endswith((".yml", ".yaml")):
        return mutations.damaged_lines(content, chance, mutate)
    if name.endswith(".tar") or content[257:262] == b"ustar":
        return _damaged_tar(content, chance, mutate)
    return mutate(content)


def _damaged_tar(data: bytes, chance: random.Random, mutate: Mutate) -> bytes:
    inner = functools.partial(_damaged_entry, chance=chance, mutate=mutate)
    return mutations.damaged_tar(data, chance, mutate, inner)


def _damaged_zip(data: bytes, chance: random.Random, mutate: Mutate) -> bytes:
    inner = functools.partial(_damaged_entry, chance=chance, mutate=mutate)
    return mutations.damaged_zip(data, chance, mutate, inner)


def _damaged_plain(data: bytes, _chance: random.Random, mutate: Mutate) -> bytes:
    return mutate(data)


_CONTRACT, _TASKS = "appengine_contract", "appengine_server.tasks"
_YAML = (f"{_CONTRACT}.yaml_document", f"{_CONTRACT}.yaml_tree")
_IMAGE_FORMATS = f"{_CONTRACT}.parameters.image_formats"
_ZIP = (f"{_TASKS}.zip_archive", f"{_TASKS}.entry_names")
_TAR = (
    f"{_TASKS}.tar_stream", f"{_TASKS}.archive_index", f"{_TASKS}.image_archive",
    f"{_TASKS}.image_layout", f"{_TASKS}.image_user", f"{_TASKS}.entry_names",
)  # fmt: skip

TARGETS = {
    target.name: target
    for target in (
        Target(
            name="descriptor",
            check=_descriptor,
            samples=samples.descriptors,
            tokens=samples.DESCRIPTOR_TOKENS,
            damage=mutations.damaged_lines,
            parsers=(
                *_YAML, f"{_CONTRACT}.descriptor", f"{_CONTRACT}.dependencies",
                f"{_CONTRACT}.quantities", f"{_CONTRACT}.parameters.catalogue",
                f"{_CONTRACT}.parameters.bounds",
            ),
        ),
        Target(
            name="geometry",
            check=_geometry,
            samples=samples.geometries,
            tokens=samples.GEOMETRY_TOKENS,
            damage=mutations.damaged_json,
            parsers=(
                f"{_CONTRACT}.geojson.structure", f"{_CONTRACT}.geojson.collections",
                f"{_CONTRACT}.geojson.validity", f"{_CONTRACT}.parameters.geometry",
            ),
        ),
        Target(
            name="picture",
            check=_picture,
            samples=samples.pictures,
            tokens=samples.PICTURE_TOKENS,
            damage=_damaged_plain,
            parsers=tuple(
                f"{_IMAGE_FORMATS}.{name}" for name in ("dicom", "formats", "jpeg", "png", "tiff")
            ),
        ),
        Target(
            name="slide",
            check=_slide,
            samples=samples.zipped_slides,
            tokens=samples.ZIP_TOKENS,
            damage=_damaged_zip,
            parsers=(*_ZIP, "appengine_server.runs.unpacking"),
        ),
        Target(
            name="bundle",
            check=_bundle,
            samples=samples.bundles,
            tokens=(*samples.ZIP_TOKENS, *samples.DESCRIPTOR_TOKENS),
            damage=_damaged_zip,
            parsers=(*_ZIP, f"{_TASKS}.bundle"),
        ),
        Target(
            name="image_archive",
            check=_image_archive,
            samples=samples.image_archives,
            tokens=(b"ustar\x0000", b"ustar  \0", b"12 size=4\n", b"\0" * 512, b"\x1f\x8b\x08"),
            damage=_damaged_tar,
            parsers=_TAR,
        ),
        Target(
            name="array",
            check=_array,
            samples=samples.arrays,
            tokens=samples.ARRAY_TOKENS,
            damage=mutations.damaged_lines,
            parsers=(*_YAML, f"{_CONTRACT}.parameters.array"),
        ),
    )
}  # fmt: skip


def damaged(target: Target, data: bytes, chance: random.Random) -> bytes:
    """An input with one to four changes, of a target that no fuzzer drives."""
    mutate = functools.partial(mutations.damaged_bytes, chance=chance, tokens=target.tokens)
    for _ in range(chance.choice([1, 1, 2, 4])):
        data = target.damage(data, chance, mutate)
    return data


def modules_of(targets: Sequence[Target]) -> tuple[str, ...]:
    """The parsers of all of them, each once."""
    return tuple(dict.fromkeys(module for target in targets for module in target.parsers))
