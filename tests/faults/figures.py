"""What the rounds of a session took, and the seeds by which each can be played again."""

from __future__ import annotations

import os
import random
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

SEED_VARIABLE = "FAULT_SEED"
MIB = 1024 * 1024

ROUNDS = {
    "round_number": (2, 20),
    "extra_round": (1, 20),
    "cut_round": (10, 50),
    "kill_round": (10, 25),
}
"""How often a test runs that asks for a round by this name: usually, and with the soak tests."""


@dataclass(slots=True)
class Figures:
    """Seconds from the mend of a fault to the right end of the run, by fault."""

    seed: int
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    again: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """MiB that a transfer carried beyond its content, by fault."""

    def chance(self, *round_of: object) -> random.Random:
        """The chances of one round: the same for the same seed, whatever ran before."""
        name = f"{self.seed} {' '.join(map(str, round_of))}"
        print(f"chances of this round: {SEED_VARIABLE}={self.seed}, {name!r}")
        return random.Random(name)

    def add(self, fault: str, seconds: float) -> None:
        self.seconds[fault].append(seconds)

    def add_again(self, fault: str, extra_bytes: int) -> None:
        self.again[fault].append(extra_bytes / MIB)

    def lines(self) -> list[str]:
        """A table: rounds that ended right, and how long they took."""
        found = _table("s", self.seconds)
        if self.again:
            found += ["", *_table("MiB", self.again)]
        rounds = sum(map(len, self.seconds.values()))
        found.append(f"{rounds} rounds ended right; {SEED_VARIABLE}={self.seed}")
        return found


def _table(unit: str, figures: dict[str, list[float]]) -> list[str]:
    what = "fault" if unit == "s" else "carried beyond the content"
    lines = [f"{what:<44}{'rounds':>7}{f'min {unit}':>8}{'median':>8}{'max':>8}"]
    return lines + [_line(fault, values) for fault, values in figures.items()]


def _line(fault: str, values: Sequence[float]) -> str:
    middle = statistics.median(values)
    return f"{fault:<44}{len(values):>7}{min(values):>8.2f}{middle:>8.2f}{max(values):>8.2f}"


def new_figures() -> Figures:
    """Figures under the seed that the environment gives, or under a new one."""
    given = os.environ.get(SEED_VARIABLE)
    return Figures(int(given) if given else random.randrange(2**32))
