"""Who calls, and what of the projects that principal may see and change."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from uuid import UUID

import structlog
from appengine_contract.problems import Problem

from appengine_server.errors import InvalidArgument, NotFound, PermissionDenied

log = structlog.get_logger(__name__)

SHARED_PROJECT = "shared"
"""The project that everybody may read. Only those who have it in their token change it."""

_PROJECT_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,62})", re.ASCII)
_PRINCIPAL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._-]{0,127}", re.ASCII)
_MIN_TOKEN_CHARACTERS = 16
_MAX_TOKEN_FILE_BYTES = 1024 * 1024
_CHECK_INTERVAL_SECONDS = 1.0

_PROJECT_NAME_RULE = (
    "1 to 63 lower-case letters, digits, dots, underscores and hyphens, beginning with a letter"
    " or digit"
)


@dataclass(frozen=True, slots=True)
class Principal:
    """One who calls, and the projects that are theirs."""

    name: str
    projects: frozenset[str] | None
    """None: every project, as on an open loopback."""
    default_project: str

    def resolve_project(self, requested: str) -> str:
        """The project that a request means; empty means the default one.

        Raises InvalidArgument for what cannot be a project's name, and NotFound for a project
        that the principal cannot see.
        """
        project = requested or self.default_project
        check_project_name(project)
        if project != SHARED_PROJECT and not self._owns(project):
            raise _no_such_project(project)
        return project

    def may_change(self, project: str) -> None:
        """Return if the principal may change what is in this project.

        Raises PermissionDenied where it may only read, NotFound where it may not even see.
        """
        if self._owns(project):
            return
        if project == SHARED_PROJECT:
            raise PermissionDenied(
                f"you may read the project {project} but not change it; use a project of your own,"
                " or ask an administrator",
                fields={"project": project},
            )
        raise _no_such_project(project)

    @property
    def readable_projects(self) -> list[str] | None:
        """What a query may show: names in order, or None for every project."""
        return None if self.projects is None else sorted(self.projects | {SHARED_PROJECT})

    def _owns(self, project: str) -> bool:
        return self.projects is None or project in self.projects


class Direction(StrEnum):
    """Which way an agent moves data."""

    FETCH = "FETCH"
    """Inputs to the task."""
    TRANSFER = "TRANSFER"
    """Outputs from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptPrincipal:
    """The agent that moves the data of one attempt in one direction."""

    run_id: UUID
    attempt: int
    direction: Direction

    @property
    def name(self) -> str:
        """For logs, and as the owner of what it sends; no user can have this name."""
        return f"attempt:{self.run_id}/{self.attempt}/{self.direction.value.lower()}"


Caller = Principal | AttemptPrincipal
"""Who may call at all: most calls are for a `Principal` alone."""


LOCAL = Principal("local", None, "default")
"""Everybody on an open loopback."""


def check_project_name(project: str) -> None:
    """Raise InvalidArgument unless this can be the name of a project."""
    if _PROJECT_NAME.fullmatch(project):
        return
    problem = Problem(
        path="project",
        reason="PROJECT_NAME",
        message=f"expected {_PROJECT_NAME_RULE}; found {project[:80]!r}",
    )
    raise InvalidArgument("the project's name is not valid", problems=[problem])


def _no_such_project(project: str) -> NotFound:
    return NotFound(
        f"there is no project {project} that you may see; check its name and your token",
        fields={"project": project},
    )


class BadTokenFile(Exception):
    """The token file cannot be used. The message is one sentence per problem, each on a line."""


Clock = Callable[[], float]


class TokenFile:
    """The principals of a token file, read again when the file changes.

    One principal a line: `<token> <principal> <project>[,<project>…]`. The first project is the
    default one; `#` begins a comment. Only hashes of the tokens are kept. Several tokens of one
    principal are allowed, so that a token can be replaced without a gap.
    """

    def __init__(self, path: Path, *, clock: Clock = time.monotonic) -> None:
        """Read the file. Raises BadTokenFile with every problem."""
        self._path = path
        self._clock = clock
        self._seen = _version(path)
        self._next_check = clock() + _CHECK_INTERVAL_SECONDS
        self._principals = _read(path)

    def principal_of(self, token: str) -> Principal | None:
        """The principal whose token this is, or None. Takes the same time for every token."""
        self._refresh()
        wanted = _hash(token)
        found: Principal | None = None
        for known, principal in self._principals.items():
            if hmac.compare_digest(known, wanted):
                found = principal
        return found

    def _refresh(self) -> None:
        if self._clock() < self._next_check:
            return
        self._next_check = self._clock() + _CHECK_INTERVAL_SECONDS
        version = _version(self._path)
        if version == self._seen:
            return
        self._seen = version
        try:
            self._principals = _read(self._path)
        except BadTokenFile as error:
            problems = str(error).splitlines()
            # An operator's slip and not a bug: its traceback would tell nothing.
            log.error("tokens.kept_old", path=str(self._path), problems=problems)  # noqa: TRY400
        else:
            log.info("tokens.reloaded", path=str(self._path), tokens=len(self._principals))


def _version(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _read(path: Path) -> dict[bytes, Principal]:
    text = _private_text(path)
    entries = _Entries()
    for number, line in enumerate(text.splitlines(), start=1):
        entries.add(number, line.split("#", 1)[0].split())
    if not entries.principals and not entries.problems:
        entries.problems.append("it holds no token; add `<token> <principal> <project>`")
    if entries.problems:
        raise BadTokenFile(
            "\n".join(f"token file {path}: {problem}." for problem in entries.problems)
        )
    return entries.principals


def _private_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            mode = stat.S_IMODE(status.st_mode)
            if mode & _opened_to_others(status):
                raise BadTokenFile(
                    f"token file {path}: others may read it (mode {mode:04o}); set its mode to 600."
                )
            content = file.read(_MAX_TOKEN_FILE_BYTES + 1)
        if len(content) > _MAX_TOKEN_FILE_BYTES:
            raise BadTokenFile(f"token file {path}: it is larger than 1 MiB.")
        return content.decode()
    except OSError as error:
        raise BadTokenFile(f"token file {path}: it cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise BadTokenFile(f"token file {path}: it is not UTF-8 text.") from error


def _opened_to_others(status: os.stat_result) -> int:
    """The bits that must not be set."""
    # Kubernetes gives a Secret to the pod's group, where its processes are not root: 0440, root's.
    by_group = status.st_uid == 0 and os.geteuid() != 0
    return 0o037 if by_group else 0o077


class _Entries:
    """What was read so far. Problems name lines and never repeat a token."""

    def __init__(self) -> None:
        self.principals: dict[bytes, Principal] = {}
        self.problems: list[str] = []
        self._lines: dict[bytes, int] = {}
        self._projects: dict[str, tuple[str, ...]] = {}

    def add(self, number: int, words: list[str]) -> None:
        if not words:
            return
        if len(words) != 3:
            self.problems.append(
                f"line {number}: expected `<token> <principal> <project>[,<project>…]`,"
                f" found {len(words)} words"
            )
            return
        token, name, projects = words[0], words[1], tuple(words[2].split(","))
        problems = list(self._problems_of(token, name, projects))
        self.problems += [f"line {number}: {text}" for text in problems]
        if problems:
            return
        self._lines[_hash(token)] = number
        self._projects[name] = projects
        self.principals[_hash(token)] = Principal(name, frozenset(projects), projects[0])

    def _problems_of(self, token: str, name: str, projects: tuple[str, ...]) -> Iterable[str]:
        if len(token) < _MIN_TOKEN_CHARACTERS:
            yield f"the token is shorter than {_MIN_TOKEN_CHARACTERS} characters"
        if not (token.isascii() and token.isprintable()):
            yield "the token has characters that no header can carry"
        if (earlier := self._lines.get(_hash(token))) is not None:
            yield f"the token stands on line {earlier} already"
        if not _PRINCIPAL_NAME.fullmatch(name):
            yield f"{name[:80]!r} cannot be the name of a principal"
        if self._projects.get(name, projects) != projects:
            yield f"the principal {name} has other projects on an earlier line"
        yield from _project_problems(projects)


def _project_problems(projects: tuple[str, ...]) -> Iterator[str]:
    for project in projects:
        if not _PROJECT_NAME.fullmatch(project):
            yield f"{project[:80]!r} is not a project: expected {_PROJECT_NAME_RULE}"
    if len(set(projects)) != len(projects):
        yield "a project is named twice"
