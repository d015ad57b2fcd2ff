"""A real image registry on loopback: Debian's docker-registry. In CI a missing one is a failure."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.missing import missing

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_FINISHED_UPLOAD = re.compile(r'"PUT /v2/\S+/blobs/uploads/\S*digest=(\S+?)(?:&\S*)? HTTP\S+ 201')


class ImageRegistry:
    """One registry with its data below `folder`; it may be stopped and started again."""

    def __init__(self, folder: Path, *, users: str | None = None, deletes: bool = True) -> None:
        """`users` is the content of an htpasswd file; None lets everybody in."""
        _require("docker-registry", "skopeo")
        self.host = f"127.0.0.1:{free_port()}"
        self.data = folder / "registry"
        self._log = folder / "registry.log"
        self._config = folder / "registry.yml"
        self._process: subprocess.Popen[bytes] | None = None
        config: dict[str, Any] = {
            "version": 0.1,
            "log": {"level": "warn"},
            "storage": {
                "filesystem": {"rootdirectory": str(self.data)},
                "delete": {"enabled": deletes},
            },
            "http": {"addr": self.host},
        }
        if users is not None:
            (folder / "users").write_text(users)
            config["auth"] = {"htpasswd": {"realm": "tests", "path": str(folder / "users")}}
        self._config.write_text(json.dumps(config))  # JSON is YAML

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["docker-registry", "serve", self._config], stdout=log, stderr=log
            )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                urllib.request.urlopen(f"http://{self.host}/v2/", timeout=1).close()
            except urllib.error.HTTPError as answer:  # it wants credentials
                answer.close()
                return
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise AssertionError(f"the registry did not start: {self._log.read_text()}")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def sent_blobs(self) -> list[str]:
        """Digests of the blobs that were uploaded, in order: its access log tells."""
        return [unquote(found) for found in _FINISHED_UPLOAD.findall(self._log.read_text())]

    def get(self, path: str) -> bytes:
        request = urllib.request.Request(
            f"http://{self.host}/v2/{path}", headers={"Accept": _MANIFEST}
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            content: bytes = answer.read()
        return content

    def put_index(self, repository: str, tag: str, digest: str) -> None:
        """Push an index of several platforms, of which one is the manifest with this digest."""
        manifest = self.get(f"{repository}/manifests/{digest}")
        described = {"mediaType": _MANIFEST, "digest": digest, "size": len(manifest)}
        index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": [described]}
        request = urllib.request.Request(
            f"http://{self.host}/v2/{repository}/manifests/{tag}", json.dumps(index).encode(),
            {"Content-Type": _INDEX}, method="PUT",
        )  # fmt: skip
        urllib.request.urlopen(request, timeout=5).close()


@contextmanager
def running_registry(
    folder: Path, *, users: str | None = None, deletes: bool = True
) -> Iterator[ImageRegistry]:
    registry = ImageRegistry(folder, users=users, deletes=deletes)
    registry.start()
    try:
        yield registry
    finally:
        registry.stop()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def _require(*programs: str) -> None:
    names = [name for name in programs if shutil.which(name) is None]
    if names:
        missing(f"not installed: {', '.join(names)}")
