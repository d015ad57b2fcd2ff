from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import pytest
from appengine_contract.problems import ContractError
from appengine_server.tasks.bundle import BundleLimits, CheckedBundle, read_bundle
from appengine_server.tasks.zip_archive import open_image_entry
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.tasks.archives import DEFAULT_NAME, descriptor, small_image, write_zip

PNG = b"\x89PNG\r\n\x1a\n" + b"picture"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return tmp_path / "bundle.zip"


def read(path: Path, **limits: int) -> CheckedBundle:
    return read_bundle(path, BundleLimits(**limits))


def reasons(checked: CheckedBundle) -> list[str]:
    return [problem.reason for problem in checked.errors]


def warnings(checked: CheckedBundle) -> list[str]:
    return [problem.reason for problem in checked.warnings]


@pytest.mark.rule(
    "bundle.entry-order",
    "bundle.logo",
    "bundle.image-by-suffix",
    "bundle.identity-from-descriptor",
)
def test_a_bundle_gives_descriptor_logo_and_image(bundle: Path) -> None:
    content = small_image()
    entries = {"image.tar": content, "logo.png": PNG, "descriptor.yml": descriptor()}
    checked = read(write_zip(bundle, entries))
    assert checked.errors == ()
    assert checked.descriptor is not None
    assert checked.descriptor.namespace == "org.example.nuclei"
    assert checked.descriptor_yaml == descriptor()
    assert checked.logo == PNG
    assert (checked.image_entry, checked.image_size_bytes) == ("image.tar", len(content))
    with open_image_entry(bundle, checked.image_entry) as stream:
        assert stream.read(len(content) + 1) == content


@pytest.mark.rule(
    "bundle.stored-and-deflated",
    "bundle.leading-dot-or-slash",
    "bundle.litter",
    "bundle.one-descriptor",
    "bundle.extra-is-warning",
    "bundle.image-by-field",
)
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("prefix", ["", "./", "/"])
def test_names_may_begin_with_a_dot_or_a_slash(bundle: Path, prefix: str, method: int) -> None:
    entries = {
        f"{prefix}Descriptor.YAML": descriptor("/docker/nuclei.TAR"),
        f"{prefix}docker/nuclei.TAR": small_image(),
        f"{prefix}docker/other.tar": small_image(),
        "__MACOSX/descriptor.yml": b"litter",
        "docker/.DS_Store": b"litter",
    }
    checked = read(write_zip(bundle, entries, method))
    assert checked.errors == ()
    assert checked.image_entry == f"{prefix}docker/nuclei.TAR"
    assert warnings(checked) == ["BUNDLE_EXTRA"]


@pytest.mark.rule("bundle.streamed-zips")
def test_entries_with_data_descriptors_and_zip64_are_read(bundle: Path) -> None:
    class Unseekable(io.RawIOBase):
        def __init__(self) -> None:
            self.content = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, piece: bytes) -> int:  # type: ignore[override]
            self.content += piece
            return len(piece)

    out = Unseekable()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (("descriptor.yml", descriptor()), ("image.tar", small_image())):
            with archive.open(name, "w", force_zip64=True) as entry:
                entry.write(content)
    bundle.write_bytes(out.content)
    assert read(bundle).errors == ()


@pytest.mark.rule(
    "bundle.extra-is-warning",
    "bundle.image-by-identity",
    "bundle.image-field-unused",
)
def test_the_tar_named_after_the_task_goes_before_other_tars(bundle: Path) -> None:
    entries = {
        "a.tar": small_image(),
        DEFAULT_NAME: small_image(),
        "descriptor.yml": descriptor("not-there.tar"),
    }
    checked = read(write_zip(bundle, entries))
    assert checked.image_entry == DEFAULT_NAME
    assert checked.errors == ()
    assert warnings(checked) == ["IMAGE_FILE_MISSING", "BUNDLE_EXTRA"]


@pytest.mark.rule("bundle.image-by-suffix")
def test_the_only_tar_is_the_image_wherever_it_lies(bundle: Path) -> None:
    entries = {"a/b/some image.TAR": small_image(), "descriptor.yml": descriptor()}
    checked = read(write_zip(bundle, entries))
    assert (checked.errors, checked.warnings) == ((), ())
    assert checked.image_entry == "a/b/some image.TAR"


@pytest.mark.rule("bundle.image-ambiguous")
def test_several_tars_that_nothing_tells_apart_are_refused(bundle: Path) -> None:
    entries = {
        "a.tar": small_image(),
        "b/c.tar": small_image(),
        "descriptor.yml": descriptor(),
    }
    checked = read(write_zip(bundle, entries))
    assert reasons(checked) == ["IMAGE_AMBIGUOUS"]
    assert DEFAULT_NAME in checked.errors[0].message


@pytest.mark.rule("bundle.one-descriptor", "bundle.image-missing")
def test_an_empty_zip_misses_everything(bundle: Path) -> None:
    assert reasons(read(write_zip(bundle, {}))) == ["DESCRIPTOR_MISSING", "IMAGE_MISSING"]


@pytest.mark.rule("bundle.misplaced-descriptor")
def test_a_descriptor_in_a_folder_is_missing_but_named(bundle: Path) -> None:
    entries = {"task/descriptor.yml": descriptor(), "image.tar": small_image()}
    checked = read(write_zip(bundle, entries))
    assert reasons(checked) == ["DESCRIPTOR_MISSING"]
    assert "task/descriptor.yml" in checked.errors[0].message


@pytest.mark.rule("bundle.one-descriptor")
def test_two_descriptors_are_ambiguous(bundle: Path) -> None:
    entries = {
        "descriptor.yml": descriptor(),
        "DESCRIPTOR.yaml": descriptor(),
        "image.tar": small_image(),
    }
    assert reasons(read(write_zip(bundle, entries))) == ["DESCRIPTOR_AMBIGUOUS"]


@pytest.mark.rule("bundle.unsafe-names")
@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "a/../../b", "..\\evil", "C:/evil", "c:\\evil", "/../evil"],
)
def test_an_unsafe_name_is_refused(bundle: Path, name: str) -> None:
    entries = {name: b"x", "descriptor.yml": descriptor(), "image.tar": small_image()}
    checked = read(write_zip(bundle, entries))
    assert reasons(checked) == ["BUNDLE_UNSAFE_ENTRY"]


@pytest.mark.rule("bundle.unsafe-names")
def test_a_name_with_nul_is_refused(bundle: Path) -> None:
    write_zip(bundle, {"evilX.txt": b"", "descriptor.yml": descriptor(), "i.tar": small_image()})
    bundle.write_bytes(bundle.read_bytes().replace(b"evilX.txt", b"evil\0.txt"))
    assert reasons(read(bundle)) == ["BUNDLE_UNSAFE_ENTRY"]


def test_an_entry_without_a_name_has_no_use(bundle: Path) -> None:
    write_zip(bundle, {"X": b"", "descriptor.yml": descriptor(), "i.tar": small_image()})
    packed = bundle.read_bytes()
    place = packed.index(b"PK\x01\x02")
    record = bytearray(packed[place:])
    record[28:30] = b"\0\0"  # the length of its name, and of what follows that
    record[30:32] = b"\1\0"
    bundle.write_bytes(packed[:place] + record)
    checked = read(bundle)
    assert reasons(checked) == []
    assert "BUNDLE_EXTRA" in [warning.reason for warning in checked.warnings]


@pytest.mark.rule("bundle.no-encryption")
def test_encrypted_entries_are_refused(bundle: Path) -> None:
    write_zip(bundle, {"descriptor.yml": descriptor(), "image.tar": small_image()})
    mark_entries(bundle, flags=1)
    checked = read(bundle)
    assert set(reasons(checked)) == {"BUNDLE_ENCRYPTED"}
    assert [problem.path for problem in checked.errors] == ["descriptor.yml", "image.tar"]


@pytest.mark.rule("bundle.stored-and-deflated")
@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(bundle: Path, method: int) -> None:
    entries = {"descriptor.yml": descriptor(), "image.tar": small_image()}
    assert set(reasons(read(write_zip(bundle, entries, method)))) == {"BUNDLE_COMPRESSION"}


@pytest.mark.rule("bundle.stored-and-deflated")
def test_a_compression_that_no_one_knows_is_refused(bundle: Path) -> None:
    write_zip(bundle, {"descriptor.yml": descriptor(), "image.tar": small_image()})
    mark_entries(bundle, method=93)
    assert set(reasons(read(bundle))) == {"BUNDLE_COMPRESSION"}


def mark_entries(path: Path, *, flags: int | None = None, method: int | None = None) -> None:
    """Change all headers of a zip in place."""
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.find(signature)
        while place >= 0:
            if flags is not None:
                struct.pack_into("<H", content, place + offset, flags)
            if method is not None:
                struct.pack_into("<H", content, place + offset + 2, method)
            place = content.find(signature, place + 4)
    path.write_bytes(content)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x1f\x8b" * 2000, b"\0" * 100_000])
def test_what_is_no_zip_is_refused(bundle: Path, content: bytes) -> None:
    bundle.write_bytes(content)
    assert reasons(read(bundle)) == ["BUNDLE_NOT_ZIP"]


def test_a_truncated_zip_says_that_it_is_cut_short(bundle: Path) -> None:
    write_zip(bundle, {"descriptor.yml": descriptor(), "image.tar": small_image()})
    bundle.write_bytes(bundle.read_bytes()[:-30])
    assert reasons(read(bundle)) == ["BUNDLE_TRUNCATED"]


@pytest.mark.rule("image.no-archive")
def test_an_image_that_is_no_tar_is_refused(bundle: Path) -> None:
    entries = {"descriptor.yml": descriptor(), "image.tar": b"FROM debian"}
    checked = read(write_zip(bundle, entries))
    assert reasons(checked) == ["IMAGE_NOT_ARCHIVE"]
    assert "docker save" in checked.errors[0].message


@pytest.mark.rule("bundle.limits")
def test_a_bomb_is_refused_before_it_is_unpacked(bundle: Path) -> None:
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("descriptor.yml", descriptor())
        with archive.open("image.tar", "w") as entry:
            entry.write(small_image())
            for _ in range(80):
                entry.write(bytes(1 << 20))
    checked = read(bundle)
    assert reasons(checked) == ["BUNDLE_TOO_LARGE"]
    assert checked.errors[0].path == "image.tar"


@pytest.mark.rule("bundle.limits")
def test_a_descriptor_over_its_limit_is_not_read_on(bundle: Path) -> None:
    entries = {"descriptor.yml": b"#" * (50 << 20), "image.tar": small_image()}
    checked = read(write_zip(bundle, entries))
    assert reasons(checked) == ["BUNDLE_TOO_LARGE"]
    assert checked.descriptor_yaml == b""


@pytest.mark.rule("bundle.limits")
def test_limits_count_the_zip_its_entries_and_all_of_their_content(bundle: Path) -> None:
    entries = {f"{n}.txt": b"x" * 100 for n in range(5)}
    write_zip(bundle, {"descriptor.yml": descriptor(), "image.tar": small_image(), **entries})
    assert read(bundle).errors == ()
    assert reasons(read(bundle, bundle_bytes=1000)) == ["BUNDLE_TOO_LARGE"]
    assert reasons(read(bundle, entries=6)) == ["BUNDLE_TOO_LARGE"]
    assert reasons(read(bundle, unpacked_bytes=4000)) == ["BUNDLE_TOO_LARGE"]


@pytest.mark.rule("bundle.limits")
def test_a_directory_with_far_too_many_entries_is_not_loaded(bundle: Path) -> None:
    write_zip(bundle, {f"{number:0200}": b"" for number in range(20_000)}, zipfile.ZIP_STORED)
    checked = read(bundle)
    assert reasons(checked) == ["BUNDLE_TOO_LARGE"]
    assert checked.descriptor is None


@pytest.mark.rule("bundle.logo")
def test_a_logo_that_is_wrong_is_only_a_warning(bundle: Path) -> None:
    entries = {"descriptor.yml": descriptor(), "image.tar": small_image()}
    no_png = read(write_zip(bundle, {**entries, "LOGO.png": b"GIF89a"}))
    assert (no_png.errors, no_png.logo, warnings(no_png)) == ((), None, ["LOGO_IGNORED"])
    too_large = read(write_zip(bundle, {**entries, "logo.png": PNG * 100_000}))
    assert (too_large.errors, too_large.logo, warnings(too_large)) == ((), None, ["LOGO_IGNORED"])


@pytest.mark.rule("report.all-at-once")
def test_every_problem_is_listed_at_once(bundle: Path) -> None:
    entries = {
        "descriptor.yml": descriptor(namespace="nodots", version="1.0"),
        "../evil": b"x",
        "logo.png": b"no",
        "notes.txt": b"",
        "image.tar": b"no tar",
    }
    checked = read(write_zip(bundle, entries))
    assert {"BUNDLE_UNSAFE_ENTRY", "IMAGE_NOT_ARCHIVE"} <= set(reasons(checked))
    paths = {problem.path for problem in checked.errors}
    assert {"namespace", "version"} <= paths
    assert {"LOGO_IGNORED", "BUNDLE_EXTRA"} <= set(warnings(checked))


def test_wrong_checksums_are_told_while_reading(bundle: Path) -> None:
    content = small_image()
    write_zip(bundle, {"descriptor.yml": descriptor(), "image.tar": content}, zipfile.ZIP_STORED)
    spoiled = bytearray(bundle.read_bytes())
    spoiled[spoiled.find(content) + len(content) - 1] ^= 1
    bundle.write_bytes(spoiled)
    with open_image_entry(bundle, "image.tar") as stream:
        assert stream.read(len(content) - 1) == content[:-1]
        with pytest.raises(ContractError) as refused:
            stream.read(1)
    assert refused.value.problems[0].reason == "BUNDLE_CORRUPT"


def test_an_entry_that_is_gone_is_missing(bundle: Path) -> None:
    write_zip(bundle, {"descriptor.yml": descriptor()})
    with pytest.raises(ContractError) as refused:
        open_image_entry(bundle, "image.tar")
    assert refused.value.problems[0].reason == "IMAGE_MISSING"


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.floats(0, 1), flips=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 7))))
def test_a_spoiled_bundle_never_raises(
    bundle: Path, cut: float, flips: list[tuple[float, int]]
) -> None:
    entries = {"descriptor.yml": descriptor(), "logo.png": PNG, "image.tar": small_image()}
    content = bytearray(write_zip(bundle, entries).read_bytes())
    for place, bit in flips:
        # most bytes are the image's: half of the flips go to the zip's own records at the end
        at = int(place * (len(content) - 1))
        content[at if bit % 2 else len(content) - 1 - at % 400] ^= 1 << bit
    bundle.write_bytes(content[: int(len(content) * cut)] if cut < 0.9 else content)
    checked = read(bundle)
    if checked.image_entry:
        read_to_the_end(bundle, checked.image_entry)


def read_to_the_end(bundle: Path, entry: str) -> None:
    try:
        with open_image_entry(bundle, entry) as stream:
            while stream.read(4096):
                pass
    except ContractError:
        pass
