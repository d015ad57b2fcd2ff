"""Looks at what executes the tasks: the container engine, or the cluster with its rights."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import uuid4

from appengine_server import from_settings
from appengine_server.checks.check import (
    Finding,
    LeftOut,
    Severity,
    Surroundings,
    fails,
    refuses,
    told,
    warns,
)
from appengine_server.checks.database import skew_of
from appengine_server.checks.registry import push_check_image
from appengine_server.errors import FailedPrecondition, Unavailable
from appengine_server.scheduling.container.engine import ask_engine, open_engine
from appengine_server.scheduling.container.images import ContainerImages
from appengine_server.scheduling.images import ImageRefused
from appengine_server.scheduling.scheduler import SchedulerUnavailable
from appengine_server.settings import SettingsRefused
from appengine_server.tasks.agent_image import agent_reference
from appengine_server.tasks.registry import pull_secret

if TYPE_CHECKING:  # its client takes a second to import, which only those pay who use it
    from appengine_server.scheduling.kubernetes.cluster import Cluster
    from appengine_server.scheduling.kubernetes.settings import KubernetesSchedulerSettings


async def engine(surroundings: Surroundings) -> Sequence[Finding]:
    """Whether a container engine answers, and has what tasks may use."""
    given = surroundings.settings.scheduling
    if given.kind != "container":
        raise LeftOut("tasks run on Kubernetes")
    try:
        if given.cpus is None and given.ram is None:
            await ask_engine(given.container_engine)
            return []
        async with open_engine(given.container_engine) as found:
            facts = found.facts
    except SchedulerUnavailable as error:
        return [refuses("DOCKER_HOST", f"{error}.")]
    findings = []
    if given.cpus is not None and given.cpus > facts.cpus:
        findings.append(
            warns("SCHEDULER_CPUS", f"the engine's machine has {facts.cpus} CPUs: choose no more.")
        )
    if given.ram is not None and given.ram > facts.ram_bytes:
        findings.append(
            warns(
                "SCHEDULER_RAM",
                f"the engine's machine has {facts.ram_bytes} bytes of memory: choose no more.",
            )
        )
    return findings


async def cluster(surroundings: Surroundings) -> Sequence[Finding]:
    """Whether the cluster's API answers, knows us, and has the namespace."""
    try:
        async with _opened(surroundings):
            return []
    except SchedulerUnavailable as error:
        sentence = str(error)
        if sentence.startswith("SCHEDULER_TASKS_NAMESPACE: "):
            return [told(Severity.REFUSES, f"{sentence}.")]
        named = surroundings.settings.kubernetes.master_url is not None
        where = "KUBERNETES_MASTER and KUBECONFIG" if named else "KUBECONFIG"
        return [refuses(where, f"{sentence}.")]


async def rights(surroundings: Surroundings) -> Sequence[Finding]:
    """Whether the cluster allows what the server does there."""
    _only_on_kubernetes(surroundings)
    from appengine_server.scheduling.kubernetes.rights import missing_rights

    async with _asked(surroundings) as (api, settings):
        missing = await missing_rights(api, settings)
    findings = []
    for right in missing:
        scope = "in the whole cluster" if right.in_cluster else f"in namespace {settings.namespace}"
        sentence = (
            f"Kubernetes does not allow the server to {', '.join(right.verbs)} {right.name} "
            f"{scope}: add that to the role of the account that it uses"
        )
        if right.without is None:
            findings.append(refuses("KUBECONFIG", f"{sentence}."))
        else:
            findings.append(warns("KUBECONFIG", f"{sentence}; without it {right.without}."))
    return findings


async def clock(surroundings: Surroundings) -> Sequence[Finding]:
    """Whether the cluster's clock and ours agree."""
    async with _asked(surroundings) as (api, _):
        there = await api.clock()
    return skew_of(there - datetime.now(UTC), "the Kubernetes API's", "KUBERNETES_MASTER")


async def folders(surroundings: Surroundings) -> Sequence[Finding]:
    """Whether nodes see the storage and the datasets as the server does, by a pod on each."""
    _only_on_kubernetes(surroundings)
    given = surroundings.settings
    if given.kubernetes.run_mode != "local":
        raise LeftOut("files travel")
    from appengine_server.scheduling.kubernetes.probe import check_folders

    async with _asked(surroundings) as (api, settings):
        if given.kubernetes.probe_image is None and given.tasks.agent_image is None:
            text = "the nodes' folders are not checked: name an image with /bin/sh."
            return [warns("SCHEDULER_PROBE_IMAGE", text)]
        if not given.storage.base_path.is_dir():
            raise LeftOut(f"there is no folder {given.storage.base_path}")
        return [told(Severity.REFUSES, line) for line in await check_folders(api, settings)]


async def pull(surroundings: Surroundings) -> Sequence[Finding]:
    """Whether what the server pushes to the registry can be pulled where tasks run."""
    given = surroundings.settings
    registry = from_settings.registry(given.tasks)
    if registry is None:
        raise LeftOut("there is no registry")
    try:
        image = await push_check_image(surroundings, registry)
    except (Unavailable, FailedPrecondition) as error:
        raise LeftOut("nothing can be pushed to the registry") from error
    on_nodes = given.scheduling.kind == "kubernetes"
    problem = await (_pulled_by_node if on_nodes else _pulled_by_engine)(surroundings, image)
    if problem is None:
        return []
    who = "a node" if on_nodes else "the container engine"
    return [
        fails(
            "SCHEDULER_REGISTRY_ADVERTISED_URL",
            f"{who} cannot pull {image}: {problem}; say by which `host:port` the registry is "
            f"reached from there, and let {who} trust it.",
        )
    ]


async def _pulled_by_node(surroundings: Surroundings, image: str) -> str | None:
    from appengine_server.scheduling.kubernetes.reach import CannotProbe, check_pull

    async with _asked(surroundings) as (api, settings):
        try:
            return await check_pull(api, settings, image)
        except CannotProbe as error:
            raise LeftOut(str(error)) from error


async def _pulled_by_engine(surroundings: Surroundings, image: str) -> str | None:
    try:
        async with open_engine(surroundings.settings.scheduling.container_engine) as found:
            images = ContainerImages(found)
            try:
                name = images.name_of(uuid4())
                await images.pull(image, name=name)
                await images.remove(name)
            except ImageRefused as error:
                return str(error)
    except SchedulerUnavailable as error:
        raise LeftOut("no container engine answers") from error
    return None


async def advertised(surroundings: Surroundings) -> Sequence[Finding]:
    """Whether the address that pods are told can be the server's."""
    given = surroundings.settings
    url = given.kubernetes.advertised_url
    if not _travels(surroundings) or url is None:
        raise LeftOut("pods do not call the server")
    findings = []
    if _is_loopback(urlsplit(url).hostname or "") and not given.kubernetes.use_host_network:
        findings.append(
            refuses(
                "SCHEDULER_ADVERTISED_URL",
                f"{url} is the pod itself to a pod: name the server as it is reached from the "
                "cluster's nodes.",
            )
        )
    if url.startswith("http://") and given.rpc.tls_certificate_file is not None:
        findings.append(
            warns(
                "SCHEDULER_ADVERTISED_URL",
                f"the server speaks TLS, and {url} does not: write https://, unless something "
                "between takes the TLS off.",
            )
        )
    return findings


async def agents_trust(surroundings: Surroundings) -> Sequence[Finding]:
    """Whether the certificates that agents trust can be read."""
    path = surroundings.settings.kubernetes.ca_file
    if not _travels(surroundings) or path is None:
        raise LeftOut("agents trust the public ones")
    try:
        await asyncio.to_thread(ssl.create_default_context, cafile=path)
    except (OSError, ssl.SSLError) as error:
        why = error.strerror or str(error)
        return [
            refuses(
                "SCHEDULER_CA_FILE",
                f"{path} holds no certificates that can be used ({why}): give them as PEM.",
            )
        ]
    return []


async def server_reached(surroundings: Surroundings) -> Sequence[Finding]:
    """Whether a pod reaches the server at the address that pods are told, by such a pod."""
    url = surroundings.settings.kubernetes.advertised_url
    if not _travels(surroundings) or url is None:
        raise LeftOut("pods do not call the server")
    if not surroundings.is_served:
        raise LeftOut("no server serves that a pod could call: ask again once it does")
    from appengine_server.scheduling.kubernetes.reach import CannotProbe, check_server

    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    async with _asked(surroundings) as (api, settings):
        try:
            problem = await check_server(api, settings, parts.hostname or "", port)
        except CannotProbe as error:
            raise LeftOut(str(error)) from error
    if problem is None:
        return []
    return [
        fails(
            "SCHEDULER_ADVERTISED_URL",
            f"a pod does not reach {url}: {problem}; name the server as it is reached from the "
            "cluster's nodes, and let no policy or firewall stand between.",
        )
    ]


async def earlier_engine(surroundings: Surroundings) -> Sequence[Finding]:
    """Whether settings are given that mean nothing here, or less safety."""
    given = surroundings.settings.kubernetes
    findings = []
    if given.tasks_runner_image is not None:
        text = "it is ignored: the agent's image is TRANSFER_AGENT_IMAGE."
        findings.append(warns("SCHEDULER_TASKS_RUNNER_IMAGE", text))
    if given.use_host_network and surroundings.settings.scheduling.kind == "kubernetes":
        text = "tasks on the nodes' network are not isolated: leave it out where you can."
        findings.append(warns("SCHEDULER_USE_HOST_NETWORK", text))
    if (tasks := surroundings.settings.tasks).registry_advertised_url and not tasks.registry_url:
        text = "it is ignored without REGISTRY_URL."
        findings.append(warns("SCHEDULER_REGISTRY_ADVERTISED_URL", text))
    return findings


def _only_on_kubernetes(surroundings: Surroundings) -> None:
    if surroundings.settings.scheduling.kind != "kubernetes":
        raise LeftOut("tasks run by a container engine")


def _travels(surroundings: Surroundings) -> bool:
    given = surroundings.settings
    return given.scheduling.kind == "kubernetes" and given.kubernetes.run_mode == "cluster"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@asynccontextmanager
async def _asked(
    surroundings: Surroundings,
) -> AsyncIterator[tuple[Cluster, KubernetesSchedulerSettings]]:
    """The cluster for a look at something in it; leaves it out where another check tells why."""
    try:
        async with _opened(surroundings) as opened:
            yield opened
    except SchedulerUnavailable as error:
        raise LeftOut(f"the cluster cannot be asked: {error}") from error


@asynccontextmanager
async def _opened(
    surroundings: Surroundings,
) -> AsyncIterator[tuple[Cluster, KubernetesSchedulerSettings]]:
    _only_on_kubernetes(surroundings)
    from appengine_server.scheduling.kubernetes.cluster import open_cluster

    settings = await asyncio.to_thread(_scheduler_settings, surroundings)
    async with open_cluster(settings.connection, settings.namespace) as api:
        yield api, settings


def _scheduler_settings(surroundings: Surroundings) -> KubernetesSchedulerSettings:
    given = surroundings.settings
    registry = from_settings.registry(given.tasks)
    image = None
    if _travels(surroundings):
        try:
            image = agent_reference(given.tasks, registry)
        except SettingsRefused as error:
            raise LeftOut("there is no image of the transfer agent") from error
    auth = None if registry is None else pull_secret(registry)
    engine_id = "none"
    if os.access(given.storage.base_path, os.W_OK):
        engine_id = surroundings.layout.engine_id()
    return from_settings.kubernetes_scheduler(given, engine_id, image, auth)
