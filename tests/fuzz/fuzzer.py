"""Lets a coverage-guided fuzzer loose on one target, in a process of its own.

    python -m tests.fuzz.fuzzer TARGET CORPUS FOUND SECONDS

What reaches new code is kept in the folder CORPUS, what broke the target in the folder FOUND. Ends
with 0 when nothing broke.
"""

from __future__ import annotations

import os
import random
import resource
import sys
import warnings
from pathlib import Path
from typing import Any

import atheris

MEMORY_MIB = 512
SECONDS_PER_INPUT = 1
_LARGEST_BYTES = 64 << 10
"""Longer ones are rare among what breaks a parser, and there would be few in the time. The quick
tests try inputs of 1 MiB."""


def main() -> None:
    """Fuzz until the time is over, or something breaks."""
    name, corpus, found, seconds = sys.argv[1:]
    with atheris.instrument_imports(include=["appengine_contract", "appengine_server"]):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[name]
    dictionary = Path(corpus).with_suffix(".dict")
    dictionary.write_text("".join(f'"{_escaped(token)}"\n' for token in target.tokens))
    for number, sample in enumerate(target.samples()):
        (Path(corpus) / f"sample-{number}").write_bytes(sample)
        target.check(sample)  # loads what is loaded late, before memory is limited

    def damage(data: bytes, max_size: int, seed: int) -> bytes:
        def mutate(part: bytes) -> bytes:
            return bytes(atheris.Mutate(part, max(1, min(max_size, 2 * len(part) + 64))))

        chance = random.Random(seed)
        if chance.random() < 0.1:
            from tests.fuzz.mutations import damaged_bytes

            return damaged_bytes(data, chance, target.tokens)[:max_size]
        return target.damage(data, chance, mutate)[:max_size]

    options = {
        "max_total_time": seconds,
        "timeout": SECONDS_PER_INPUT,
        "rss_limit_mb": MEMORY_MIB,
        "max_len": _LARGEST_BYTES,
        "artifact_prefix": f"{found}/",
        "dict": dictionary,
        "print_final_stats": 1,
        "verbosity": 1,
    }
    warnings.simplefilter("ignore")  # zips with two entries of one name are what we want
    _limit_memory()
    arguments = [sys.argv[0], *(f"-{key}={value}" for key, value in options.items()), corpus]
    atheris.Setup(arguments, _checked(target), custom_mutator=damage)
    atheris.Fuzz()


def _checked(target: Any) -> Any:
    def check(data: bytes) -> None:
        target.check(data)

    return check


def _limit_memory() -> None:
    # The fuzzer itself looks at the memory once a second only.
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_MIB << 20, MEMORY_MIB << 20))


def _escaped(token: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in token)


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    main()
