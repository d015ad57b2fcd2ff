"""What the bytes of an upload to an input are: checked, and as the run's inputs keep them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

from appengine_contract.descriptor import Parameter
from appengine_contract.layout import (
    ARRAY_METADATA,
    GEOJSON_SUFFIX,
    companion_name,
    is_item_name,
    item_label,
    item_path,
)
from appengine_contract.parameters.array import ArrayType
from appengine_contract.parameters.geometry import check_companion
from appengine_contract.parameters.image import ImageType
from appengine_contract.parameters.type import ParameterType
from appengine_contract.problems import Problem
from appengine_contract.reading import (
    Entry,
    Kind,
    ReadOptions,
    child,
    entry_at,
    list_folder,
    open_folder,
    printable,
)
from appengine_contract.values import ArrayValue, FileValue, Value

from appengine_server.database.records import InputPart
from appengine_server.errors import InvalidArgument
from appengine_server.runs.canonical import make_canonical
from appengine_server.runs.provisioning import check_index
from appengine_server.runs.scratch import scratch_beside
from appengine_server.runs.stored import Index, StoredInput, StoredInputs
from appengine_server.runs.unpacking import Unpacker

_LARGEST_COMPANION_BYTES = 64 << 20
_LONGEST_INDEX = 18
"""Digits of an index that are worth reading as a number."""


@dataclass(frozen=True, slots=True)
class Received:
    """How the inputs of a run change by an upload."""

    into: Callable[[StoredInputs], StoredInputs]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivingLimits:
    """What uploads to inputs may be."""

    index_guard: int = 1_000_000
    """Bounds the indexes of items where an array has no `max_size`."""
    unpacked_bytes: int = 64 << 30
    """Largest content of a zipped WSI-DICOM."""


def check_received(
    parameter: Parameter, part: InputPart, tree: Path, upload: UUID, limits: ReceivingLimits
) -> Received:
    """Check what arrived for a parameter, and give it the form that its values have on disk; `tree`
    has the names of the input folder.

    Raises InvalidArgument with every problem. Blocks on the disk. Doing it again is harmless.
    """
    with scratch_beside(tree) as scratch:
        receiving = _Receiving(parameter, tree, upload, limits, scratch)
        match part:
            case InputPart.WHOLE:
                return receiving.whole()
            case InputPart.ITEMS:
                return receiving.items()
            case InputPart.COMPANION:
                return receiving.companion()


class _Receiving:
    """One upload while it is checked."""

    def __init__(
        self, parameter: Parameter, tree: Path, upload: UUID, limits: ReceivingLimits, scratch: Path
    ) -> None:
        self._parameter = parameter
        self._name = parameter.name
        self._tree = tree
        self._upload = upload
        self._limits = limits
        self._scratch = scratch
        self._unpacker = Unpacker(scratch, limit_bytes=limits.unpacked_bytes)
        self._options = ReadOptions(root=tree, direction="input", unpack=self._unpacker)
        self._problems: list[Problem] = []
        self._items: dict[Index, StoredInput] = {}
        self._companions: list[Index] = []
        self._canonical: list[tuple[ParameterType, Value, Path, bool]] = []

    def whole(self) -> Received:
        self._name_alone(self._name)
        with self._opened() as entry:
            given = self._read(self._parameter.type, (), entry)
        self._settle(f"The value of {self._name} is refused.")
        assert given is not None, "without a value there are problems"
        return Received(lambda inputs: inputs.with_input(self._name, given))

    def items(self) -> Received:
        type_, folder = self._parameter.type, self._tree / self._name
        if not isinstance(type_, ArrayType):
            raise _refused(self._name, "VALUE_KIND", f"{self._name} is no array.")
        if sorted(os.listdir(self._tree)) != [self._name] or not _is_folder(folder):
            message = f"Send items as {self._name}/0, {self._name}/1 and so on."
            raise _refused(self._name, "UPLOAD_LAYOUT", message)
        with self._opened() as entry:
            self._walk(type_, (), entry)
        if not self._items and not self._companions and not self._problems:
            message = f"There are no items in it: send {self._name}/0, or an empty array whole."
            raise _refused(self._name, "UPLOAD_LAYOUT", message)
        self._settle("The items are refused.")

        def into(inputs: StoredInputs) -> StoredInputs:
            changed = inputs.with_items(self._name, self._items) if self._items else inputs
            for index in self._companions:
                changed = changed.with_companion(self._name, self._upload, index)
            return changed

        return Received(into)

    def companion(self) -> Received:
        if not isinstance(self._parameter.type, ImageType):
            raise _refused(self._name, "VALUE_KIND", f"{self._name} is no image.")
        name = companion_name(self._name)
        names = os.listdir(self._tree)
        if len(names) != 1 or _is_folder(self._tree / names[0]):
            raise _refused(name, "UPLOAD_LAYOUT", f"Send one file, {name}.")
        if names[0] != name:
            os.rename(self._tree / names[0], self._tree / name)
        self._check_companion(self._tree / name, name)
        self._settle(f"{name} is refused.")
        return Received(lambda inputs: inputs.with_companion(self._name, self._upload))

    def _name_alone(self, name: str) -> None:
        """See to it that the tree is one entry of this name."""
        names = os.listdir(self._tree)
        if len(names) != 1:
            raise _refused(name, "UPLOAD_LAYOUT", f"Send {name} alone, as one "
                           f"file or folder of that name; found {len(names)} entries.")  # fmt: skip
        if names[0] == name:
            return
        if _is_folder(self._tree / names[0]):
            raise _refused(name, "UPLOAD_LAYOUT", f"The folder must be called {name}.")
        os.rename(self._tree / names[0], self._tree / name)

    @contextmanager
    def _opened(self) -> Iterator[Entry]:
        """The entry of the parameter, while what lies in it is read."""
        path = self._tree / self._name
        with self._unpacker.reading(), entry_at(path, self._options) as entry:
            yield entry

    def _walk(self, type_: ArrayType, above: Index, level: Entry) -> None:
        """Take the items of one level; a folder without `array.yml` holds items of the next."""
        with open_folder(level.name, folder=level.folder) as folder:
            listing = list_folder(folder, limit=sys.maxsize)
            assert listing is not None, "an upload has its own limit"
            taken: set[int] = set()
            for name in sorted(listing):  # what has no suffix comes first, and counts
                if name != ARRAY_METADATA:
                    self._take(type_, above, child(level, folder, name, listing[name]), taken)

    def _take(self, type_: ArrayType, above: Index, entry: Entry, taken: set[int]) -> None:
        """One entry of a level, of which the indexes `taken` have their items already."""
        stem, dot, suffix = entry.name.partition(".")
        if not is_item_name(stem):
            self._no_index(above, entry)
            return
        if len(stem) > _LONGEST_INDEX:
            self._wrong_index(above, entry, "The index is far too large.")
            return
        number = int(stem)
        if dot + suffix == GEOJSON_SUFFIX and isinstance(type_.subtype, ImageType):
            self._take_companion((*above, number), entry)
        elif dot + suffix not in type_.subtype.names("") or number in taken:
            self._no_index(above, entry)
        else:
            taken.add(number)
            self._take_item(type_.subtype, (*above, number), entry)

    def _no_index(self, above: Index, entry: Entry) -> None:
        self._wrong_index(above, entry, f"{printable(entry.name)} is no index of an item.")

    def _wrong_index(self, above: Index, entry: Entry, message: str) -> None:
        self._problem(self._place(above, entry), "ARRAY_INDEX", message)

    def _place(self, above: Index, entry: Entry) -> str:
        return f"{item_label(self._name, above)}/{printable(entry.name)}"

    def _take_item(self, type_: ParameterType, index: Index, entry: Entry) -> None:
        if isinstance(type_, ArrayType) and _holds_items(entry):
            self._walk(type_, index, entry)
        elif self._may_have(index):
            given = self._read(type_, index, entry)
            if given is not None:
                self._items[index] = given

    def _take_companion(self, index: Index, entry: Entry) -> None:
        if self._may_have(index):
            self._check_companion(Path(entry.location), self._place(index[:-1], entry))
            self._companions.append(index)

    def _may_have(self, index: Index) -> bool:
        problems = check_index(self._parameter, index, index_guard=self._limits.index_guard)
        self._problems += problems
        return not problems

    def _read(self, type_: ParameterType, index: Index, entry: Entry) -> StoredInput | None:
        at = item_label(self._name, index)
        reading = type_.read_listed(entry, at, self._options)
        self._problems += reading.problems
        if reading.value is None:
            return None
        texts = not reading.is_canonical
        if texts or isinstance(type_, ArrayType):
            canonical = self._tree / item_path(self._name, index)
            self._canonical.append((type_, reading.value, canonical, texts))
        if isinstance(type_, ArrayType):
            self._check_companions(type_, Path(entry.location), at)
        stored = _stored(type_, reading.value, self._upload)
        return replace(stored, warnings=reading.warnings) if reading.warnings else stored

    def _check_companions(self, type_: ArrayType, folder: Path, at: str) -> None:
        """Of the images of an array that came whole."""
        if isinstance(type_.subtype, ArrayType):
            for name in filter(is_item_name, os.listdir(folder)):
                self._check_companions(type_.subtype, folder / name, f"{at}[{name}]")
        elif isinstance(type_.subtype, ImageType):
            names = set(os.listdir(folder))
            for name in filter(is_item_name, names):
                if companion_name(name) in names:
                    beside = folder / companion_name(name)
                    self._check_companion(beside, f"{at}/{companion_name(name)}")

    def _check_companion(self, path: Path, at: str) -> None:
        if path.is_symlink() or not path.is_file():
            self._problem(at, "UPLOAD_LAYOUT", f"{at} must be a file.")
        elif path.stat().st_size > _LARGEST_COMPANION_BYTES:
            message = f"{at} has more than {_LARGEST_COMPANION_BYTES} bytes."
            self._problem(at, "FILE_TOO_LARGE", message)
        else:
            self._problems += check_companion(path.read_bytes(), at)

    def _problem(self, at: str, reason: str, message: str) -> None:
        self._problems.append(Problem(path=at, reason=reason, message=message))

    def _settle(self, refusal: str) -> None:
        """Refuse what is wrong; what is right gets its form."""
        if self._problems:
            raise InvalidArgument(refusal, problems=self._problems)
        for type_, value, path, texts in self._canonical:
            make_canonical(type_, value, path, self._scratch, texts=texts)
        self._unpacker.put_in_place(self._tree)


def _stored(type_: ParameterType, value: Value, upload: UUID) -> StoredInput:
    """What the row keeps: facts on files, and how many items there are, at every level."""
    if isinstance(value, FileValue):
        return StoredInput(upload=upload, value=value)
    if not isinstance(type_, ArrayType) or not isinstance(value, ArrayValue):
        return StoredInput(upload=upload)
    if not isinstance(type_.subtype, ArrayType):
        return StoredInput(upload=upload, size=len(value.items))
    items = (_stored(type_.subtype, item, upload) for item in value.items)
    return StoredInput(items=dict(enumerate(items)))


def _holds_items(entry: Entry) -> bool:
    """Whether items of an array lie in it, and not a whole array."""
    if entry.kind is not Kind.FOLDER:
        return False
    return not os.path.lexists(os.path.join(entry.location, ARRAY_METADATA))


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _refused(at: str, reason: str, message: str) -> InvalidArgument:
    problem = Problem(path=at, reason=reason, message=message)
    return InvalidArgument(message, problems=[problem], reason=reason)
