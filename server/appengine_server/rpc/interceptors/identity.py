"""Finds out who calls, before a handler runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Protocol

import structlog

from appengine_server.errors import PermissionDenied, Unauthenticated
from appengine_server.identity import LOCAL, AttemptPrincipal, Caller, Principal, TokenFile
from appengine_server.rpc.interceptors.surround import Context, SurroundingInterceptor

Metadata = Iterable[tuple[str, str | bytes]]

_OPEN_TO_ALL = "/grpc.health.v1.Health/"
"""Probes of a load balancer have no token. Reflection is not open: it shows what could be tried."""

_OPEN_TO_AGENTS = frozenset(
    {
        "/appengine.v1.AgentService/Synchronize",
        "/appengine.v1.StorageService/GetCapabilities",
        "/appengine.v1.StorageService/StartUpload",
        "/appengine.v1.StorageService/Upload",
        "/appengine.v1.StorageService/GetUpload",
        "/appengine.v1.StorageService/ListFiles",
        "/appengine.v1.StorageService/Download",
    }
)
"""What the token of an attempt may try; the handlers let it reach its own attempt alone."""

_current: ContextVar[tuple[Context, Caller]] = ContextVar("caller")


class Authenticator(Protocol):
    """Says whose call this is."""

    async def authenticate(self, metadata: Metadata) -> Caller:
        """Who makes a call with this metadata. Raises Unauthenticated."""
        ...


class AttemptTokens(Protocol):
    """Knows the tokens of attempts."""

    def looks_like_one(self, token: str) -> bool:
        """Whether this can be the token of an attempt, and of nobody else."""
        ...

    async def principal_of(self, token: str) -> AttemptPrincipal | None:
        """Whose token this is; None if it was never made."""
        ...


class OpenAuthenticator:
    """Lets everybody in, as the local principal: only for a loopback address."""

    async def authenticate(self, metadata: Metadata) -> Principal:
        """The local principal, whatever came."""
        return LOCAL


class TokenAuthenticator:
    """Wants `authorization: Bearer <token>` with a token of the file."""

    def __init__(self, tokens: TokenFile) -> None:
        self._tokens = tokens

    async def authenticate(self, metadata: Metadata) -> Principal:
        """The principal of the token. Raises Unauthenticated without a valid one."""
        principal = self._tokens.principal_of(_bearer_token(metadata))
        if principal is None:
            raise Unauthenticated("this server does not know the token; get a new one")
        return principal


class AttemptAuthenticator:
    """Knows the agents of attempts by their tokens, and leaves all others to `others`."""

    def __init__(self, tokens: AttemptTokens, others: Authenticator) -> None:
        self._tokens = tokens
        self._others = others

    async def authenticate(self, metadata: Metadata) -> Caller:
        """The agent, or who else it is. Raises Unauthenticated."""
        metadata = tuple(metadata)
        try:
            token = _bearer_token(metadata)
        except Unauthenticated:
            token = ""  # the others have their own word for that
        if not self._tokens.looks_like_one(token):
            return await self._others.authenticate(metadata)
        agent = await self._tokens.principal_of(token)
        if agent is None:
            raise Unauthenticated("this server does not know the token of this attempt")
        return agent


class IdentityInterceptor(SurroundingInterceptor):
    """Authenticates every call but health checks; handlers ask `principal_of` and its sisters."""

    def __init__(self, authenticator: Authenticator) -> None:
        super().__init__()
        self._authenticator = authenticator

    @asynccontextmanager
    async def around(self, method: str, context: Context) -> AsyncIterator[None]:
        """Authenticate. Raises Unauthenticated, and PermissionDenied for an agent out of place."""
        if not method.startswith(_OPEN_TO_ALL):
            caller = await self._authenticator.authenticate(context.invocation_metadata() or ())
            if isinstance(caller, AttemptPrincipal) and method not in _OPEN_TO_AGENTS:
                raise _not_for_agents()
            _current.set((context, caller))
            structlog.contextvars.bind_contextvars(principal=caller.name)
        yield


def principal_of(context: Context) -> Principal:
    """The user or service that makes the call. Raises PermissionDenied for an agent."""
    caller = caller_of(context)
    if isinstance(caller, AttemptPrincipal):
        raise _not_for_agents()
    return caller


def agent_of(context: Context) -> AttemptPrincipal:
    """The agent that makes the call. Raises PermissionDenied for everybody else."""
    caller = caller_of(context)
    if not isinstance(caller, AttemptPrincipal):
        raise PermissionDenied("this call is for transfer agents, with the token of their attempt")
    return caller


def caller_of(context: Context) -> Caller:
    """Who makes the call of this context. LookupError, a bug, where nobody was authenticated."""
    held = _current.get(None)
    if held is None or held[0] is not context:
        raise LookupError("no principal was authenticated for this call")
    return held[1]


def _not_for_agents() -> PermissionDenied:
    return PermissionDenied("the token of an attempt is for the transfers of that attempt alone")


def _bearer_token(metadata: Metadata) -> str:
    given = [value for key, value in metadata if key == "authorization"]
    if not given:
        raise Unauthenticated("this server wants a token: send `authorization: Bearer <token>`")
    if len(given) > 1:
        raise Unauthenticated("more than one `authorization` came with the call; send one")
    scheme, _, token = str(given[0]).partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("`authorization` must be `Bearer <token>`")
    return token.strip()
