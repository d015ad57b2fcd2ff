"""Names of users become numbers, by the files in an image's layers."""

from __future__ import annotations

import gzip
import io
import json

import pytest
from appengine_contract.problems import ContractError
from appengine_server.tasks.image_archive import inspect_image_archive
from appengine_server.tasks.image_layout import ImageArchive, ImageChoice
from appengine_server.tasks.image_user import numeric_user

from tests.container.images import digest, tar

PASSWD = b"root:x:0:0:root:/:/bin/sh\n# a comment\nbroken\nada:x:1234:77::/:\n1000:x:5:6::/:\n"
GROUP = b"root:x:0:\nlab:x:88:ada\n"
ACCOUNTS = tar({"etc/passwd": PASSWD, "etc/group": GROUP})


def archive_of(user: str, *layers: bytes) -> bytes:
    config = {
        "os": "linux",
        "architecture": "amd64",
        "config": {"User": user},
        "rootfs": {"diff_ids": [f"sha256:{digest(layer)}" for layer in layers]},
    }
    names = [f"{number}.tar" for number, _ in enumerate(layers)]
    packed = [gzip.compress(layer) if number % 2 else layer for number, layer in enumerate(layers)]
    entries = dict(zip(names, packed, strict=True))
    manifest = json.dumps([{"Config": "c.json", "Layers": names}]).encode()
    return tar({"c.json": json.dumps(config).encode(), **entries, "manifest.json": manifest})


def user_of(user: str, *layers: bytes) -> str:
    content = archive_of(user, *layers)
    return numeric_user(lambda: io.BytesIO(content), image_in(content))


def image_in(content: bytes) -> ImageArchive:
    return inspect_image_archive(io.BytesIO(content), ImageChoice(namespace="a.b", version="1"))


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", ""),
        ("root", ""),
        ("0:0", ""),
        ("ada", "1234:77"),
        ("1234", "1234:77"),
        ("ada:lab", "1234:88"),
        ("ada:99", "1234:99"),
        ("4321", "4321:0"),
        ("4321:lab", "4321:88"),
        ("65532:65532", "65532:65532"),
        ("1000", "5:6"),  # as engines do it: an entry of that name goes first
    ],
)
def test_a_user_is_told_in_numbers(user: str, expected: str) -> None:
    assert user_of(user, ACCOUNTS) == expected


def test_the_highest_layer_counts() -> None:
    newer = tar({"./etc/passwd": b"ada:x:4:5::/:\n"})
    other = tar({"usr/etc/passwd": b"ada:x:8:9::/:\n", "etc/passwd-": b"ada:x:8:9::/:\n"})
    assert user_of("ada", ACCOUNTS, newer, other) == "4:5"


def test_a_layer_that_is_there_twice_counts_where_it_lies_highest() -> None:
    assert user_of("ada", ACCOUNTS, tar({"etc/passwd": b"ada:x:4:5::/:\n"}), ACCOUNTS) == "1234:77"


@pytest.mark.parametrize("whiteout", ["etc/.wh.passwd", "etc/.wh..wh..opq", ".wh.etc"])
def test_what_a_layer_removed_is_gone(whiteout: str) -> None:
    with pytest.raises(ContractError):
        user_of("ada", ACCOUNTS, tar({whiteout: b""}))
    both = tar({whiteout: b"", "etc/passwd": b"ada:x:4:5::/:\n"})
    assert user_of("ada", ACCOUNTS, both) == "4:5"


@pytest.mark.parametrize(
    ("user", "told"),
    [
        ("stranger", "user stranger, whom its /etc/passwd"),
        ("ada:strangers", "group strangers, whom its /etc/group"),
        ("99999999999", "99999999999, which no machine has"),
        ("1:4294967295", "4294967295, which no machine has"),
    ],
)
def test_who_does_not_exist_is_refused(user: str, told: str) -> None:
    with pytest.raises(ContractError) as refused:
        user_of(user, ACCOUNTS)
    [problem] = refused.value.problems
    assert problem.reason == "IMAGE_CANNOT_START"
    assert told in problem.message


def test_an_empty_layer_does_no_harm() -> None:
    assert user_of("ada", ACCOUNTS, b"\0" * 1024) == "1234:77"


def test_what_is_no_small_file_is_empty() -> None:
    with pytest.raises(ContractError):
        user_of("ada", tar({"etc/passwd": PASSWD + b"\n" * (1 << 20)}))


def test_root_needs_no_reading() -> None:
    content = archive_of("root", ACCOUNTS)
    image = image_in(content)
    assert numeric_user(lambda: pytest.fail("it was read"), image) == ""
