"""Shows many runs at once on stderr: a live table on a terminal, a line for each end elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Protocol

from appengine_client.cli.errors import is_silent, printable, say
from appengine_client.cli.live import (
    LeavesNothing,
    ShownLive,
    StatusLine,
    cut,
    live,
    progress_bar,
    row,
    state_text,
)
from appengine_client.cli.pace import told
from appengine_client.cli.words import rough_duration

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.text import Text

    from appengine_client._api.batches import Ended
    from appengine_client.transfer import Progress


_ENOUGH_TO_GUESS = 3
"""Ends after which the time left is told."""


class Board(Protocol):
    """Shows the items that are worked on."""

    def __enter__(self) -> Board:
        """Begin to show."""

    def __exit__(self, *about: object) -> None:
        """Leave the terminal clean."""

    def state(self, item: str, text: str) -> None:
        """What goes on with an item now."""

    def transfer(self, item: str, doing: str, progress: Progress) -> None:
        """How far a transfer for an item is."""

    def ended(self, ended: Ended) -> None:
        """An item has ended."""


def board(total: int) -> Board:
    """The one that suits stderr and --quiet, for so many items."""
    return LiveBoard(total) if sys.stderr.isatty() and not is_silent() else PlainBoard(total)


class Count:
    """How many of all items have ended."""

    def __init__(self, total: int) -> None:
        self._total = total
        self.ended = self._failed = 0

    def add(self, ended: Ended) -> None:
        """One more."""
        self.ended += 1
        self._failed += not ended.succeeded

    def __str__(self) -> str:
        """`12 of 200, 1 failed`."""
        text = f"{self.ended} of {self._total}"
        return f"{text}, {self._failed} failed" if self._failed else text


class PlainBoard(LeavesNothing):
    """One line for each end, for files and pipes."""

    def __init__(self, total: int) -> None:
        self._count = Count(total)

    def state(self, item: str, text: str) -> None:
        """Not shown: there would be too much of it."""

    def transfer(self, item: str, doing: str, progress: Progress) -> None:
        """Not shown either."""

    def ended(self, ended: Ended) -> None:
        """An item has ended."""
        self._count.add(ended)
        say(_line(ended, self._count))


class LiveBoard(ShownLive):
    """A table of what is worked on, and how far all is, below the lines of what has ended."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._count = Count(total)
        self._rows: dict[str, StatusLine] = {}
        self._began = time.monotonic()
        self._live = live(lambda: self)

    def state(self, item: str, text: str) -> None:
        """What goes on with an item now."""
        self._row(item).state(text)

    def transfer(self, item: str, doing: str, progress: Progress) -> None:
        """How far a transfer for an item is."""
        moved = told(progress, None)
        self._row(item).transfer(doing, moved, progress.done_bytes, progress.total_bytes)

    def ended(self, ended: Ended) -> None:
        """An item has ended."""
        self._rows.pop(ended.item, None)
        self._count.add(ended)
        self._live.console.print(_coloured(ended), highlight=False)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table, never wider nor higher than the terminal."""
        from rich.text import Text

        shown = list(self._rows.items())[: max(console.height - 2, 1)]
        width = min(max((len(item) for item, _ in shown), default=1), options.max_width // 3)
        for item, status in shown:
            name = cut(printable(item), width, keep_end=True)
            yield row([(name, width + 1), *status.cells(options.max_width - width - 2)])
        bar_width = min(options.max_width // 3, 30)
        bar = progress_bar(self._count.ended / self._total, bar_width)
        said = f"{self._count}{self._left()}"
        yield row([(bar, bar_width + 1), (Text(said, style="dim"), len(said))])

    def _left(self) -> str:
        """How long the rest may take, once that can be guessed."""
        ended = self._count.ended
        if ended < _ENOUGH_TO_GUESS:
            return ""
        left = (self._total - ended) * (time.monotonic() - self._began) / ended
        return f", about {rough_duration(left)} left" if left else ""

    def _row(self, item: str) -> StatusLine:
        return self._rows.setdefault(item, StatusLine())


def _coloured(ended: Ended) -> Text:
    from rich.text import Text

    text = Text.assemble(printable(ended.item), ": ", state_text(ended.state))
    return text.append(f": {printable(ended.message)}") if ended.message else text


def _line(ended: Ended, count: Count) -> str:
    text = f"{ended.item}: {ended.state} ({count})"
    return f"{text}: {ended.message}" if ended.message else text
