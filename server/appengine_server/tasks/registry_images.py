"""Images kept by registries, where the nodes of a cluster pull them: there is no engine here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar
from uuid import UUID

from appengine_server.errors import FailedPrecondition
from appengine_server.scheduling.images import ImageFacts, ImageRefused, ImageStays, OnProgress
from appengine_server.scheduling.scheduler import FailureReason, SchedulerUnavailable
from appengine_server.tasks import skopeo
from appengine_server.tasks.registry import Registry, is_task_tag

T = TypeVar("T")


class RegistryImages:
    """An ImageStore. An image's id is its reference pinned by digest, as nodes pull it."""

    def __init__(self, registry: Registry | None, platforms: tuple[str, ...]) -> None:
        """`registry` is our own, None where there is none; `platforms` those of the nodes, best
        first, as `os/architecture`.
        """
        self._registry = registry
        self._platforms = platforms

    def name_of(self, task_id: UUID) -> None:
        """Nothing is kept for tasks: what is pulled stays where it is."""

    async def load(
        self,
        archive: AsyncIterator[bytes],
        *,
        name: str | None,
        config_digest: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> str:
        """Refuse: with a registry images are pushed, and without one nodes could not get them."""
        raise ImageRefused(
            FailureReason.IMAGE_PUBLISH,
            "this server has no registry for the images of bundles: set REGISTRY_URL, or create "
            "the task from an image that is in a registry",
        )

    async def exists(self, image: str) -> bool:
        """Tell whether the registry has the image."""
        try:
            await _asked(skopeo.manifest, self._place(image))
        except skopeo.SkopeoFailed as error:
            if error.absent:
                return False
            raise _unavailable(error) from error
        return True

    async def pull(self, reference: str, *, name: str | None) -> str:
        """Pin the image by its digest; nodes fetch it when they need it."""
        repository, digest = _parted(reference)
        # skopeo takes no reference that has both a tag and a digest
        place = self._place(f"{repository}@{digest}" if digest else reference)
        found = await self._read(skopeo.manifest, place, reference)
        digest = digest or f"sha256:{hashlib.sha256(found).hexdigest()}"
        return self._as_nodes_name_it(f"{repository}@{digest}")

    async def inspect(self, image: str) -> ImageFacts:
        """Say what the image is, on the best platform that it has."""
        refused: ImageRefused | None = None
        for platform in self._platforms:
            try:
                config = await self._config(image, platform)
            except ImageRefused as error:
                refused = error
                continue
            return _facts(image, config)
        assert refused is not None
        raise refused

    async def remove(self, name: str) -> bool:
        """Nothing was kept."""
        return False

    def _place(self, image: str) -> skopeo.Place:
        if self._registry is not None and self._registry.holds(image):
            return self._registry.place(image)
        return skopeo.Place(image=image)

    def _as_nodes_name_it(self, image: str) -> str:
        registry = self._registry
        if registry is not None and image.startswith(f"{registry.push_host}/"):
            return f"{registry.pull_host}/{image.removeprefix(f'{registry.push_host}/')}"
        return image

    async def _config(self, image: str, platform: str) -> dict[str, object]:
        async def of_platform(place: skopeo.Place) -> bytes:
            return await skopeo.config(place, platform)

        found = json.loads(await self._read(of_platform, self._place(image), image))
        config = found if isinstance(found, dict) else {}
        names = platform.split("/")
        if [config.get("os"), config.get("architecture")] != names[:2]:
            raise ImageRefused(
                FailureReason.IMAGE_CANNOT_START,
                f"the image {image} is for {config.get('os')}/{config.get('architecture')}; "
                f"runnable here are {', '.join(self._platforms)}: build it for one of these",
            )
        return config

    async def _read(
        self, ask: Callable[[skopeo.Place], Awaitable[bytes]], place: skopeo.Place, image: str
    ) -> bytes:
        try:
            return await _asked(ask, place)
        except skopeo.SkopeoFailed as error:
            if error.out_of_reach:
                raise _unavailable(error) from error
            raise ImageRefused(
                FailureReason.IMAGE_PULL, f"cannot read the image {image}: {error.message}"
            ) from error


async def has_pushed(registry: Registry, name: str) -> bool:
    """Whether an image that we pushed as `name` is there. Raises as `remove_pushed`."""
    try:
        return await RegistryImages(registry, ()).exists(name)
    except ImageRefused as error:
        raise ImageStays(error.message) from error


async def remove_pushed(registry: Registry, name: str, digest: str) -> bool:
    """Delete the manifest that we pushed as `name`, unless others have named it too.

    False if it is theirs now, or gone. Raises ImageStays where the registry does not delete it, and
    SchedulerUnavailable where it cannot be reached.
    """
    repository, tag = _tagged(name)
    try:
        # NB: a manifest can only be deleted with all of its names.
        if await _has_other_name(registry, repository, tag, digest):
            return False
        await _asked(skopeo.delete, registry.place(f"{repository}@{digest}"))
    except ImageRefused as error:  # skopeo is missing
        raise ImageStays(error.message) from error
    except skopeo.SkopeoFailed as error:
        if error.absent:
            return False
        if error.out_of_reach:
            raise _unavailable(error) from error
        raise ImageStays(_why_it_stays(error, registry)) from error
    return True


async def _has_other_name(registry: Registry, repository: str, tag: str, digest: str) -> bool:
    for other in await _asked(skopeo.tags, registry.place(repository)):
        # A manifest names its task, so that the tag of another task is of another manifest.
        if other == tag or is_task_tag(other):
            continue
        try:
            found = await _asked(skopeo.manifest, registry.place(f"{repository}:{other}"))
        except skopeo.SkopeoFailed as error:
            if error.absent:  # removed just now
                continue
            raise
        # An index of several platforms names its manifests.
        if f"sha256:{hashlib.sha256(found).hexdigest()}" == digest or digest.encode() in found:
            return True
    return False


def _why_it_stays(error: skopeo.SkopeoFailed, registry: Registry) -> str:
    host = registry.push_host
    if error.unsupported:
        return (
            f"the registry {host} deletes no images: set REGISTRY_STORAGE_DELETE_ENABLED=true for "
            "it (storage.delete.enabled in its configuration), or what it has in place of that"
        )
    if error.denied:
        return (
            f"the registry {host} does not let this server delete images: give REGISTRY_USER the "
            f"right to delete: {error.message}"
        )
    return f"the registry {host} does not delete an image: {error.message}"


async def _asked(ask: Callable[[skopeo.Place], Awaitable[T]], place: skopeo.Place) -> T:
    try:
        return await ask(place)
    except FailedPrecondition as error:  # skopeo is missing
        raise ImageRefused(FailureReason.IMAGE_PULL, error.message) from error


def _unavailable(error: skopeo.SkopeoFailed) -> SchedulerUnavailable:
    return SchedulerUnavailable(f"the registry cannot be reached: {error.message}")


def _parted(reference: str) -> tuple[str, str | None]:
    """Repository without tag, and the digest if there is one."""
    name, _, digest = reference.partition("@")
    return _tagged(name)[0], digest or None


def _tagged(name: str) -> tuple[str, str]:
    """Repository and tag, which is empty where there is none."""
    repository, colon, tag = name.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (name, "")


def _facts(image: str, config: dict[str, object]) -> ImageFacts:
    found = config.get("config")
    settings = found if isinstance(found, dict) else {}
    return ImageFacts(
        id=image,
        user=str(settings.get("User") or ""),
        entrypoint=tuple(map(str, settings.get("Entrypoint") or ())),
        command=tuple(map(str, settings.get("Cmd") or ())),
        os=str(config.get("os")),
        architecture=str(config.get("architecture")),
    )
