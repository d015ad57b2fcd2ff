"""Taking collections of geometries apart, each member with its own text, byte for byte."""

from __future__ import annotations

from dataclasses import dataclass

from appengine_contract.geojson.structure import (
    COLLECTIONS,
    DECODER,
    GeometryError,
    Json,
)

_MEMBERS = {"FeatureCollection": "features", "GeometryCollection": "geometries"}
_SPACE = " \t\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """A FeatureCollection or GeometryCollection, taken apart."""

    texts: tuple[str, ...]
    """One JSON text for each feature or geometry."""
    documents: tuple[Json, ...]
    """The same, decoded."""
    dropped: tuple[str, ...]
    """Names of other members of the collection, which belong to no single geometry."""


def split_collection(text: str) -> Collection:
    """Take a collection apart. Raises GeometryError."""
    try:
        members = _Scanner(text).members()
    except RecursionError as error:
        raise GeometryError("NOT_JSON", "the JSON is nested too deeply") from error
    except (ValueError, StopIteration, IndexError) as error:
        raise GeometryError("NOT_JSON", f"not JSON: {error or 'it ends too early'}") from error
    kind = members.get("type", (None, None))[0]
    if not isinstance(kind, str) or kind not in _MEMBERS:
        expected = " or ".join(COLLECTIONS)
        raise GeometryError("GEOMETRY_TYPE", f"expected a {expected}, found {repr(kind)[:60]}")
    key = _MEMBERS[kind]
    documents, texts = members.get(key, (None, None))
    if texts is None or not isinstance(documents, list):
        raise GeometryError("GEOMETRY_STRUCTURE", f"a {kind} must have a list `{key}`")
    dropped = tuple(name for name in members if name not in ("type", key))
    return Collection(texts=tuple(texts), documents=tuple(documents), dropped=dropped)


_Member = tuple[Json, list[str] | None]


class _Scanner:
    """Reads one object; the items of the lists that hold geometries keep their source text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def members(self) -> dict[str, _Member]:
        """Every member as its value and, for a list of geometries, the texts of its items."""
        found: dict[str, _Member] = {}
        self._expect("{")
        if self._next() == "}":
            self._at += 1
        else:
            self._read_members(found)
        if self._skip() < len(self._text):
            raise ValueError(f"text after the object at character {self._at}")
        return found

    def _read_members(self, found: dict[str, _Member]) -> None:
        while True:
            key = self._key()
            self._expect(":")
            self._skip()
            found[key] = self._list() if self._holds_geometries(key) else (self._value(), None)
            if self._next() == "}":
                self._at += 1
                return
            self._expect(",")

    def _key(self) -> str:
        if self._next() != '"':
            raise ValueError(f"expected a name at character {self._at}")
        return str(self._value())

    def _holds_geometries(self, key: str) -> bool:
        return key in _MEMBERS.values() and self._next() == "["

    def _list(self) -> _Member:
        values: list[Json] = []
        texts: list[str] = []
        self._expect("[")
        if self._next() == "]":
            self._at += 1
            return values, texts
        while True:
            begin = self._skip()
            values.append(self._value())
            texts.append(self._text[begin : self._at])
            if self._next() == "]":
                self._at += 1
                return values, texts
            self._expect(",")

    def _value(self) -> Json:
        value, self._at = DECODER.raw_decode(self._text, self._at)
        return value

    def _skip(self) -> int:
        text, at = self._text, self._at
        while at < len(text) and text[at] in _SPACE:
            at += 1
        self._at = at
        return at

    def _next(self) -> str:
        at = self._skip()
        return self._text[at : at + 1]

    def _expect(self, char: str) -> None:
        if self._next() != char:
            raise ValueError(f"expected {char} at character {self._at}")
        self._at += 1
