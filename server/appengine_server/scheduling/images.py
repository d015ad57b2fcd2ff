"""What publishing asks of the place where images are kept, and the values that both speak."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from appengine_server.scheduling.scheduler import FailureReason, SchedulerUnavailable

NO_COMMAND = "the image says no command to run: give it an ENTRYPOINT or CMD"
"""Why an image without a program of its own is refused, in the same words by whoever finds it."""

OnProgress = Callable[[int], None]
"""Is told how many bytes have been handed over so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """What an image says of itself."""

    id: str
    """`sha256:` and 64 hexadecimal digits: what runs name the image by."""
    user: str
    """As in the image: a name or number, perhaps with a group; empty is root."""
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    os: str
    architecture: str
    """In Go's words, such as `amd64`."""


class ImageRefused(Exception):
    """The image cannot be had. Trying again without a change does not help."""

    def __init__(self, reason: FailureReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class ImageStays(Exception):
    """The place of an image does not remove it. `str` of it says what to change there."""


class ImageInUse(SchedulerUnavailable):
    """A container still uses the image, which can be removed once that is gone."""


class ImageStore(Protocol):
    """Keeps the images of tasks. Every method may raise SchedulerUnavailable: then try again."""

    def name_of(self, task_id: UUID) -> str | None:
        """The name that keeps the image of a task here; None where nothing is kept for tasks.

        It is of one task alone, so that an image goes with the last of the tasks that have it.
        """
        ...

    async def load(
        self,
        archive: AsyncIterator[bytes],
        *,
        name: str | None,
        config_digest: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> str:
        """Keep the image of a `docker save` archive under a name of `name_of`; answer its id.

        The archive must hold one image and no tags: they would be taken over. `config_digest`
        (64 hexadecimal digits, of the image's config) finds the image where the engine's answer
        does not name it. Raises ImageRefused where the archive is not one.
        """
        ...

    async def exists(self, image: str) -> bool:
        """Tell whether runs can use the image: it may have been pruned behind our back."""
        ...

    async def pull(self, reference: str, *, name: str | None) -> str:
        """Fetch an image from its registry, keep it under a name of `name_of`; answer its id.

        Raises ImageRefused.
        """
        ...

    async def inspect(self, image: str) -> ImageFacts:
        """Say what the image is. Raises ImageRefused where it is not here."""
        ...

    async def remove(self, name: str) -> bool:
        """Take a name of `name_of` away; an image without another name goes. False if it is gone.

        Raises ImageInUse while a container still uses it.
        """
        ...
