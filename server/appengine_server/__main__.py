"""The command `appengine-server`."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

# gRPC's core writes lines of its own to stderr, beside our sentences; it reads this at its import.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from appengine_server.allocator import collect_rarely, keep_buffers
from appengine_server.app import serve
from appengine_server.database.pool import DatabaseUnusable
from appengine_server.errors import Unavailable
from appengine_server.identity import BadTokenFile
from appengine_server.logging_setup import configure_logging
from appengine_server.rpc.health_check import NotServing, check_health, own_address
from appengine_server.rpc.server import CannotServe
from appengine_server.scheduling.scheduler import SchedulerUnavailable
from appengine_server.settings import RpcSettings, Settings, SettingsRefused, read_settings
from appengine_server.version import VERSION

_EXIT_NOT_SERVING = 1
_EXIT_REFUSED = 2

_THREADS = 16
"""For file I/O. More than the usual number for few CPUs: a sync may hold some of them up."""

_REFUSALS = (
    SettingsRefused,
    BadTokenFile,
    CannotServe,
    DatabaseUnusable,
    SchedulerUnavailable,
    Unavailable,
    OSError,
)
"""What keeps a server from starting and is told in one sentence."""


def main() -> None:
    """Serve until SIGTERM or SIGINT, or ask whether a server does.

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
    arguments = parser.parse_args()
    try:
        settings = read_settings()
    except SettingsRefused as refusal:
        sys.exit(_refused(refusal))
    if arguments.command == "health":
        sys.exit(_health(settings.rpc, arguments.address))
    configure_logging(settings.log_level)
    keep_buffers()
    collect_rarely()
    sys.exit(_run(_serve(settings)))


def _health(settings: RpcSettings, address: str | None) -> int:
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


async def _serve(settings: Settings) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(_THREADS, thread_name_prefix="worker"))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await serve(settings, stop)
    except _REFUSALS as refusal:
        return _refused(refusal)
    return 0


def _refused(refusal: Exception) -> int:
    print(f"appengine-server cannot start: {refusal}", file=sys.stderr)
    return _EXIT_REFUSED


if __name__ == "__main__":
    main()
