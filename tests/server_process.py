"""A real `appengine-server` in a process of its own, which tests may kill and start again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from appengine_client import Client, connect

_START_SECONDS = 60
_STOP_SECONDS = 30


@dataclass(slots=True, kw_only=True)
class ServerProcess:
    """One data folder, and the server that runs on it now. Whoever makes it stops it."""

    folder: Path
    """Of everything: the storage in it, the log, the port."""
    engine_url: str
    """The container engine, as DOCKER_HOST has it."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """More environment variables."""
    host: str = "127.0.0.1"
    """Where it listens, and where clients find it."""
    program: str = "appengine_server"
    """The module that is run."""
    _process: subprocess.Popen[bytes] | None = None

    @property
    def storage(self) -> Path:
        """Its STORAGE_BASE_PATH."""
        return self.folder / "storage"

    @property
    def log(self) -> Path:
        """What every server on this folder has logged."""
        return self.folder / "server.log"

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"{self.host}:{self._port_file.read_text()}"

    @property
    def is_running(self) -> bool:
        """Whether there is one: not killed, not stopped, and not ended by itself."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None
        return self._process.pid

    def start(self, **more: str) -> None:
        """Start it, with more environment variables for this once, and wait until it serves."""
        self.launch(**more)
        deadline = time.monotonic() + _START_SECONDS
        while not (self._port_file.exists() and self._port_file.read_text()):
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the server did not start:\n{self.log.read_text()}")
            time.sleep(0.01)

    def launch(self, **more: str) -> subprocess.Popen[bytes]:
        """Start it without waiting."""
        assert not self.is_running, "it runs already"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._port_file.unlink(missing_ok=True)
        ours = {
            "STORAGE_BASE_PATH": str(self.storage),
            "DOCKER_HOST": self.engine_url,
            "BIND_ADDRESS": self.host,
            "PORT": "0",
            "PORT_FILE": str(self._port_file),
            "STORAGE_LOW_WATER": "0",
            "LOG_LEVEL": "debug",
        }
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self.program],
                env={**kept, **ours, **self.settings, **more},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self._process

    def kill(self) -> None:
        """End it as a power cut would: kill -9."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def signal_kill(self) -> None:
        """The same without waiting, for a moment that must not be missed; `kill` has to follow."""
        assert self._process is not None
        self._process.kill()

    def stop(self) -> int:
        """Ask it to stop, and wait; answers its exit code. OK if it does not run."""
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"the server did not stop:\n{self.log.read_text()}") from None
        finally:
            self._process = None
        return code

    def client(self, **settings: str) -> Client:
        """A client of it; the caller closes it."""
        return connect(self.address, **settings)

    @property
    def _port_file(self) -> Path:
        return self.folder / "port"
