"""Shows what happens on stderr: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import codecs
import re
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from appengine_client.cli.errors import printable, say
from appengine_client.cli.pace import Pace, told

if TYPE_CHECKING:
    from appengine_client.transfer import Progress

_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])")
_PLAIN_EVERY_SECONDS = 10.0


class Reporter(Protocol):
    """Shows states, transfers and log lines while a command works."""

    def __enter__(self) -> Reporter:
        """Begin to show."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the terminal clean."""

    def line(self, text: str) -> None:
        """A line that stays."""

    def state(self, text: str) -> None:
        """What is going on now."""

    def transfer(self, doing: str, progress: Progress) -> None:
        """How far a transfer is."""

    def pause(self) -> None:
        """Leave the terminal to a question; `state` and `transfer` go on."""


def reporter() -> Reporter:
    """The one that suits stderr."""
    return LiveReporter() if sys.stderr.isatty() else PlainReporter()


class PlainReporter:
    """One line for each change, for files and pipes."""

    def __init__(self) -> None:
        self._last_state = ""
        self._last_transfer_at = 0.0
        self._pace = Pace()

    def __enter__(self) -> PlainReporter:
        """Begin to show."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Nothing is left to clean."""

    def line(self, text: str) -> None:
        """A line that stays."""
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


class LiveReporter:
    """A line with a spinner, and a bar while bytes move; log lines pass above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn
        from rich.progress import Progress as Bars

        self._bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[moved]}", markup=False),
            console=Console(stderr=True),
            transient=True,
        )
        self._pace = Pace()
        self._line: Any = self._bars.add_task("", total=None, moved="")

    def __enter__(self) -> LiveReporter:
        """Begin to show."""
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take the live line away."""
        self._bars.stop()

    def line(self, text: str) -> None:
        """A line that stays, above the live one."""
        self._bars.console.print(printable(text), markup=False, highlight=False, soft_wrap=True)

    def state(self, text: str) -> None:
        """What is going on now."""
        self._start()
        self._bars.update(self._line, description=printable(text), total=None, moved="")

    def transfer(self, doing: str, progress: Progress) -> None:
        """How far a transfer is."""
        self._start()
        rate = self._pace.at(time.monotonic(), progress.done_bytes)
        self._bars.update(
            self._line,
            description=doing,
            completed=progress.done_bytes,
            total=max(progress.total_bytes, 1),
            moved=printable(progress.waiting_because) or told(progress, rate),
        )

    def pause(self) -> None:
        """Take the live line away until something changes."""
        self._bars.stop()

    def _start(self) -> None:
        if not self._bars.live.is_started:
            self._bars.start()


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
