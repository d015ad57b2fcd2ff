"""What the rounds of a session took, and the seeds by which each can be played again."""

from __future__ import annotations

import os
import random
import statistics
from collections import defaultdict
from dataclasses import dataclass, field

SEED_VARIABLE = "FAULT_SEED"

QUICK_ROUNDS = {"round_number": 2, "extra_round": 1}
"""How often a test runs that asks for a round by this name."""
SOAK_ROUNDS = 20
"""With the soak tests."""


@dataclass(slots=True)
class Figures:
    """Seconds from the mend of a fault to the right end of the run, by fault."""

    seed: int
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def chance(self, *round_of: object) -> random.Random:
        """The chances of one round: the same for the same seed, whatever ran before."""
        name = f"{self.seed} {' '.join(map(str, round_of))}"
        print(f"chances of this round: {SEED_VARIABLE}={self.seed}, {name!r}")
        return random.Random(name)

    def add(self, fault: str, seconds: float) -> None:
        self.seconds[fault].append(seconds)

    def lines(self) -> list[str]:
        """A table: rounds that ended right, and how long they took."""
        found = [f"{'fault':<44}{'rounds':>7}{'min s':>8}{'median':>8}{'max':>8}"]
        for fault, took in self.seconds.items():
            middle = statistics.median(took)
            found.append(
                f"{fault:<44}{len(took):>7}{min(took):>8.2f}{middle:>8.2f}{max(took):>8.2f}"
            )
        rounds = sum(len(took) for took in self.seconds.values())
        found.append(f"{rounds} rounds ended right; {SEED_VARIABLE}={self.seed}")
        return found


def new_figures() -> Figures:
    """Figures under the seed that the environment gives, or under a new one."""
    given = os.environ.get(SEED_VARIABLE)
    return Figures(int(given) if given else random.randrange(2**32))
