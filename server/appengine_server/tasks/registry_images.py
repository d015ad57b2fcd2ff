"""Images kept by registries, where the nodes of a cluster pull them: there is no engine here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import structlog

from appengine_server.errors import FailedPrecondition
from appengine_server.scheduling.images import ImageFacts, ImageRefused, OnProgress
from appengine_server.scheduling.scheduler import FailureReason, SchedulerUnavailable
from appengine_server.tasks import skopeo
from appengine_server.tasks.registry import Registry

log = structlog.get_logger(__name__)

T = TypeVar("T")

TAG = "task-"
"""Tags of the images that we push begin so; an image that others named too stays theirs."""


class RegistryImages:
    """An ImageStore. An image's id is its reference pinned by digest, as nodes pull it."""

    def __init__(self, registry: Registry | None, platforms: tuple[str, ...]) -> None:
        """`registry` is our own, None where there is none; `platforms` those of the nodes, best
        first, as `os/architecture`.
        """
        self._registry = registry
        self._platforms = platforms

    async def load(
        self,
        archive: AsyncIterator[bytes],
        *,
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

    async def pull(self, reference: str) -> str:
        """Pin the image by its digest; nodes fetch it when they need it."""
        name, digest = _parted(reference)
        # skopeo takes no reference that has both a tag and a digest
        place = self._place(f"{name}@{digest}" if digest else reference)
        found = await self._read(skopeo.manifest, place, reference)
        digest = digest or f"sha256:{hashlib.sha256(found).hexdigest()}"
        return self._as_nodes_name_it(f"{name}@{digest}")

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

    async def remove(self, image: str) -> None:
        """Delete the manifest, where it is ours alone and the registry deletes at all."""
        if self._registry is None or not self._registry.holds(image):
            return
        repository, digest = _parted(image)
        try:
            tags = await _asked(skopeo.tags, self._place(repository))
            if digest is None or not tags or not all(tag.startswith(TAG) for tag in tags):
                return
            await _asked(skopeo.delete, self._place(image))
        except skopeo.SkopeoFailed as error:
            if error.out_of_reach:
                raise _unavailable(error) from error
            log.info("registry.keeps_image", image=image, error=error.message)

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
    repository, colon, tag = name.rpartition(":")
    if colon and "/" not in tag:
        name = repository
    return name, digest or None


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
