"""Queries on what this engine put into container engines and registries for its tasks.

A row is written before its image is made, so that whatever is there has one; what has none was made
by others. Names and digests are of one task alone, and a task that failed or is gone never comes
back: so a removal that was decided stays right, however late it is done.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from appengine_server.database.pool import Connection, Record

# A task may have been made from the image of another one, by its digest in our registry. Digests
# are compared first, by which PostgreSQL joins many of them at once. In a container engine only
# tasks of the first release share a name, made of the image's id.
_NOT_NEEDED = """
    NOT EXISTS (SELECT 1 FROM tasks t
                 WHERE t.id <> i.task_id
                   AND split_part(t.image, '@', 2) = split_part(i.pinned, '@', 2)
                   AND right(t.image, length(i.pinned) + 1) = '/' || i.pinned)
    AND NOT EXISTS (SELECT 1 FROM tasks t
                     WHERE t.id <> i.task_id
                       AND 'localhost/appengine-task:' || substr(t.image, 8) = i.name)"""

_NOTE = """
    INSERT INTO task_images (task_id, name, pinned) VALUES ($1, $2, $3)
    ON CONFLICT (task_id, name) DO UPDATE SET pinned = excluded.pinned"""

_OF_TASK = "SELECT task_id, name, pinned FROM task_images WHERE task_id = $1 ORDER BY name"

# Those in the container engine come first: a registry that is away must not hold them up.
_ORPHANED = f"""
    SELECT task_id, name, pinned FROM task_images i
     WHERE made_at < now() - $1::interval
       AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.id = i.task_id AND t.state <> 'FAILED')
       AND {_NOT_NEEDED}
     ORDER BY pinned IS NOT NULL, refused_at NULLS FIRST, made_at"""

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"

_BEGIN_REMOVAL = f"""
    UPDATE task_images i SET removing = true
     WHERE task_id = $1 AND name = $2 AND {_NOT_NEEDED} RETURNING task_id"""

_IS_GOING = """
    SELECT EXISTS (SELECT 1 FROM task_images
                    WHERE removing AND task_id <> $1
                      AND right($2, length(pinned) + 1) = '/' || pinned)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskImage:
    """An image that was made for a task, or was about to be."""

    task_id: UUID
    name: str
    """`repository:tag`, with the host of a registry."""
    pinned: str | None
    """`repository@digest` in a registry; None in a container engine."""

    @property
    def digest(self) -> str | None:
        """Of its manifest, where it is in a registry."""
        return None if self.pinned is None else self.pinned.partition("@")[2]


async def note(connection: Connection, image: TaskImage) -> None:
    """Say that an image is about to be made; again by whoever may have made it late."""
    await connection.execute(_NOTE, image.task_id, image.name, image.pinned)


async def of_task(connection: Connection, task_id: UUID) -> list[TaskImage]:
    """What was made for a task."""
    return [_image(row) for row in await connection.fetch(_OF_TASK, task_id)]


async def orphaned(connection: Connection, *, older_than: timedelta) -> list[TaskImage]:
    """What was made so long ago for tasks that failed or are gone, and no other task needs."""
    return [_image(row) for row in await connection.fetch(_ORPHANED, older_than)]


async def begin_removal(connection: Connection, image: TaskImage) -> bool:
    """Decide that an image goes whose own task needs it no more; False if another one needs it.

    From then on no task can come to need it. Needs a transaction.
    """
    await connection.execute(_LOCK, image.digest or image.name)
    row = await connection.fetchrow(_BEGIN_REMOVAL, image.task_id, image.name)
    return row is not None


async def is_going(connection: Connection, task_id: UUID, image: str) -> bool:
    """Whether the image that a task is about to get, as nodes pull it, goes with another task.

    If not, it stays so until the end of the transaction, which it needs.
    """
    digest = image.partition("@")[2]
    if not digest:
        return False
    await connection.execute(_LOCK, digest)
    return bool(await connection.fetchval(_IS_GOING, task_id, image))


async def set_refused(connection: Connection, image: TaskImage) -> None:
    """Its place does not remove it: others are tried first the next time."""
    await connection.execute(
        "UPDATE task_images SET refused_at = now() WHERE task_id = $1 AND name = $2",
        image.task_id, image.name,
    )  # fmt: skip


async def forget(connection: Connection, image: TaskImage) -> bool:
    """The image is gone; False if another server has said so."""
    row = await connection.fetchrow(
        "DELETE FROM task_images WHERE task_id = $1 AND name = $2 RETURNING task_id",
        image.task_id, image.name,
    )  # fmt: skip
    return row is not None


def _image(row: Record) -> TaskImage:
    return TaskImage(task_id=row["task_id"], name=row["name"], pinned=row["pinned"])
