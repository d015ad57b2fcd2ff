"""Puts inputs to one target again, in a process of its own with little memory.

    python -m tests.fuzz.replay TARGET [--coverage FILE] FOLDER|FILE…

Ends with 1 where the target breaks or an input takes more than its second of processor time. With
`--coverage` the branches of the parsers that were taken go to the file, for `coverage combine`.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import importlib.util
import resource
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

MEMORY_MIB = 512
SECONDS_PER_INPUT = 1


def main() -> int:
    """Put them, and print every input that broke something."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target")
    parser.add_argument("--coverage", type=Path)
    parser.add_argument("inputs", nargs="*", type=Path)
    options = parser.parse_intermixed_args()
    warnings.simplefilter("ignore")
    faulthandler.enable()
    with _counting_branches(options.coverage):
        return _replay(options.target, options.inputs, timed=options.coverage is None)


def _replay(name: str, inputs: list[Path], *, timed: bool) -> int:
    from tests.fuzz.targets import TARGETS

    target = TARGETS[name]
    for sample in target.samples():
        target.check(sample)  # loads what is loaded late, before memory is limited
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_MIB << 20, MEMORY_MIB << 20))
    broken = 0
    for path in _files(inputs):
        data = path.read_bytes()
        began = time.process_time()
        try:
            target.check(data)
        except Exception:
            print(f"{path} breaks {name}:\n{traceback.format_exc()}")
            broken += 1
        seconds = time.process_time() - began
        if timed and seconds > SECONDS_PER_INPUT:
            print(f"{path} keeps {name} busy for {seconds:.1f} s")
            broken += 1
    return int(bool(broken))


def _files(inputs: list[Path]) -> Iterator[Path]:
    for path in inputs:
        yield from sorted(path.iterdir()) if path.is_dir() else [path]


@contextlib.contextmanager
def _counting_branches(file: Path | None) -> Iterator[None]:
    if file is None:
        yield
        return
    import coverage

    roots = [_root_of(package) for package in ("appengine_contract", "appengine_server")]
    counter = coverage.Coverage(
        data_file=str(file), config_file=False, branch=True, include=[f"{root}/*" for root in roots]
    )
    with counter.collect():
        yield
    counter.save()


def _root_of(package: str) -> str:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations
    return spec.submodule_search_locations[0]


if __name__ == "__main__":
    sys.exit(main())
