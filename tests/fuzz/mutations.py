"""Damage to samples, byte by byte and by structure.

Random bytes die at the first signature or checksum. So archives are taken apart, something in them
is changed, and they are put together again with right checksums and digests.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from typing import Any

Mutate = Callable[[bytes], bytes]
"""Damages plain bytes: ours, or the fuzzer's own, which learns from what it has seen."""

_NUMBERS = (0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1)
_NUMBERS += (2**63 - 1, 2**63, 2**64 - 1)
_TAR_TYPES = b"01234567LKxgSVDNM\0"
_JSON_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1e308, 10**400, "", "..", "/", "x" * 300, [], {}, [[]], [None],
    "\0", "\ud800",
)  # fmt: skip
_DIGEST = re.compile(rb"[0-9a-f]{64}")
_LARGEST_BYTES = 1 << 20


def damaged_bytes(data: bytes, chance: random.Random, tokens: Sequence[bytes]) -> bytes:
    """The bytes with one change that knows nothing of their structure."""
    out = bytearray(data)
    at = chance.randrange(len(out) + 1)
    length = chance.choice([0, 1, 2, 4, 8, chance.randrange(64)])
    kind = chance.randrange(7)
    if kind == 0:
        out[at : at + length] = chance.choice(tokens)
    elif kind == 1:
        out[at : at + length] = b""
    elif kind == 2:
        out[at : at + length] = chance.randbytes(length)
    elif kind == 3:
        width = chance.choice([1, 2, 4, 8])
        number = chance.choice(_NUMBERS) & ((1 << 8 * width) - 1)
        out[at : at + width] = number.to_bytes(width, chance.choice(["big", "little"]))
    elif kind == 4:
        del out[at:]
    elif kind == 5:  # what costs more than it is long shows only in what is long
        part = bytes(out[at : at + max(1, length)])
        count = chance.choice([2, 100, 10_000, _LARGEST_BYTES // max(1, len(part))])
        out[at:at] = part * count
    else:
        from_ = chance.randrange(len(out) + 1)
        out[at:at] = out[from_ : from_ + chance.randrange(200)]
    return bytes(out[:_LARGEST_BYTES])


def damaged_json(data: bytes, chance: random.Random, mutate: Mutate) -> bytes:
    """The JSON with one value changed, left out or doubled; broken JSON is mutated as bytes."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return mutate(data)
    places = list(_places(document))
    if not places or chance.random() < 0.2:
        return mutate(data)
    holder, key = chance.choice(places)
    kind = chance.randrange(5)
    if kind == 0:
        del holder[key]
    elif kind == 1:
        holder[key] = chance.choice(_JSON_VALUES)
    elif kind == 2:
        other, other_key = chance.choice(places)
        holder[key] = json.loads(json.dumps(other[other_key]))
    elif kind == 3 and isinstance(holder, list):
        holder[key:key] = [holder[key]] * chance.choice([1, 1, 3, 2000])
    else:
        holder[key] = [holder[key]]
    return json.dumps(document).encode()


def _places(value: Any) -> Any:
    if isinstance(value, dict):
        for key in list(value):
            yield value, key
            yield from _places(value[key])
    elif isinstance(value, list):
        for index in range(len(value)):
            yield value, index
            yield from _places(value[index])


def damaged_lines(data: bytes, chance: random.Random, mutate: Mutate) -> bytes:
    """A text with one line left out, doubled, moved, indented, or changed behind its colon."""
    lines = data.splitlines(keepends=True)
    if len(lines) < 2 or chance.random() < 0.3:
        return mutate(data)
    at = chance.randrange(len(lines))
    kind = chance.randrange(5)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines[at:at] = [lines[at]] * chance.choice([1, 1, 3, 3000])
    elif kind == 2:
        lines.insert(chance.randrange(len(lines)), lines.pop(at))
    elif kind == 3:
        lines[at] = chance.choice([b" ", b"  ", b"\t", b"- "]) + lines[at]
    else:
        other = chance.choice(lines)
        lines[at] = lines[at].partition(b":")[0] + b":" + other.partition(b":")[2]
    return b"".join(lines)


Inner = Callable[[str, bytes], bytes]
"""Damages the content of an entry, by its name."""


def damaged_tar(data: bytes, chance: random.Random, mutate: Mutate, inner: Inner) -> bytes:
    """The tar with one entry changed, and with the digests of all blobs set right again."""
    is_packed = data.startswith(b"\x1f\x8b")
    plain = gunzipped(data) if is_packed else data
    try:
        with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as archive:
            entries = [(one, _content(archive, one)) for one in archive.getmembers()[:50]]
    except (tarfile.TarError, ValueError, EOFError, OSError):
        entries = []
    if not entries or chance.random() < 0.2:
        plain = with_checksums(mutate(plain))
    else:
        _damage_entry(entries, chance, inner)
        plain = _tar_of(entries, chance)
    if is_packed or chance.random() < 0.03:
        return gzip.compress(plain, compresslevel=1, mtime=0)
    return plain


def gunzipped(data: bytes) -> bytes:
    """As much as can be unpacked, and no more than a sample is long."""
    try:
        return zlib.decompressobj(wbits=31).decompress(data, _LARGEST_BYTES)
    except zlib.error:
        return b""


def _content(archive: tarfile.TarFile, one: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(one) if one.isreg() and one.size < _LARGEST_BYTES else None
    return stream.read() if stream else b""


_Entries = list[tuple[tarfile.TarInfo, bytes]]


def _damage_entry(entries: _Entries, chance: random.Random, inner: Inner) -> None:
    at = chance.randrange(len(entries))
    one, content = entries[at]
    other = chance.choice(entries)[0].name
    kind = chance.randrange(9)
    if kind <= 3:
        entries[at] = (one, inner(one.name, content))
        if chance.random() < 0.8:
            _follow_digest(entries, content, entries[at][1])
    elif kind == 4:
        one.name = chance.choice([other, f"../{other}", f"/{other}", f"./{other}", "x" * 300, "C:"])
    elif kind == 5:
        one.type = bytes([chance.choice(_TAR_TYPES)])
        one.linkname = chance.choice([other, f"../{other}", "/etc/passwd", "y" * 200])
    elif kind == 6:
        del entries[at]
    elif kind == 7:
        entries.insert(chance.randrange(len(entries) + 1), entries[at])
    else:
        one.pax_headers = {chance.choice(["size", "path", "linkpath", "GNU.sparse.a"]): "12"}


def _follow_digest(entries: _Entries, old: bytes, new: bytes) -> None:
    """Let what named the old content by its digest name the new one, and so on upwards."""
    todo = [(hashlib.sha256(old).hexdigest(), hashlib.sha256(new).hexdigest())]
    while todo:
        before, after = todo.pop()
        for number, (one, content) in enumerate(entries):
            one.name = one.name.replace(before, after)
            changed = content.replace(before.encode(), after.encode())
            if changed != content:
                entries[number] = (one, changed)
                pair = (hashlib.sha256(content).hexdigest(), hashlib.sha256(changed).hexdigest())
                if len(todo) < 20 and before != after:
                    todo.append(pair)


def _tar_of(entries: _Entries, chance: random.Random) -> bytes:
    out = io.BytesIO()
    form = chance.choice([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
    for one, content in entries:
        if one.isreg():
            one.size = len(content)
        try:
            head = one.tobuf(form, "utf-8", "surrogateescape")
        except (ValueError, UnicodeError):
            continue
        out.write(head + content + bytes(-len(content) % 512))
    return out.getvalue() + bytes(1024 if chance.random() < 0.9 else 0)


def with_checksums(data: bytes) -> bytes:
    """The same with right checksums in whatever looks like the header of a tar's entry."""
    out = bytearray(data)
    for at in range(0, len(out) - 511, 512):
        if out[at + 257 : at + 262] == b"ustar":
            out[at + 148 : at + 156] = b" " * 8
            out[at + 148 : at + 155] = b"%06o\0" % sum(out[at : at + 512])
    return bytes(out)


def damaged_zip(data: bytes, chance: random.Random, mutate: Mutate, inner: Inner) -> bytes:
    """The zip with one entry changed: its content, its name, or what its directory says of it."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = [(one, archive.read(one)) for one in archive.infolist()[:50]]
    except Exception:  # zipfile raises many kinds; what it cannot read is damaged as it is
        entries = []
    if not entries or chance.random() < 0.2:
        return mutate(data)
    at = chance.randrange(len(entries))
    one, content = entries[at]
    other = chance.choice(entries)[0].filename
    kind = chance.randrange(7)
    if kind <= 2:
        entries[at] = (one, inner(one.filename, content))
    elif kind == 3:
        names = [other, f"../{other}", f"/{other}", f"a/{other}", f"a/b/{other}", "C:x", "a\\b"]
        one.filename = chance.choice([*names, "__MACOSX/x", ".DS_Store", "x" * 300, "logo.png"])
    elif kind == 4:
        one.external_attr = chance.choice([0xA1FF, 0x41FF, 0x11FF, 0x81FF]) << 16
    elif kind == 5:
        entries[at:at] = [entries[at]]
    else:
        del entries[at]
    return _zip_of(entries, chance)


def _zip_of(entries: list[tuple[zipfile.ZipInfo, bytes]], chance: random.Random) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for one, content in entries:
            fresh = zipfile.ZipInfo(one.filename)
            fresh.external_attr = one.external_attr
            fresh.compress_type = chance.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
            archive.writestr(fresh, content)
    packed = bytearray(out.getvalue())
    if chance.random() < 0.1:  # flags or method of one entry, in the directory
        places = [m.start() for m in re.finditer(b"PK\x01\x02", bytes(packed))]
        place = chance.choice(places) if places else 0
        packed[place + 8 + 2 * chance.randrange(2)] = chance.choice([0, 1, 8, 12, 14, 255])
    return bytes(packed)
