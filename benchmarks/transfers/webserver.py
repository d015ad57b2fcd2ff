"""nginx with curl: a GET of a file, and a PUT into a folder."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.transfers.processes import Sample, run, watched
from benchmarks.transfers.tls import Tls

_CONFIG = """
daemon off;
worker_processes auto;
pid {folder}/nginx.pid;
error_log stderr error;
{user}
events {{ worker_connections 256; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    client_max_body_size 0;
    client_body_temp_path {folder}/web-body;
    proxy_temp_path {folder}/web-proxy;
    fastcgi_temp_path {folder}/web-fastcgi;
    uwsgi_temp_path {folder}/web-uwsgi;
    scgi_temp_path {folder}/web-scgi;
    server {{
        listen 127.0.0.1:{port} {ssl};
        {certificate}
        location /source/ {{ alias {source}/; }}
        location /scratch/ {{ alias {folder}/scratch/; dav_methods PUT; }}
    }}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebServer:
    """nginx that runs, and its files."""

    process: psutil.Process
    url: str
    curl: tuple[str, ...]

    def get(self, name: str) -> Get:
        return Get(self, name)

    def put(self, source: Path) -> Put:
        return Put(self, source)

    def pids(self) -> list[int]:
        return [self.process.pid, *(child.pid for child in self.process.children())]


@dataclass(frozen=True, slots=True)
class Get:
    """`curl -o FILE URL`."""

    web: WebServer
    name: str

    def __call__(self, folder: Path) -> Sample:
        with watched(self.web.pids()) as sender:
            source = f"{self.web.url}/source/{self.name}"
            command = (*self.web.curl, "-o", str(folder / "got"), source)
            seconds, receiver = run(command)
        return Sample(seconds, sender, receiver)


@dataclass(frozen=True, slots=True)
class Put:
    """`curl -T FILE URL`."""

    web: WebServer
    source: Path

    def __call__(self, folder: Path) -> Sample:
        assert folder.name == "scratch"
        with watched(self.web.pids()) as receiver:
            command = (*self.web.curl, "-T", str(self.source), f"{self.web.url}/scratch/put")
            seconds, sender = run(command)
        assert (folder / "put").stat().st_size == self.source.stat().st_size
        return Sample(seconds, sender, receiver)


@contextmanager
def web_server(program: str, folder: Path, source: Path, tls: Tls | None) -> Iterator[WebServer]:
    """nginx on a free port; it serves `source` and takes files for `folder`/scratch."""
    port = _free_port()
    config = folder / "nginx.conf"
    user = "user root;" if psutil.Process().uids().real == 0 else ""
    certificate = (
        f"ssl_certificate {tls.certificate}; ssl_certificate_key {tls.key};" if tls else ""
    )
    config.write_text(
        _CONFIG.format(
            folder=folder, source=source, port=port, user=user, ssl="ssl" if tls else "",
            certificate=certificate,
        )
    )  # fmt: skip
    process = subprocess.Popen((program, "-p", folder, "-c", config), stdin=subprocess.DEVNULL)
    try:
        _wait_for(port, process)
        authority = ("--cacert", str(tls.authority)) if tls else ()
        yield WebServer(
            process=psutil.Process(process.pid),
            url=f"{'https' if tls else 'http'}://localhost:{port}",
            curl=("curl", "-sSf", "-4", "--noproxy", "*", *authority),
        )
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
