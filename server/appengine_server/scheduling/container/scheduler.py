"""Attempts as containers of a Docker-compatible engine, Docker or podman, on one machine.

Everything is found again by the attempt's name and labels, so containers outlive the server. What
is kept in memory only makes answers quicker or richer: when a process ended, what it used, and
that we killed it ourselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from appengine_server.scheduling.container import refusals
from appengine_server.scheduling.container.admission import admit
from appengine_server.scheduling.container.config import (
    ATTEMPT_LABEL,
    ENGINE_LABEL,
    RUN_LABEL,
    container_config,
)
from appengine_server.scheduling.container.engine import (
    Details,
    Engine,
    EngineRefused,
    open_engine,
)
from appengine_server.scheduling.container.images import ContainerImages
from appengine_server.scheduling.container.logs import FollowedLog
from appengine_server.scheduling.container.observation import (
    moment_of,
    observation_of,
    was_started,
)
from appengine_server.scheduling.container.process import ContainerProcess, Evidence
from appengine_server.scheduling.container.settings import ContainerSettings
from appengine_server.scheduling.scheduler import (
    Admission,
    AttemptPhase,
    AttemptRef,
    AttemptSpec,
    Failure,
    FailureReason,
    InUse,
    Observation,
    Resources,
    SchedulerUnavailable,
    StillWanted,
    SubmissionRefused,
)
from appengine_server.scheduling.verdicts import (
    check_folders,
    exec_format_failure,
    is_exec_format_error,
)

log = structlog.get_logger()

_SILENCE_SECONDS = 300
"""An event stream this quiet is opened anew, in case its connection was cut unseen."""

_KILL_ATTEMPTS = 5
_APPEARS_AFTER_SECONDS = (0.02, 0.05, 0.1, 0.2, 0.5, 1)
_STARTED_WITHIN = timedelta(seconds=5)
"""Between the making of a container and its start, unless its server is dead or paused."""

_UNRUNNABLE = {1, 126, 127, 255}
"""What runtimes exit with when the kernel refuses the program after the container began."""
_UNRUNNABLE_WITHIN = timedelta(seconds=5)
_NEWS = {"create", "start", "die", "died", "oom", "remove", "destroy"}

_News = AttemptRef | SchedulerUnavailable | None
"""What the pump tells: an attempt, how the stream was lost, or None at its orderly end."""


@dataclass(slots=True, kw_only=True)
class _Attempt:
    """What we remember of an attempt. Nothing that could not be lost."""

    pid: int = 0
    """Of the container's process that was looked at last; 0 for none."""
    process: ContainerProcess | None = None
    evidence: Evidence | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """The process ended, as far as we could see it."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    killed: bool = False
    kill_at: float | None = None
    killer: asyncio.Task[None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """A container that is there and was not started."""

    id: str
    is_new: bool
    """This call made it."""


class ContainerScheduler:
    """A Scheduler. Made by `open_container_scheduler`, which also closes it."""

    def __init__(self, engine: Engine, settings: ContainerSettings) -> None:
        """`engine` stays its owner's, who closes it after this."""
        self._engine = engine
        self._settings = settings
        self._label = f"{ENGINE_LABEL}={settings.engine_id}"
        self._attempts: dict[AttemptRef, _Attempt] = {}
        self._subscribers: set[asyncio.Queue[_News]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._devices = settings.devices()
        self.capacity = Resources(
            cpus=engine.facts.cpus if settings.cpus is None else settings.cpus,
            ram_bytes=(
                engine.facts.ram_bytes if settings.ram_bytes is None else settings.ram_bytes
            ),
            gpus=len(self._devices),
        )
        self.images = ContainerImages(engine)

    @property
    def moves_data(self) -> bool:
        """False: containers see our folders by mounts."""
        return False

    @property
    def isolates_network(self) -> bool:
        """True: a container without a network has no interface but the loopback."""
        return True

    def admit(self, wanted: Resources, in_use: InUse) -> Admission:
        """Say whether there is room beside what is in use."""
        return admit(wanted, in_use, self.capacity, self._devices)

    async def submit(self, spec: AttemptSpec, *, still_wanted: StillWanted | None = None) -> None:
        """Create and start the container; one that was created before is only started.

        Asking in between is for certain. Whoever ends the attempt from then on removes this
        container first, and what is started is this one, by its id, and no other of its name.
        """
        check_folders(spec)
        ref, attempt, made = spec.ref, self._remember(spec.ref), None
        try:
            made = await self._create(spec)
            if made is None:
                return
            if attempt.killed:  # cancelled while it was made
                await self._engine.delete(made.id)
                return
            if still_wanted is not None and not await still_wanted():
                if made.is_new:  # else it belongs to whoever has submitted it
                    await self._engine.delete(made.id)
                return
            await self._start(ref, made.id, attempt)
        except EngineRefused as error:
            await self._delete_refused(ref, made)
            if attempt.killed:  # cancelled while it was started
                return
            self._forget(ref)
            raise refusals.submission_refused(spec, error) from error
        self._spawn(self._attach_now(ref), f"watch {ref.name}")

    async def observe(self, ref: AttemptRef) -> Observation:
        """Show the attempt by inspecting its container."""
        details = await self._inspect(ref)
        if details is None:
            self._forget(ref)
            return Observation(ref=ref, phase=AttemptPhase.ABSENT)
        self._attach(ref, details)
        attempt = self._remember(ref)
        observation = observation_of(
            ref,
            details,
            evidence=attempt.evidence or _counted(attempt.process),
            killed_by_us=attempt.killed,
            engine_tells_oom=not self._engine.facts.is_podman,
        )
        if observation.phase is AttemptPhase.ENDED:
            self._close_process(attempt, observation)
            if await self._is_unrunnable(observation):
                failure = exec_format_failure(
                    observation.exit_code, self._engine.facts.architecture
                )
                return replace(observation, failure=failure)
        return observation

    async def list_attempts(self) -> Sequence[AttemptRef]:
        """Every attempt of this engine id, by the labels of its containers."""
        return sorted(ref for ref, _ in await self._containers())

    async def cancel(self, ref: AttemptRef, grace: timedelta) -> None:
        """Send SIGTERM now and SIGKILL after `grace`, as long as this process lives.

        A server that ends in between leaves the container running: call it again after a restart.
        """
        attempt = self._remember(ref)
        attempt.killed = True
        details = await self._inspect(ref)
        if details is None:
            return
        if not was_started(details):
            await self._engine.delete(ref.name)
            self._tell(ref)
        elif await self._engine.kill(ref.name, "SIGTERM"):
            self._attach(ref, details)
            self._kill_later(ref, attempt, grace.total_seconds())

    async def delete(self, ref: AttemptRef) -> None:
        """Remove the container with its log and anonymous volumes, killing it if it runs."""
        if await self._inspect(ref) is not None:
            await self._engine.delete(ref.name)
        else:  # somebody may have given it another name
            for other, container_id in await self._containers():
                if other == ref:
                    await self._engine.delete(container_id)
        self._forget(ref)

    async def logs(self, ref: AttemptRef) -> AsyncGenerator[bytes, None]:
        """Follow the log while the task runs; then read it again for what is left.

        The same bytes each time while the log is below `log_bytes` of the settings. Raises
        LogIncomplete where the engine left out bytes while it was followed.
        """
        if not await self._has_started(ref):
            return
        followed = FollowedLog()
        try:
            async with aclosing(self._follow(ref, self._remember(ref))) as following:
                async for chunk in following:
                    followed.give(chunk)
                    yield chunk
            await self._until_shown_as_ended(ref)
            async with aclosing(self._engine.logs(ref.name, follow=False)) as whole:
                async for chunk in whole:
                    if fresh := followed.rest_of(chunk):
                        yield fresh
        except EngineRefused as error:
            if not error.absent:
                raise SchedulerUnavailable(error.message) from error

    async def changes(self) -> AsyncGenerator[AttemptRef, None]:
        """Begin with every attempt there is, then tell each whose container may have changed.

        Ends when the engine was silent for long; then call it again, as the Protocol says.
        """
        queue: asyncio.Queue[_News] = asyncio.Queue()
        self._subscribers.add(queue)
        pump: asyncio.Task[None] | None = None
        try:
            async with self._engine.events(self._label, silence_seconds=_SILENCE_SECONDS) as events:
                # Listening has begun, so nothing can happen unseen between this and the rest.
                for ref in await self.list_attempts():
                    yield ref
                pump = asyncio.create_task(self._pump(events, queue), name="container events")
                while (item := await queue.get()) is not None:
                    if isinstance(item, SchedulerUnavailable):
                        raise item
                    yield item
        finally:
            self._subscribers.discard(queue)
            if pump is not None:
                pump.cancel()
                await asyncio.gather(pump, return_exceptions=True)

    async def close(self) -> None:
        """Stop watching. Containers run on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for ref in list(self._attempts):
            self._forget(ref)

    async def _create(self, spec: AttemptSpec) -> _Made | None:
        """Make the container. None if there is one that was started before."""
        config = container_config(spec, self._settings, self._engine.facts)
        try:
            container_id = await self._engine.create(spec.ref.name, config)
        except EngineRefused as error:
            if not error.name_taken:
                raise
            return await self._take_up(spec)
        if spec.gpu_devices:
            await self._check_gpus(container_id)
        return _Made(id=container_id, is_new=True)

    async def _start(self, ref: AttemptRef, container_id: str, attempt: _Attempt) -> None:
        try:
            await self._engine.start(container_id)
        except EngineRefused as error:
            if not error.absent:
                raise
            if not attempt.killed:
                message = f"container {ref.name} was removed while it was started"
                raise SchedulerUnavailable(message) from error

    async def _take_up(self, spec: AttemptSpec) -> _Made | None:
        """Use the container that another call made, or make one in its stead where that call has
        been silent: a server that was paused shall not start this one when it wakes up, perhaps
        after its end.
        """
        details = await self._existing(spec.ref)
        if was_started(details):
            return None
        made_at = moment_of(details.get("Created"))
        if made_at is None or datetime.now(UTC) - made_at < _STARTED_WITHIN:
            return _Made(id=details["Id"], is_new=False)
        await self._engine.delete(details["Id"])
        return await self._create(spec)

    async def _existing(self, ref: AttemptRef) -> Details:
        for delay_seconds in _APPEARS_AFTER_SECONDS:
            # podman takes the name first and shows the container only when it is made.
            if (details := await self._engine.inspect(ref.name)) is not None:
                break
            await asyncio.sleep(delay_seconds)
        else:
            message = f"container {ref.name} is being made or removed by another call"
            raise SchedulerUnavailable(message)
        if not self._is_ours(details):
            self._forget(ref)
            message = f"a container {ref.name} exists and belongs to another engine id"
            raise SubmissionRefused(Failure(reason=FailureReason.ENGINE, message=message))
        self._attach(ref, details)
        return details

    async def _delete_refused(self, ref: AttemptRef, made: _Made | None) -> None:
        """Remove what a refused submission left; what else runs is another server's."""
        if made is not None:
            await self._engine.delete(made.id)
            return
        details = await self._inspect(ref)
        if details is not None and not was_started(details):
            await self._engine.delete(details["Id"])

    async def _check_gpus(self, container_id: str) -> None:
        """Refuse where the engine ignored the request: podman's Docker API may do so silently."""
        details = await self._engine.inspect(container_id) or {}
        host = details.get("HostConfig") or {}
        if host.get("DeviceRequests") or host.get("Devices"):
            return
        await self._engine.delete(container_id)
        message = "the container engine ignores requests for GPUs over its API: use Docker for them"
        raise SubmissionRefused(Failure(reason=FailureReason.UNSCHEDULABLE, message=message))

    async def _containers(self) -> list[tuple[AttemptRef, str]]:
        """The containers of this engine id, whatever they are called: their attempts and ids."""
        found = await self._engine.list(self._label)
        refs = [(_ref_of(item.get("Labels") or {}), str(item["Id"])) for item in found]
        return [(ref, container_id) for ref, container_id in refs if ref is not None]

    async def _inspect(self, ref: AttemptRef) -> Details | None:
        details = await self._engine.inspect(ref.name)
        return details if details is not None and self._is_ours(details) else None

    def _is_ours(self, details: Details) -> bool:
        labels = (details.get("Config") or {}).get("Labels") or {}
        return bool(labels.get(ENGINE_LABEL) == self._settings.engine_id)

    async def _attach_now(self, ref: AttemptRef) -> None:
        if (details := await self._inspect(ref)) is not None:
            self._attach(ref, details)
        self._tell(ref)

    def _attach(self, ref: AttemptRef, details: Details) -> None:
        """Watch the container's process, where it runs and can be seen."""
        attempt = self._remember(ref)
        pid = details["State"].get("Pid") or 0
        if pid and pid != attempt.pid:
            _forget_process(attempt)  # somebody has started the container again
            attempt.pid = pid
        if attempt.process is not None or attempt.evidence is not None or not pid:
            return
        attempt.process = ContainerProcess.open(pid, details["Id"])
        if attempt.process is not None:
            attempt.process.watch(lambda evidence: self._process_ended(ref, attempt, evidence))

    def _process_ended(self, ref: AttemptRef, attempt: _Attempt, evidence: Evidence) -> None:
        attempt.process, attempt.evidence = None, evidence
        attempt.ended.set()
        self._tell(ref)

    def _close_process(self, attempt: _Attempt, observation: Observation) -> None:
        """The engine was quicker than the kernel's word: keep what was counted."""
        if attempt.process is not None:
            attempt.evidence = attempt.process.read()
            attempt.process.close()
            attempt.process = None
        attempt.ended.set()

    async def _is_unrunnable(self, observation: Observation) -> bool:
        """Tell whether the kernel refused the program: the runtime says so only in the log."""
        started_at, ended_at = observation.started_at, observation.ended_at
        if observation.exit_code not in _UNRUNNABLE or started_at is None or ended_at is None:
            return False
        if ended_at - started_at > _UNRUNNABLE_WITHIN:
            return False
        printed = b""
        try:
            async with aclosing(self._engine.logs(observation.ref.name, follow=False)) as chunks:
                async for chunk in chunks:
                    printed += chunk
                    if len(printed) > 4096:
                        return False
        except EngineRefused:
            return False
        return is_exec_format_error(printed)

    def _kill_later(self, ref: AttemptRef, attempt: _Attempt, grace_seconds: float) -> None:
        kill_at = asyncio.get_running_loop().time() + grace_seconds
        if attempt.killer is not None and not attempt.killer.done():
            if attempt.kill_at is not None and attempt.kill_at <= kill_at:
                return
            attempt.killer.cancel()
        attempt.kill_at = kill_at
        attempt.killer = self._spawn(self._kill(ref, attempt, grace_seconds), f"kill {ref.name}")

    async def _kill(self, ref: AttemptRef, attempt: _Attempt, grace_seconds: float) -> None:
        try:
            async with asyncio.timeout(grace_seconds):
                await attempt.ended.wait()
        except TimeoutError:
            pass
        else:
            return
        for delay_seconds in range(_KILL_ATTEMPTS):
            try:
                await self._engine.kill(ref.name, "SIGKILL")
            except SchedulerUnavailable as error:
                log.warning("container.kill_failed", attempt=ref.name, error=str(error))
                await asyncio.sleep(delay_seconds + 1)
            else:
                return

    async def _has_started(self, ref: AttemptRef) -> bool:
        """Wait until the container has started. False if there is none, or no longer."""
        while (details := await self._inspect(ref)) is not None:
            self._attach(ref, details)
            if was_started(details):
                return True
            attempt = self._remember(ref)
            attempt.changed.clear()
            try:
                async with asyncio.timeout(1):  # it may be started by another server
                    await attempt.changed.wait()
            except TimeoutError:
                pass
        return False

    async def _follow(self, ref: AttemptRef, attempt: _Attempt) -> AsyncGenerator[bytes, None]:
        """Give of the log what is certain to be whole: what came while the task still ran.

        NB: once the task has ended, podman drops lines at random while it catches up.
        """
        async with aclosing(self._engine.logs(ref.name, follow=True)) as chunks:
            ended = asyncio.create_task(attempt.ended.wait())
            following = asyncio.create_task(anext(chunks, None))
            try:
                while True:
                    await asyncio.wait({following, ended}, return_when=asyncio.FIRST_COMPLETED)
                    if ended.done() or (chunk := following.result()) is None:
                        return
                    if attempt.process is None and not await self._is_running(ref):
                        return
                    yield chunk
                    following = asyncio.create_task(anext(chunks, None))
            finally:
                for task in (ended, following):
                    task.cancel()
                await asyncio.gather(ended, following, return_exceptions=True)

    async def _is_running(self, ref: AttemptRef) -> bool:
        details = await self._engine.inspect(ref.name)
        return details is not None and bool(details["State"].get("Running"))

    async def _until_shown_as_ended(self, ref: AttemptRef) -> None:
        """The log is complete when the engine shows the end, a little after the process's end."""
        delay_seconds = 0.005
        while await self._is_running(ref):
            await asyncio.sleep(delay_seconds)
            delay_seconds = min(2 * delay_seconds, 1)

    async def _pump(
        self,
        events: AsyncIterator[dict[str, Any]],
        queue: asyncio.Queue[_News],
    ) -> None:
        try:
            async for event in events:
                # Filtered here too: engines differ in what they make of several filters.
                labels = (event.get("Actor") or {}).get("Attributes") or {}
                ref = _ref_of(labels)
                ours = labels.get(ENGINE_LABEL) == self._settings.engine_id
                if ours and ref is not None and event.get("Action") in _NEWS:
                    queue.put_nowait(ref)
            queue.put_nowait(SchedulerUnavailable("the engine ended its event stream"))
        except TimeoutError:  # only silence: nothing is wrong, as far as anyone can tell
            queue.put_nowait(None)
        except Exception as error:  # whatever it is, the listener must hear of it
            lost = SchedulerUnavailable(f"the engine's event stream was lost: {error}")
            lost.__cause__ = error
            queue.put_nowait(lost)

    def _tell(self, ref: AttemptRef) -> None:
        if (attempt := self._attempts.get(ref)) is not None:
            attempt.changed.set()
        for queue in self._subscribers:
            queue.put_nowait(ref)

    def _remember(self, ref: AttemptRef) -> _Attempt:
        return self._attempts.setdefault(ref, _Attempt())

    def _forget(self, ref: AttemptRef) -> None:
        if (attempt := self._attempts.pop(ref, None)) is None:
            return
        if attempt.process is not None:
            attempt.process.close()
        attempt.ended.set()
        attempt.changed.set()

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)  # the event loop keeps only a weak reference
        task.add_done_callback(self._task_ended)
        return task

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # What these tasks do only makes things quicker; the caller observes anyway.
            log.warning("container.task_failed", task=task.get_name(), error=str(error))


@asynccontextmanager
async def open_container_scheduler(
    settings: ContainerSettings,
) -> AsyncIterator[ContainerScheduler]:
    """Connect to the engine; raises SchedulerUnavailable where none answers."""
    async with open_engine(settings.url) as engine:
        scheduler = ContainerScheduler(engine, settings)
        try:
            yield scheduler
        finally:
            await scheduler.close()


def _forget_process(attempt: _Attempt) -> None:
    if attempt.process is not None:
        attempt.process.close()
    attempt.process = attempt.evidence = None
    attempt.ended.clear()


def _counted(process: ContainerProcess | None) -> Evidence | None:
    return None if process is None else process.read()


def _ref_of(labels: dict[str, str]) -> AttemptRef | None:
    try:
        return AttemptRef(UUID(labels[RUN_LABEL]), int(labels[ATTEMPT_LABEL]))
    except (KeyError, ValueError):
        return None
