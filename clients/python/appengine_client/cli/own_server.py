"""A server for one command: it starts in a folder of its own, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from appengine_client.errors import LocalFileError

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_LOOK_EVERY_SECONDS = 0.05
# What would make it serve others, or keep its data elsewhere.
_NOT_PASSED_ON = ("BIND_ADDRESS", "DB_", "TLS_", "TOKENS_", "REGISTRY_", "SCHEDULER", "KUBERNETES_")


@contextmanager
def own_server(folder: Path) -> Iterator[str]:
    """Start `appengine-server` on this machine's container engine; gives its address.

    Raises LocalFileError where it is not installed or does not start; its own lines say why.
    """
    if find_spec("appengine_server") is None:
        raise LocalFileError("the server is not installed: install appengine-server beside this")
    port, log = folder / "port", folder / "server.log"
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(_NOT_PASSED_ON)
    } | {
        "BIND_ADDRESS": "127.0.0.1",
        "PORT": "0",
        "PORT_FILE": str(port),
        "STORAGE_BASE_PATH": str(folder / "storage"),
        "LOG_LEVEL": "warning",
    }
    with log.open("wb") as lines:
        process = subprocess.Popen(
            [sys.executable, "-m", "appengine_server"],
            env=environment, stdin=subprocess.DEVNULL, stdout=lines, stderr=lines,
            start_new_session=True,  # Ctrl-C is for the command, which then stops it
        )  # fmt: skip
    try:
        _wait_for(port, process, log)
        yield f"127.0.0.1:{port.read_text().strip()}"
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(port: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not (port.exists() and port.read_text().strip()):
        if process.poll() is not None or time.monotonic() > deadline:
            said = log.read_text(errors="replace").strip() or "it said nothing"
            raise LocalFileError(f"the server did not start: {said[-2000:]}")
        time.sleep(_LOOK_EVERY_SECONDS)
