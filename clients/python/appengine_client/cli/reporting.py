"""Shows what happens on stderr: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import codecs
import re
import sys
import time
from typing import TYPE_CHECKING, Protocol

from appengine_client.cli.errors import complain, is_silent, printable, say
from appengine_client.cli.live import LeavesNothing, ShownLive, StatusLine, live
from appengine_client.cli.pace import Pace, told

if TYPE_CHECKING:
    from appengine_client.transfer import Progress

_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])")
_PLAIN_EVERY_SECONDS = 10.0


class Reporter(Protocol):
    """Shows states, transfers and log lines while a command works."""

    def __enter__(self) -> Reporter:
        """Begin to show."""

    def __exit__(self, *about: object) -> None:
        """Leave the terminal clean."""

    def line(self, text: str) -> None:
        """A line that stays."""

    def error(self, text: str) -> None:
        """A line that stays, and is shown also where nothing else is."""

    def state(self, text: str) -> None:
        """What is going on now."""

    def transfer(self, doing: str, progress: Progress) -> None:
        """How far a transfer is."""

    def pause(self) -> None:
        """Leave the terminal to a question; `state` and `transfer` go on."""


def reporter() -> Reporter:
    """The one that suits stderr and --quiet."""
    if is_silent():
        return SilentReporter()
    return LiveReporter() if sys.stderr.isatty() else PlainReporter()


class SilentReporter(LeavesNothing):
    """Errors alone."""

    def line(self, text: str) -> None:
        """Not shown."""

    def error(self, text: str) -> None:
        """A line that stays."""
        complain(text)

    def state(self, text: str) -> None:
        """Not shown."""

    def transfer(self, doing: str, progress: Progress) -> None:
        """Not shown."""

    def pause(self) -> None:
        """Nothing is in the way of a question."""


class PlainReporter(LeavesNothing):
    """One line for each change, for files and pipes."""

    def __init__(self) -> None:
        self._last_state = ""
        self._last_transfer_at = 0.0
        self._pace = Pace()

    def line(self, text: str) -> None:
        """A line that stays."""
        say(text)

    def error(self, text: str) -> None:
        """A line that stays too."""
        say(text)

    def state(self, text: str) -> None:
        """What is going on now, once."""
        if text != self._last_state:
            self._last_state = text
            say(text)

    def transfer(self, doing: str, progress: Progress) -> None:
        """How far a transfer is, now and then."""
        if progress.waiting_because:
            self.state(f"{doing}: waiting, {progress.waiting_because}")
            return
        now = time.monotonic()
        rate = self._pace.at(now, progress.done_bytes)
        is_done = progress.done_bytes == progress.total_bytes
        if is_done or now - self._last_transfer_at >= _PLAIN_EVERY_SECONDS:
            self._last_transfer_at = now
            self.state(f"{doing}: {told(progress, rate)}")

    def pause(self) -> None:
        """Nothing is in the way of a question."""


class LiveReporter(ShownLive):
    """One line that changes, with a bar while bytes move; lines that stay pass above it."""

    def __init__(self) -> None:
        self._status = StatusLine()
        self._live = live(lambda: self._status)
        self._is_drawn = False
        self._pace = Pace()

    def line(self, text: str) -> None:
        """A line that stays, above the live one."""
        self._live.console.print(printable(text), markup=False, highlight=False, soft_wrap=True)

    def error(self, text: str) -> None:
        """A line that stays too."""
        self.line(text)

    def state(self, text: str) -> None:
        """What is going on now."""
        self._status.state(printable(text))
        self._draw()

    def transfer(self, doing: str, progress: Progress) -> None:
        """How far a transfer is."""
        rate = self._pace.at(time.monotonic(), progress.done_bytes)
        moved = printable(progress.waiting_because) or told(progress, rate)
        self._status.transfer(doing, moved, progress.done_bytes, progress.total_bytes)
        self._draw()

    def pause(self) -> None:
        """Take the live line away until something changes."""
        self._live.stop()

    def _draw(self) -> None:
        """Draw the first text at once; later ones are drawn by rich's thread.

        A line that is printed while the thread draws for the first time would not know of the live
        one, and be written behind it.
        """
        if not self._live.is_started:
            self._live.start(refresh=True)
        elif not self._is_drawn:
            self._live.refresh()
        self._is_drawn = True


class LogLines:
    """Bytes of a log as lines: what steers a terminal is taken out, bars show their last state."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def feed(self, data: bytes) -> list[str]:
        """The lines that are whole now."""
        *lines, self._rest = (self._rest + self._decoder.decode(data)).split("\n")
        return [_clean(line) for line in lines]

    def end(self) -> list[str]:
        """The last line, when it did not end."""
        rest, self._rest = self._rest + self._decoder.decode(b"", final=True), ""
        return [_clean(rest)] if rest else []


def _clean(line: str) -> str:
    last = line.rstrip("\r").rpartition("\r")[2]
    return printable(_ESCAPES.sub("", last))
