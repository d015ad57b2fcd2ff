"""The clients in each language, as processes that do what they are told: JSON in, JSON out.

An order is one line: `{"do": "start", "run": "…"}`. The answer is one line too, `{"ok": …}` or
`{"error": …}`; a watch says `{"event": …}` for each change before.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.missing import missing

ROOT = Path(__file__).parents[2]
LANGUAGES = ("python", "go", "java")
_LONGEST_LINE = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused(Exception):
    """What a client says of an error."""

    message: str
    status: str = ""
    """Empty where no server has spoken."""
    reason: str = ""
    problems: Sequence[Mapping[str, str]] = ()
    fields: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.status} {self.reason} {self.message}"


@dataclass(slots=True)
class Driver:
    """One client."""

    _process: asyncio.subprocess.Process

    async def do(self, what: str, **more: Any) -> Any:
        """Have something done that says nothing before its end. Raises Refused."""
        await self.tell(what, **more)
        kind, content = await self.hear()
        assert kind == "ok", (kind, content)
        return content

    async def tell(self, what: str, **more: Any) -> None:
        """Give an order, and do not wait."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": what, **more}).encode() + b"\n")
        await self._process.stdin.drain()

    def kill(self) -> None:
        """End it by SIGKILL, in the midst of what it does."""
        self._process.kill()

    async def hear(self) -> tuple[str, Any]:
        """The next line: what it is, and what it holds. Raises Refused."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        assert line, "the client's process has ended: see its output"
        [(kind, content)] = json.loads(line).items()
        if kind == "error":
            raise Refused(**content)
        return kind, content


@asynccontextmanager
async def open_driver(language: str) -> AsyncIterator[Driver]:
    """The client in one language. Where it cannot be built, the test is skipped, or fails in CI."""
    process = await asyncio.create_subprocess_exec(
        *await asyncio.to_thread(command_of, language),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LONGEST_LINE,
    )
    try:
        yield Driver(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def command_of(language: str, *, is_short: bool = True) -> list[str]:
    """The program that obeys in this language; a short one starts soon, and does not run long."""
    match language:
        case "python":
            return [sys.executable, "-m", "tests.clients.python_driver"]
        case "go":
            return [str(built("go") / "bin" / "driver")]
        case _:
            return java_command(built("java"), "org.cytomine.appengine.driver.Driver", is_short)


def java_command(folder: Path, program: str, is_short: bool = True) -> list[str]:
    """A program beside the Java client."""
    target = folder / "target"
    parts = [target / "classes", target / "test-classes", (target / "classpath").read_text()]
    path = ":".join(map(str, parts))
    options = ["-XX:TieredStopAtLevel=1"] if is_short else []
    return ["java", *options, "-cp", path, program]


def built(language: str) -> Path:
    """The folder in which a client was built."""
    script = f"source scripts/lib/clients.sh && build_client {language}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode != 0:
        missing(f"the client in clients/{language} cannot be built:\n{done.stderr}")
    return Path(done.stdout.strip())
