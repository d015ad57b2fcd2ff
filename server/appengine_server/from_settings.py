"""What the settings mean to each room: its own values, made of the settings and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from appengine_contract.descriptor import ResourceDefaults

from appengine_server.database.pool import ConnectTo
from appengine_server.rpc.server import TlsFiles
from appengine_server.runs.received import ReceivingLimits
from appengine_server.scheduling.container.settings import ContainerSettings
from appengine_server.scheduling.kubernetes.settings import (
    ClusterMode,
    Connection,
    DatasetVolume,
    KubernetesSchedulerSettings,
    LocalMode,
    PodSettings,
)
from appengine_server.setting_texts import names_of, pairs_of, project_roots, tolerations_of
from appengine_server.settings import (
    DatabaseSettings,
    RpcSettings,
    RunSettings,
    SchedulingSettings,
    Settings,
    SettingsRefused,
    StorageSettings,
    TaskSettings,
)
from appengine_server.storage.datasets import Datasets
from appengine_server.storage.limits import UploadLimits
from appengine_server.tasks.bundle import BundleLimits
from appengine_server.tasks.publish import PublishSettings
from appengine_server.tasks.registry import Registry, registry_of


def datasets(settings: StorageSettings) -> Datasets:
    """Where datasets are, and which project may use which."""
    return Datasets(base=settings.dataset_path, narrowed=project_roots(settings.dataset_roots))


def address(settings: RpcSettings) -> str:
    """What the server listens on, as gRPC writes it."""
    host = settings.bind_address
    return f"[{host}]:{settings.port}" if ":" in host else f"{host}:{settings.port}"


def external_database(settings: DatabaseSettings) -> ConnectTo | None:
    """The PostgreSQL of somebody else; None for the embedded one."""
    if settings.host is None:
        return None
    return ConnectTo(
        host=settings.host,
        port=settings.port,
        database=settings.name,
        user=settings.username,
        password=settings.password,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CytomineSource:
    """Where an old engine is, as a command line says it."""

    database: str | None
    """URL of its database; None: it is the one of the settings."""
    storage: Path | None
    """Its STORAGE_BASE_PATH; None: it is the one of the settings."""
    project: str
    """Whose its tasks become."""


def cytomine_source(settings: Settings, source: CytomineSource) -> tuple[Path, ConnectTo]:
    """Storage and database of an old engine. Raises SettingsRefused."""
    storage = source.storage or settings.storage.base_path
    if source.database is not None:
        return storage, _database_at(source.database)
    connect_to = external_database(settings.database)
    if connect_to is None:
        raise SettingsRefused(
            "--from-database: name the database of the old engine, as postgresql://USER@HOST/NAME: "
            "DB_HOST is not set."
        )
    return storage, connect_to


def _database_at(url: str) -> ConnectTo:
    """Read a URL as PostgreSQL's own programs do; the host may be `%2Frun%2Fpostgresql`."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    host = parts.netloc.rpartition("@")[2].removesuffix(f":{port}").strip("[]")
    name = parts.path.removeprefix("/")
    if parts.scheme not in {"postgresql", "postgres"} or not (host and parts.username and name):
        raise SettingsRefused("--from-database: must be postgresql://USER@HOST:PORT/NAME.")
    return ConnectTo(
        host=unquote(host), port=port or 5432, database=unquote(name),
        user=unquote(parts.username),
        password=unquote(parts.password) if parts.password else None,
    )  # fmt: skip


def container_settings(settings: SchedulingSettings, engine_id: str) -> ContainerSettings:
    """What the container scheduler is told."""
    return ContainerSettings(
        engine_id=engine_id,
        url=settings.container_engine,
        cpus=settings.cpus,
        ram_bytes=settings.ram,
        gpu_devices=tuple(name for name in settings.gpu_devices.split(",") if name),
        shm_bytes=settings.shm,
        read_only_root=settings.read_only_root,
        pids_limit=settings.pids_limit,
    )


def kubernetes_scheduler(
    settings: Settings, engine_id: str, agent_image: str | None, registry_auth: str | None = None
) -> KubernetesSchedulerSettings:
    """What the Kubernetes scheduler is told; `agent_image` only in cluster mode."""
    given, scheduling = settings.kubernetes, settings.scheduling
    assert scheduling.tasks_namespace is not None
    return KubernetesSchedulerSettings(
        engine_id=engine_id,
        namespace=scheduling.tasks_namespace,
        mode=_local_mode(settings) if agent_image is None else _cluster_mode(settings, agent_image),
        connection=Connection(
            master_url=given.master_url, kubeconfig=given.kubeconfig, verify_tls=given.verify_tls
        ),
        pods=PodSettings(
            node_selector=pairs_of(given.node_selector),
            tolerations=tolerations_of(given.tolerations),
            priority_class=given.priority_class,
            queue_name=given.queue_name,
            labels=pairs_of(given.pod_labels),
            pull_secrets=names_of(given.image_pull_secrets),
            gpu_resource=given.gpu_resource,
            lost_node_toleration=given.lost_node_toleration,
            shm_bytes=scheduling.shm,
            read_only_root=scheduling.read_only_root,
            host_network=given.use_host_network,
        ),
        network_policy=given.network_policy,
        network_isolated=given.network_isolated,
        autoscaled=given.autoscaled,
        registry_auth=registry_auth,
    )


def _local_mode(settings: Settings) -> LocalMode:
    return LocalMode(
        storage_path=settings.storage.base_path,
        dataset_path=settings.storage.dataset_path,
        probe_image=settings.kubernetes.probe_image or settings.tasks.agent_image,
    )


def _cluster_mode(settings: Settings, agent_image: str) -> ClusterMode:
    given = settings.kubernetes
    assert given.advertised_url is not None
    url = urlsplit(given.advertised_url)
    volume = None
    if given.dataset_claim or given.dataset_host_path:
        volume = DatasetVolume(
            root=settings.storage.dataset_path,
            claim=given.dataset_claim,
            host_path=given.dataset_host_path,
        )
    return ClusterMode(
        agent_image=agent_image,
        server_url=f"{url.scheme}://{url.netloc}",
        ca_pem=given.ca_file.read_bytes() if given.ca_file is not None else None,
        agent_millicpus=given.helper_millicpus,
        agent_ram_bytes=given.helper_ram,
        task_uid=given.task_uid,
        datasets=volume,
    )


def tls_files(settings: RpcSettings) -> TlsFiles | None:
    """The server's certificate and key; None without TLS."""
    if settings.tls_certificate_file is None or settings.tls_key_file is None:
        return None
    return TlsFiles(certificate=settings.tls_certificate_file, key=settings.tls_key_file)


def upload_limits(settings: Settings) -> UploadLimits:
    """How large an upload may be."""
    return UploadLimits(
        total_bytes=settings.storage.max_upload_bytes,
        entries=settings.storage.max_upload_entries,
    )


def bundle_limits(settings: Settings) -> BundleLimits:
    """How large a bundle may be."""
    return BundleLimits(bundle_bytes=settings.storage.max_upload_bytes)


def resource_defaults(settings: TaskSettings) -> ResourceDefaults:
    """What a task gets that asks for nothing."""
    return ResourceDefaults(cpus=settings.default_cpus, ram_bytes=settings.default_ram)


def receiving_limits(settings: RunSettings) -> ReceivingLimits:
    """How much an input may hold."""
    return ReceivingLimits(
        index_guard=settings.max_array_items, unpacked_bytes=settings.max_unpacked_bytes
    )


def publish_settings(settings: Settings) -> PublishSettings:
    """How images are published."""
    return PublishSettings(
        platforms=platforms(settings.tasks),
        registry=registry(settings.tasks),
        stall_limit=settings.tasks.publish_stall_limit,
        keep_free_bytes=settings.storage.low_water_bytes,
    )


def platforms(settings: TaskSettings) -> tuple[str, ...]:
    """What the scheduler can run, best first."""
    return names_of(settings.platforms)


def registry(settings: TaskSettings) -> Registry | None:
    """The registry of images; None where there is none."""
    if settings.registry_url is None:
        return None
    return registry_of(
        settings.registry_url, settings.registry_advertised_url,
        username=settings.registry_user, password=settings.registry_password,
    )  # fmt: skip
