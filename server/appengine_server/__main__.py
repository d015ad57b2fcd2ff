"""The command `appengine-server`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

# gRPC's core writes lines of its own to stderr, beside our sentences; it reads this at its import.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from appengine_server.allocator import collect_rarely, keep_buffers
from appengine_server.app import import_cytomine, serve, sweep_once
from appengine_server.checks import doctor
from appengine_server.checks.running import CannotStart
from appengine_server.database.pool import DatabaseUnusable
from appengine_server.errors import InvalidArgument, Unavailable
from appengine_server.from_settings import CytomineSource
from appengine_server.identity import SHARED_PROJECT, BadTokenFile
from appengine_server.logging_setup import configure_logging
from appengine_server.rpc.health_check import NotServing, check_health, own_address
from appengine_server.rpc.server import CannotServe
from appengine_server.scheduling.scheduler import SchedulerUnavailable
from appengine_server.settings import Reviewed, SettingsRefused, review_settings
from appengine_server.tasks import cytomine_report
from appengine_server.version import VERSION

_EXIT_NOT_SERVING = 1
_EXIT_UNWELL = 1
_EXIT_LEFT = 1
_EXIT_REFUSED = 2

_THREADS = 16
"""For file I/O. More than the usual number for few CPUs: a sync may hold some of them up."""

_REFUSALS = (
    CannotStart,
    SettingsRefused,
    BadTokenFile,
    CannotServe,
    DatabaseUnusable,
    SchedulerUnavailable,
    Unavailable,
    OSError,
)
"""What keeps a server from starting and is told in sentences."""


def main() -> None:
    """Serve until SIGTERM or SIGINT, ask whether a server does, or look at what it needs.

    Settings come from the environment; see the docs.
    """
    parser = argparse.ArgumentParser(
        prog="appengine-server",
        description="Runs image-analysis tasks over gRPC. All settings are environment variables.",
    )
    parser.add_argument("--version", action="version", version=VERSION)
    commands = parser.add_subparsers(dest="command", title="commands", metavar="[COMMAND]")
    about = "Ask the server on this machine whether it serves: exit code 0 or 1."
    health = commands.add_parser("health", help=about, description=about)
    health.add_argument("--address", metavar="HOST:PORT", help="default: as the settings say")
    about = "Look at everything that the server needs: exit code 0, or 1 if something is wrong."
    doctor_command = commands.add_parser("doctor", help=about, description=about)
    doctor_command.add_argument("--json", action="store_true", help="print JSON, for programs")
    about = "Remove what is kept no longer, once and now, as servers do from time to time."
    sweep_command = commands.add_parser("sweep", help=about, description=about)
    sweep_command.add_argument("--dry-run", action="store_true", help="only say what would go")
    sweep_command.add_argument("--json", action="store_true", help="print JSON, with names")
    about = "Take over the tasks of Cytomine's App Engine, the Java one; its runs are left behind."
    import_command = commands.add_parser("import-cytomine", help=about, description=about)
    import_command.add_argument("--dry-run", action="store_true", help="only say what would be")
    import_command.add_argument("--json", action="store_true", help="print JSON, for programs")
    import_command.add_argument(
        "--from-database", metavar="URL",
        help="postgresql://USER@HOST:PORT/NAME, its password in PGPASSWORD; default: as DB_HOST, "
        "DB_NAME and the like say",
    )  # fmt: skip
    import_command.add_argument(
        "--from-storage", metavar="FOLDER", type=Path, help="default: STORAGE_BASE_PATH"
    )
    import_command.add_argument(
        "--project", default=SHARED_PROJECT, help="whose the tasks become; default: %(default)s"
    )
    arguments = parser.parse_args()
    reviewed = review_settings()
    match arguments.command:
        case "health":
            sys.exit(_health(reviewed, arguments.address))
        case "doctor":
            configure_logging("error")
            sys.exit(_run(_doctor(reviewed, as_json=arguments.json)))
        case "sweep":
            configure_logging("error")
            sweeping = _sweep(reviewed, dry_run=arguments.dry_run, as_json=arguments.json)
            sys.exit(_run(sweeping))
        case "import-cytomine":
            configure_logging("error")
            source = CytomineSource(
                database=arguments.from_database, storage=arguments.from_storage,
                project=arguments.project,
            )  # fmt: skip
            importing = _import_cytomine(
                reviewed, source, dry_run=arguments.dry_run, as_json=arguments.json
            )
            sys.exit(_run(importing))
    configure_logging(reviewed.settings.log_level)
    keep_buffers()
    collect_rarely()
    sys.exit(_run(_serve(reviewed)))


def _health(reviewed: Reviewed, address: str | None) -> int:
    try:
        settings = reviewed.usable().rpc
    except SettingsRefused as refusal:
        return _refused(refusal)
    try:
        check_health(address or own_address(settings), certificate=settings.tls_certificate_file)
    except NotServing as refusal:
        print(refusal, file=sys.stderr)
        return _EXIT_NOT_SERVING
    return 0


def _run(serving: Coroutine[Any, Any, int]) -> int:
    """Run in the faster event loop where it is installed: appengine-server[uvloop]."""
    try:
        import uvloop
    except ModuleNotFoundError:
        return asyncio.run(serving)
    return uvloop.run(serving)


async def _doctor(reviewed: Reviewed, *, as_json: bool) -> int:
    results = await doctor.examine(reviewed)
    print(doctor.as_json(results) if as_json else doctor.as_text(results))
    return 0 if doctor.all_well(results) else _EXIT_UNWELL


async def _sweep(reviewed: Reviewed, *, dry_run: bool, as_json: bool) -> int:
    try:
        swept = await sweep_once(reviewed.usable(), dry_run=dry_run)
    except _REFUSALS as refusal:
        return _refused(refusal, does="sweep")
    if as_json:
        print(json.dumps([asdict(one) for one in swept], indent=2))
        return 0
    print("would remove:" if dry_run else "removed:")
    for one in swept:
        print(f"{one.count:>9}  {one.kind}")
    for one in swept:
        if one.left:
            print(f"     left  {one.kind}: {one.left}")
    given = reviewed.settings.retention
    if given.finished_runs is None:
        print("     kept  finished runs: RETENTION_FINISHED_RUNS is not set")
    if given.failed_attempts is None:
        print("     kept  files of failed attempts: RETENTION_FAILED_ATTEMPTS is not set")
    return 0


async def _import_cytomine(
    reviewed: Reviewed, source: CytomineSource, *, dry_run: bool, as_json: bool
) -> int:
    try:
        report = await import_cytomine(reviewed.usable(), source, dry_run=dry_run)
    except (*_REFUSALS, InvalidArgument) as refusal:
        return _refused(refusal, does="import")
    print(cytomine_report.as_json(report) if as_json else cytomine_report.as_text(report))
    return 0 if report.is_whole else _EXIT_LEFT


async def _serve(reviewed: Reviewed) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(_THREADS, thread_name_prefix="worker"))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await serve(reviewed, stop)
    except _REFUSALS as refusal:
        return _refused(refusal)
    return 0


def _refused(refusal: Exception, *, does: str = "start") -> int:
    print(f"appengine-server cannot {does}: {refusal}", file=sys.stderr)
    return _EXIT_REFUSED


if __name__ == "__main__":
    main()
