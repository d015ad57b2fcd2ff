"""Every setting: its variable, unit, default and reason. Nothing else reads the environment.

One frozen class per concern; each room is handed only its part. The names of the Java engine's
variables are kept where the meaning is the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from appengine_server.setting_texts import (
    GIB,
    KIB,
    MIB,
    REGISTRY_HOST,
    Bytes,
    Seconds,
    pairs_of,
    parse_bytes,
    parse_seconds,
    project_roots,
    tolerations_of,
    url_of,
)


@dataclass(frozen=True, slots=True)
class WrongSetting:
    """Variables that cannot be used as they are."""

    names: tuple[str, ...]
    message: str
    """What is wrong, and what mends it."""

    def __str__(self) -> str:
        """Both, as one sentence."""
        return f"{' and '.join(self.names)}: {self.message}"


class SettingsRefused(Exception):
    """The settings are wrong. The message names each with what mends it."""


class Room(BaseSettings):
    """Base of the groups of settings: read from the environment, then never changed."""

    model_config = SettingsConfigDict(
        frozen=True, use_attribute_docstrings=True, case_sensitive=True, populate_by_name=True
    )


class RpcSettings(Room):
    """Where and how the server listens."""

    bind_address: str = Field(default="127.0.0.1", alias="BIND_ADDRESS")
    """Address to listen on. Any but loopback needs TLS and tokens, or ALLOW_INSECURE."""
    port: int = Field(default=8080, ge=0, le=65535, alias="PORT")
    """Port to listen on; 0 takes a free one."""
    port_file: Path | None = Field(default=None, alias="PORT_FILE")
    """File that holds the port once the server is serving; for scripts that let it choose."""
    api_prefix: str = Field(default="/api/", alias="API_PREFIX")
    """Prefix of HTTP paths, `/` at both ends. Nothing uses it yet: gRPC has no prefix."""
    tls_certificate_file: Path | None = Field(default=None, alias="TLS_CERTIFICATE_FILE")
    """Certificate chain, PEM. None serves without TLS."""
    tls_key_file: Path | None = Field(default=None, alias="TLS_KEY_FILE")
    """Private key of the certificate, PEM."""
    tokens_file: Path | None = Field(default=None, alias="TOKENS_FILE")
    """Who may call: a line `<token> <principal> <project>[,<project>…]` each. None: everybody."""
    allow_insecure: bool = Field(default=False, alias="ALLOW_INSECURE")
    """Listen beyond loopback without TLS or tokens: only behind a proxy that does both."""
    shutdown_grace: Seconds = Field(default=timedelta(seconds=10), alias="SHUTDOWN_GRACE")
    """How long calls may go on after a stop was asked for, in seconds."""
    endpoint_removal_wait: Seconds = Field(default=timedelta(0), alias="ENDPOINT_REMOVAL_WAIT")
    """Between NOT_SERVING and the stop, in seconds: how long a load balancer takes to notice."""

    @field_validator("api_prefix")
    @classmethod
    def _between_slashes(cls, given: str) -> str:
        if not (given.startswith("/") and given.endswith("/")):
            raise ValueError("must begin and end with /, such as /app-engine/")
        return given


class DatabaseSettings(Room):
    """Where PostgreSQL is. Without a host an embedded one starts in the data folder."""

    host: str | None = Field(default=None, alias="DB_HOST")
    """Host name, address or socket folder. None starts the embedded PostgreSQL."""
    port: int = Field(default=5432, ge=1, le=65535, alias="DB_PORT")
    """Port of PostgreSQL; with a socket folder as host it is part of the socket's name."""
    name: str = Field(default="appengine", alias="DB_NAME")
    """Database. It must exist and belong to DB_USERNAME, who creates the tables."""
    username: str = Field(default="appengine", alias="DB_USERNAME")
    """Role to log in as."""
    password: str | None = Field(default=None, alias="DB_PASSWORD", repr=False)
    """Password of the role. None: PostgreSQL lets us in without one."""
    pool_size: int = Field(default=10, ge=3, le=200, alias="DB_POOL_SIZE")
    """Connections at most. Ten keep two cores busy; PostgreSQL's own limit is 100."""
    command_timeout: Seconds = Field(default=timedelta(seconds=30), alias="DB_COMMAND_TIMEOUT")
    """Longest statement, in seconds."""


class StorageSettings(Room):
    """Where the bytes are, and how many may come."""

    base_path: Path = Field(default=Path("/data"), alias="STORAGE_BASE_PATH")
    """Folder of everything that the engine keeps. With the embedded PostgreSQL the default is
    `$XDG_DATA_HOME/appengine`, usually `~/.local/share/appengine`."""
    implementation: Literal["filesystem"] = Field(default="filesystem", alias="STORAGE_IMPL")
    """The only one there is."""
    dataset_path: Path = Field(default=Path("/data/datasets"), alias="REF_STORAGE_BASE_PATH")
    """Folder of the datasets that inputs may refer to. It is only read; it must not hold
    STORAGE_BASE_PATH, and tasks see what they refer to at the same path."""
    dataset_roots: str = Field(default="", alias="REF_STORAGE_PROJECT_ROOTS")
    """Folders of REF_STORAGE_BASE_PATH that a project may use: `alpha=alpha,shared;beta=beta`. `*`
    names all other projects; without it those may use everything."""
    low_water_bytes: Bytes = Field(default=2 * GIB, ge=0, alias="STORAGE_LOW_WATER")
    """Free disk below which uploads and starts are refused; what runs is left in peace."""
    max_upload_bytes: Bytes = Field(default=50 * GIB, ge=1, alias="STORAGE_MAX_UPLOAD")
    """Largest upload. Bundles reach 17 GB."""
    max_upload_entries: int = Field(default=1_000_000, ge=1, alias="STORAGE_MAX_UPLOAD_ENTRIES")
    """Most files, folders and links of one upload."""
    project_quota_bytes: Annotated[int | None, BeforeValidator(parse_bytes)] = Field(
        default=None, ge=1, alias="STORAGE_PROJECT_QUOTA"
    )
    """What the uploads of one project may hold together: those under way with their announced size,
    bundles that are not published yet, and inputs until their run is deleted. None: no limit."""
    quota_bytes: Annotated[int | None, BeforeValidator(parse_bytes)] = Field(
        default=None, ge=1, alias="STORAGE_QUOTA"
    )
    """The same for all projects together. None: no limit but the disk."""
    upload_stall_limit: Seconds = Field(
        default=timedelta(minutes=2), alias="STORAGE_UPLOAD_STALL_LIMIT"
    )
    """A stream of an upload on which nothing comes for so many seconds is ended; what it brought is
    kept. Clients whose disk is slow send empty chunks: ours does so after 20 s."""
    upload_expiry: Seconds = Field(default=timedelta(days=1), alias="STORAGE_UPLOAD_EXPIRY")
    """How long an idle upload is kept, in seconds."""

    @field_validator("dataset_roots")
    @classmethod
    def _readable_roots(cls, given: str) -> str:
        project_roots(given)
        return given


class TaskSettings(Room):
    """What tasks get when their descriptor does not say, and how images are published."""

    default_cpus: int = Field(default=1, ge=1, alias="TASK_DEFAULT_CPUS")
    """CPUs of a task whose descriptor asks for none."""
    default_ram: Bytes = Field(default=4 * GIB, ge=1, alias="TASK_DEFAULT_RAM")
    """Memory of a task whose descriptor asks for none. Existing tasks are used to 4Gi."""
    platforms: str = Field(default="linux/amd64", alias="TASK_PLATFORMS")
    """Platforms that the scheduler can run, best first, divided by commas."""
    registry_url: str | None = Field(default=None, alias="REGISTRY_URL")
    """Registry to push images to, with scheme. None: straight into the container engine."""
    registry_user: str = Field(default="", alias="REGISTRY_USER")
    """Who pushes to the registry. Empty: nobody in particular."""
    registry_password: str = Field(default="", alias="REGISTRY_PASSWORD", repr=False)
    """Password of REGISTRY_USER."""
    registry_advertised_url: str | None = Field(
        default=None, alias="SCHEDULER_REGISTRY_ADVERTISED_URL"
    )
    """The registry as nodes reach it, `host:port`. None: as REGISTRY_URL."""
    agent_image: str | None = Field(default=None, alias="TRANSFER_AGENT_IMAGE")
    """Image of the transfer agent, as nodes pull it. None: the server brings its own to the
    registry, where SCHEDULER_RUN_MODE is cluster."""
    agent_archive: Path = Field(
        default=Path("/opt/appengine/transfer-agent.tar"), alias="TRANSFER_AGENT_ARCHIVE"
    )
    """Archive of the agent's image, which the server's own image carries at the default place."""
    publish_stall_limit: Seconds = Field(
        default=timedelta(minutes=30), alias="TASK_PUBLISH_STALL_LIMIT"
    )
    """Publishing fails after so many seconds without progress."""

    @field_validator("registry_url")
    @classmethod
    def _with_scheme(cls, given: str | None) -> str | None:
        return url_of(given)

    @field_validator("registry_advertised_url")
    @classmethod
    def _host_and_port(cls, given: str | None) -> str | None:
        if given and not REGISTRY_HOST.fullmatch(given):
            raise ValueError("must be `host:port`, as image names begin with it")
        return given or None


class RunSettings(Room):
    """How long runs may take, and how often they are tried."""

    pending_limit: Seconds = Field(default=timedelta(hours=24), alias="RUN_PENDING_LIMIT")
    """The scheduler must start the task within so many seconds."""
    run_limit: Seconds = Field(default=timedelta(days=7), alias="RUN_TIME_LIMIT")
    """The task must end within so many seconds."""
    finalizing_limit: Seconds = Field(default=timedelta(hours=6), alias="RUN_FINALIZING_LIMIT")
    """The outputs must be collected and checked within so many seconds."""
    transfer_stall_limit: Seconds = Field(
        default=timedelta(minutes=10), alias="RUN_TRANSFER_STALL_LIMIT"
    )
    """A transfer to or from a task's node fails after so many seconds without progress."""
    cancel_grace: Seconds = Field(default=timedelta(seconds=30), alias="RUN_CANCEL_GRACE")
    """Between SIGTERM and SIGKILL, in seconds."""
    extra_attempts: int = Field(default=2, ge=0, le=20, alias="RUN_EXTRA_ATTEMPTS")
    """New attempts after failures of the infrastructure; a task's own failure is never retried."""
    retry_backoff: Seconds = Field(default=timedelta(seconds=5), alias="RUN_RETRY_BACKOFF")
    """Before the first new attempt, in seconds; doubles each time."""
    log_bytes: Bytes = Field(default=16 * MIB, ge=64 * KIB, alias="RUN_LOG_LIMIT")
    """How much of a task's log is kept: its beginning, and its last 64 KiB."""
    max_output_bytes: Bytes = Field(default=1024 * GIB, ge=1, alias="RUN_MAX_OUTPUT")
    """Largest output folder."""
    max_unpacked_bytes: Bytes = Field(default=64 * GIB, ge=1, alias="RUN_MAX_UNPACKED")
    """Largest content of the zipped WSI-DICOM in one upload or in the outputs of one attempt."""
    max_array_items: int = Field(default=1_000_000, ge=1, alias="RUN_MAX_ARRAY_ITEMS")
    """Items that an input can be given one by one where its type has no `max_size`: a larger index
    is more likely a mistake."""
    lease: Seconds = Field(default=timedelta(seconds=30), alias="RUN_LEASE")
    """How long another server waits before it takes over the runs of one that fell silent. After as
    long PostgreSQL ends the transaction of a server that fell silent within it."""
    observe_interval: Seconds = Field(default=timedelta(seconds=15), alias="RUN_OBSERVE_INTERVAL")
    """Every active run is looked at this often, even if no event arrives."""


class SchedulingSettings(Room):
    """What executes the tasks."""

    scheduler: Literal["container", "kubernetes"] | None = Field(default=None, alias="SCHEDULER")
    """None: kubernetes if SCHEDULER_TASKS_NAMESPACE is set, else container."""
    tasks_namespace: str | None = Field(default=None, alias="SCHEDULER_TASKS_NAMESPACE")
    """Namespace of the tasks on Kubernetes; it must exist."""
    container_engine: str | None = Field(default=None, alias="DOCKER_HOST")
    """Socket of a Docker-compatible engine, `unix:///…`. None: the usual places are tried."""
    cpus: int | None = Field(default=None, ge=1, alias="SCHEDULER_CPUS")
    """CPUs that running tasks may use together. None: all of the machine."""
    ram: Annotated[int | None, BeforeValidator(parse_bytes)] = Field(
        default=None, ge=1, alias="SCHEDULER_RAM"
    )
    """Memory that running tasks may use together. None: all of the machine."""
    gpu_devices: str = Field(default="", alias="SCHEDULER_GPU_DEVICES")
    """GPUs that tasks may use, each by one task at a time, divided by commas: an index or UUID as
    `nvidia-smi -L` shows it, or a CDI name such as `nvidia.com/gpu=0`."""
    shm: Bytes = Field(default=GIB, ge=MIB, alias="SCHEDULER_SHM")
    """Size of /dev/shm in a task. Parallel loaders need more than the usual 64 MiB."""
    read_only_root: bool = Field(default=False, alias="SCHEDULER_READ_ONLY_ROOT")
    """Make the root file system of tasks read-only. Many real images write outside /outputs."""
    pids_limit: int = Field(default=4096, ge=16, alias="SCHEDULER_PIDS_LIMIT")
    """Processes and threads of one task at most; on Kubernetes that is a setting of the nodes."""

    @property
    def kind(self) -> Literal["container", "kubernetes"]:
        """What executes the tasks."""
        return self.scheduler or ("kubernetes" if self.tasks_namespace else "container")


def _lower(given: Any) -> Any:
    return given.lower() if isinstance(given, str) else given


class KubernetesSettings(Room):
    """How tasks run on Kubernetes. Nothing here matters to the container engine."""

    run_mode: Annotated[Literal["local", "cluster"], BeforeValidator(_lower)] = Field(
        default="local", alias="SCHEDULER_RUN_MODE"
    )
    """`local`: nodes see the server's storage at the same path. `cluster`: files travel by the
    transfer agent. In any letter case."""
    advertised_url: str | None = Field(default=None, alias="SCHEDULER_ADVERTISED_URL")
    """The server as pods reach it: `http://host:port`, or `https://` for TLS; a path is ignored.
    Needed in cluster mode."""
    use_host_network: bool = Field(default=False, alias="SCHEDULER_USE_HOST_NETWORK")
    """Give pods the node's network, which no policy isolates. In local mode only tasks that ask for
    a network get it."""
    tasks_runner_image: str | None = Field(default=None, alias="SCHEDULER_TASKS_RUNNER_IMAGE")
    """Of the Java engine. Ignored with a warning: see TRANSFER_AGENT_IMAGE."""
    master_url: str | None = Field(default=None, alias="KUBERNETES_MASTER")
    """URL of the Kubernetes API. None: as the kubeconfig says."""
    kubeconfig: str | None = Field(default=None, alias="KUBECONFIG")
    """Files with the cluster and our credentials, divided by colons. None: `~/.kube/config` where
    there is one, else the service account of the server's own pod."""
    verify_tls: bool = Field(default=True, alias="KUBERNETES_VERIFY_TLS")
    """Check the certificate of the Kubernetes API."""
    run_storage_path: Path | None = Field(default=None, alias="RUN_STORAGE_BASE_PATH")
    """STORAGE_BASE_PATH as nodes see it, in local mode: it must be the same. None: it is."""
    node_selector: str = Field(default="", alias="SCHEDULER_NODE_SELECTOR")
    """Labels that a node must have: `name=value,name=value`."""
    tolerations: str = Field(default="", alias="SCHEDULER_TOLERATIONS")
    """Taints that pods tolerate, divided by commas: `key=value:Effect`, `key:Effect` or `key`."""
    priority_class: str | None = Field(default=None, alias="SCHEDULER_PRIORITY_CLASS")
    """Priority class of the pods. None: the cluster's default."""
    queue_name: str | None = Field(default=None, alias="SCHEDULER_QUEUE_NAME")
    """Kueue's local queue for the Jobs. None: no queue."""
    image_pull_secrets: str = Field(default="", alias="SCHEDULER_IMAGE_PULL_SECRETS")
    """Secrets of the namespace that let nodes pull images, divided by commas."""
    pod_labels: str = Field(default="", alias="SCHEDULER_POD_LABELS")
    """More labels of Jobs and pods: `name=value,name=value`."""
    gpu_resource: str = Field(default="nvidia.com/gpu", alias="SCHEDULER_GPU_RESOURCE")
    """Name of the resource that the cluster gives GPUs out by."""
    lost_node_toleration: Seconds = Field(
        default=timedelta(seconds=15), alias="SCHEDULER_LOST_NODE_TOLERATION"
    )
    """How long a node may be out of reach before its runs are given up, in seconds; Kubernetes
    takes about 50 more to notice."""
    helper_millicpus: int = Field(default=50, ge=1, alias="SCHEDULER_HELPER_MILLICPUS")
    """What each transfer agent reserves, in thousandths of a CPU."""
    helper_ram: Bytes = Field(default=64 * MIB, ge=16 * MIB, alias="SCHEDULER_HELPER_RAM")
    """Memory that each transfer agent reserves."""
    task_uid: int = Field(default=65532, ge=1, le=2**31 - 1, alias="SCHEDULER_TASK_UID")
    """User of tasks in cluster mode whose image names none but root: pods are never root there."""
    network_policy: bool = Field(default=True, alias="SCHEDULER_NETWORK_POLICY")
    """Keep a NetworkPolicy that gives tasks no network but, in cluster mode, the server. `false`:
    an administrator keeps one, or there is none."""
    network_isolated: bool = Field(default=False, alias="SCHEDULER_NETWORK_ISOLATED")
    """The cluster enforces NetworkPolicies: only its administrator can know."""
    dataset_claim: str | None = Field(default=None, alias="SCHEDULER_DATASET_CLAIM")
    """PersistentVolumeClaim that holds REF_STORAGE_BASE_PATH, for cluster mode. None: see next."""
    dataset_host_path: Path | None = Field(default=None, alias="SCHEDULER_DATASET_HOST_PATH")
    """REF_STORAGE_BASE_PATH on the nodes, for cluster mode. None: agents fetch referenced files."""
    ca_file: Path | None = Field(default=None, alias="SCHEDULER_CA_FILE")
    """Certificates that transfer agents trust, PEM. None: the public ones."""
    probe_image: str | None = Field(default=None, alias="SCHEDULER_PROBE_IMAGE")
    """Image with `/bin/sh`, for the check of local mode at the start that nodes see the storage.
    None: TRANSFER_AGENT_IMAGE; without either the check is left out, with a warning."""
    autoscaled: bool = Field(default=False, alias="SCHEDULER_AUTOSCALED")
    """Larger nodes may come: tasks that fit on none of today's wait instead of failing."""

    @field_validator("advertised_url", "master_url")
    @classmethod
    def _reachable(cls, given: str | None) -> str | None:
        return url_of(given)

    @field_validator("node_selector", "pod_labels")
    @classmethod
    def _pairs(cls, given: str) -> str:
        pairs_of(given)
        return given

    @field_validator("tolerations")
    @classmethod
    def _taints(cls, given: str) -> str:
        tolerations_of(given)
        return given


class FaultSettings(Room):
    """Where tests hold the server to kill something; nobody else needs this."""

    folder: Path | None = Field(default=None, alias="APPENGINE_FAULT_FOLDER")
    """Folder in which tests arm fault points. None: there are none."""


OptionalSeconds = Annotated[timedelta | None, BeforeValidator(parse_seconds)]


class RetentionSettings(Room):
    """How long things are kept. What is kept no longer is shown by `appengine-server sweep
    --dry-run`.
    """

    finished_runs: OptionalSeconds = Field(default=None, alias="RETENTION_FINISHED_RUNS")
    """Runs are deleted so many seconds after their end, with all that is of them. None: when
    somebody deletes them."""
    failed_attempts: OptionalSeconds = Field(default=None, alias="RETENTION_FAILED_ATTEMPTS")
    """What attempts wrote that failed or were cancelled is deleted so many seconds after the end of
    the run; their logs stay. None: with the run."""
    orphans: Seconds = Field(
        default=timedelta(hours=1), ge=timedelta(minutes=1), alias="RETENTION_ORPHANS"
    )
    """Folders without a row in the database, and images of tasks that failed or are gone, are
    deleted once they are so many seconds old; at least 60, since files come before their row."""
    interval: Seconds = Field(
        default=timedelta(minutes=5), ge=timedelta(seconds=1), alias="RETENTION_INTERVAL"
    )
    """Between two sweeps, in seconds."""


class MetricsSettings(Room):
    """Where Prometheus reads the metrics."""

    port: int | None = Field(default=None, ge=1, le=65535, alias="METRICS_PORT")
    """Port of the metrics, over HTTP at `/metrics`. None: there are none."""
    bind_address: str = Field(default="127.0.0.1", alias="METRICS_BIND_ADDRESS")
    """Address of that port. Who reaches it sees the counts of all projects: nothing asks for a
    token there."""


class TracingSettings(Room):
    """Where traces go, by the variables of OpenTelemetry; it reads its others by itself. Needs
    `appengine-server[otel]`, which the server's image has.
    """

    endpoint: str | None = Field(default=None, alias="OTEL_EXPORTER_OTLP_ENDPOINT")
    """Collector, such as `http://collector:4318`. None: nothing is traced."""
    traces_endpoint: str | None = Field(default=None, alias="OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    """The same for traces alone, with its path: `http://collector:4318/v1/traces`."""
    protocol: Literal["http/protobuf"] = Field(
        default="http/protobuf", alias="OTEL_EXPORTER_OTLP_PROTOCOL"
    )
    """The only one there is."""
    exporter: Literal["otlp", "none"] = Field(default="otlp", alias="OTEL_TRACES_EXPORTER")
    """`none`: nothing is traced."""
    disabled: bool = Field(default=False, alias="OTEL_SDK_DISABLED")
    """Nothing is traced."""
    service_name: str = Field(default="appengine-server", alias="OTEL_SERVICE_NAME")
    """What the server is called in traces."""

    @property
    def is_on(self) -> bool:
        """Whether anything is traced."""
        somewhere = self.endpoint or self.traces_endpoint
        return bool(somewhere) and self.exporter == "otlp" and not self.disabled


class Settings(BaseModel, frozen=True):
    """All settings of a server."""

    rpc: RpcSettings
    database: DatabaseSettings
    storage: StorageSettings
    tasks: TaskSettings
    runs: RunSettings
    scheduling: SchedulingSettings
    kubernetes: KubernetesSettings
    retention: RetentionSettings
    metrics: MetricsSettings
    tracing: TracingSettings
    faults: FaultSettings
    log_level: str = "info"


class LoggingSettings(Room):
    """What is logged."""

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", alias="LOG_LEVEL"
    )
    """The least important log lines that are written."""


def embedded_base_path() -> Path:
    """Where an engine without an external database keeps everything."""
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home) / "appengine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed:
    """The settings as far as they can be used, and what is wrong with them."""

    settings: Settings
    """Whole: in place of what is wrong stands its default."""
    wrong: Sequence[WrongSetting]

    def usable(self) -> Settings:
        """The settings. Raises SettingsRefused with one sentence per wrong setting."""
        if self.wrong:
            raise SettingsRefused("\n".join(map(str, self.wrong)))
        return self.settings


def read_settings() -> Settings:
    """Read and check every setting from the environment. Raises as `Reviewed.usable`."""
    return review_settings().usable()


def review_settings() -> Reviewed:
    """Read every setting from the environment, and say what is wrong with them."""
    wrong: list[WrongSetting] = []
    rpc = _read(RpcSettings, wrong)
    database = _read(DatabaseSettings, wrong)
    storage = _read(StorageSettings, wrong)
    tasks = _read(TaskSettings, wrong)
    runs = _read(RunSettings, wrong)
    scheduling = _read(SchedulingSettings, wrong)
    kubernetes = _read(KubernetesSettings, wrong)
    logging = _read(LoggingSettings, wrong)
    retention = _read(RetentionSettings, wrong)
    metrics = _read(MetricsSettings, wrong)
    tracing = _read(TracingSettings, wrong)
    faults = _read(FaultSettings, wrong)
    if database.host is None and "STORAGE_BASE_PATH" not in os.environ:
        storage = storage.model_copy(update={"base_path": embedded_base_path()})
    settings = Settings(
        rpc=rpc,
        database=database,
        storage=storage,
        tasks=tasks,
        runs=runs,
        scheduling=scheduling,
        kubernetes=kubernetes,
        retention=retention,
        metrics=metrics,
        tracing=tracing,
        faults=faults,
        log_level=logging.log_level,
    )
    told = {name for problem in wrong for name in problem.names}
    wrong += (problem for problem in _contradictions(settings) if told.isdisjoint(problem.names))
    return Reviewed(settings=settings, wrong=wrong)


def _contradictions(settings: Settings) -> Iterator[WrongSetting]:
    """What does not fit together."""
    rpc = settings.rpc
    if (rpc.tls_certificate_file is None) != (rpc.tls_key_file is None):
        yield WrongSetting(("TLS_CERTIFICATE_FILE", "TLS_KEY_FILE"), "give both or none.")
    if settings.scheduling.kind == "kubernetes":
        yield from _kubernetes_contradictions(settings)


def _kubernetes_contradictions(settings: Settings) -> Iterator[WrongSetting]:
    kubernetes, storage = settings.kubernetes, settings.storage
    if not settings.scheduling.tasks_namespace:
        yield WrongSetting(("SCHEDULER_TASKS_NAMESPACE",), "name the namespace that tasks run in.")
    node_path = kubernetes.run_storage_path
    if kubernetes.run_mode == "local" and node_path not in {None, storage.base_path}:
        yield WrongSetting(
            ("RUN_STORAGE_BASE_PATH",),
            f"{node_path} is not STORAGE_BASE_PATH ({storage.base_path}): "
            "mount the storage at one path in the server and on every node, or use "
            "SCHEDULER_RUN_MODE=cluster.",
        )
    if kubernetes.run_mode == "cluster" and kubernetes.advertised_url is None:
        yield WrongSetting(
            ("SCHEDULER_ADVERTISED_URL",),
            "say how pods reach this server, such as "
            "http://appengine.example.org:8080: cluster mode needs it.",
        )
    if kubernetes.dataset_claim and kubernetes.dataset_host_path:
        yield WrongSetting(
            ("SCHEDULER_DATASET_CLAIM", "SCHEDULER_DATASET_HOST_PATH"),
            "give one of them at most.",
        )
    if kubernetes.ca_file is not None and not kubernetes.ca_file.is_file():
        yield WrongSetting(("SCHEDULER_CA_FILE",), f"there is no file {kubernetes.ca_file}.")


R = TypeVar("R", bound=Room)


def _read(room: type[R], wrong: list[WrongSetting]) -> R:
    try:
        return room()
    except ValidationError as error:
        found = [_wrong_setting(dict(detail)) for detail in error.errors()]
    wrong += found
    names = {name for problem in found for name in problem.names}
    defaults = {
        field.alias: field.get_default()
        for field in room.model_fields.values()
        if field.alias in names
    }
    return room(**defaults)


def _wrong_setting(detail: dict[str, Any]) -> WrongSetting:
    name = str(detail["loc"][0])
    message = detail["msg"].removeprefix("Value error, ").replace("Input should", "should")
    if "password" in name.lower():
        return WrongSetting((name,), f"{message}.")
    return WrongSetting((name,), f"{message} (found {os.environ.get(name, detail['input'])!r}).")
