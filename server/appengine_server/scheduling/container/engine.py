"""The Docker-compatible engine, call by call, with our own errors.

aiodocker makes the connection. The requests are our own: its log decodes bytes as text, its events
share one channel between all who listen, and several of its calls wait without limit.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from aiodocker import Docker

from appengine_server.architectures import image_architecture
from appengine_server.scheduling.container.logs import Demultiplexer
from appengine_server.scheduling.scheduler import SchedulerUnavailable

_CALL = aiohttp.ClientTimeout(total=120, sock_connect=10)
"""Creating and starting take 0.1 s; a busy engine that clears up may take a minute."""

_PROBE = aiohttp.ClientTimeout(total=20, sock_connect=5)
"""podman answers nothing at all while it saves an image."""

_NOT_RUNNING = (
    "container state improper",
    "can only kill running",
    "no such process",
    "process already finished",
)
"""How podman says that a container cannot take a signal, among them two that lost a race."""

_READ_AGAIN_SECONDS = (0.02, 0.1, 0.5)
"""podman fails to show a container in the very moment in which its process goes."""

T = TypeVar("T")

Details = dict[str, Any]
"""What the engine answers about one thing, in Docker's words."""


class EngineRefused(Exception):
    """The engine answered, and the answer is no."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    @property
    def absent(self) -> bool:
        """What was asked for is not there."""
        return self.status == 404

    @property
    def name_taken(self) -> bool:
        """Another container has the name. podman answers 500 where Docker answers 409."""
        return self.status in {409, 500} and "already in use" in self.message

    @property
    def not_running(self) -> bool:
        """The container is in no state for this: not started yet, or ended."""
        return (self.status == 409 and "not running" in self.message) or (
            any(words in self.message for words in _NOT_RUNNING)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """What the engine says of itself and of its machine."""

    is_podman: bool
    cpus: int
    ram_bytes: int
    architecture: str
    """As images name it."""


class Engine:
    """One engine. Every method raises SchedulerUnavailable or EngineRefused, and nothing else."""

    def __init__(self, docker: Docker, prefix: str, facts: EngineFacts) -> None:
        """`docker` stays its owner's, who closes it. `prefix` is where the API begins."""
        self._session = docker.session
        self._prefix = prefix
        self.facts = facts

    async def call(self, method: str, path: str, *, body: object = None, **params: str) -> Any:
        """Make one request and give the decoded answer, None where it is empty."""
        async with self.stream(method, path, body=body, timeout=_CALL, params=params) as answer:
            content = await answer.read()
        if not content.strip():
            return None
        try:
            return json.loads(content)
        except ValueError as error:
            raise SchedulerUnavailable(f"the engine's answer is no JSON: {error}") from error

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        data: AsyncIterator[bytes] | None = None,
        timeout: aiohttp.ClientTimeout,
        params: Mapping[str, str],
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """Make one request and give what the engine sends, as it comes."""
        with engine_errors():
            url = f"{self._prefix}/{path}"
            options: dict[str, Any] = {"params": params, "timeout": timeout}
            if data is None:
                options["json"] = body
            else:
                options |= {"data": data, "headers": {"Content-Type": "application/x-tar"}}
            try:
                response = await self._session.request(method, url, **options)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                # NB: an idle connection that the engine had closed looks like this too. All our
                # calls may be made twice, but a body that was read from can not be sent again.
                if data is not None:
                    raise
                response = await self._session.request(method, url, **options)
            async with response:
                if response.status >= 400:
                    raise EngineRefused(response.status, _message(await response.read()))
                yield response.content

    async def create(self, name: str, config: Details) -> str:
        """Make a container; it does not run yet. Answers its id, which no other one ever has."""
        made = await self.call("POST", "containers/create", body=config, name=name)
        return str(made["Id"])

    async def start(self, name: str) -> None:
        """Start it, by name or id. OK if it runs. NB: one that has ended would run again."""
        await self.call("POST", f"containers/{name}/start")

    async def inspect(self, name: str) -> Details | None:
        """Show a container, or None where there is none."""
        try:
            details: Details = await self._read(f"containers/{name}/json")
        except EngineRefused as error:
            if error.absent:
                return None
            raise SchedulerUnavailable(error.message) from error
        return details

    async def list(self, label: str) -> list[Details]:
        """Every container with that `name=value`, in any state."""
        filters = json.dumps({"label": [label]})
        try:
            found: list[Details] = await self._read("containers/json", all="true", filters=filters)
        except EngineRefused as error:
            raise SchedulerUnavailable(error.message) from error
        return found

    async def kill(self, name: str, signal: str) -> bool:
        """Send a signal. False if it is not running or not there."""
        try:
            await self.call("POST", f"containers/{name}/kill", signal=signal)
        except EngineRefused as error:
            if error.absent or error.not_running:
                return False
            raise SchedulerUnavailable(error.message) from error
        return True

    async def delete(self, name: str) -> None:
        """Remove it with its anonymous volumes, killing it if it runs. OK if it is gone."""
        try:
            await self.call("DELETE", f"containers/{name}", force="true", v="true")
        except EngineRefused as error:
            if not error.absent and "already in progress" not in error.message:
                raise SchedulerUnavailable(error.message) from error

    async def _read(self, path: str, **params: str) -> Any:
        for delay_seconds in _READ_AGAIN_SECONDS:
            try:
                return await self.call("GET", path, **params)
            except EngineRefused as error:
                if error.status < 500:
                    raise
            await asyncio.sleep(delay_seconds)
        return await self.call("GET", path, **params)

    @asynccontextmanager
    async def events(
        self, label: str, *, silence_seconds: float
    ) -> AsyncIterator[AsyncIterator[Details]]:
        """Listen to what happens to containers with that label; entered once it is listening.

        Raises when nothing came for `silence_seconds`: a cut connection may look like that.
        """
        params = {"filters": json.dumps({"type": ["container"], "label": [label]})}
        timeout = aiohttp.ClientTimeout(sock_connect=10, sock_read=silence_seconds)
        try:
            async with self.stream("GET", "events", timeout=timeout, params=params) as answer:
                yield json_lines(answer)
        except EngineRefused as error:
            raise SchedulerUnavailable(error.message) from error

    async def logs(self, name: str, *, follow: bool) -> AsyncGenerator[bytes, None]:
        """What it printed, from the first byte; following, until the engine sees its end."""
        demultiplexer = Demultiplexer()
        timeout = aiohttp.ClientTimeout(sock_connect=10, sock_read=None if follow else 120)
        path = f"containers/{name}/logs"
        params = {"stdout": "true", "stderr": "true", "follow": str(follow).lower()}
        async with self.stream("GET", path, timeout=timeout, params=params) as answer:
            async for chunk in answer.iter_any():
                if content := demultiplexer.feed(chunk):
                    yield content


async def json_lines(answer: aiohttp.StreamReader) -> AsyncIterator[Details]:
    """Decode one JSON object a line, however long the lines are."""
    rest = b""
    async for chunk in answer.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                yield json.loads(line)


@asynccontextmanager
async def open_engine(url: str | None) -> AsyncIterator[Engine]:
    """Connect to the engine at `url`, or find one. Raises SchedulerUnavailable."""
    async with _first(url, _connect) as engine:
        yield engine


async def ask_engine(url: str | None) -> None:
    """Return if an engine answers. Raises as `open_engine`, which takes far longer on podman."""
    async with _first(url, _reach):
        pass


@asynccontextmanager
async def _first(
    url: str | None, connect: Callable[[str, AsyncExitStack], Awaitable[T]]
) -> AsyncIterator[T]:
    """What connects to the engine at `url`, or to the first that does."""
    tried = []
    for candidate in [url] if url else _usual_urls():
        socket = candidate.removeprefix("unix://")
        if socket != candidate and not Path(socket).is_socket():
            tried.append(f"{candidate} (no such socket)")
            continue
        async with AsyncExitStack() as stack:
            try:
                connected = await connect(candidate, stack)
            except (SchedulerUnavailable, EngineRefused) as error:
                tried.append(f"{candidate} ({error})")
                continue
            yield connected
            return
    raise SchedulerUnavailable(
        "no container engine answers: start Docker or podman's service, or name its socket by "
        "DOCKER_HOST, or start the server by scripts/engine of a checkout, which starts podman "
        f"for it. Tried: {'; '.join(tried)}"
    )


async def _reach(url: str, stack: AsyncExitStack) -> tuple[Docker, str, Mapping[str, str]]:
    """The connection, where the API begins, and how the engine answers a ping.

    Not its `/version`: podman asks the package manager for the version of each of its parts first,
    which takes half a second.
    """
    # Log followers hold a connection each, so the usual limit of 100 would stop everything.
    with engine_errors():
        connector: aiohttp.BaseConnector | None = None
        if url.startswith("unix://"):
            connector = aiohttp.UnixConnector(url.removeprefix("unix://"), limit=0)
            url = "unix://localhost"
        elif url.startswith(("tcp://", "http://", "https://")):
            context = _tls_context()
            secure = context is not None or url.startswith("https://")
            connector = aiohttp.TCPConnector(limit=0, ssl=context if context else True)
            url = f"{'https' if secure else 'http'}://{url.partition('://')[2]}"
        if connector is not None:
            stack.push_async_callback(connector.close)
        docker = await stack.enter_async_context(Docker(url=url, connector=connector))
        prefix = docker.docker_host
        async with docker.session.get(f"{prefix}/_ping", timeout=_PROBE) as answer:
            answer.raise_for_status()
            version = answer.headers.get("Api-Version")
            if not version:
                raise ValueError("what answers there is no container engine")
            return docker, f"{prefix}/v{version}", answer.headers


async def _connect(url: str, stack: AsyncExitStack) -> Engine:
    docker, prefix, ping = await _reach(url, stack)
    with engine_errors():
        async with docker.session.get(f"{prefix}/info", timeout=_CALL) as answer:
            answer.raise_for_status()
            info = await answer.json()
    return Engine(docker, prefix, _facts(ping, info))


def _facts(ping: Mapping[str, str], info: Mapping[str, Any]) -> EngineFacts:
    return EngineFacts(
        is_podman="Libpod-Api-Version" in ping,
        cpus=int(info.get("NCPU") or os.cpu_count() or 1),
        ram_bytes=int(info["MemTotal"]),
        architecture=image_architecture(str(info.get("Architecture", ""))),
    )


def _usual_urls() -> list[str]:
    if host := os.environ.get("DOCKER_HOST"):
        return [host]
    runtime = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    sockets = [
        Path("/run/docker.sock"),
        Path("/var/run/docker.sock"),
        Path(runtime, "docker.sock"),
        Path.home() / ".docker/run/docker.sock",
        Path("/run/podman/podman.sock"),
        Path(runtime, "podman/podman.sock"),
    ]
    return [f"unix://{socket}" for socket in sockets]


def _tls_context() -> ssl.SSLContext | None:
    """Docker's own variables say whether and how TCP is encrypted."""
    if not os.environ.get("DOCKER_TLS_VERIFY"):
        return None
    folder = Path(os.environ.get("DOCKER_CERT_PATH", Path.home() / ".docker"))
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


class engine_errors:  # noqa: N801 - used as a statement, like contextlib.suppress
    """Turns whatever a connection can raise into SchedulerUnavailable."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError)):
            raise SchedulerUnavailable(
                f"the container engine does not answer: {str(error) or type(error).__name__}"
            ) from error


def _message(content: bytes) -> str:
    try:
        return str(json.loads(content)["message"])
    except (ValueError, KeyError, TypeError):
        return content.decode(errors="replace").strip() or "no reason given"
