"""The images that this engine made for its tasks, and how they go.

Only what was noted before it was made is ever touched: registries and container engines hold the
images of others too.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from appengine_server.database import task_images
from appengine_server.database.pool import Database
from appengine_server.database.task_images import TaskImage
from appengine_server.scheduling.images import ImageInUse, ImageStays, ImageStore
from appengine_server.scheduling.scheduler import SchedulerUnavailable
from appengine_server.tasks.registry import Registry
from appengine_server.tasks.registry_images import has_pushed, remove_pushed


class KeptImages:
    """Notes and removes them. Borrows everything that it is given."""

    def __init__(
        self, *, database: Database, images: ImageStore, registry: Registry | None
    ) -> None:
        """`registry` is our own, None where there is none."""
        self._database = database
        self._images = images
        self._registry = registry

    async def note(self, image: TaskImage) -> None:
        """Say that an image is about to be made."""
        async with self._database.connection() as connection:
            await task_images.note(connection, image)

    async def remove_of(self, task_id: UUID) -> None:
        """Remove the images of a task that goes; what a registry keeps is an orphan from then on.

        Raises SchedulerUnavailable where the container engine cannot remove it yet.
        """
        async with self._database.connection() as connection:
            made = await task_images.of_task(connection, task_id)
        for image in filter(self._is_reachable, made):
            try:
                await self.remove(image)
            except (ImageStays, SchedulerUnavailable):
                if image.digest is None:
                    raise
                continue  # the sweep says so, once for all of them

    async def orphans(self, older_than: timedelta) -> list[TaskImage]:
        """What was made so long ago for tasks that failed or are gone, and no other task needs."""
        async with self._database.connection() as connection:
            found = await task_images.orphaned(connection, older_than=older_than)
        return list(filter(self._is_reachable, found))

    async def is_there(self, image: TaskImage) -> bool:
        """Whether the image was made and is left. Raises as `remove`."""
        if image.digest is None:
            return await self._images.exists(image.name)
        assert self._registry is not None
        return await has_pushed(self._registry, image.name)

    async def remove(self, image: TaskImage) -> bool:
        """Remove an image whose task needs it no more; False if there was none or it is needed.

        Raises ImageStays, and SchedulerUnavailable where it is worth another try.
        """
        async with self._database.transaction() as connection:
            if not await task_images.begin_removal(connection, image):
                return False
        try:
            removed = await self._remove(image)
        except (ImageStays, ImageInUse):
            async with self._database.connection() as connection:
                await task_images.set_refused(connection, image)
            raise
        async with self._database.connection() as connection:
            return await task_images.forget(connection, image) and removed

    async def _remove(self, image: TaskImage) -> bool:
        if image.digest is None:
            return await self._images.remove(image.name)
        assert self._registry is not None
        return await remove_pushed(self._registry, image.name, image.digest)

    def _is_reachable(self, image: TaskImage) -> bool:
        """Whether its place is one of those that the settings name now."""
        if image.digest is None:
            return self._images.name_of(image.task_id) is not None
        return self._registry is not None and image.name.startswith(f"{self._registry.push_host}/")
