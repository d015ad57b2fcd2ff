"""The cluster's API: the few requests that we make, as JSON. The only module that knows the client.

Failures are of two kinds. What another try may mend is SchedulerUnavailable, with a sentence;
what the API will not do is ApiRefused, which the caller turns into what it means.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import structlog
from kubernetes.aio import config as kube_config
from kubernetes.aio.client import ApiClient, Configuration

from appengine_server.scheduling.kubernetes.labels import Json
from appengine_server.scheduling.kubernetes.settings import Connection
from appengine_server.scheduling.scheduler import SchedulerUnavailable

log = structlog.get_logger(__name__)

_REQUEST_SECONDS = 30
_CONNECT_SECONDS = 10
_RENEW_INTERVAL_SECONDS = 5.0
_MERGE_PATCH = "application/merge-patch+json"
_FORBIDDEN_VERB = re.compile(r"cannot (?P<what>\w+ resource \"[^\"]+\".*)$", re.DOTALL)

Query = Mapping[str, str]


class ApiRefused(Exception):
    """The API understood the request and does not do it."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        """Kubernetes' own word, such as `AlreadyExists`."""
        self.message = message


class NotAllowed(SchedulerUnavailable):
    """Our account lacks a right; the sentence names it."""


class NodeOutOfReach(SchedulerUnavailable):
    """The API answers, and a node behind it does not."""


class Silence(Exception):
    """A watch told nothing for so long that its connection may be gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    method: str
    path: str
    body: Json | None
    content_type: str
    timeout: aiohttp.ClientTimeout


class Cluster:
    """One namespace of a cluster. Made by `open_cluster`, which also closes it."""

    def __init__(self, client: ApiClient, connection: Connection, namespace: str) -> None:
        self._client = client
        self._connection = connection
        self._renewed_at = 0.0
        self.namespace = namespace

    @property
    def url(self) -> str:
        """Where the API is."""
        return str(self._client.configuration.host)

    def path(self, group: str, kind: str, name: str | None = None) -> str:
        """The path of a kind, or of one object, in our namespace; `group` as in `apis/batch/v1`."""
        path = f"/{group}/namespaces/{self.namespace}/{kind}"
        return path if name is None else f"{path}/{name}"

    async def get(self, path: str, query: Query | None = None) -> Json | None:
        """Read an object, or a list of them; None if there is none."""
        try:
            return await self._request("GET", path, query=query)
        except ApiRefused as error:
            if error.status == 404:
                return None
            raise

    async def create(self, path: str, item: Json) -> Json:
        """Make an object. Raises ApiRefused with reason AlreadyExists if there is one."""
        return await self._request("POST", path, body=item)

    async def put(self, kind: str, item: Json, change: Json, *, group: str = "api/v1") -> None:
        """Make an object of a kind in our namespace, or merge a change into the one there is."""
        try:
            await self.create(self.path(group, kind), item)
        except ApiRefused as error:
            if error.reason != "AlreadyExists":
                raise
            await self.patch(self.path(group, kind, item["metadata"]["name"]), change)

    async def patch(self, path: str, change: Json) -> Json | None:
        """Merge a change into an object; None if there is none."""
        try:
            return await self._request("PATCH", path, body=change, content_type=_MERGE_PATCH)
        except ApiRefused as error:
            if error.status == 404:
                return None
            raise

    async def delete(self, path: str, **options: Any) -> bool:
        """Delete an object, with DeleteOptions; False if there is none."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", **options}
        try:
            await self._request("DELETE", path, body=body)
        except ApiRefused as error:
            if error.status == 404:
                return False
            raise
        return True

    async def watch(self, path: str, query: Query, *, seconds: int) -> AsyncGenerator[Json, None]:
        """Give events for `seconds` at most. Raises Silence if not even the end comes."""
        query = {**query, "watch": "true", "timeoutSeconds": str(seconds)}
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=_CONNECT_SECONDS, sock_read=seconds + _CONNECT_SECONDS
        )
        async with self._answer("GET", path, query=query, timeout=timeout) as answer:
            pending = b""
            try:
                async for chunk in answer.content.iter_any():
                    *lines, pending = (pending + chunk).split(b"\n")
                    for line in lines:
                        yield json.loads(line)
            except TimeoutError as error:
                raise Silence from error
            except (aiohttp.ClientError, OSError) as error:
                raise self._out_of_reach(error) from error

    async def clock(self) -> datetime:
        """What time it is there, to the second."""
        timeout = aiohttp.ClientTimeout(total=_REQUEST_SECONDS, sock_connect=_CONNECT_SECONDS)
        async with self._answer("GET", "/version", timeout=timeout) as answer:
            try:
                return parsedate_to_datetime(answer.headers["Date"])
            except (KeyError, ValueError) as error:
                raise SchedulerUnavailable(f"Kubernetes at {self.url} tells no time") from error

    async def stream(self, path: str, query: Query) -> AsyncGenerator[bytes, None]:
        """Give bytes as they come, for as long as they come. Raises NodeOutOfReach too."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS)
        async with self._answer("GET", path, query=query, timeout=timeout) as answer:
            try:
                async for chunk in answer.content.iter_any():
                    yield chunk
            except (aiohttp.ClientError, OSError) as error:
                raise self._out_of_reach(error) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._client.rest_client.close()

    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Json | None = None,
        content_type: str = "application/json",
    ) -> Json:
        timeout = aiohttp.ClientTimeout(total=_REQUEST_SECONDS, sock_connect=_CONNECT_SECONDS)
        async with self._answer(
            method, path, query=query, body=body, content_type=content_type, timeout=timeout
        ) as answer:
            try:
                found: Json = json.loads(await answer.read())
            except (aiohttp.ClientError, OSError, ValueError) as error:
                raise self._out_of_reach(error) from error
        return found

    @asynccontextmanager
    async def _answer(
        self,
        method: str,
        path: str,
        *,
        timeout: aiohttp.ClientTimeout,
        query: Query | None = None,
        body: Json | None = None,
        content_type: str = "application/json",
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        request = _Request(
            method=method,
            path=f"{path}?{urlencode(query)}" if query else path,
            body=body,
            content_type=content_type,
            timeout=timeout,
        )
        answer = await self._send(request)
        if answer.status == 401 and await self._renew():
            answer.release()
            answer = await self._send(request)
        try:
            if answer.status >= 300:
                raise self._refusal(method, path, answer.status, await _text(answer))
            yield answer
        finally:
            if (connection := answer.connection) is not None and connection.transport is not None:
                connection.transport.abort()  # a watch or log that is left: no farewell by TLS
            answer.close()

    async def _send(self, request: _Request) -> aiohttp.ClientResponse:
        client = self._client
        try:
            _, url, headers, body, _ = await client.param_serialize(
                request.method, request.path, header_params={"Content-Type": request.content_type},
                body=request.body, auth_settings=["BearerToken"],
            )  # fmt: skip
            answer = await client.call_api(
                request.method, url, headers, body, _request_timeout=request.timeout
            )
        except (aiohttp.ClientError, OSError) as error:
            raise self._out_of_reach(error) from error
        response: aiohttp.ClientResponse = answer.response
        return response

    async def _renew(self) -> bool:
        """Read our credentials anew: they may have been replaced. False if that was just done."""
        now = asyncio.get_running_loop().time()
        if now - self._renewed_at < _RENEW_INTERVAL_SECONDS:
            return False
        self._renewed_at = now
        fresh = await _configuration(self._connection)
        self._client.configuration.api_key.update(fresh.api_key)
        return True

    def _refusal(self, method: str, path: str, status: int, text: str) -> Exception:
        reason, message = _status_of(text)
        if status == 401:
            return SchedulerUnavailable(
                f"Kubernetes at {self.url} does not accept our credentials: check KUBECONFIG"
            )
        if status == 403 and (found := _FORBIDDEN_VERB.search(message)):
            return NotAllowed(
                f"Kubernetes at {self.url} does not allow us to {found['what']}: add that to the "
                "role of the account that the server uses"
            )
        if path.endswith("/log") and status >= 500:
            return NodeOutOfReach(f"the node of {path.rsplit('/', 2)[-2]} gives no log: {message}")
        if status == 429 or status >= 500:
            return SchedulerUnavailable(
                f"Kubernetes at {self.url} answered {method} {path} by {status}: {message}"
            )
        return ApiRefused(status, reason, message)

    def _out_of_reach(self, error: Exception) -> SchedulerUnavailable:
        why = str(error) or type(error).__name__
        return SchedulerUnavailable(f"Kubernetes at {self.url} cannot be reached: {why}")


@asynccontextmanager
async def open_cluster(connection: Connection, namespace: str) -> AsyncIterator[Cluster]:
    """Connect, and see that the namespace is there; raises SchedulerUnavailable with a sentence."""
    cluster = Cluster(ApiClient(await _configuration(connection)), connection, namespace)
    try:
        await _check_namespace(cluster)
        yield cluster
    finally:
        await cluster.close()


async def _check_namespace(cluster: Cluster) -> None:
    """Whether the namespace exists. Who may only use it need not be allowed to read it."""
    try:
        found = await cluster.get(f"/api/v1/namespaces/{cluster.namespace}")
    except NotAllowed:
        log.info("kubernetes.namespace_unreadable", namespace=cluster.namespace)
        return
    if found is None:
        raise SchedulerUnavailable(
            f"SCHEDULER_TASKS_NAMESPACE: Kubernetes at {cluster.url} has no namespace "
            f"{cluster.namespace}: create it"
        )


async def _configuration(connection: Connection) -> Configuration:
    configuration = Configuration()
    home = Path.home() / ".kube" / "config"
    file = connection.kubeconfig or (str(home) if home.exists() else None)
    try:
        if file is not None:
            await kube_config.load_kube_config(
                config_file=file, client_configuration=configuration, persist_config=False
            )
        else:
            kube_config.load_incluster_config(client_configuration=configuration)
    except Exception as error:  # of a file that is no kubeconfig the client raises whatever happens
        where = f"KUBECONFIG {file}" if file else "neither a kubeconfig nor a service account"
        known = isinstance(error, (kube_config.ConfigException, OSError))
        why = str(error) if known else "the file is not what kubectl writes"
        raise SchedulerUnavailable(f"there is no way to Kubernetes by {where}: {why}") from error
    if connection.master_url is not None:
        configuration.host = connection.master_url.rstrip("/")
    if not connection.verify_tls:
        configuration.verify_ssl = False
    return configuration


async def _text(answer: aiohttp.ClientResponse) -> str:
    try:
        return (await answer.read()).decode(errors="replace")
    except (aiohttp.ClientError, OSError):
        return ""


def _status_of(text: str) -> tuple[str, str]:
    """Reason and message of a refusal, which is a Status object or plain text."""
    try:
        status = json.loads(text)
        return str(status.get("reason") or ""), str(status.get("message") or text)
    except (ValueError, AttributeError):
        return "", text.strip()[:500]
