"""Who may see and change which project, and how tokens are read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from appengine_server.errors import InvalidArgument, NotFound, PermissionDenied
from appengine_server.identity import (
    LOCAL,
    SHARED_PROJECT,
    BadTokenFile,
    Principal,
    TokenFile,
)
from structlog.testing import capture_logs

ANNA = Principal("anna", frozenset({"liver", "lung"}), "liver")
ADMIN = Principal("admin", frozenset({SHARED_PROJECT, "ops"}), "ops")

TOKEN_A = "aaaaaaaaaaaaaaaa-a"
TOKEN_B = "bbbbbbbbbbbbbbbb-b"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def token_path(tmp_path: Path) -> Path:
    return write(tmp_path / "tokens", f"{TOKEN_A} anna liver,lung\n")


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_an_empty_project_is_the_default_one() -> None:
    assert ANNA.resolve_project("") == "liver"
    assert LOCAL.resolve_project("") == "default"


def test_own_projects_and_the_shared_one_resolve() -> None:
    assert ANNA.resolve_project("lung") == "lung"
    assert ANNA.resolve_project(SHARED_PROJECT) == SHARED_PROJECT
    assert LOCAL.resolve_project("anything") == "anything"


def test_a_project_of_others_is_not_found() -> None:
    with pytest.raises(NotFound, match="no project brain") as refused:
        ANNA.resolve_project("brain")
    assert refused.value.fields == {"project": "brain"}
    with pytest.raises(NotFound):
        ANNA.may_change("brain")


def test_the_shared_project_is_changed_only_by_its_owners() -> None:
    with pytest.raises(PermissionDenied, match="may read the project shared"):
        ANNA.may_change(SHARED_PROJECT)
    ADMIN.may_change(SHARED_PROJECT)
    LOCAL.may_change(SHARED_PROJECT)
    ANNA.may_change("lung")


def test_queries_are_told_what_is_readable() -> None:
    assert ANNA.readable_projects == ["liver", "lung", "shared"]
    assert ADMIN.readable_projects == ["ops", "shared"]
    assert LOCAL.readable_projects is None


@pytest.mark.parametrize("name", ["a", "0", "liver-2.b_c", "a" * 63])
def test_names_that_a_project_can_have(name: str) -> None:
    assert LOCAL.resolve_project(name) == name


@pytest.mark.parametrize(
    "name", ["A", "-a", ".", "..", "a/b", "a b", "a\n", "ä", "a" * 64, "_a", "a\0"]
)
def test_names_that_no_project_can_have(name: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        LOCAL.resolve_project(name)
    [problem] = refused.value.problems
    assert (problem.path, problem.reason) == ("project", "PROJECT_NAME")
    assert "lower-case letters" in problem.message


def test_a_token_names_its_principal(token_path: Path) -> None:
    write(
        token_path,
        f"# who may call\n\n{TOKEN_A} anna liver,lung  # until May\n{TOKEN_B} bert@x shared\n",
    )
    tokens = TokenFile(token_path)
    assert tokens.principal_of(TOKEN_A) == ANNA
    assert tokens.principal_of(TOKEN_B) == Principal("bert@x", frozenset({"shared"}), "shared")
    assert tokens.principal_of(TOKEN_A + "x") is None
    assert tokens.principal_of("") is None


def test_a_token_can_be_replaced_without_a_gap(token_path: Path) -> None:
    write(token_path, f"{TOKEN_A} anna liver\n{TOKEN_B} anna liver\n")
    tokens = TokenFile(token_path)
    assert tokens.principal_of(TOKEN_A) == tokens.principal_of(TOKEN_B)


def test_tokens_are_not_kept_as_they_are(token_path: Path) -> None:
    tokens = TokenFile(token_path)
    assert TOKEN_A not in repr(vars(tokens))


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620])
def test_a_file_that_others_can_read_is_refused(token_path: Path, mode: int) -> None:
    token_path.chmod(mode)
    with pytest.raises(BadTokenFile, match=r"others may read it.*600"):
        TokenFile(token_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has files of root")
def test_a_file_that_root_gave_to_our_group_is_taken_as_kubernetes_mounts_secrets(
    token_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 65532)
    token_path.chmod(0o440)
    assert TokenFile(token_path).principal_of(TOKEN_A) is not None
    for mode in (0o460, 0o444, 0o450):
        token_path.chmod(mode)
        with pytest.raises(BadTokenFile, match="others may read it"):
            TokenFile(token_path)


def test_every_problem_is_listed_with_its_line_and_without_the_token(token_path: Path) -> None:
    lines = [
        "tooshort anna liver",
        f"{TOKEN_A} anna",
        f"{TOKEN_A} anna Liver,liver,liver",
        f"{TOKEN_B} an/na liver",
        f"{TOKEN_A} bert liver",
        f"{TOKEN_A} carl liver",
        f"{TOKEN_B} bert lung",
        "tökentökentökentöken dora liver",
    ]
    write(token_path, "\n".join(lines))
    with pytest.raises(BadTokenFile) as refused:
        TokenFile(token_path)
    text = str(refused.value)
    found = [line.split(": ", 1)[1] for line in text.splitlines()]
    assert [problem.split(":")[0] for problem in found] == [
        "line 1", "line 2", "line 3", "line 3", "line 4", "line 6", "line 7", "line 8",
    ]  # fmt: skip
    assert "shorter than 16" in found[0]
    assert "expected `<token>" in found[1]
    assert "stands on line 5 already" in found[5]
    assert "other projects on an earlier line" in found[6]
    assert TOKEN_A not in text
    assert "tooshort" not in text


@pytest.mark.parametrize("text", ["", "# nothing\n\n"])
def test_a_file_without_tokens_is_refused(token_path: Path, text: str) -> None:
    write(token_path, text)
    with pytest.raises(BadTokenFile, match="holds no token"):
        TokenFile(token_path)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadTokenFile, match="cannot be read: No such file"):
        TokenFile(tmp_path / "absent")
    path = write(tmp_path / "binary", "")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(BadTokenFile, match="not UTF-8"):
        TokenFile(path)
    path.write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(BadTokenFile, match="larger than 1 MiB"):
        TokenFile(path)


def test_a_changed_file_is_read_again_within_a_second(token_path: Path) -> None:
    clock = Clock()
    tokens = TokenFile(token_path, clock=clock)
    replacement = write(token_path.with_name("new"), f"{TOKEN_B} bert lung\n")
    os.replace(replacement, token_path)
    clock.now += 0.9
    assert tokens.principal_of(TOKEN_A) == ANNA
    clock.now += 0.2
    assert tokens.principal_of(TOKEN_A) is None
    assert tokens.principal_of(TOKEN_B) == Principal("bert", frozenset({"lung"}), "lung")


@pytest.mark.parametrize("breakage", ["garbage", "gone", "open to others"])
def test_a_broken_new_file_keeps_the_old_tokens_and_is_logged_once(
    token_path: Path, breakage: str
) -> None:
    clock = Clock()
    tokens = TokenFile(token_path, clock=clock)
    if breakage == "garbage":
        write(token_path, f"{TOKEN_B} half-a-li")
    elif breakage == "gone":
        token_path.unlink()
    else:
        token_path.chmod(0o644)
    with capture_logs() as logs:
        for _ in range(3):
            clock.now += 2
            assert tokens.principal_of(TOKEN_A) == ANNA
    assert [line["event"] for line in logs] == ["tokens.kept_old"]
    assert TOKEN_B not in str(logs)
    write(token_path, f"{TOKEN_B} bert lung\n")
    clock.now += 2
    assert tokens.principal_of(TOKEN_A) is None
