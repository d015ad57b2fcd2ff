"""A task bundle: which of its entries is the descriptor, the logo and the image, and what is wrong.

Nothing is unpacked to disk, and all problems are found in one go, so that a developer mends them
all before the next upload.
"""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from appengine_contract.descriptor import (
    CheckedDescriptor,
    Descriptor,
    ResourceDefaults,
    read_descriptor,
)
from appengine_contract.problems import ContractError, Problem

from appengine_server.tasks.entry_names import plain_name, shown, what_is_unsafe
from appengine_server.tasks.image_archive import image_archive_is_there
from appengine_server.tasks.zip_archive import open_image_entry, open_zip, read_entry

_DESCRIPTOR_NAMES = frozenset({"descriptor.yml", "descriptor.yaml"})
_LOGO_NAME = "logo.png"
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_ENCRYPTED = 0x1
_HARMLESS_SIZE_BYTES = 64 << 20
"""Below this size no entry is a bomb, however well it was compressed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleLimits:
    """What a bundle may take. Sizes in bytes."""

    bundle_bytes: int = 50 * 10**9
    """The zip itself. Real images reach 17 GB."""
    unpacked_bytes: int = 100 * 10**9
    """All entries together."""
    descriptor_bytes: int = 1 << 20
    logo_bytes: int = 1 << 20
    entries: int = 1000
    expansion: int = 300
    """Unpacked bytes per packed byte of one entry. Image archives stay below 20; deflate can reach
    1030, but only with content that says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedBundle:
    """What was found. Only without `errors` are the descriptor and the image certainly there."""

    descriptor: Descriptor | None
    descriptor_yaml: bytes
    """As it stands in the bundle; empty when there is none."""
    logo: bytes | None
    """A PNG."""
    image_entry: str
    """For `open_image_entry`; empty when there is none, or when it is not clear which."""
    image_size_bytes: int
    """Unpacked. Reading the entry never gives more than that."""
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def read_bundle(
    path: Path, limits: BundleLimits, *, defaults: ResourceDefaults | None = None
) -> CheckedBundle:
    """Check a bundle without unpacking it. Every problem comes back; only disk faults raise.

    `defaults` are what a descriptor that asks for no resources gets.
    """
    bundle_bytes = path.stat().st_size
    if bundle_bytes > limits.bundle_bytes:
        message = f"the bundle has {bundle_bytes} bytes; {limits.bundle_bytes} are allowed"
        return _unreadable([Problem(path="", reason="BUNDLE_TOO_LARGE", message=message)])
    try:
        with open_zip(path) as archive:
            return _Reading(path, archive, limits).result(defaults or ResourceDefaults())
    except ContractError as error:
        return _unreadable(error.problems)


def logo_problem(logo: bytes) -> str:
    """Why these bytes are no logo; empty if they are one."""
    return "" if logo.startswith(_PNG_SIGNATURE) else "the logo is not a PNG"


def _unreadable(problems: Sequence[Problem]) -> CheckedBundle:
    return CheckedBundle(
        descriptor=None,
        descriptor_yaml=b"",
        logo=None,
        image_entry="",
        image_size_bytes=0,
        errors=tuple(problems),
        warnings=(),
    )


class _Reading:
    """One pass over the entries of one bundle. Collects problems instead of raising them."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, limits: BundleLimits) -> None:
        self._path = path
        self._archive = archive
        self._limits = limits
        self._errors: list[Problem] = []
        self._warnings: list[Problem] = []
        self._entries = [(plain_name(e.filename), e) for e in archive.infolist() if _counts(e)]

    def result(self, defaults: ResourceDefaults) -> CheckedBundle:
        self._check_sizes()
        for _, entry in self._entries:
            self._check_entry(entry)
        descriptor_entry = self._find_descriptor()
        source = self._read(descriptor_entry, self._limits.descriptor_bytes)
        checked = None if source is None else read_descriptor(source, defaults=defaults)
        if checked is not None:
            self._errors += checked.errors
            self._warnings += checked.warnings
        logo_entry = self._find_logo()
        image = self._find_image(checked)
        self._check_image(image)
        self._warn_of_others([descriptor_entry, logo_entry, image])
        return CheckedBundle(
            descriptor=checked.descriptor if checked is not None else None,
            descriptor_yaml=source or b"",
            logo=self._read_logo(logo_entry),
            image_entry=image.filename if image else "",
            image_size_bytes=image.file_size if image else 0,
            errors=tuple(self._errors),
            warnings=tuple(self._warnings),
        )

    def _check_sizes(self) -> None:
        limits = self._limits
        if len(self._archive.infolist()) > limits.entries:
            count = len(self._archive.infolist())
            self._error("BUNDLE_TOO_LARGE", f"{count} entries; {limits.entries} are allowed")
            self._entries = self._entries[: limits.entries]
        unpacked_bytes = sum(entry.file_size for _, entry in self._entries)
        if unpacked_bytes > limits.unpacked_bytes:
            self._error(
                "BUNDLE_TOO_LARGE",
                f"{unpacked_bytes} bytes when unpacked; {limits.unpacked_bytes} are allowed",
            )

    def _check_entry(self, entry: zipfile.ZipInfo) -> None:
        name = shown(entry.orig_filename)
        unsafe = what_is_unsafe(entry.orig_filename)
        if unsafe is not None:
            self._error("BUNDLE_UNSAFE_ENTRY", f"the name of this entry {unsafe}", name)
        if entry.flag_bits & _ENCRYPTED:
            self._error("BUNDLE_ENCRYPTED", "the entry is encrypted; zip without a password", name)
        if entry.compress_type not in _METHODS:
            message = "the entry must be stored or deflated; zip it without other methods"
            self._error("BUNDLE_COMPRESSION", message, name)
        if _is_bomb(entry, self._limits):
            message = (
                f"{entry.compress_size} bytes unpack to {entry.file_size}: no real file does that"
            )
            self._error("BUNDLE_TOO_LARGE", message, name)

    def _find_descriptor(self) -> zipfile.ZipInfo | None:
        found = [entry for name, entry in self._entries if name.lower() in _DESCRIPTOR_NAMES]
        if len(found) > 1:
            names = ", ".join(shown(entry.filename) for entry in found)
            self._error("DESCRIPTOR_AMBIGUOUS", f"only one descriptor is allowed, found {names}")
            return None
        if not found:
            self._error("DESCRIPTOR_MISSING", self._where_descriptors_are())
            return None
        return found[0]

    def _where_descriptors_are(self) -> str:
        deeper = [
            shown(name)
            for name, _ in self._entries
            if posixpath.basename(name).lower() in _DESCRIPTOR_NAMES
        ]
        if not deeper:
            return "there is no descriptor.yml at the root of the zip"
        return f"the descriptor must be at the root of the zip, it is at {', '.join(deeper[:5])}"

    def _find_logo(self) -> zipfile.ZipInfo | None:
        found = [entry for name, entry in self._entries if name.lower() == _LOGO_NAME]
        if len(found) > 1:
            self._warn("LOGO_AMBIGUOUS", "several logos: the first is taken", _LOGO_NAME)
        return found[0] if found else None

    def _read_logo(self, entry: zipfile.ZipInfo | None) -> bytes | None:
        if entry is None or not _is_readable(entry):
            return None
        try:
            logo = read_entry(self._archive, entry, limit_bytes=self._limits.logo_bytes)
        except ContractError as error:
            self._warn("LOGO_IGNORED", error.problems[0].message, shown(entry.filename))
            return None
        if why_not := logo_problem(logo):
            self._warn("LOGO_IGNORED", why_not, shown(entry.filename))
            return None
        return logo

    def _read(self, entry: zipfile.ZipInfo | None, limit_bytes: int) -> bytes | None:
        if entry is None or not _is_readable(entry):
            return None
        try:
            return read_entry(self._archive, entry, limit_bytes=limit_bytes)
        except ContractError as error:
            self._errors += error.problems
            return None

    def _find_image(self, checked: CheckedDescriptor | None) -> zipfile.ZipInfo | None:
        descriptor = checked.descriptor if checked is not None else None
        wanted = descriptor.image_file if descriptor is not None else None
        tars = [(name, e) for name, e in self._entries if name.lower().endswith(".tar")]
        by_field = [e for name, e in self._entries if wanted and name == plain_name(wanted)]
        default = f"{descriptor.namespace}-{descriptor.version}.tar" if descriptor else ""
        by_identity = [entry for name, entry in tars if name == default]
        found = by_field or by_identity or [entry for _, entry in tars]
        if len(found) != 1:
            self._report_images(found, default, described=checked is not None)
            return None
        if wanted and not by_field:
            message = f"no such entry in the bundle; {shown(found[0].filename)} is taken instead"
            self._warn("IMAGE_FILE_MISSING", message, "configuration.image.file")
        return found[0]

    def _report_images(
        self, found: Sequence[zipfile.ZipInfo], default: str, *, described: bool
    ) -> None:
        if not found:
            self._error("IMAGE_MISSING", "there is no image archive (a .tar of `docker save`)")
        elif described:  # without a descriptor nothing can say which: that problem is listed
            names = ", ".join(shown(entry.filename) for entry in found[:5])
            hint = f", or name it {default}" if default else ""
            self._error(
                "IMAGE_AMBIGUOUS",
                f"several image archives: {names}; name one in configuration.image.file{hint}",
            )

    def _check_image(self, entry: zipfile.ZipInfo | None) -> None:
        if entry is None or not _is_readable(entry):
            return
        try:
            with open_image_entry(self._path, entry.filename) as stream:
                is_there = image_archive_is_there(stream)
        except ContractError as error:
            self._errors += error.problems
            return
        if not is_there:
            message = "not a tar archive; write it by `docker save IMAGE -o image.tar`"
            self._error("IMAGE_NOT_ARCHIVE", message, shown(entry.filename))

    def _warn_of_others(self, known: Sequence[zipfile.ZipInfo | None]) -> None:
        for name, entry in self._entries:
            is_known = any(entry is one for one in known)
            if is_known or name.lower() in {_LOGO_NAME, *_DESCRIPTOR_NAMES}:
                continue
            self._warn("BUNDLE_EXTRA", "this entry has no use and is ignored", shown(name))

    def _error(self, reason: str, message: str, path: str = "") -> None:
        self._errors.append(Problem(path=path, reason=reason, message=message))

    def _warn(self, reason: str, message: str, path: str = "") -> None:
        self._warnings.append(Problem(path=path, reason=reason, message=message))


def _counts(entry: zipfile.ZipInfo) -> bool:
    name = plain_name(entry.filename)
    is_litter = name.startswith("__MACOSX/") or posixpath.basename(name) == ".DS_Store"
    is_folder = entry.filename.endswith("/")  # zipfile's own test fails on an empty name
    return not is_folder and not is_litter


def _is_readable(entry: zipfile.ZipInfo) -> bool:
    return not entry.flag_bits & _ENCRYPTED and entry.compress_type in _METHODS


def _is_bomb(entry: zipfile.ZipInfo, limits: BundleLimits) -> bool:
    if entry.file_size <= _HARMLESS_SIZE_BYTES:
        return False
    return entry.file_size > max(1, entry.compress_size) * limits.expansion
