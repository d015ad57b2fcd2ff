"""Problems with a descriptor, a value or an output: a path, a reason, a sentence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong, or odd."""

    path: str
    """Where, such as `inputs.threshold.type.leq` or `probs[17]`."""
    reason: str
    """Stable identifier in UPPER_SNAKE, one per kind of problem."""
    message: str
    """A sentence: what was found, and what is expected."""
    line: int | None = None
    """Line in the descriptor, counted from 1."""

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class ContractError(ValueError):
    """What was read breaks the contract. Lists every problem that was found."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(str(problem) for problem in self.problems))
