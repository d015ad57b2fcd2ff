"""A copy of what the cluster holds of ours, by list-then-watch, and who is told of changes.

A watch that ends, expires (410) or falls silent is no news about anything: it is opened anew, or
everything is listed again. While there is no watch, the copy is not used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing

import structlog

from appengine_server.scheduling.kubernetes.cluster import ApiRefused, Cluster, Silence
from appengine_server.scheduling.kubernetes.labels import Json
from appengine_server.scheduling.scheduler import SchedulerUnavailable

log = structlog.get_logger(__name__)

_WATCH_SECONDS = 50
"""The API ends each watch after so long, so that a cut connection is noticed soon after."""
_FIRST_DELAY_SECONDS = 0.2
_LONGEST_DELAY_SECONDS = 5.0


class Expired(Exception):
    """The place in the history from which to watch is gone (410): list again."""


class Collection:
    """One kind of object, by name. `keep_forever` keeps it; nothing else changes it."""

    def __init__(
        self,
        cluster: Cluster,
        path: str,
        *,
        query: dict[str, str] | None = None,
        on_change: Callable[[Json, bool], None],
        on_lost: Callable[[SchedulerUnavailable], None],
        on_synced: Callable[[], None],
    ) -> None:
        """`on_change` gets an object and whether it is gone."""
        self._cluster = cluster
        self._path = path
        self._query = query or {}
        self._on_change = on_change
        self._on_lost = on_lost
        self._on_synced = on_synced
        self.items: dict[str, Json] = {}
        self.synced = False
        """What `items` holds is no older than the last word of a live watch."""

    async def keep_forever(self) -> None:
        """List and watch, whatever happens."""
        delay = _FIRST_DELAY_SECONDS
        while True:
            try:
                version = await self._list()
                delay = _FIRST_DELAY_SECONDS
                while True:
                    version = await self._watch(version)
            except (Expired, Silence) as news:
                log.info("kubernetes.list_again", path=self._path, why=type(news).__name__)
            except SchedulerUnavailable as error:
                self._lose(error)
                await asyncio.sleep(delay)
                delay = min(2 * delay, _LONGEST_DELAY_SECONDS)
            except Exception as error:  # a watch that ended for good would be a server gone deaf
                log.exception("kubernetes.watch_failed", path=self._path)
                self._lose(SchedulerUnavailable(f"the watch on Kubernetes failed: {error}"))
                await asyncio.sleep(_LONGEST_DELAY_SECONDS)

    async def _list(self) -> str:
        try:
            found = await self._cluster.get(self._path, self._query)
        except ApiRefused as error:
            raise SchedulerUnavailable(f"Kubernetes gives no {self._path}: {error}") from error
        if found is None:
            raise SchedulerUnavailable(f"Kubernetes knows no {self._path}")
        fresh = {item["metadata"]["name"]: _slim(item) for item in found.get("items") or ()}
        before, self.items = self.items, fresh
        for name, item in before.items():
            if name not in fresh or _uid(fresh[name]) != _uid(item):
                self._on_change(item, True)
        for name, item in fresh.items():
            if name not in before or _version(before[name]) != _version(item):
                self._on_change(item, False)
        if not self.synced:
            self.synced = True
            self._on_synced()
        return str(found["metadata"]["resourceVersion"])

    async def _watch(self, version: str) -> str:
        """Apply events until the API ends the watch in order; answers where to go on."""
        query = {**self._query, "resourceVersion": version, "allowWatchBookmarks": "true"}
        try:
            async with aclosing(
                self._cluster.watch(self._path, query, seconds=_WATCH_SECONDS)
            ) as events:
                async for event in events:
                    version = self._apply(event) or version
        except ApiRefused as error:
            if error.status == 410:
                raise Expired from error
            raise SchedulerUnavailable(f"Kubernetes refuses a watch: {error}") from error
        return version

    def _apply(self, event: Json) -> str:
        kind, item = event["type"], event["object"]
        if kind == "ERROR":
            if item.get("code") == 410:
                raise Expired
            raise SchedulerUnavailable(f"Kubernetes ended a watch: {item.get('message')}")
        if kind == "DELETED":
            self.items.pop(item["metadata"]["name"], None)
            self._on_change(item, True)
        elif kind != "BOOKMARK":
            self.items[item["metadata"]["name"]] = _slim(item)
            self._on_change(item, False)
        return _version(item)

    def _lose(self, error: SchedulerUnavailable) -> None:
        self.synced = False
        self._on_lost(error)


def _uid(item: Json) -> str:
    return str(item["metadata"].get("uid"))


def _version(item: Json) -> str:
    return str(item["metadata"].get("resourceVersion"))


def _slim(item: Json) -> Json:
    """Drop what is large and of no use here; nodes list all the images that they hold."""
    item["metadata"].pop("managedFields", None)
    if isinstance(status := item.get("status"), dict):
        status.pop("images", None)
    return item
