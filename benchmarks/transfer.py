"""How fast App Engine moves bytes, beside what else there is: web server, cp, tar, sendfile.

    .venv/bin/python benchmarks/transfer.py [--json] [--rounds 9] [--tls] [--folder /dev/shm]

In each round everybody moves the same bytes once, in another order; only the ratios inside rounds
mean something. Ours is the client library and a server process as users have them. A container
engine must be there or installable, for one run whose outputs are downloaded.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

sys.path.pop(0)  # this folder, whose `kubernetes` is not the library
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.transfers import crowd, plain, report, turns
from benchmarks.transfers.languages import languages
from benchmarks.transfers.naive import naive_server
from benchmarks.transfers.ours import Ours, Prepared, our_server
from benchmarks.transfers.rounds import GIB, MIB, Case, Measured, Move, measure, scratch
from benchmarks.transfers.sources import make_source
from benchmarks.transfers.tls import Tls, make_tls
from benchmarks.transfers.webserver import web_server
from benchmarks.transfers.worker import worker
from tests.container.conftest import running_engine

CASES = (
    Case(name="1g", file_bytes=GIB),
    Case(name="20000x4k", file_bytes=4 << 10, files=20_000),
    Case(name="5000x64k", file_bytes=64 << 10, files=5_000),
)
NAMES = [*(case.name for case in CASES), "crowd", "command_line", "disk", "languages"]


def run_case(
    case: Case, ours: Ours, folder: Path, rounds: int, missing: Mapping[str, str]
) -> Measured:
    """One case with everybody who can move it."""
    source_folder = folder / "source"
    source_folder.mkdir()
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, source_folder)
        source = make_source(case, source_folder)
        prepared = ours.prepare(source, source.name)
        with scratch(folder) as place:
            prepared.check(place)
        movers: dict[str, Move] = {
            "ours_download": prepared.download,
            "ours_upload": prepared.upload,
            ("cp_r" if case.is_tree else "cp"): plain.Copy(source),
        }
        if case.is_tree:
            movers["tar"] = plain.Tar(source)
            return measure(case, movers, folder, rounds)
        naive = stack.enter_context(naive_server(stack.enter_context(worker()), ours.tls))
        movers["naive_download"] = partial(naive.download, source)
        movers["naive_upload"] = partial(naive.upload, source)
        if "nginx_curl" not in missing:
            program = _nginx()
            assert program is not None
            web = stack.enter_context(web_server(program, folder, source_folder, ours.tls))
            movers["nginx_curl"] = web.get(source.name)
            movers["curl_put"] = web.put(source)
        if "c_sendfile" not in missing:
            compiler = _compiler()
            assert compiler is not None
            movers["c_sendfile"] = plain.Sendfile(plain.compile_sendfile(compiler, folder), source)
        return measure(case, movers, folder, rounds)


@contextmanager
def prepared_file(ours: Ours, folder: Path, mib: int) -> Iterator[Prepared]:
    """One file, and a run with it."""
    source_folder = folder / "source"
    source_folder.mkdir()
    try:
        source = make_source(Case(name="file", file_bytes=mib * MIB), source_folder)
        yield ours.prepare(source, source.name)
    finally:
        shutil.rmtree(source_folder)


def run_crowds(
    ours: Ours, folder: Path, mib_each: int, missing: Mapping[str, str]
) -> list[crowd.Crowd]:
    """Sixteen transfers at once in each direction."""
    with ExitStack() as stack:
        prepared = stack.enter_context(prepared_file(ours, folder, mib_each))
        source_folder = prepared.source.parent
        web = None
        if "nginx_curl" not in missing:
            program = _nginx()
            assert program is not None
            web = stack.enter_context(web_server(program, folder, source_folder, ours.tls))
        return crowd.measure_crowds(prepared, web, folder)


def what_is_missing() -> dict[str, str]:
    """Who cannot take part, and why."""
    missing = {}
    if _nginx() is None or shutil.which("curl") is None:
        missing |= dict.fromkeys(("nginx_curl", "curl_put"), "nginx and curl are not both here")
    if _compiler() is None:
        missing["c_sendfile"] = "there is no C compiler"
    return missing


def _nginx() -> str | None:
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def _compiler() -> str | None:
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def measure_all(options: argparse.Namespace) -> report.Results:
    """Everything that was asked for."""
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="transfer-", dir=options.folder))
        )
        folder.chmod(0o755)
        tls: Tls | None = make_tls(folder) if options.tls else None
        url = stack.enter_context(running_engine(os.environ))
        results = report.Results(missing=what_is_missing())
        for name in options.case or [case.name for case in CASES]:
            where = folder
            if name == "disk":
                where = Path(
                    stack.enter_context(
                        tempfile.TemporaryDirectory(prefix="transfer-", dir=options.disk_folder)
                    )
                )
                where.chmod(0o755)
            place = where / f"server-{name}"
            with worker() as client, our_server(url, place, client, tls) as ours:
                _measure_one(name, ours, where, options, results)
            shutil.rmtree(place)
        return results


def _measure_one(
    name: str, ours: Ours, folder: Path, options: argparse.Namespace, results: report.Results
) -> None:
    match name:
        case "crowd":
            results.crowds = run_crowds(ours, folder, options.crowd_mib, results.missing)
        case "command_line":
            with prepared_file(ours, folder, GIB // MIB) as prepared:
                results.turns.append(turns.command_line(prepared, folder, options.rounds))
        case "languages":
            with prepared_file(ours, folder, GIB // MIB) as prepared:
                results.turns += languages(prepared, folder, options.rounds)
        case "disk":
            with prepared_file(ours, folder, options.disk_mib) as prepared:
                results.turns.append(turns.disk(prepared, folder, 7))
        case _:
            [case] = [case for case in CASES if case.name == name]
            results.cases.append(run_case(case, ours, folder, options.rounds, results.missing))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--case", action="append", choices=NAMES, help="without: the first three")
    parser.add_argument(
        "--crowd-mib", type=int, default=256, help="what each of the 16 clients at once moves"
    )
    parser.add_argument("--tls", action="store_true", help="ours, nginx and naive gRPC with TLS")
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--folder",
        default="/dev/shm" if Path("/dev/shm").is_dir() else None,
        help="where all files lie; needs 5 GiB",
    )
    parser.add_argument("--disk-folder", help="on the disk of the case `disk`; without: /tmp")
    parser.add_argument("--disk-mib", type=int, default=4096, help="what it moves")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is stopped
    shown = report.as_json if options.json else report.as_table
    print(shown(measure_all(options)))


if __name__ == "__main__":
    main()
