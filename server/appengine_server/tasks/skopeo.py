"""skopeo, the program that speaks to image registries.

It is started with an argument list, in a process group of its own, reads credentials from an open
file that has no name, and dies with the server: nothing secret stands on a command line or on disk,
and nothing is left to clear up after a kill.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import re
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from appengine_server.errors import FailedPrecondition

_GRACE_SECONDS = 5.0
_ERROR_BYTES = 64 << 10
_OUTPUT_LIMIT_BYTES = 8 << 20
"""Manifests and configs have at most 4 MiB in registries."""

_ASKING = "--command-timeout=60s"
"""A question is small. A registry that is silent for so long is out of reach."""

_OUT_OF_REACH = re.compile(
    r"connection refused|connection reset|broken pipe|no such host|i/o timeout|no route to host"
    r"|network is unreachable|TLS handshake timeout|server misbehaving|deadline exceeded"
    r"|unexpected EOF|: EOF|status:? (?:429|5\d\d)|toomanyrequests|use of closed network"
    r"|server closed idle connection"
)
_DENIED = re.compile(r"unauthorized|authentication required|denied|invalid username/password")
_UNSUPPORTED = re.compile(r"unsupported|405 Method Not Allowed", re.IGNORECASE)
_ABSENT = re.compile(
    r"manifest unknown|name unknown|not found|404 \(Not Found\)|Image may not exist"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Basic authentication at one registry, `host:port`."""

    registry: str
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An image in a registry, and how to get at it."""

    image: str
    """`host:port/repository`, with a tag or digest."""
    tls_verify: bool = True
    """False allows plain http, and certificates of anybody."""
    credentials: Credentials | None = None


class SkopeoFailed(Exception):
    """skopeo ended badly: `message` is the last thing it said."""

    def __init__(self, exit_code: int, output: str) -> None:
        """`exit_code` is negative where a signal ended it."""
        self.message = _last_sentence(output) or f"skopeo ended with {exit_code} and said nothing"
        super().__init__(self.message)
        self._exit_code = exit_code
        self._output = output

    @property
    def out_of_reach(self) -> bool:
        """The registry does not answer, or cannot now, or skopeo was killed: worth another try."""
        return self._exit_code < 0 or _OUT_OF_REACH.search(self._output) is not None

    @property
    def denied(self) -> bool:
        """The registry wants other credentials."""
        return _DENIED.search(self._output) is not None

    @property
    def unsupported(self) -> bool:
        """The registry does no such thing."""
        return _UNSUPPORTED.search(self._output) is not None

    @property
    def absent(self) -> bool:
        """The registry has no such image."""
        return _ABSENT.search(self._output) is not None


class Meter:
    """Counts what has been read of the files of one folder, over several tries of one work."""

    def __init__(self, folder: Path, on_progress: Callable[[int], None]) -> None:
        """`on_progress` is told the bytes; what it raises ends the work."""
        self._folder = os.path.realpath(folder)
        self._on_progress = on_progress
        self._places: dict[str, int] = {}

    def measure(self, pid: int) -> None:
        """Look how far a process is now."""
        for name, place in _open_places(pid, self._folder):
            self._places[name] = max(self._places.get(name, 0), place)
        self._on_progress(sum(self._places.values()))


METER_SECONDS = 0.5


async def copy_layout(
    folder: Path, place: Place, *, temporary: Path, meter: Meter | None = None
) -> None:
    """Push the OCI layout in `folder`, byte for byte: layers that are there are not sent again.

    `temporary` is where skopeo may write; the caller removes it. When cancelled, skopeo is ended
    first. Raises SkopeoFailed, and FailedPrecondition when it is not installed.
    """
    # Compressing on the way would give layers new digests: every version would be sent whole.
    arguments = ["copy", "--preserve-digests", "oci:."]
    await _run(arguments, place, "dest-", cwd=folder, temporary=temporary, meter=meter)


async def manifest(place: Place) -> bytes:
    """The image's manifest or index, byte for byte. Raises as `copy_layout`."""
    return await _run([_ASKING, "inspect", "--raw"], place)


async def config(place: Place, platform: str) -> bytes:
    """The config of the image for a platform, as JSON. Raises as `copy_layout`."""
    os_name, architecture, *variant = platform.split("/")
    chosen = [f"--override-os={os_name}", f"--override-arch={architecture}"]
    chosen += [f"--override-variant={name}" for name in variant]
    return await _run([_ASKING, *chosen, "inspect", "--config"], place)


async def tags(place: Place) -> list[str]:
    """The tags of a repository; `place.image` is its name alone. Raises as `copy_layout`."""
    answer = json.loads(await _run([_ASKING, "list-tags"], place))
    return [str(tag) for tag in answer.get("Tags") or ()]


async def delete(place: Place) -> None:
    """Delete a manifest, named by its digest. Raises as `copy_layout`."""
    await _run([_ASKING, "delete"], place)


def basic(credentials: Credentials) -> str:
    """Username and password as registries want them."""
    pair = f"{credentials.username}:{credentials.password}".encode()
    return base64.b64encode(pair).decode("ascii")


async def _run(
    arguments: list[str],
    place: Place,
    prefix: str = "",
    *,
    cwd: Path | None = None,
    temporary: Path | None = None,
    meter: Meter | None = None,
) -> bytes:
    """Run it on a place, whose options begin with `prefix`; what it printed."""
    environment = {**os.environ, **({"TMPDIR": str(temporary)} if temporary else {})}
    with _auth_file(place.credentials) as auth:
        command = [
            *("skopeo", "--insecure-policy"),  # signatures are not what protects a task's image
            *arguments,
            f"docker://{place.image}",
            f"--{prefix}tls-verify={str(place.tls_verify).lower()}",
            f"--{prefix}authfile=/proc/self/fd/{auth}",
        ]
        async with _started(_bound_to_us(command), auth, cwd, environment) as process:
            output, errors = await _until_its_end(process, meter)
    if process.returncode:
        raise SkopeoFailed(process.returncode, errors.decode("utf-8", "replace"))
    return output


def _bound_to_us(command: list[str]) -> list[str]:
    """The same command, killed by the kernel when the server dies in any way."""
    if shutil.which("setpriv") is None:
        return command  # it would end its work alone, which does no harm
    return ["setpriv", "--pdeathsig", "KILL", "--", *command]


@contextlib.contextmanager
def _auth_file(credentials: Credentials | None) -> Iterator[int]:
    """The descriptor of an open file that is gone when it is closed."""
    auths = {}
    if credentials is not None:
        auths[credentials.registry] = {"auth": basic(credentials)}
    descriptor = os.memfd_create("auth.json")
    try:
        os.write(descriptor, json.dumps({"auths": auths}).encode())
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.asynccontextmanager
async def _started(
    command: list[str], descriptor: int, cwd: Path | None, environment: dict[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that is gone, with all its children, when the context is left."""
    message = "skopeo is not installed on the server: install the package skopeo"
    if shutil.which("skopeo") is None:
        raise FailedPrecondition(message, reason="IMAGE_PUBLISH")
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=(descriptor,),
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            await asyncio.shield(_end(process))


async def _end(process: asyncio.subprocess.Process) -> None:
    _signal_group(process, signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), _GRACE_SECONDS)
    except TimeoutError:
        _signal_group(process, signal.SIGKILL)
        await process.wait()


def _signal_group(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


async def _until_its_end(
    process: asyncio.subprocess.Process, meter: Meter | None
) -> tuple[bytes, bytes]:
    """What it printed, and the last of its errors."""
    assert process.stdout is not None
    assert process.stderr is not None
    reading = asyncio.gather(
        _last_of(process.stdout, _OUTPUT_LIMIT_BYTES),
        _last_of(process.stderr, _ERROR_BYTES),
        process.wait(),
    )
    try:
        while meter is not None and not reading.done():
            meter.measure(process.pid)
            await asyncio.wait([reading], timeout=METER_SECONDS)
        output, errors, _ = await reading
    finally:
        reading.cancel()
    return output, errors


async def _last_of(stream: asyncio.StreamReader, limit_bytes: int) -> bytes:
    """All is read, or the program would stop at a full pipe."""
    output = b""
    while piece := await stream.read(_ERROR_BYTES):
        output = (output + piece)[-limit_bytes:]
    return output


def _last_sentence(output: str) -> str:
    lines = [line for line in output.splitlines() if line.strip()]
    line = lines[-1] if lines else ""
    found = re.search(r'msg="((?:[^"\\]|\\.)*)"', line)  # logrus writes key="value" pairs
    text = found[1].replace('\\"', '"') if found else line
    return text[:500]


def _open_places(pid: int, folder: str) -> Iterator[tuple[str, int]]:
    """How far a process has read the files of a folder that it has open."""
    with contextlib.suppress(OSError):  # the process may end at any moment
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError, ValueError, IndexError):
                name = os.readlink(f"/proc/{pid}/fd/{descriptor}")
                if name.startswith(f"{folder}/"):
                    first_line = Path(f"/proc/{pid}/fdinfo/{descriptor}").read_text().split("\n")[0]
                    yield name, int(first_line.split()[1])
