"""The exit codes, which the server and the administrator find in the pod's status."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """How the agent ended. Only DONE is 0."""

    meaning: str
    """A sentence for people."""

    def __new__(cls, value: int, meaning: str) -> Exit:
        """Make a code with its sentence."""
        code = int.__new__(cls, value)
        code._value_ = value
        code.meaning = meaning
        return code

    DONE = 0, "Everything was moved, and the server has it."
    CRASHED = 1, "A bug: the log holds the traceback. Also when restarting did not help."
    WRONG_SETTINGS = 2, "The command or the environment is wrong."
    SERVER_AWAY = 3, "The server was out of reach for too long."
    NOT_ALLOWED = 4, "The token is not, or no longer, valid for this attempt."
    STALE = 5, "A newer attempt has replaced this one."
    RUN_GONE = 6, "The run does not exist any more."
    NOT_OFFERED = 7, "The server executes tasks without transfer agents."
    STOPPED = 8, "The server ended the attempt before everything was moved."
    TRANSFER_FAILED = 9, "Files could not be moved; the server was told why."
    NOT_UNDERSTOOD = 10, "The server refused or ordered what is not in the protocol."


class Ended(Exception):
    """The agent has nothing more to do. The message is a sentence for the log."""

    def __init__(self, code: Exit, message: str = "") -> None:
        super().__init__(message or code.meaning)
        self.code = code
