"""Builds the server: the only place that knows everything.

`serve` reads from top to bottom as the server is put together, and is torn down from the bottom up.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import structlog
from appengine.v1 import (
    agent_service_pb2,
    agent_service_pb2_grpc,
    run_service_pb2,
    run_service_pb2_grpc,
    task_service_pb2,
    task_service_pb2_grpc,
)
from google.protobuf.descriptor import FileDescriptor

from appengine_server import from_settings
from appengine_server.bell import Bells
from appengine_server.checks.running import check_start
from appengine_server.database.cytomine import read_old_database
from appengine_server.database.embedded import (
    EmbeddedPostgres,
    embedded_beside,
    embedded_postgres,
)
from appengine_server.database.migrate import check_current, migrate
from appengine_server.database.notifications import Listener
from appengine_server.database.pool import ConnectTo, Database, open_database
from appengine_server.database.takeover import release_all
from appengine_server.faultpoints import FaultPoints
from appengine_server.from_settings import CytomineSource
from appengine_server.identity import TokenFile
from appengine_server.jobs import Jobs
from appengine_server.metrics import Metrics
from appengine_server.rpc import storage_service
from appengine_server.rpc.agent_service import AgentService
from appengine_server.rpc.interceptors.identity import (
    AttemptAuthenticator,
    Authenticator,
    OpenAuthenticator,
    TokenAuthenticator,
)
from appengine_server.rpc.parameter_values import ParameterValues
from appengine_server.rpc.run_service import RunService
from appengine_server.rpc.server import (
    Service,
    Stop,
    build_server,
    running_server,
)
from appengine_server.rpc.storage_service import StorageService
from appengine_server.rpc.task_service import TaskService
from appengine_server.runs.admission import Admission
from appengine_server.runs.agents import Agents
from appengine_server.runs.arrivals import Arrivals
from appengine_server.runs.census import Census
from appengine_server.runs.effects import Effects
from appengine_server.runs.logs import Logs
from appengine_server.runs.outputs import OutputLimits, Outputs
from appengine_server.runs.reconcile import Reconciler
from appengine_server.runs.references import References
from appengine_server.runs.retention import Retention, Swept
from appengine_server.runs.runs import Runs
from appengine_server.runs.steps import Steps
from appengine_server.runs.submission import Submission
from appengine_server.runs.transfers import Transfers
from appengine_server.runs.upload_quota import UploadQuota
from appengine_server.runs.waking import CHANNELS, Waking
from appengine_server.runs.watching import Watching
from appengine_server.scheduling.container.scheduler import open_container_scheduler
from appengine_server.scheduling.images import ImageStore
from appengine_server.scheduling.scheduler import Scheduler
from appengine_server.scheduling.traced import TracedScheduler
from appengine_server.settings import Reviewed, RpcSettings, Settings, SettingsRefused
from appengine_server.storage.layout import StorageLayout
from appengine_server.storage.quota import FreeSpace
from appengine_server.storage.uploads import Uploads
from appengine_server.tasks import cytomine_report
from appengine_server.tasks.agent_image import ensure_agent_image
from appengine_server.tasks.cytomine import CytomineImport
from appengine_server.tasks.kept_images import KeptImages
from appengine_server.tasks.publish import Publisher
from appengine_server.tasks.registry import pull_secret
from appengine_server.tasks.registry_images import RegistryImages
from appengine_server.tasks.tasks import Tasks
from appengine_server.tracing import Tracing, open_tracing

log = structlog.get_logger(__name__)

A = TypeVar("A")
B = TypeVar("B")

_PUBLISHERS = 2
"""Images that are published at once, so that a small one need not wait for one of 17 GB."""


async def serve(reviewed: Reviewed, stop: asyncio.Event) -> None:
    """Serve until `stop` is set, or until a part without which nothing works has failed.

    Raises CannotStart with all that the checks find; and what may still go wrong after them:
    SettingsRefused, CannotServe, BadTokenFile, DatabaseUnusable, SchedulerUnavailable, Unavailable.
    """
    await check_start(reviewed)
    settings = reviewed.settings
    authenticator = _authenticator(settings.rpc)
    layout = StorageLayout(settings.storage.base_path)
    metrics = Metrics()
    async with AsyncExitStack() as stack:  # closes from the bottom up
        tracing = stack.enter_context(open_tracing(settings.tracing))
        # Together, because both wait for other programs to answer.
        opened, executing = await _enter_both(
            stack, _open_database(settings, metrics), _open_scheduler(settings, layout)
        )
        embedded, connect_to, database = opened
        engine = Engine(settings, database, layout, executing, metrics=metrics, tracing=tracing)
        stack.push_async_callback(engine.close)
        jobs = await stack.enter_async_context(Jobs(on_end=stop.set))
        if embedded is not None:
            jobs.start("supervise postgres", embedded.supervise_forever())
        engine.start(jobs, connect_to)
        server = await build_server(
            services=engine.services(),
            authenticator=AttemptAuthenticator(engine.agents, authenticator),
            address=from_settings.address(settings.rpc),
            tls=from_settings.tls_files(settings.rpc),
            tracing=tracing,
        )
        if settings.metrics.port is not None:
            given = settings.metrics
            stack.enter_context(metrics.exported(given.bind_address, settings.metrics.port))
        await stack.enter_async_context(running_server(server, _stop(settings.rpc)))
        if settings.rpc.port_file is not None:
            await asyncio.to_thread(_write_port, settings.rpc.port_file, server.port)
        log.info("server.serving", address=settings.rpc.bind_address, port=server.port)
        await stop.wait()
        log.info("server.stopping")


def _write_port(path: Path, port: int) -> None:
    """Whole or not at all: who waits for the file reads it in the moment in which it is there."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(str(port))
    fresh.replace(path)


async def sweep_once(settings: Settings, *, dry_run: bool) -> Sequence[Swept]:
    """Sweep once, beside servers that run or without any; a dry run only looks.

    Raises SettingsRefused, DatabaseUnusable, SchedulerUnavailable, Unavailable.
    """
    async with AsyncExitStack() as stack:
        layout, database = await stack.enter_async_context(_open_beside(settings))
        scheduler, images = await stack.enter_async_context(_open_to_sweep(settings, layout))
        retention = Retention(
            database=database, layout=layout, scheduler=scheduler,
            images=_kept_images(settings, database, images),
            upload_bytes=_uploads_beside(settings, layout), settings=settings.retention,
            metrics=Metrics().retention,
            effects_added=lambda: None,  # the database tells the servers
        )  # fmt: skip
        return await (retention.look() if dry_run else retention.sweep())


async def import_cytomine(
    settings: Settings, source: CytomineSource, *, dry_run: bool
) -> cytomine_report.Report:
    """Take over the tasks of Cytomine's App Engine, beside servers that run or without any; a dry
    run only looks.

    Raises SettingsRefused, DatabaseUnusable, SchedulerUnavailable, Unavailable.
    """
    registry = from_settings.registry(settings.tasks)
    if registry is None:
        raise SettingsRefused(
            "REGISTRY_URL: name the registry that the old engine pushed to: its images stay there."
        )
    storage, old_database = from_settings.cytomine_source(settings, source)
    if not await asyncio.to_thread(storage.is_dir):
        raise SettingsRefused(
            f"--from-storage: there is no folder {storage}: name the STORAGE_BASE_PATH of the old "
            "engine."
        )
    old = await read_old_database(old_database)
    async with _open_beside(settings) as (layout, database):
        tasks = Tasks(
            database=database, layout=layout, upload_bytes=_uploads_beside(settings, layout),
            publishing=Waking(Bells()),  # servers look by themselves
            defaults=from_settings.resource_defaults(settings.tasks),
            limits=from_settings.bundle_limits(settings),
        )  # fmt: skip
        importing = CytomineImport(
            tasks=tasks, images=_registry_images(settings), registry=registry,
            storage=storage, project=source.project,
            limits=from_settings.bundle_limits(settings),
        )  # fmt: skip
        found = [await importing.examine(task) for task in old.tasks]
        if not dry_run:
            found = [await importing.take_over(one) for one in found]
    return cytomine_report.Report(old=old, tasks=found)


class Engine:
    """The use cases and the loops, put together."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        layout: StorageLayout,
        executing: tuple[Scheduler, ImageStore],
        *,
        metrics: Metrics,
        tracing: Tracing,
    ) -> None:
        scheduler, images = TracedScheduler(executing[0], tracing), executing[1]
        server_id, faults = uuid4(), _fault_points(settings)
        free_space = FreeSpace(
            base=settings.storage.base_path, low_water_bytes=settings.storage.low_water_bytes
        )
        self.metrics = metrics
        metrics.storage.read_disk(free_space.free_bytes, free_space.low_water_bytes)
        self._settings = settings
        self._bells = Bells()
        self._waking = waking = Waking(self._bells)
        self._uploads = Uploads(layout, from_settings.upload_limits(settings), free_space)
        kept = _kept_images(settings, database, images)
        self._publisher = Publisher(
            database=database, layout=layout, images=images, kept=kept,
            settings=from_settings.publish_settings(settings), faults=faults,
        )  # fmt: skip
        self._tasks = Tasks(
            database=database, layout=layout, upload_bytes=self._uploads, publishing=waking,
            defaults=from_settings.resource_defaults(settings.tasks),
            limits=from_settings.bundle_limits(settings),
        )  # fmt: skip
        nodes = settings.kubernetes
        references = References(
            from_settings.datasets(settings.storage),
            on_nodes=bool(nodes.dataset_claim or nodes.dataset_host_path),
        )
        self._runs = Runs(
            database=database, layout=layout, tasks=self._tasks, driving=waking,
            free_space=free_space, references=references,
            index_guard=settings.runs.max_array_items,
        )  # fmt: skip
        self._logs = Logs(
            layout=layout, scheduler=scheduler, bells=self._bells,
            limit_bytes=settings.runs.log_bytes,
        )  # fmt: skip
        outputs = Outputs(
            layout=layout, references=references,
            limits=OutputLimits(
                total_bytes=settings.runs.max_output_bytes, entries=self._uploads.limits.entries,
                unpacked_bytes=settings.runs.max_unpacked_bytes,
            ),
        )  # fmt: skip
        arrivals = Arrivals(
            database=database, layout=layout, upload_bytes=self._uploads, faults=faults,
            expiry=settings.storage.upload_expiry, stall_limit=settings.runs.transfer_stall_limit,
            max_output_bytes=settings.runs.max_output_bytes,
        )  # fmt: skip
        self.agents = Agents(
            database=database, tasks=self._tasks, arrivals=arrivals, bells=self._bells
        )
        self._steps = Steps(
            database=database, scheduler=scheduler, tasks=self._tasks, outputs=outputs,
            arrivals=arrivals, logs=self._logs, settings=settings.runs, faults=faults,
            room_freed=waking.room_freed, effects_added=waking.effects_added,
        )  # fmt: skip
        self._reconciler = Reconciler(
            database=database, scheduler=scheduler, steps=self._steps, settings=settings.runs,
            server_id=server_id, metrics=metrics.loop, tracing=tracing,
        )  # fmt: skip
        self._admission = Admission(
            database=database, scheduler=scheduler, free_space=free_space, faults=faults,
            effects_added=waking.effects_added,
        )  # fmt: skip
        self._effects = Effects(
            database=database, layout=layout, scheduler=scheduler, images=kept,
            upload_bytes=self._uploads, cancel_grace=settings.runs.cancel_grace, faults=faults,
            lease=settings.runs.lease,
            submission=Submission(
                layout=layout, tasks=self._tasks, settings=settings.runs, references=references
            ),
            agents=self.agents, noticing=waking, tracing=tracing,
        )  # fmt: skip
        self._retention = Retention(
            database=database, layout=layout, scheduler=scheduler, images=kept,
            upload_bytes=self._uploads, settings=settings.retention, metrics=metrics.retention,
            effects_added=waking.effects_added,
        )  # fmt: skip
        self._census = Census(database=database, metrics=metrics.runs)
        self._watching = Watching(
            database=database, bells=self._bells, runs=self._runs, tasks=self._tasks,
            logs=self._logs,
        )  # fmt: skip
        self._transfers = Transfers(
            database=database, layout=layout, upload_bytes=self._uploads, runs=self._runs,
            expiry=settings.storage.upload_expiry, faults=faults, references=references,
            agents=self.agents, arrivals=arrivals,
            receiving=from_settings.receiving_limits(settings.runs),
            quota=UploadQuota(
                project_bytes=settings.storage.project_quota_bytes,
                storage_bytes=settings.storage.quota_bytes,
            ),
        )  # fmt: skip
        self._values = ParameterValues(runs=self._runs, outputs=outputs, layout=layout)
        waking.attach(
            reconciler=self._reconciler, admission=self._admission, effects=self._effects,
            steps=self._steps, publisher=self._publisher,
        )  # fmt: skip

    def start(self, jobs: Jobs, connect_to: ConnectTo) -> None:
        """Start the endless tasks."""
        listener = Listener(
            connect_to,
            CHANNELS,
            on_notification=self._waking.on_notification,
            on_connected=self._waking.on_connected,
        )
        jobs.start("listen to the database", listener.run_forever())
        jobs.start("reconcile runs", self._reconciler.reconcile_forever())
        jobs.start("wake due runs", self._reconciler.wake_due_forever())
        jobs.start("listen to the scheduler", self._reconciler.listen_forever())
        jobs.start("admit runs", self._admission.admit_forever())
        jobs.start("do effects", self._effects.do_forever())
        jobs.start("keep effects", self._effects.keep_forever())
        for number in range(1, _PUBLISHERS + 1):
            jobs.start(f"publish tasks {number}", self._publisher.publish_forever())
        jobs.start("sweep", self._retention.sweep_forever())
        if self._settings.metrics.port is not None:
            jobs.start("count runs", self._census.count_forever())

    def services(self) -> list[Service]:
        """What the server offers."""
        return [
            Service(
                full_name=_full_name(task_service_pb2.DESCRIPTOR, "TaskService"),
                add=task_service_pb2_grpc.add_TaskServiceServicer_to_server,
                servicer=TaskService(self._tasks, self._runs, self._watching),
                endless=frozenset({"WatchTask"}),
            ),
            Service(
                full_name=_full_name(run_service_pb2.DESCRIPTOR, "RunService"),
                add=run_service_pb2_grpc.add_RunServiceServicer_to_server,
                servicer=RunService(self._runs, self._watching, self._values),
                endless=frozenset({"WatchRun", "WatchRuns", "TailLogs"}),
            ),
            Service(
                full_name=storage_service.FULL_NAME,
                add=storage_service.add_to_server,
                servicer=StorageService(
                    self._transfers, self._settings.storage, self.metrics.transfers
                ),
            ),
            Service(
                full_name=_full_name(agent_service_pb2.DESCRIPTOR, "AgentService"),
                add=agent_service_pb2_grpc.add_AgentServiceServicer_to_server,
                servicer=AgentService(self.agents),
                endless=frozenset({"Synchronize"}),  # it may hold its answer back
            ),
        ]

    async def close(self) -> None:
        """Leave everything so that another server can go on at once."""
        await self._logs.close()
        await self._uploads.close()
        await self._publisher.release()
        await self._reconciler.release()


def _full_name(file: FileDescriptor, service: str) -> str:
    return str(file.services_by_name[service].full_name)


def _authenticator(settings: RpcSettings) -> Authenticator:
    if settings.tokens_file is None:
        return OpenAuthenticator()
    return TokenAuthenticator(TokenFile(settings.tokens_file))


async def _enter_both(
    stack: AsyncExitStack,
    one: AbstractAsyncContextManager[A],
    other: AbstractAsyncContextManager[B],
) -> tuple[A, B]:
    """Enter two contexts at once; raises what the first of them raises."""
    entering = (stack.enter_async_context(one), stack.enter_async_context(other))
    first, second = await asyncio.gather(*entering, return_exceptions=True)
    if isinstance(first, BaseException):
        raise first
    if isinstance(second, BaseException):
        raise second
    return first, second


@asynccontextmanager
async def _open_database(
    settings: Settings, metrics: Metrics
) -> AsyncIterator[tuple[EmbeddedPostgres | None, ConnectTo, Database]]:
    """The database, migrated. None for the embedded PostgreSQL where there is another one."""
    async with AsyncExitStack() as stack:
        embedded, connect_to = None, from_settings.external_database(settings.database)
        if connect_to is None:
            folder = settings.storage.base_path
            embedded = await stack.enter_async_context(embedded_postgres(folder))
            connect_to = embedded.connect_to
        await migrate(connect_to)
        pool = open_database(
            connect_to, min_size=2, max_size=settings.database.pool_size,
            command_timeout=settings.database.command_timeout, silence_limit=settings.runs.lease,
            on_acquired=metrics.database.acquired,
        )  # fmt: skip
        database = await stack.enter_async_context(pool)
        metrics.database.read_pool(database.used, database.idle, lambda: database.waiters)
        if embedded is not None:  # its data folder is ours alone, so no other server lives
            await release_all(database)
        yield embedded, connect_to, database


@asynccontextmanager
async def _open_beside(settings: Settings) -> AsyncIterator[tuple[StorageLayout, Database]]:
    """Storage and database of an engine whose servers may be running, for a command."""
    layout = StorageLayout(settings.storage.base_path)
    if not await asyncio.to_thread(layout.base.is_dir):
        raise SettingsRefused(
            f"STORAGE_BASE_PATH: there is no folder {layout.base}: name the storage of the server."
        )
    async with AsyncExitStack() as stack:
        connect_to = from_settings.external_database(settings.database)
        if connect_to is None:
            connect_to = await stack.enter_async_context(embedded_beside(layout.base))
        await check_current(connect_to)
        pool = open_database(
            connect_to, min_size=1, max_size=2, command_timeout=settings.database.command_timeout
        )
        yield layout, await stack.enter_async_context(pool)


def _uploads_beside(settings: Settings, layout: StorageLayout) -> Uploads:
    free_space = FreeSpace(base=layout.base, low_water_bytes=0)
    return Uploads(layout, from_settings.upload_limits(settings), free_space)


@asynccontextmanager
async def _open_scheduler(
    settings: Settings, layout: StorageLayout
) -> AsyncIterator[tuple[Scheduler, ImageStore]]:
    """What executes the tasks, and where it takes images from."""
    engine_id = await asyncio.to_thread(layout.engine_id)
    if settings.scheduling.kind == "kubernetes":
        async with _open_kubernetes(settings, layout, engine_id) as opened:
            yield opened
        return
    async with open_container_scheduler(
        from_settings.container_settings(settings.scheduling, engine_id)
    ) as scheduler:
        yield scheduler, scheduler.images


@asynccontextmanager
async def _open_to_sweep(
    settings: Settings, layout: StorageLayout
) -> AsyncIterator[tuple[Scheduler, ImageStore]]:
    """As `_open_scheduler`, with nothing made in the cluster or brought to a registry."""
    engine_id = await asyncio.to_thread(layout.engine_id)
    if settings.scheduling.kind == "container":
        container = from_settings.container_settings(settings.scheduling, engine_id)
        async with open_container_scheduler(container) as scheduler:
            yield scheduler, scheduler.images
        return
    from appengine_server.scheduling.kubernetes.scheduler import open_kubernetes_scheduler

    image = "none" if settings.kubernetes.run_mode == "cluster" else None
    kubernetes = from_settings.kubernetes_scheduler(settings, engine_id, image)
    async with open_kubernetes_scheduler(replace(kubernetes, network_policy=False)) as found:
        yield found, _registry_images(settings)


@asynccontextmanager
async def _open_kubernetes(
    settings: Settings, layout: StorageLayout, engine_id: str
) -> AsyncIterator[tuple[Scheduler, ImageStore]]:
    # Its client takes a second to import and 47 MiB, which only those pay who use it.
    from appengine_server.scheduling.kubernetes.scheduler import open_kubernetes_scheduler

    registry = from_settings.registry(settings.tasks)
    agent_image = None
    if settings.kubernetes.run_mode == "cluster":
        agent_image = await ensure_agent_image(settings.tasks, registry, layout)
    auth = None if registry is None else pull_secret(registry)
    kubernetes = from_settings.kubernetes_scheduler(settings, engine_id, agent_image, auth)
    async with open_kubernetes_scheduler(kubernetes) as scheduler:
        yield scheduler, _registry_images(settings)


def _registry_images(settings: Settings) -> RegistryImages:
    registry = from_settings.registry(settings.tasks)
    return RegistryImages(registry, from_settings.platforms(settings.tasks))


def _kept_images(settings: Settings, database: Database, images: ImageStore) -> KeptImages:
    registry = from_settings.registry(settings.tasks)
    return KeptImages(database=database, images=images, registry=registry)


def _stop(settings: RpcSettings) -> Stop:
    return Stop(grace=settings.shutdown_grace, endpoint_wait=settings.endpoint_removal_wait)


def _fault_points(settings: Settings) -> FaultPoints:
    return FaultPoints(folder=settings.faults.folder)
