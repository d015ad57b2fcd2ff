"""The Kubernetes API by its paths: the little that booting and watching a cluster needs."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """Calls as one user. Raises OSError (of which HTTPError is one) where a call fails."""

    url: str
    trust: ssl.SSLContext
    """What the server's certificate is checked with; may hold a client's own."""
    token: str
    """Empty where the client's certificate says who calls."""

    def get(self, path: str) -> Any:
        """The object or list at a path such as `/api/v1/nodes`."""
        return self._call("GET", path)

    def create(self, path: str, body: dict[str, Any]) -> Any:
        """Create an object in the list at the path."""
        return self._call("POST", path, body)

    def delete(self, path: str) -> None:
        """Delete the object at the path; fine if there is none."""
        try:
            self._call("DELETE", path)
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise

    def text(self, path: str) -> str:
        """The text at a path, such as a container's log."""
        return self._open("GET", path).decode(errors="replace")

    def ready(self) -> bool:
        """Whether the API server says that it is ready."""
        try:
            return self.text("/readyz") == "ok"
        except OSError:
            return False

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        return json.loads(self._open(method, path, body))

    def _open(self, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        with urllib.request.urlopen(request, timeout=10, context=self.trust) as answer:
            content: bytes = answer.read()
            return content
