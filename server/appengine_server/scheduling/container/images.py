"""Images kept by the container engine itself."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from urllib.parse import quote
from uuid import UUID
from weakref import WeakValueDictionary

import aiohttp

from appengine_server.scheduling.container.engine import (
    Details,
    Engine,
    EngineRefused,
    json_lines,
)
from appengine_server.scheduling.images import ImageFacts, ImageInUse, ImageRefused, OnProgress
from appengine_server.scheduling.scheduler import FailureReason, SchedulerUnavailable

_REPOSITORY = "localhost/appengine-task"
"""Our own tags on every image that we keep: without one, `image prune` would remove it."""

_LOADED = re.compile(r"Loaded image(?: ID)?: (\S+)")
_SILENCE = aiohttp.ClientTimeout(sock_connect=10, sock_read=1800)
"""An engine says nothing while it unpacks; 17 GB take minutes."""


class ContainerImages:
    """An ImageStore. Tags each image as its own, so that pruning of unnamed images spares it.

    Each task has a tag of its own. The engine counts them, and drops an image with its last one.
    """

    def __init__(self, engine: Engine) -> None:
        """`engine` stays its owner's."""
        self._engine = engine
        self._pulls: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def name_of(self, task_id: UUID) -> str:
        """Our tag for a task."""
        return f"{_REPOSITORY}:{task_id}"

    async def load(
        self,
        archive: AsyncIterator[bytes],
        *,
        name: str | None,
        config_digest: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> str:
        """Stream the archive to the engine. What `archive` raises comes out as it is."""
        assert name is not None
        expected = [f"sha256:{config_digest}"] if config_digest else []
        for image in expected:  # or it could go with another task between its load and our tag
            await self._tag(image, name)
        body = _Counted(archive, on_progress)
        loaded: list[str] = []
        try:
            async with self._engine.stream(
                "POST",
                "images/load",
                data=body.chunks(),
                timeout=_SILENCE,
                params={"quiet": "true"},
            ) as answer:
                async for line in json_lines(answer):
                    _raise_for(line, FailureReason.IMAGE_PUBLISH)
                    loaded += _LOADED.findall(str(line.get("stream", "")))
        except EngineRefused as error:
            if body.error is not None:
                raise body.error from error
            raise ImageRefused(
                FailureReason.IMAGE_PUBLISH,
                f"the container engine cannot read the image's archive: {error.message}",
            ) from error
        except SchedulerUnavailable as error:
            if body.error is not None:
                raise body.error from error
            raise
        return await self._keep_first([*expected, *loaded], name)

    async def exists(self, image: str) -> bool:
        """Tell whether the engine has the image."""
        return await self._show(image) is not None

    async def pull(self, reference: str, *, name: str | None) -> str:
        """Fetch the image with the engine's own credentials.

        The name that pulling gives it goes again, unless the engine had it before.
        """
        assert name is not None
        async with self._pulls.setdefault(reference, asyncio.Lock()):
            had_before = await self.exists(reference)
            try:
                async with self._engine.stream(
                    "POST", "images/create", timeout=_SILENCE, params=_pull_parameters(reference)
                ) as answer:
                    async for line in json_lines(answer):
                        _raise_for(line, FailureReason.IMAGE_PULL)
            except EngineRefused as error:
                raise ImageRefused(
                    FailureReason.IMAGE_PULL, f"cannot pull {reference}: {error.message}"
                ) from error
            image = await self._keep_first([reference], name)
            if not had_before:
                with suppress(EngineRefused):  # a name too many does no harm
                    await self._engine.call("DELETE", f"images/{quote(reference, safe='/:@')}")
            return image

    async def inspect(self, image: str) -> ImageFacts:
        """Say what the image is."""
        details = await self._show(image)
        if details is None:
            raise ImageRefused(
                FailureReason.IMAGE_PULL,
                f"the image {image} is no longer in the engine; it was removed or pruned: upload "
                "the task again",
            )
        config = details.get("Config") or {}
        return ImageFacts(
            id=_with_algorithm(details["Id"]),
            user=config.get("User") or "",
            entrypoint=tuple(config.get("Entrypoint") or ()),
            command=tuple(config.get("Cmd") or ()),
            os=details.get("Os") or "linux",
            architecture=details.get("Architecture") or "",
        )

    async def remove(self, name: str) -> bool:
        """Take our tag away; the engine drops the image where nobody else has named it."""
        try:
            await self._engine.call("DELETE", f"images/{quote(name, safe='/:')}")
        except EngineRefused as error:
            if error.absent:
                return False
            raise ImageInUse(f"the image {name} cannot be removed yet: {error.message}") from error
        return True

    async def _keep_first(self, found: list[str], name: str) -> str:
        """Tag the first of these images that is there, and answer its id."""
        for one in found:
            if (details := await self._show(one)) is not None:
                image = _with_algorithm(details["Id"])
                if not await self._tag(image, name):
                    raise SchedulerUnavailable(f"the image {image} was removed by others just now")
                return image
        raise ImageRefused(
            FailureReason.IMAGE_PUBLISH,
            "the container engine took the image and does not show it: it must be the archive of "
            "one image for this machine",
        )

    async def _tag(self, image: str, name: str) -> bool:
        """Give the image a name; False where there is no such image."""
        repository, _, tag = name.rpartition(":")
        try:
            await self._engine.call("POST", f"images/{image}/tag", repo=repository, tag=tag)
        except EngineRefused as error:
            if error.absent:
                return False
            raise SchedulerUnavailable(f"cannot tag the image: {error.message}") from error
        return True

    async def _show(self, image: str) -> Details | None:
        try:
            details: Details = await self._engine.call(
                "GET", f"images/{quote(image, safe='/:@')}/json"
            )
        except EngineRefused as error:
            if error.absent:
                return None
            raise SchedulerUnavailable(error.message) from error
        return details


class _Counted:
    """Hands chunks on, tells how far it is, and remembers what the source raised."""

    def __init__(self, source: AsyncIterator[bytes], on_progress: OnProgress | None) -> None:
        self._source = source
        self._on_progress = on_progress
        self.error: Exception | None = None

    async def chunks(self) -> AsyncIterator[bytes]:
        sent_bytes = 0
        try:
            async for chunk in self._source:
                yield chunk
                sent_bytes += len(chunk)
                if self._on_progress is not None:
                    self._on_progress(sent_bytes)
        except Exception as error:
            self.error = error
            raise


def _raise_for(line: Details, reason: FailureReason) -> None:
    """An engine answers 200 before it begins, and says in the stream that it failed."""
    if error := line.get("error") or (line.get("errorDetail") or {}).get("message"):
        raise ImageRefused(reason, f"the container engine refused the image: {error}")


def _pull_parameters(reference: str) -> dict[str, str]:
    if "@" in reference:
        name, _, digest = reference.partition("@")
        return {"fromImage": name, "tag": digest}
    name, colon, tag = reference.rpartition(":")
    if colon and "/" not in tag:
        return {"fromImage": name, "tag": tag}
    return {"fromImage": reference, "tag": "latest"}


def _with_algorithm(image: str) -> str:
    return image if image.startswith("sha256:") else f"sha256:{image}"
