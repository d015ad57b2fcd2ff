"""What a check is: a name, a sentence, the settings that mend what it finds, and the look."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import Literal

from appengine_server.settings import Settings, WrongSetting
from appengine_server.storage.layout import StorageLayout

Outcome = Literal["ok", "warning", "failed", "left out"]


class Severity(Enum):
    """What a finding means."""

    REFUSES = "refuses"
    """The server does not start."""
    FAILS = "fails"
    """It starts, since this may mend itself; until then something that users need does not work."""
    WARNS = "warns"
    """It works, and its administrator should know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that a check found."""

    severity: Severity
    setting: str
    """The variable to change, or several joined by `and`."""
    message: str
    """What is wrong, and what to do."""

    def __str__(self) -> str:
        """Both, as one sentence."""
        return f"{self.setting}: {self.message}"


def refuses(setting: str, message: str) -> Finding:
    """A finding with which the server does not start."""
    return Finding(severity=Severity.REFUSES, setting=setting, message=message)


def fails(setting: str, message: str) -> Finding:
    """A finding with which it starts, and something does not work."""
    return Finding(severity=Severity.FAILS, setting=setting, message=message)


def warns(setting: str, message: str) -> Finding:
    """A finding that its administrator should know of."""
    return Finding(severity=Severity.WARNS, setting=setting, message=message)


def told(severity: Severity, sentence: str) -> Finding:
    """A finding whose sentence begins with the setting already, as refusals of rooms do."""
    setting, _, message = sentence.partition(": ")
    return Finding(severity=severity, setting=setting, message=message)


class LeftOut(Exception):
    """There is nothing to look at, or it cannot be looked at; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What checks look at."""

    settings: Settings
    wrong: Sequence[WrongSetting] = ()
    """Settings that cannot be used; their defaults stand in `settings`."""
    is_served: bool = False
    """A server with these settings serves at this moment, and holds port and data folder."""

    @property
    def layout(self) -> StorageLayout:
        """The storage."""
        return StorageLayout(self.settings.storage.base_path)


Look = Callable[[Surroundings], Awaitable[Sequence[Finding]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that must be right. Checks change nothing that lasts but what they say."""

    name: str
    about: str
    """What is looked at, as a sentence."""
    settings: tuple[str, ...]
    """Variables that are looked at: while one of them is wrong in itself, there is no look."""
    look: Look
    at_start: bool = True
    """False for what needs a server that serves, or the time that pods take: the doctor asks."""
    patience: timedelta = timedelta(seconds=25)
    """Longest look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a check ended."""

    check: Check
    findings: tuple[Finding, ...] = field(default=())
    left_out: str | None = None
    """Why there was no look; None if there was one."""
    seconds: float

    @property
    def outcome(self) -> Outcome:
        """In one word."""
        if self.left_out is not None:
            return "left out"
        if any(finding.severity is not Severity.WARNS for finding in self.findings):
            return "failed"
        return "warning" if self.findings else "ok"
