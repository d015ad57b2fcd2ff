"""Shows many runs at once on stderr: a live table on a terminal, a line for each end elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from appengine_client.cli.errors import printable, say
from appengine_client.cli.pace import told

if TYPE_CHECKING:
    from rich.table import Table

    from appengine_client._api.batches import Ended
    from appengine_client.transfer import Progress


class Board(Protocol):
    """Shows the items that are worked on."""

    def __enter__(self) -> Board:
        """Begin to show."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the terminal clean."""

    def state(self, item: str, text: str) -> None:
        """What goes on with an item now."""

    def transfer(self, item: str, doing: str, progress: Progress) -> None:
        """How far a transfer for an item is."""

    def ended(self, ended: Ended) -> None:
        """An item has ended."""


def board(total: int) -> Board:
    """The one that suits stderr, for so many items."""
    return LiveBoard(total) if sys.stderr.isatty() else PlainBoard(total)


class Count:
    """How many of all items have ended."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._ended = self._failed = 0

    def add(self, ended: Ended) -> None:
        """One more."""
        self._ended += 1
        self._failed += not ended.succeeded

    def __str__(self) -> str:
        """`12 of 200, 1 failed`."""
        text = f"{self._ended} of {self._total}"
        return f"{text}, {self._failed} failed" if self._failed else text


class PlainBoard:
    """One line for each end, for files and pipes."""

    def __init__(self, total: int) -> None:
        self._count = Count(total)

    def __enter__(self) -> PlainBoard:
        """Begin to show."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Nothing is left to clean."""

    def state(self, item: str, text: str) -> None:
        """Not shown: there would be too much of it."""

    def transfer(self, item: str, doing: str, progress: Progress) -> None:
        """Not shown either."""

    def ended(self, ended: Ended) -> None:
        """An item has ended."""
        self._count.add(ended)
        say(_line(ended, self._count))


class LiveBoard:
    """A table of what is worked on, below the lines of what has ended."""

    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.live import Live

        self._count = Count(total)
        self._rows: dict[str, str] = {}
        self._live = Live(console=Console(stderr=True), transient=True, get_renderable=self._table)

    def __enter__(self) -> LiveBoard:
        """Begin to show."""
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take the table away."""
        self._live.stop()

    def state(self, item: str, text: str) -> None:
        """What goes on with an item now."""
        self._rows[item] = text

    def transfer(self, item: str, doing: str, progress: Progress) -> None:
        """How far a transfer for an item is."""
        self._rows[item] = f"{doing}: {told(progress, None)}"

    def ended(self, ended: Ended) -> None:
        """An item has ended."""
        self._rows.pop(ended.item, None)
        self._count.add(ended)
        line = printable(_line(ended, self._count))
        self._live.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _table(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        for item, text in self._rows.items():
            table.add_row(Text(printable(item)), Text(printable(text)))
        return table


def _line(ended: Ended, count: Count) -> str:
    text = f"{ended.item}: {ended.state} ({count})"
    return f"{text}: {ended.message}" if ended.message else text
