"""The client: one connection, and what can be done over it."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from appengine.v1 import storage_service_pb2 as pb

from appengine_client._api.runs import Runs
from appengine_client._api.tasks import Tasks
from appengine_client._api.uploads import Uploads
from appengine_client._rpc.connection import Connection
from appengine_client._rpc.settings import ConnectionSettings, read_settings


class Client:
    """Talks to one server. Use it in one event loop, as `async with`, or close it yourself."""

    tasks: Tasks
    """Packaged algorithms."""
    runs: Runs
    """Uses of a task."""
    uploads: Uploads
    """Bytes on their way to the server."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self.connection = Connection(settings)
        self.uploads = Uploads(self.connection)
        self.tasks = Tasks(self.connection, self.uploads)
        self.runs = Runs(self.connection, self.tasks, self.uploads)

    async def capabilities(self) -> pb.GetCapabilitiesResponse:
        """The limits of the server. Raises Unavailable when it cannot be reached."""
        return await self.uploads.capabilities()

    async def close(self) -> None:
        """Close the connection; what is under way is cancelled. Closing twice is fine."""
        await self.connection.close()

    async def __aenter__(self) -> Client:
        """Give the client; leaving closes it."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection."""
        await self.close()


def connect(
    server: str | None = None,
    *,
    token: str | None = None,
    ca_certificate: Path | str | bytes | None = None,
    project: str | None = None,
) -> Client:
    """A client of one server. Nothing is sent before the first call.

    What is not given comes from the environment, then from the defaults.

    Args:
        server: `HOST:PORT`, `http://…` or `https://…`; APPENGINE_SERVER, or 127.0.0.1:8080.
            TLS is used with https, and whenever a CA certificate is given.
        token: Sent with every call; APPENGINE_TOKEN, or what APPENGINE_TOKEN_FILE holds.
        ca_certificate: A PEM file, or its content; APPENGINE_CA_FILE.
        project: Where tasks and runs are made and looked for; APPENGINE_PROJECT, or the
            caller's default one.

    Raises:
        InvalidValue: The address cannot be read, or a file is not there.
    """
    return Client(
        read_settings(server=server, token=token, ca_certificate=ca_certificate, project=project)
    )
