"""A server whose attempts are pods of processes on this machine: its data travel by real agents.

`python -m tests.container.pods` is appengine-server with a scheduler that does what Kubernetes does
in cluster mode, without Kubernetes: `fetch` brings the inputs into a folder of the pod, then the
task's container runs beside `transfer`. Everything is found again after a kill of the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from appengine_server import __main__, app
from appengine_server.scheduling.container.scheduler import ContainerScheduler
from appengine_server.scheduling.scheduler import (
    Admission,
    AttemptPhase,
    AttemptRef,
    AttemptSpec,
    Failure,
    FailureReason,
    InUse,
    Observation,
    PendingKind,
    PendingReason,
    Resources,
    SchedulerUnavailable,
    StillWanted,
    SubmissionRefused,
)

_LOOK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Pod:
    """The folder of one pod: what its processes share, and what they leave."""

    folder: Path

    @property
    def ref(self) -> AttemptRef:
        run_id, _, number = self.folder.name.rpartition("_")
        return AttemptRef(UUID(run_id), int(number))

    @property
    def exists(self) -> bool:
        return (self.folder / "spec").exists()

    def spec(self) -> AttemptSpec:
        found: AttemptSpec = pickle.loads((self.folder / "spec").read_bytes())
        return found

    def make(self, spec: AttemptSpec) -> None:
        """All at once: half a pod is none."""
        fresh = self.folder.with_name(f".{self.folder.name}.{os.getpid()}")
        shutil.rmtree(fresh, ignore_errors=True)
        for name, mode in (("inputs", 0o755), ("outputs", 0o777)):
            (fresh / name).mkdir(parents=True)
            (fresh / name).chmod(mode)
        assert spec.tokens is not None
        (fresh / "fetch.token").write_text(spec.tokens.fetch)
        (fresh / "transfer.token").write_text(spec.tokens.transfer)
        (fresh / "spec").write_bytes(pickle.dumps(replace(spec, tokens=None)))
        with contextlib.suppress(OSError):
            fresh.rename(self.folder)

    def start(self, command: str, folder: str) -> None:
        """Start an agent once. It outlives us, and its shell writes down how it ended."""
        try:
            (self.folder / f"{command}.started").touch(exist_ok=False)
        except FileExistsError:
            return
        agent = f"{sys.executable} -m appengine_transfer_agent {command}"
        script = f"{agent} & echo $! > {command}.pid; wait $!; echo $? > {command}.exit"
        ref = self.ref
        environment = {
            "PATH": os.environ["PATH"],
            "APPENGINE_SERVER": os.environ["POD_SERVER"],
            "APPENGINE_TOKEN_FILE": str(self.folder / f"{command}.token"),
            "APPENGINE_RUN_ID": str(ref.run_id),
            "APPENGINE_ATTEMPT": str(ref.number),
            "APPENGINE_FOLDER": str(self.folder / folder),
        }
        with (self.folder / f"{command}.log").open("ab") as log:
            subprocess.Popen(
                ["sh", "-c", script], cwd=self.folder, env=environment, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def exit_code(self, command: str) -> int | None:
        try:
            text = (self.folder / f"{command}.exit").read_text()
        except FileNotFoundError:
            return None
        return int(text) if text.endswith("\n") else None

    def signal(self, command: str, number: int) -> None:
        """To the first process; SIGKILL ends them all, as it does with a container."""
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
            if self.exit_code(command) is None:
                agent = int((self.folder / f"{command}.pid").read_text())
                children = Path(f"/proc/{agent}/task/{agent}/children").read_text().split()
                os.kill(agent, number)
                for worker in children if number == signal.SIGKILL else ():
                    os.kill(int(worker), number)


class PodScheduler:
    """The container scheduler, with agents that bring the data."""

    moves_data = True

    def __init__(self, containers: ContainerScheduler, folder: Path) -> None:
        self._containers = containers
        self._folder = folder
        self._changed: asyncio.Queue[AttemptRef] = asyncio.Queue()
        self._seen: dict[AttemptRef, tuple[int | None, int | None]] = {}
        self.images = containers.images
        folder.mkdir(exist_ok=True)

    @property
    def isolates_network(self) -> bool:
        return self._containers.isolates_network

    def admit(self, wanted: Resources, in_use: InUse) -> Admission:
        return self._containers.admit(wanted, in_use)

    async def submit(self, spec: AttemptSpec, *, still_wanted: StillWanted | None = None) -> None:
        if still_wanted is not None and not await still_wanted():
            return
        pod = self._pod(spec.ref)
        if not pod.exists:
            pod.make(spec)
        pod.start("fetch", "inputs")

    async def observe(self, ref: AttemptRef) -> Observation:
        pod = self._pod(ref)
        if not pod.exists:
            return Observation(ref=ref, phase=AttemptPhase.ABSENT)
        fetched = pod.exit_code("fetch")
        if fetched is None:
            waits = PendingReason(kind=PendingKind.SCHEDULER, message="The pod is starting.")
            return Observation(ref=ref, phase=AttemptPhase.PENDING, pending_reasons=(waits,))
        if fetched != 0:
            failure = _failed(FailureReason.INPUT_TRANSFER, "fetch", fetched)
            return Observation(
                ref=ref, phase=AttemptPhase.ENDED, failure=failure, agent_failure=failure
            )
        shown = await self._containers.observe(ref)
        if shown.phase is AttemptPhase.ABSENT:
            if (pod.folder / "removed").exists():
                return shown
            return Observation(ref=ref, phase=AttemptPhase.PENDING)
        sent = pod.exit_code("transfer")
        if sent is None:
            return shown
        failure = _failed(FailureReason.OUTPUT_TRANSFER, "transfer", sent)
        return replace(shown, agent_failure=failure)

    async def list_attempts(self) -> Sequence[AttemptRef]:
        return [pod.ref for pod in self._pods()]

    async def cancel(self, ref: AttemptRef, grace: timedelta) -> None:
        """As the deletion of a pod: all its processes get SIGTERM together."""
        pod = self._pod(ref)
        for command in ("fetch", "transfer"):
            pod.signal(command, signal.SIGTERM)
        if pod.exists and pod.exit_code("fetch") is None:
            pod.signal("fetch", signal.SIGKILL)
        await self._containers.cancel(ref, grace)

    async def delete(self, ref: AttemptRef) -> None:
        pod = self._pod(ref)
        if pod.exists:
            (pod.folder / "removed").touch()
        await self._containers.delete(ref)
        for command in ("fetch", "transfer"):
            pod.signal(command, signal.SIGKILL)
        kept = self._folder / "kept"  # for tests that look at what agents logged
        kept.mkdir(exist_ok=True)
        for log in pod.folder.glob("*.log"):
            shutil.copy(log, kept / f"{pod.folder.name}.{log.name}")
        for code in pod.folder.glob("*.exit"):
            shutil.copy(code, kept / f"{pod.folder.name}.{code.name}")
        await asyncio.to_thread(shutil.rmtree, pod.folder, ignore_errors=True)

    def logs(self, ref: AttemptRef) -> AsyncGenerator[bytes, None]:
        return self._containers.logs(ref)

    async def changes(self) -> AsyncGenerator[AttemptRef, None]:
        pumping = asyncio.create_task(self._pump())
        try:
            while True:
                yield await self._changed.get()
        finally:
            pumping.cancel()

    async def drive_forever(self) -> None:
        """Start what follows in each pod, and tell what has changed in it."""
        while True:
            for pod in self._pods():
                # It may just be removed, or the engine may be busy: the next look tries again.
                with contextlib.suppress(OSError, SchedulerUnavailable):
                    await self._drive(pod)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _drive(self, pod: Pod) -> None:
        codes = (pod.exit_code("fetch"), pod.exit_code("transfer"))
        if codes[0] == 0 and not (pod.folder / "task.submitted").exists():
            await self._begin_task(pod)
        if self._seen.get(pod.ref) != codes:
            self._seen[pod.ref] = codes
            self._changed.put_nowait(pod.ref)

    async def _begin_task(self, pod: Pod) -> None:
        spec = replace(
            pod.spec(), inputs_path=pod.folder / "inputs", outputs_path=pod.folder / "outputs"
        )
        try:
            await self._containers.submit(spec)
        except SubmissionRefused:  # its folders go first when a pod is removed
            if pod.exists and not (pod.folder / "removed").exists():
                raise
            return
        pod.start("transfer", "outputs")
        (pod.folder / "task.submitted").touch()

    async def _pump(self) -> None:
        async for ref in self._containers.changes():
            self._changed.put_nowait(ref)

    def _pod(self, ref: AttemptRef) -> Pod:
        return Pod(self._folder / f"{ref.run_id}_{ref.number}")

    def _pods(self) -> list[Pod]:
        return [Pod(folder) for folder in self._folder.glob("*_*") if (folder / "spec").exists()]


def _failed(reason: FailureReason, command: str, code: int) -> Failure:
    return Failure(reason=reason, message=f"The agent ({command}) ended with exit code {code}.")


def _end_with(driving: asyncio.Task[None]) -> None:
    """Without its driver no pod goes on: better a server that is gone, and says why."""
    if not driving.cancelled():
        traceback.print_exception(driving.exception())
        os._exit(70)


def main() -> None:
    """appengine-server with pods."""
    opened = app.open_container_scheduler

    @asynccontextmanager
    async def open_pods(*arguments: Any) -> AsyncIterator[Any]:
        async with opened(*arguments) as containers:
            pods = PodScheduler(containers, Path(os.environ["POD_FOLDER"]))
            driving = asyncio.create_task(pods.drive_forever())
            driving.add_done_callback(_end_with)
            try:
                yield pods
            finally:
                driving.cancel()

    app.open_container_scheduler = open_pods
    __main__.main()


if __name__ == "__main__":
    main()
