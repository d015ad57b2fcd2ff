"""What the live views on a terminal share: colours of states, and how a view is kept up to date."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Self, TextIO

from appengine_client.cli.words import rough_duration

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.live import Live
    from rich.spinner import Spinner
    from rich.text import Text

# Of the 16 colours that every terminal has: the user's theme decides how they look, and these can
# be read on dark and on light.
STATE_STYLES = {
    "RUNNING": "cyan",
    "FINALIZING": "cyan",
    "SUCCEEDED": "green",
    "READY": "green",
    "FAILED": "bold red",
    "REFUSED": "bold red",
    "NOT FETCHED": "bold red",
    "CANCELLING": "magenta",
    "CANCELLED": "magenta",
}
"""By the words of states; all others look as the rest of the text."""
_REFRESHES_PER_SECOND = 8
_SHOWN_SECONDS = 2
"""How long something takes before it is said."""
_LEAST_BAR, _MOST_BAR = 10, 30
_SPINNER_WIDTH = 2
_CODES = {"cyan": "36", "green": "32", "bold red": "1;31", "magenta": "35", "bold": "1"}


def live(view: Callable[[], RenderableType]) -> Live:
    """A view on stderr that is drawn anew all the time, and goes away in the end."""
    from rich.console import Console
    from rich.live import Live

    return Live(
        console=Console(stderr=True),
        transient=True,
        get_renderable=view,
        refresh_per_second=_REFRESHES_PER_SECOND,
        # What goes to stdout passes above the view, but not where it is no terminal: rich would
        # send it to stderr all the same, and a file would miss it.
        redirect_stdout=sys.stdout.isatty(),
    )


class LeavesNothing:
    """What is shown in lines that stay: at its end there is nothing to clean."""

    def __enter__(self) -> Self:
        """Begin to show."""
        return self

    def __exit__(self, *about: object) -> None:
        """Nothing is left to clean."""


class ShownLive:
    """What a live view shows, from its beginning to its end."""

    _live: Live

    def __enter__(self) -> Self:
        """Begin to show."""
        self._live.start()
        return self

    def __exit__(self, *about: object) -> None:
        """Take the view away."""
        self._live.stop()


class StatusLine:
    """One line on what goes on: for how long, or how far, with a bar where there is room."""

    def __init__(self) -> None:
        self._text = self._moved = ""
        self._share: float | None = None
        self._since = time.monotonic()
        self._spinner: Spinner | None = None

    def state(self, text: str) -> None:
        """What is going on now."""
        if text != self._text:
            self._since = time.monotonic()
        self._text, self._moved, self._share = text, "", None

    def transfer(self, doing: str, moved: str, done_bytes: int, total_bytes: int) -> None:
        """How far a transfer is."""
        self._text, self._moved = doing, moved
        self._share = done_bytes / total_bytes if total_bytes else 1.0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The line alone."""
        if self._text:
            yield row(self.cells(options.max_width))

    def cells(self, room: int) -> list[Cell]:
        """The parts of the line, which together take no more than this room."""
        from rich.spinner import Spinner
        from rich.text import Text

        self._spinner = self._spinner or Spinner("dots", style="cyan")
        seconds = time.monotonic() - self._since
        told = self._moved or (rough_duration(seconds) if seconds >= _SHOWN_SECONDS else "")
        left = room - _SPINNER_WIDTH - (len(told) + 1 if told else 0)
        text_width = max(min(len(self._text), left), 1)
        cells: list[Cell] = [(self._spinner, 1), (cut(self._text, text_width), text_width)]
        left -= text_width + 1
        if self._share is not None and left >= _LEAST_BAR:
            width = min(left, _MOST_BAR)
            cells.append((progress_bar(self._share, width), width))
        return [*cells, (Text(told, style="dim"), len(told))] if told else cells


def progress_bar(share: float, width: int) -> RenderableType:
    """How far something is, from 0 to 1."""
    from rich.progress_bar import ProgressBar

    return ProgressBar(1.0, share, width=width, style="bright_black", complete_style="cyan")


Cell = tuple["RenderableType", int]
"""Something with its width."""


def row(cells: Sequence[Cell], gap: int = 1) -> RenderableType:
    """Cells beside each other, each as wide as it says: rich itself would squeeze some away."""
    from rich.table import Table

    line = Table.grid(padding=(0, gap, 0, 0), pad_edge=False)
    for _, width in cells:
        line.add_column(width=max(width, 1), no_wrap=True)
    line.add_row(*(cell for cell, _ in cells))
    return line


def cut(text: str, width: int, *, keep_end: bool = False) -> Text:
    """The text, or as much of it as there is room for."""
    from rich.text import Text

    if keep_end and len(text) > width:
        return Text(f"…{text[len(text) - max(width, 1) + 1 :]}", no_wrap=True)
    line = Text(text, no_wrap=True)
    line.truncate(max(width, 1), overflow="ellipsis")
    return line


def state_text(word: str) -> Text:
    """A state in its colour."""
    from rich.text import Text

    return Text(word, style=STATE_STYLES.get(word, ""), no_wrap=True)


def takes_colours(stream: TextIO = sys.stdout) -> bool:
    """Whether colours are seen and wanted there: https://no-color.org."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def painted(text: str, style: str) -> str:
    """The text with the codes of a style, for a stream that takes colours."""
    code = _CODES.get(style)
    return f"\x1b[{code}m{text}\x1b[0m" if code else text
