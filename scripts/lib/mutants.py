"""Tells how many mutants were killed, by module, and lists the survivors in a file.

    python scripts/lib/mutants.py FOLDER

Ends with 1 when fewer than 85 % of those that were tried were killed.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

FEWEST_KILLED = 0.85
_VERDICTS = {
    0: "survived",
    1: "killed",
    3: "killed",  # pytest itself broke
    5: "untested",
    24: "killed",  # it ran into the limit of time
    -24: "killed",
    33: "untested",
    36: "killed",
    152: "killed",
    255: "killed",
}
"""By mutmut's code; others mean that a mutant broke the process, which kills it too."""


def main() -> int:
    """Print the table."""
    place = Path(sys.argv[1])
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    survivors = []
    for name, verdict in verdicts(place):
        module = name.partition(".x")[0].removeprefix("appengine_contract.")
        counts[module][verdict] += 1
        if verdict != "killed":
            survivors.append(name)
    if not counts:
        print("error: no mutant was tried", file=sys.stderr)
        return 1
    for module, found in sorted(counts.items()):
        print(line(module, found))
    total = sum(counts.values(), Counter[str]())
    print(line("all", total))
    listed = place / "survivors.txt"
    listed.write_text("".join(f"{name}\n" for name in sorted(survivors)))
    print(f"Survivors: {listed}; `mutmut show NAME` in {place} shows one.")
    return 0 if total["killed"] >= FEWEST_KILLED * total.total() else 1


def verdicts(place: Path) -> Iterator[tuple[str, str]]:
    """Every mutant that was tried."""
    for path in place.glob("mutants/src/**/*.meta"):
        for name, code in json.loads(path.read_text()).get("exit_code_by_key", {}).items():
            if code is not None:
                yield name, _VERDICTS.get(code, "killed")


def line(what: str, found: Counter[str]) -> str:
    """A row of the table."""
    killed, of = found["killed"], found.total()
    return f"{what:<40}{killed:>6} of {of:>5}  {killed / of:>6.1%}"


if __name__ == "__main__":
    sys.exit(main())
