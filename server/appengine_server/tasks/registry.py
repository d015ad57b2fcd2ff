"""The registry of this server: what images are called there, and their push."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from appengine_server.errors import FailedPrecondition, Unavailable
from appengine_server.tasks import skopeo
from appengine_server.tasks.entry_names import shown

_LONGEST_REPOSITORY = 255
_TASK_TAG = re.compile(r"task-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

TASK_ANNOTATION = "org.cytomine.appengine.task"
"""In each manifest that we push for a task: so no two tasks share one, which could only be deleted
for both, and an image that was decided to go can never be that of a task to come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """Where images are pushed to, and how nodes reach it."""

    push_host: str
    """`host:port`, perhaps with a path that all repositories begin with."""
    pull_host: str
    """The same registry as nodes reach it."""
    tls: bool
    credentials: skopeo.Credentials | None = None

    def reference(self, repository: str, digest: str) -> str:
        """What nodes pull."""
        return f"{self.pull_host}/{repository}@{digest}"

    def holds(self, image: str) -> bool:
        """Whether a reference is one of this registry, by either of its names."""
        return image.startswith((f"{self.pull_host}/", f"{self.push_host}/"))

    def place(self, image: str) -> skopeo.Place:
        """How the server gets at an image of this registry, given as nodes or as we name it."""
        if image.startswith(f"{self.pull_host}/"):
            image = f"{self.push_host}/{image.removeprefix(f'{self.pull_host}/')}"
        return skopeo.Place(image=image, tls_verify=self.tls, credentials=self.credentials)


def registry_of(url: str, advertised: str | None, username: str, password: str) -> Registry:
    """The registry that the settings tell of. `url` has a scheme, `advertised` may have one."""
    scheme, _, push_host = url.rstrip("/").partition("://")
    pull_host = (advertised or push_host).rstrip("/").rpartition("://")[2]
    credentials = None
    if username:
        host = push_host.partition("/")[0]
        credentials = skopeo.Credentials(registry=host, username=username, password=password)
    return Registry(
        push_host=push_host, pull_host=pull_host, tls=scheme == "https", credentials=credentials
    )


def pull_secret(registry: Registry) -> str | None:
    """The `.dockerconfigjson` by which nodes pull; None where anybody may. It is a secret."""
    credentials = registry.credentials
    if credentials is None:
        return None
    auth = {
        "username": credentials.username,
        "password": credentials.password,
        "auth": skopeo.basic(credentials),
    }
    return json.dumps({"auths": {registry.pull_host.partition("/")[0]: auth}})


def repository_of(project: str, namespace: str) -> str:
    """The repository of a task's images: project and namespace as a path, made legal.

    Two namespaces may share one, since letter case is lost: digests tell their images apart.
    Raises FailedPrecondition when the name is longer than registries allow.
    """
    parts = [part for part in (project, *namespace.split(".")) if part]
    repository = "/".join(map(_legal_part, parts))
    if len(repository) > _LONGEST_REPOSITORY:
        message = f"{shown(repository)}: registries allow {_LONGEST_REPOSITORY} characters"
        raise FailedPrecondition(message, reason="IMAGE_NAME")
    return repository


def task_tag(task_id: UUID) -> str:
    """The tag of a task's image. It keeps the registry from collecting it; runs use the digest."""
    return f"task-{task_id}"


def is_task_tag(tag: str) -> bool:
    """Whether a server like this one gave it to the image of a task."""
    return _TASK_TAG.fullmatch(tag) is not None


def _legal_part(part: str) -> str:
    """Lower-case letters and digits, with single separators only between them."""
    text = re.sub(r"[^a-z0-9]+", _one_separator, part.lower()).strip("-_.")
    return text or "x"


def _one_separator(found: re.Match[str]) -> str:
    separators = found[0]
    legal = re.fullmatch(r"\.|_|__|-+", separators)
    return separators if legal else "-"


async def push_image(
    folder: Path,
    registry: Registry,
    name: str,
    *,
    temporary: Path,
    meter: skopeo.Meter | None = None,
) -> None:
    """Push the image of an OCI layout (`untagged.extract_image`) under `name`, `repository:tag`.

    Its digest there is the one it has here; blobs that the registry has are not sent again. The tag
    keeps the registry from collecting the image as garbage; runs use the digest. `temporary` is a
    folder that skopeo may write to. Raises FailedPrecondition (IMAGE_PUBLISH) when the registry
    refuses it or skopeo is not installed, and Unavailable when the registry cannot be reached.
    """
    place = registry.place(f"{registry.push_host}/{name}")
    try:
        await skopeo.copy_layout(folder, place, temporary=temporary, meter=meter)
    except skopeo.SkopeoFailed as error:
        raise _refusal(error, place) from error


async def exists(registry: Registry, image: str) -> bool:
    """Whether the registry has an image. Raises Unavailable and FailedPrecondition as a push."""
    place = registry.place(image)
    try:
        await skopeo.manifest(place)
    except skopeo.SkopeoFailed as error:
        if error.absent:
            return False
        raise _refusal(error, place) from error
    return True


def _refusal(error: skopeo.SkopeoFailed, place: skopeo.Place) -> FailedPrecondition | Unavailable:
    host = place.image.partition("/")[0]
    if error.out_of_reach:
        return Unavailable(f"the registry {host} cannot be reached: {error.message}")
    if error.denied:
        message = f"the registry {host} refuses the server's credentials: {error.message}"
        return FailedPrecondition(message, reason="IMAGE_PUBLISH")
    message = f"the image could not be pushed to {place.image}: {error.message}"
    return FailedPrecondition(message, reason="IMAGE_PUBLISH")
