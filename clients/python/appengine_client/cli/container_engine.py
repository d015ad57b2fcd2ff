"""Builds images with the container engine of this machine, Docker or podman, by Docker's API."""

from __future__ import annotations

import http.client
import json
import os
import socket
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import urlencode

from appengine_client.errors import InvalidValue, LocalFileError

_LEFT_OUT = frozenset({".git", "__pycache__"})
_PIECE_BYTES = 1 << 20


class BuildFailed(InvalidValue):
    """The image could not be built: the lines that were told say why."""


class ContainerEngine:
    """One engine, behind a socket."""

    def __init__(self, socket_path: str) -> None:
        self._socket_path = socket_path

    def build(self, folder: Path, name: str) -> Iterator[str]:
        """Build FOLDER/Dockerfile as the image `name`; gives the lines of the build as they come.

        Raises BuildFailed, and LocalFileError where the engine does not answer.
        """
        with tempfile.TemporaryFile() as context:
            with tarfile.open(fileobj=context, mode="w") as archive:
                archive.add(folder, ".", filter=_wanted)
            context.seek(0)
            query = urlencode({"t": name, "rm": "true", "forcerm": "true"})
            with self._request("POST", f"/build?{query}", body=context) as answer:
                for line in answer:
                    told = json.loads(line)
                    if "error" in told:
                        raise BuildFailed(f"the image cannot be built: {told['error'].strip()}")
                    yield from str(told.get("stream", "")).splitlines()

    def save(self, name: str, archive: Path) -> None:
        """Write the image as `docker save` does. Raises LocalFileError."""
        with (
            self._request("GET", f"/images/{name}/get") as answer,
            archive.open("wb") as file,
        ):
            while piece := answer.read(_PIECE_BYTES):
                file.write(piece)

    @contextmanager
    def _request(
        self, method: str, path: str, body: IO[bytes] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        connection = _Connection(self._socket_path)
        headers = {"Content-Type": "application/x-tar"} if body is not None else {}
        try:
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            if answer.status >= 400:
                raise BuildFailed(f"the container engine refused: {_message(answer.read())}")
            yield answer
        except (OSError, http.client.HTTPException) as error:
            raise LocalFileError(f"the container engine did not answer: {error}") from error
        finally:
            connection.close()


class _Connection(http.client.HTTPConnection):
    """HTTP over a socket of this machine."""

    def __init__(self, socket_path: str) -> None:
        super().__init__("engine")
        self._socket_path = socket_path

    def connect(self) -> None:
        """Open the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._socket_path)


def find_engine() -> ContainerEngine:
    """The one of DOCKER_HOST, or that which answers on a usual socket.

    Raises LocalFileError where there is none.
    """
    tried = []
    for path in _usual_sockets():
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
                trial.connect(path)
        except OSError:
            tried.append(path)
        else:
            return ContainerEngine(path)
    raise LocalFileError(
        f"no container engine answers (tried {', '.join(tried)}): start Docker or podman's "
        "service, set DOCKER_HOST=unix://SOCKET, or put scripts/engine of a checkout before the "
        "command, which starts podman for it"
    )


def _usual_sockets() -> list[str]:
    if host := os.environ.get("DOCKER_HOST"):
        return [host.removeprefix("unix://")]
    own = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    return [
        "/var/run/docker.sock", "/run/podman/podman.sock",
        f"{own}/docker.sock", f"{own}/podman/podman.sock",
    ]  # fmt: skip


def _wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if _LEFT_OUT & {*Path(entry.name).parts} else entry


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body[:300].decode(errors="replace")
