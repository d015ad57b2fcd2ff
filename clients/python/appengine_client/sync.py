"""The same client without `async`: it runs on an event loop in a thread of its own.

    with connect("engine.example.org:8080") as client:
        result = client.run("com.example.nuclei:1.0.0", image=Path("a.png"), min_area=20)

Every method is the asynchronous one of the same name, made to block; see there what it does.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from appengine.v1 import storage_service_pb2 as pb

from appengine_client._api import client as asynchronous
from appengine_client._api.runs import Runs as AsyncRuns
from appengine_client._api.tasks import Tasks as AsyncTasks
from appengine_client._api.uploads import Uploads as AsyncUploads
from appengine_client._rpc.settings import read_settings

__all__ = ["Client", "Runs", "Tasks", "Uploads", "connect"]

Wrapped = TypeVar("Wrapped")
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class _Loop:
    """An event loop in a thread, which blocking calls are handed to."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="appengine-client", daemon=True
        )
        self._thread.start()

    def run(self, work: Awaitable[Result]) -> Result:
        """Await something in the loop, and block until it is done."""
        future = asyncio.run_coroutine_threadsafe(_as_coroutine(work), self._loop)
        try:
            return future.result()
        except BaseException:  # such as Ctrl-C in this thread: the work must not go on
            future.cancel()
            raise

    @property
    def is_closed(self) -> bool:
        """Whether nothing can run any more."""
        return self._loop.is_closed()

    def close(self) -> None:
        """Stop the loop and its thread. Closing twice is fine."""
        if self._loop.is_closed():
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


async def _as_coroutine(work: Awaitable[Result]) -> Result:
    return await work


class _Blocking(Generic[Wrapped]):
    """A group of calls with the loop that they run in."""

    def __init__(self, wrapped: Wrapped, loop: _Loop) -> None:
        self._wrapped = wrapped
        self._loop = loop


def _blocking(
    method: Callable[Concatenate[Wrapped, Parameters], Coroutine[Any, Any, Result]],
) -> Callable[Concatenate[_Blocking[Wrapped], Parameters], Result]:
    @wraps(method)
    def call(
        self: _Blocking[Wrapped], /, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Result:
        return self._loop.run(method(self._wrapped, *args, **kwargs))

    return call


def _iterating(
    method: Callable[Concatenate[Wrapped, Parameters], AsyncIterator[Result]],
) -> Callable[Concatenate[_Blocking[Wrapped], Parameters], Iterator[Result]]:
    @wraps(method)
    def call(
        self: _Blocking[Wrapped], /, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Iterator[Result]:
        items = method(self._wrapped, *args, **kwargs)
        try:
            while True:
                try:
                    yield self._loop.run(anext(items))
                except StopAsyncIteration:
                    return
        finally:
            if not self._loop.is_closed:  # closing the client has ended the call already
                self._loop.run(_close(items))

    return call


async def _close(items: AsyncIterator[Any]) -> None:
    close = getattr(items, "aclose", None)
    if close is not None:
        await close()


class Tasks(_Blocking[AsyncTasks]):
    """Uploads, finds and deletes tasks."""

    upload = _blocking(AsyncTasks.upload)
    create = _blocking(AsyncTasks.create)
    create_from_image = _blocking(AsyncTasks.create_from_image)
    get = _blocking(AsyncTasks.get)
    list = _iterating(AsyncTasks.list)
    delete = _blocking(AsyncTasks.delete)
    descriptor = _blocking(AsyncTasks.descriptor)
    logo = _blocking(AsyncTasks.logo)
    watch = _iterating(AsyncTasks.watch)


class Runs(_Blocking[AsyncRuns]):
    """Creates runs, gives them inputs, starts and follows them, and fetches what they made."""

    create = _blocking(AsyncRuns.create)
    provision = _blocking(AsyncRuns.provision)
    start = _blocking(AsyncRuns.start)
    cancel = _blocking(AsyncRuns.cancel)
    retry = _blocking(AsyncRuns.retry)
    delete = _blocking(AsyncRuns.delete)
    get = _blocking(AsyncRuns.get)
    list = _iterating(AsyncRuns.list)
    watch = _iterating(AsyncRuns.watch)
    watch_all = _iterating(AsyncRuns.watch_all)
    watch_token = _blocking(AsyncRuns.watch_token)
    wait = _blocking(AsyncRuns.wait)
    logs = _iterating(AsyncRuns.logs)
    inputs = _blocking(AsyncRuns.inputs)
    outputs = _blocking(AsyncRuns.outputs)
    download_outputs = _blocking(AsyncRuns.download_outputs)
    download_inputs = _blocking(AsyncRuns.download_inputs)
    download = _blocking(AsyncRuns.download)
    files = _iterating(AsyncRuns.files)


class Uploads(_Blocking[AsyncUploads]):
    """Starts, sends, asks for and drops uploads."""

    capabilities = _blocking(AsyncUploads.capabilities)
    send_bundle = _blocking(AsyncUploads.send_bundle)
    send_input = _blocking(AsyncUploads.send_input)
    get = _blocking(AsyncUploads.get)
    cancel = _blocking(AsyncUploads.cancel)


class Client(_Blocking[asynchronous.Client]):
    """Talks to one server, from any thread. Use it as `with`, or close it yourself."""

    run = _blocking(asynchronous.Client.run)
    result = _blocking(asynchronous.Client.result)
    map = _iterating(asynchronous.Client.map)

    def __init__(self, wrapped: asynchronous.Client) -> None:
        super().__init__(wrapped, _Loop())
        self._closed = False
        self.tasks = Tasks(wrapped.tasks, self._loop)
        self.runs = Runs(wrapped.runs, self._loop)
        self.uploads = Uploads(wrapped.uploads, self._loop)

    def capabilities(self) -> pb.GetCapabilitiesResponse:
        """The limits of the server. Raises Unavailable when it cannot be reached."""
        return self.uploads.capabilities()

    def close(self) -> None:
        """Close the connection and end the thread. Closing twice is fine."""
        if not self._closed:
            self._closed = True
            self._loop.run(self._wrapped.close())
            self._loop.close()

    def __enter__(self) -> Client:
        """Give the client; leaving closes it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self.close()


def connect(
    server: str | None = None,
    *,
    token: str | None = None,
    ca_certificate: Path | str | bytes | None = None,
    project: str | None = None,
) -> Client:
    """A blocking client of one server; takes and raises what `appengine_client.connect` does."""
    settings = read_settings(
        server=server, token=token, ca_certificate=ca_certificate, project=project
    )
    return Client(asynchronous.Client(settings))
