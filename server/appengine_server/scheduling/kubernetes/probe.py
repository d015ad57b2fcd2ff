"""The check of local mode: do nodes see our folders, and do we rule what tasks write there?

Folders that differ between server and nodes are the most common mistake of all, and every run would
fail on it. So each node answers a question that only the same folder can answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from appengine_server.scheduling.kubernetes.cluster import ApiRefused, Cluster
from appengine_server.scheduling.kubernetes.fields import missing_folder
from appengine_server.scheduling.kubernetes.job import pull_secrets
from appengine_server.scheduling.kubernetes.job_local import host_folder
from appengine_server.scheduling.kubernetes.labels import Json
from appengine_server.scheduling.kubernetes.nodes import is_eligible
from appengine_server.scheduling.kubernetes.reasons import task_state
from appengine_server.scheduling.kubernetes.settings import (
    KubernetesSchedulerSettings,
    LocalMode,
)
from appengine_server.scheduling.scheduler import SchedulerUnavailable

log = structlog.get_logger(__name__)

_PROBE_LABEL = "appengine.probe"
_NODES_AT_MOST = 8
_PATIENCE_SECONDS = 60
_LOOK_SECONDS = 0.2
_OTHER_UID = 65532
_OTHER_STORAGE, _NO_WRITING, _OTHER_DATASETS = 11, 12, 13
"""Exit codes of the script."""
_SCRIPT = f"""
[ -r "$FOLDER/asked" ] || exit {_OTHER_STORAGE}
umask 077
cat "$FOLDER/asked" > "$FOLDER/$ANSWER" || exit {_NO_WRITING}
[ -z "$DATASET" ] || ls -d "$DATASET" || exit {_OTHER_DATASETS}
"""
_REMEDY = "mount it at the same absolute path there, or use SCHEDULER_RUN_MODE=cluster"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """What the nodes are asked."""

    mode: LocalMode
    folder: Path
    text: str
    dataset: str
    """Something in the folder of datasets; empty if there is nothing."""
    has_datasets: bool


async def check_folders(cluster: Cluster, settings: KubernetesSchedulerSettings) -> list[str]:
    """One sentence for everything that is wrong; nothing in cluster mode, or without an image.

    Takes the time of a pod. Raises SchedulerUnavailable.
    """
    mode = settings.mode
    if not isinstance(mode, LocalMode):
        return []
    if mode.probe_image is None:
        log.warning("kubernetes.folders_unchecked", why="SCHEDULER_PROBE_IMAGE is not set")
        return []
    await _remove_probes(cluster, settings.engine_id)
    nodes = await _nodes(cluster, settings)
    with _asking(mode) as question:
        answers = await asyncio.gather(
            *(_ask(cluster, settings, question, node) for node in nodes[:_NODES_AT_MOST])
        )
    return list(dict.fromkeys(sentence for answer in answers for sentence in answer))


async def _nodes(cluster: Cluster, settings: KubernetesSchedulerSettings) -> list[str | None]:
    """Names of the nodes that tasks may land on; None for any, where we may not see them."""
    try:
        found = await cluster.get("/api/v1/nodes") or {}
    except SchedulerUnavailable as error:
        if "does not allow us" not in str(error):
            raise
        return [None]
    return [
        node["metadata"]["name"] for node in found.get("items") or () if is_eligible(node, settings)
    ]


@contextmanager
def _asking(mode: LocalMode) -> Iterator[_Question]:
    """A folder in the storage that any user may write to, with something random in it."""
    text = secrets.token_hex(16)
    folder = mode.storage_path / f"probe-{text}"
    folder.mkdir()
    folder.chmod(0o777)
    (folder / "asked").write_text(text)
    (folder / "asked").chmod(0o644)
    has_datasets = mode.dataset_path.is_dir()
    try:
        yield _Question(
            mode=mode,
            folder=folder,
            text=text,
            dataset=_anything_in(mode.dataset_path) if has_datasets else "",
            has_datasets=has_datasets,
        )
    finally:
        for left in folder.iterdir():
            with contextlib.suppress(OSError):
                left.unlink()
        with contextlib.suppress(OSError):
            folder.rmdir()


def _anything_in(folder: Path) -> str:
    with os.scandir(folder) as entries:
        return next((entry.path for entry in entries), "")


async def _ask(
    cluster: Cluster,
    settings: KubernetesSchedulerSettings,
    question: _Question,
    node: str | None,
) -> list[str]:
    """Ask one node; answers what is wrong there."""
    name = f"appengine-probe-{secrets.token_hex(6)}"
    pods = cluster.path("api/v1", "pods")
    try:
        pod = await cluster.create(pods, _pod(name, settings, question, node))
        try:
            pod, missing = await _until_answered(cluster, pod)
        finally:
            await cluster.delete(f"{pods}/{name}", gracePeriodSeconds=0)
    except ApiRefused as error:
        log.warning("kubernetes.folders_unchecked", node=node, why=str(error))
        return []
    return _verdict(question, name, pod, missing)


async def _until_answered(cluster: Cluster, pod: Json) -> tuple[Json, str | None]:
    """The pod as it is at its end, and the folder that its node misses, if that is why."""
    name = pod["metadata"]["name"]
    events = {"fieldSelector": f"involvedObject.name={name},reason=FailedMount"}
    deadline = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        pod = await cluster.get(cluster.path("api/v1", "pods", name)) or pod
        if task_state(pod) == "terminated" or pod["status"].get("phase") == "Failed":
            break
        found = await cluster.get(cluster.path("api/v1", "events"), events) or {}
        for event in found.get("items") or ():
            if (path := missing_folder(event)) is not None:
                return pod, path
        await asyncio.sleep(_LOOK_SECONDS)
    return pod, None


def _verdict(question: _Question, name: str, pod: Json, missing: str | None) -> list[str]:
    mode, node = question.mode, pod["spec"].get("nodeName") or "?"
    storage, datasets = str(mode.storage_path), str(mode.dataset_path)
    if missing is not None:
        setting = "REF_STORAGE_BASE_PATH" if missing == datasets else "STORAGE_BASE_PATH"
        return [f"{setting}: node {node} has no folder {missing}: {_REMEDY}."]
    statuses = (pod.get("status") or {}).get("containerStatuses") or [{}]
    ended = (statuses[0].get("state") or {}).get("terminated")
    if ended is None:
        why = f"the pod did not run within {_PATIENCE_SECONDS} seconds"
        log.warning("kubernetes.folders_unchecked", node=node, why=why, state=statuses[0])
        return []
    match ended["exitCode"]:
        case 0:
            return _ours(question, name, node)
        case code if code == _OTHER_STORAGE:
            text = f"{storage} on node {node} is another folder than the server's: {_REMEDY}"
            return [f"STORAGE_BASE_PATH: {text}."]
        case code if code == _NO_WRITING:
            return [
                f"STORAGE_BASE_PATH: tasks on node {node} cannot write into {storage}: mount it "
                "there for writing, by every user."
            ]
        case code if code == _OTHER_DATASETS:
            text = f"{datasets} on node {node} is another folder than the server's: {_REMEDY}"
            return [f"REF_STORAGE_BASE_PATH: {text}.", *_ours(question, name, node)]
        case code:
            why = f"the probe ended with exit code {code}: {ended.get('message') or ''}"
            log.warning("kubernetes.folders_unchecked", node=node, why=why)
            return []


def _ours(question: _Question, name: str, node: str) -> list[str]:
    """Whether we can read and delete what another user wrote, with mode 0600, for himself."""
    answer = question.folder / name
    try:
        same = answer.read_text().strip() == question.text
        answer.unlink()
    except OSError as error:
        return [
            "STORAGE_BASE_PATH: the server cannot read and delete what a task wrote as another "
            f"user ({error.strerror}): run the server as root, and let no network file system map "
            "root to somebody else."
        ]
    if same:
        return []
    storage = question.mode.storage_path
    return [f"STORAGE_BASE_PATH: node {node} changes what is written to {storage}: {_REMEDY}."]


def _pod(
    name: str, settings: KubernetesSchedulerSettings, question: _Question, node: str | None
) -> Json:
    mode = question.mode
    folders = {"storage": mode.storage_path}
    if question.has_datasets:
        folders["datasets"] = mode.dataset_path
    environment = {
        "FOLDER": str(question.folder),
        "ANSWER": name,
        "DATASET": question.dataset,
    }
    container = {
        "name": "task",
        "image": mode.probe_image,
        "command": ["/bin/sh", "-c", _SCRIPT],
        "env": [{"name": key, "value": value} for key, value in environment.items()],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
        "securityContext": {
            "runAsUser": _OTHER_UID,
            "runAsGroup": _OTHER_UID,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": key, "mountPath": str(path), "readOnly": key == "datasets"}
            for key, path in folders.items()
        ],
    }
    spec: Json = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": _PATIENCE_SECONDS,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "tolerations": [dict(one) for one in settings.pods.tolerations],
        **pull_secrets(settings),
        "containers": [container],
        "volumes": [host_folder(key, path) for key, path in folders.items()],
    }
    if node is not None:
        spec["nodeName"] = node
    elif settings.pods.node_selector:
        spec["nodeSelector"] = dict(settings.pods.node_selector)
    labels = {_PROBE_LABEL: settings.engine_id}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
    }


async def _remove_probes(cluster: Cluster, engine_id: str) -> None:
    """Remove the pods of checks that a killed server left."""
    query = {"labelSelector": f"{_PROBE_LABEL}={engine_id}"}
    found = await cluster.get(cluster.path("api/v1", "pods"), query) or {}
    for pod in found.get("items") or ():
        path = cluster.path("api/v1", "pods", pod["metadata"]["name"])
        await cluster.delete(path, gracePeriodSeconds=0)
