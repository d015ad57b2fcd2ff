"""Ordered lists of values of one type, arrays included."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from appengine_contract.layout import (
    ARRAY_METADATA,
    GEOJSON_SUFFIX,
    array_metadata,
    companion_name,
    is_item_name,
    item_label,
    item_name,
)
from appengine_contract.parameters.file import FileType
from appengine_contract.parameters.geometry import GeometryType, read_collection
from appengine_contract.parameters.image import ImageType
from appengine_contract.parameters.type import (
    ParameterType,
    ReadType,
    TextType,
    trimmed_text,
    write_file,
    wrong_kind,
)
from appengine_contract.problems import Problem
from appengine_contract.reading import (
    Direction,
    Entry,
    Findings,
    Kind,
    ReadOptions,
    TooLarge,
    child,
    entry_at,
    kind_of,
    list_folder,
    open_folder,
    printable,
    read_bytes,
    read_text_entry,
    settled,
    unreadable,
)
from appengine_contract.values import ArrayValue, GeometryValue, ReferencePattern, Value
from appengine_contract.yaml_document import compose
from appengine_contract.yaml_tree import Fields, Report, as_integer

_METADATA_BYTES = 64 * 1024
_USUAL_METADATA = re.compile(rb"size: (0|[1-9][0-9]{0,17})\n?")
_MOST_EXTRAS = 99  # with the one that counts the rest they are 100
_FOLDER_MODE = 0o755


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayType(ParameterType):
    """On disk a folder with `array.yml` and items named by index."""

    id: ClassVar[str] = "array"

    subtype: ParameterType
    min_size: int = 0
    max_size: int | None = None
    """None is no limit."""

    @classmethod
    def from_descriptor(cls, fields: Fields, read_type: ReadType) -> Self | None:
        min_size, max_size = fields.size("min_size") or 0, fields.size("max_size")
        if max_size is not None and min_size > max_size:
            fields.error("max_size", "FIELD_RANGE", "`min_size` is above `max_size`")
        subtype = read_type(fields, "subtype")
        if subtype is None:
            return None
        return cls(subtype=subtype, min_size=min_size, max_size=max_size)

    # Values of the API

    def check(self, value: Value, at: str) -> list[Problem]:
        if isinstance(value, ReferencePattern) and self.subtype.takes_references:
            return []  # its items are checked once they are known
        findings = Findings()
        items = self._items(value, at, findings)
        if items is None:
            return findings.problems or wrong_kind(value, "an array", at)
        self.check_size(len(items), at, findings)
        if isinstance(value, ArrayValue):  # those of a collection were checked in it
            findings.problems += self.subtype.check_items(items, at)
        return findings.problems

    def _items(self, value: Value, at: str, findings: Findings) -> tuple[Value, ...] | None:
        if isinstance(value, ArrayValue):
            return value.items
        if isinstance(value, GeometryValue) and self._holds_geometries():
            return read_collection(value.text, at, findings)
        return None

    def _holds_geometries(self) -> bool:
        return isinstance(self.subtype, GeometryType)

    def expand(self, value: Value, at: str, findings: Findings) -> Value:
        """The checked value with every collection of geometries taken apart into an array."""
        if isinstance(value, GeometryValue):
            items = read_collection(value.text, at, findings)
            return value if items is None else ArrayValue(items)
        if isinstance(value, ArrayValue) and isinstance(self.subtype, ArrayType):
            expand = self.subtype.expand
            expanded = (
                expand(item, f"{at}[{index}]", findings) for index, item in enumerate(value.items)
            )
            return ArrayValue(tuple(expanded))
        return value

    def check_index(self, indexes: Sequence[int], at: str, *, guard: int) -> list[Problem]:
        """What is wrong with the place of one item, such as [0, 2], of the array named `at`.

        `guard` bounds an index where the type itself has no `max_size`.
        """
        if not indexes:
            return [Problem(path=at, reason="ARRAY_INDEX", message="an index is missing")]
        index, inner = indexes[0], item_label(at, indexes[:1])
        limit = guard if self.max_size is None else self.max_size
        if not 0 <= index < limit:
            allowed = f"allowed are 0 to {limit - 1}" if limit else "the array has no items"
            message = f"the index {index} is out of bounds: {allowed}"
            return [Problem(path=inner, reason="ARRAY_INDEX", message=message)]
        if len(indexes) == 1:
            return []
        if not isinstance(self.subtype, ArrayType):
            message = f"{inner} is of type {self.subtype.id}, which has no items: leave out "
            message += f"the {'index' if len(indexes) == 2 else 'indexes'} behind it"
            return [Problem(path=item_label(at, indexes), reason="ARRAY_INDEX", message=message)]
        return self.subtype.check_index(indexes[1:], inner, guard=guard)

    def item_type(self, depth: int) -> ParameterType:
        """The type of what `depth` indexes lead to. Raises ValueError when it is too deep."""
        if depth <= 1:
            return self.subtype
        if not isinstance(self.subtype, ArrayType):
            message = f"an array of {self.subtype.id} has no items of items"
            raise ValueError(message)  # noqa: TRY004 it is the depth that is wrong
        return self.subtype.item_type(depth - 1)

    # Writing

    def write(self, value: Value, path: Path) -> None:
        """Lay out all items; those that are uploaded bytes are in the folder already."""
        if isinstance(value, GeometryValue):
            value = self.expand(value, "", Findings())
        assert isinstance(value, ArrayValue)
        os.makedirs(path, exist_ok=True)
        os.chmod(path, _FOLDER_MODE)
        with open_folder(path) as folder:
            write_file(ARRAY_METADATA, array_metadata(len(value.items)), folder=folder)
            if isinstance(self.subtype, TextType):
                encode = self.subtype.encode
                for index, item in enumerate(value.items):
                    write_file(str(index), encode(item), folder=folder)
                return
        for index, item in enumerate(value.items):
            self.subtype.write(item, path / str(index))

    # Reading

    def names(self, stem: str) -> tuple[str, ...]:
        return (stem, stem + GEOJSON_SUFFIX) if self._holds_geometries() else (stem,)

    def read_items(
        self, path: Path, at: str, options: ReadOptions, wanted: range
    ) -> list[Value] | None:
        """The items at these indexes of an array that `read` found right; no other is looked at.

        None where they do not all lie there, each under a name of its own.
        """
        findings = Findings()
        try:
            with entry_at(path / ARRAY_METADATA, options) as inside:
                listing = self._kinds_of(inside.folder, wanted)
                items = self._take_items(listing, at, options.direction, findings)
                folder = str(path.relative_to(options.root))
                above = Entry(
                    folder=inside.folder, name=path.name, location=str(path), path=folder,
                    kind=Kind.FOLDER,
                )  # fmt: skip
                array = _Folder(above, inside.folder, listing)
                read = self._read_items(array, items, at, options, findings)
        except OSError:
            return None
        values = [value for value in read if value is not None]
        return values if len(values) == len(wanted) else None

    def _kinds_of(self, folder: int, wanted: range) -> dict[str, Kind]:
        if isinstance(self.subtype, TextType):  # opening one that is no file fails
            return {item_name(index): Kind.FILE for index in wanted}
        names = [name for index in wanted for name in self.subtype.names(item_name(index))]
        kinds = {name: kind_of(folder, name) for name in names}
        return {name: kind for name, kind in kinds.items() if kind is not Kind.ABSENT}

    def read_entry(
        self, entry: Entry, at: str, options: ReadOptions, findings: Findings
    ) -> Value | None:
        with settled(entry, at, options, findings) as target:
            if target is None:
                return None
            if target.kind is Kind.FOLDER:
                with open_folder(target.name, folder=target.folder) as folder:
                    return self._read_folder(target, folder, at, options, findings)
            if self._holds_geometries():
                return self._read_collection(target, at, options, findings)
            findings.problem(at, "NOT_DIRECTORY", "an array must be a folder; a file lies here")
            return None

    def _read_collection(
        self, entry: Entry, at: str, options: ReadOptions, findings: Findings
    ) -> Value | None:
        data = read_text_entry(entry, at, options, findings)
        text = None if data is None else trimmed_text(data, at, findings)
        items = None if text is None else read_collection(text, at, findings)
        if items is None:
            return None
        self.check_size(len(items), at, findings)
        return ArrayValue(items)

    def _read_folder(
        self, entry: Entry, folder: int, at: str, options: ReadOptions, findings: Findings
    ) -> Value | None:
        listing = list_folder(folder, limit=options.max_entries)
        if listing is None:
            message = f"the folder has more than {options.max_entries} entries"
            findings.problem(at, "OUTPUT_TOO_LARGE", message)
            return None
        array = _Folder(entry, folder, listing)
        announced = _read_metadata(array, at, options, findings)
        if options.direction == "input" and isinstance(self.subtype, ImageType):
            _drop_companions(listing)
        items = self._take_items(listing, at, options.direction, findings)
        if announced is not None and announced != len(items):
            message = f"`{ARRAY_METADATA}` says {announced} items, {len(items)} are there"
            findings.problem(at, "ARRAY_SIZE_MISMATCH", message)
        _check_gaps(items, at, findings)
        self.check_size(len(items), at, findings)
        values = self._read_items(array, items, at, options, findings)
        found = tuple(value for value in values if value is not None)
        return ArrayValue(found) if len(found) == len(items) else None

    def _take_items(
        self, listing: dict[str, Kind], at: str, direction: Direction, findings: Findings
    ) -> dict[str, str]:
        """Index → name of the entry that counts; the other entries become warnings."""
        reason = "INPUT_EXTRA" if direction == "input" else "OUTPUT_EXTRA"
        items: dict[str, str] = {}
        extras = []
        stems = self.subtype.names("")
        for name in listing:
            stem, dot, suffix = name.partition(".")
            if not is_item_name(stem) or dot + suffix not in stems or (stem in items and dot):
                extras.append(name)
            else:
                if stem in items:
                    extras.append(items[stem])
                items[stem] = name
        for name in sorted(extras)[:_MOST_EXTRAS]:
            message = "no item of the array; it is ignored"
            findings.warning(f"{at}/{printable(name)}", reason, message)
        if len(extras) > _MOST_EXTRAS:
            message = f"and {len(extras) - _MOST_EXTRAS} more entries that are no items"
            findings.warning(at, reason, message)
        return items

    def check_size(self, size: int, at: str, findings: Findings) -> None:
        """Report a number of items that is out of bounds."""
        if size < self.min_size:
            message = f"{size} items are fewer than {self.min_size}"
            findings.problem(at, "ARRAY_TOO_SMALL", message)
        if self.max_size is not None and size > self.max_size:
            message = f"{size} items are more than {self.max_size}"
            findings.problem(at, "ARRAY_TOO_LARGE", message)

    def _read_items(
        self,
        array: _Folder,
        items: dict[str, str],
        at: str,
        options: ReadOptions,
        findings: Findings,
    ) -> list[Value | None]:
        order = sorted(items, key=int)
        names = [(items[index], f"{at}[{index}]") for index in order]
        if isinstance(self.subtype, TextType):
            return _read_texts(self.subtype, array, names, options, findings)
        if isinstance(self.subtype, FileType):
            return _read_files(self.subtype, array, names, options, findings)
        return [
            self.subtype.read_entry(array.entry_of(name), place, options, findings)
            for name, place in names
        ]


@dataclass(frozen=True, slots=True)
class _Folder:
    """An array's open folder and what lies in it."""

    entry: Entry
    descriptor: int
    listing: dict[str, Kind]

    def entry_of(self, name: str) -> Entry:
        return child(self.entry, self.descriptor, name, self.listing[name])


def _read_texts(
    subtype: TextType,
    array: _Folder,
    names: list[tuple[str, str]],
    options: ReadOptions,
    findings: Findings,
) -> list[Value | None]:
    # Files in the folder itself skip everything that links and other oddities need: an array of
    # 100,000 scalars is usual.
    direction: Direction = options.direction
    limit = options.max_text_bytes
    odd: dict[int, Value | None] = {}
    read: list[bytes] = []

    def contents() -> Iterator[tuple[bytes, str]]:
        for position, (name, place) in enumerate(names):
            if array.listing[name] is not Kind.FILE:
                entry = array.entry_of(name)
                odd[position] = subtype.read_entry(entry, place, options, findings)
                continue
            try:
                data = read_bytes(array.descriptor, name, limit=limit)
                if direction == "input":
                    read.append(data)
                yield data, place
                continue
            except TooLarge:
                findings.problem(place, "OUTPUT_TOO_LARGE", f"it has more than {limit} bytes")
            except OSError as error:
                unreadable(place, error, findings)
            odd[position] = None

    decoded = subtype.decode_items(contents(), direction, findings)
    for value, data in zip(decoded, read, strict=False):  # of outputs nothing was kept
        if value is not None and subtype.encode(value) != data:
            findings.is_canonical = False
            break
    values = iter(decoded)
    return [odd[position] if position in odd else next(values) for position in range(len(names))]


def _read_files(
    subtype: FileType,
    array: _Folder,
    names: list[tuple[str, str]],
    options: ReadOptions,
    findings: Findings,
) -> list[Value | None]:
    # As with texts, and 100,000 small files are usual as well.
    listing, folder, path = array.listing, array.descriptor, array.entry.path
    return [
        subtype.read_file(folder, name, f"{path}/{name}", place, findings)
        if listing[name] is Kind.FILE
        else subtype.read_entry(array.entry_of(name), place, options, findings)
        for name, place in names
    ]


def _drop_companions(listing: dict[str, Kind]) -> None:
    for name in [name for name in listing if is_item_name(name)]:
        listing.pop(companion_name(name), None)


def _check_gaps(items: dict[str, str], at: str, findings: Findings) -> None:
    for index in range(len(items)):
        if str(index) not in items:
            message = f"there are {len(items)} items, but none with index {index}"
            findings.problem(at, "ARRAY_GAP", message)
            return


def _read_metadata(array: _Folder, at: str, options: ReadOptions, findings: Findings) -> int | None:
    place = f"{at}/{ARRAY_METADATA}"
    if ARRAY_METADATA not in array.listing:
        message = f"there is no `{ARRAY_METADATA}`; write one with `size: N`"
        findings.problem(at, "ARRAY_METADATA_MISSING", message)
        return None
    entry = array.entry_of(ARRAY_METADATA)
    del array.listing[ARRAY_METADATA]
    with settled(entry, place, options, findings) as target:
        if target is None:
            return None
        if target.kind is Kind.FOLDER:
            findings.problem(place, "ARRAY_METADATA_INVALID", "a folder lies here")
            return None
        return _announced_size(target, place, findings)


def _announced_size(entry: Entry, place: str, findings: Findings) -> int | None:
    try:
        data = read_bytes(entry.folder, entry.name, limit=_METADATA_BYTES)
    except TooLarge:
        findings.problem(place, "ARRAY_METADATA_INVALID", "it is far too large")
        return None
    if usual := _USUAL_METADATA.fullmatch(data):
        return int(usual[1])
    report = Report()
    fields = compose(data, report)
    node = fields.take("size") if fields is not None else None
    size = as_integer(node, "size", report) if node is not None else None
    if size is None or size < 0:
        detail = f": {report.errors[0].message}" if report.errors else ""
        message = f"expected a line `size: N` with the number of items{detail}"
        findings.problem(place, "ARRAY_METADATA_INVALID", message)
        return None
    return size
