"""
Middleware: binds who is asking for the time of a request, and nothing longer.
"""

from __future__ import annotations

import logging
import re

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager
from typing import Any, Final, TypeAlias

from ..record.ids import uuid7
from .clientip import TrustedProxies
from .context import only_context


Scope: TypeAlias = "MutableMapping[str, Any]"
Message: TypeAlias = "MutableMapping[str, Any]"
Receive: TypeAlias = "Callable[[], Awaitable[Message]]"
Send: TypeAlias = "Callable[[Message], Awaitable[None]]"
ASGIApp: TypeAlias = "Callable[[Scope, Receive, Send], Awaitable[None]]"
WSGIApp: TypeAlias = "Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]"
Identify: TypeAlias = "Callable[[Any], Mapping[str, Any] | None]"
"""Takes a scope or an environ, returns what to bind; `None` for nobody."""

REQUEST_ID_HEADER: Final = "x-request-id"
_REQUEST_ID = re.compile(r"[0-9A-Za-z._-]{1,64}", re.ASCII)
_LOGGER = logging.getLogger("structlog_activity")


class ActivityMiddleware:
    """
    Bind who is asking to all that happens within an ASGI request.

    Every request starts from an empty context, so nothing of another request can
    be in it, and leaves the context as it was. Bound are what *identify* says,
    the client's address as ``ip`` and the request's id as ``request_id``, which
    is echoed in the response. Wrap the whole application in it, error handlers
    included::

        app = ActivityMiddleware(app, identify=lambda scope: {"actor_id": scope["user"].id})

    Args:

        app: The application.

        identify: Takes the scope of a request and returns what to bind:
            ``actor_id``, ``tenant_id``, ``user_id``, ``org_id`` or anything
            else. Where it fails the request goes on without an actor, and a
            warning is logged.

        trusted_proxies: Addresses or networks of proxies whose
            X-Forwarded-For is believed; default none.

    Raises:

        ValueError: A trusted proxy can't be read.

    .. versionadded:: 0.1.0
    """

    def __init__(
        self, app: ASGIApp, *, identify: Identify, trusted_proxies: Iterable[str] = ()
    ) -> None:
        self._app = app
        self._identify = identify
        self._proxies = TrustedProxies(trusted_proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; anything but HTTP and WebSocket passes through."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers: list[tuple[bytes, bytes]] = list(scope.get("headers") or ())
        request_id = _request_id(_values(headers, REQUEST_ID_HEADER))
        peer = scope.get("client")
        ip = self._proxies.client_ip(
            str(peer[0]) if peer else "", _values(headers, "x-forwarded-for")
        )
        with only_context(_context(self._identify, scope, request_id, ip)):
            await self._app(scope, receive, _echoing(send, request_id))


class WSGIActivityMiddleware:
    """
    Bind who is asking to all that happens within a WSGI request.

    As `ActivityMiddleware`; the context stays bound until the server has closed
    the response's body, which may be made while it is sent.

    Args:

        app: The application.

        identify: Takes the environ of a request and returns what to bind.

        trusted_proxies: As for `ActivityMiddleware`.

    Raises:

        ValueError: A trusted proxy can't be read.

    .. versionadded:: 0.1.0
    """

    def __init__(
        self, app: WSGIApp, *, identify: Identify, trusted_proxies: Iterable[str] = ()
    ) -> None:
        self._app = app
        self._identify = identify
        self._proxies = TrustedProxies(trusted_proxies)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Handle one request."""
        forwarded = environ.get("HTTP_X_FORWARDED_FOR")
        given = environ.get("HTTP_X_REQUEST_ID")
        request_id = _request_id([given] if given else [])
        ip = self._proxies.client_ip(
            environ.get("REMOTE_ADDR") or "", [forwarded] if forwarded else []
        )

        def start(status: str, headers: list[tuple[str, str]], *args: Any) -> Any:
            kept = [pair for pair in headers if pair[0].lower() != REQUEST_ID_HEADER]
            return start_response(status, [*kept, ("X-Request-ID", request_id)], *args)

        context = only_context(_context(self._identify, environ, request_id, ip))
        context.__enter__()
        try:
            return _Body(self._app(environ, start), context)
        except BaseException:
            context.__exit__(None, None, None)
            raise


class _Body:
    """A response's body that gives the context back when it is closed."""

    def __init__(self, body: Iterable[bytes], context: AbstractContextManager[None]) -> None:
        self._body = body
        self._context: AbstractContextManager[None] | None = context

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def __len__(self) -> int:
        return len(self._body)  # type: ignore[arg-type]  # A server asks, and takes a TypeError.

    def close(self) -> None:
        """Close the body, then leave the request's context."""
        context, self._context = self._context, None
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            if context is not None:
                context.__exit__(None, None, None)


def _context(identify: Identify, request: Any, request_id: str, ip: str) -> dict[str, Any]:
    found: dict[str, Any] = {"request_id": request_id}
    if ip:
        found["ip"] = ip
    try:
        found.update(identify(request) or {})
    except Exception as error:  # noqa: BLE001  No actor rather than no answer.
        _LOGGER.warning("identify() failed with %s: a request has no actor", type(error).__name__)
    return {key: value for key, value in found.items() if value is not None}


def _request_id(given: list[str]) -> str:
    """Return the id that came with the request, if it is one, else a new one."""
    if len(given) == 1 and _REQUEST_ID.fullmatch(given[0]):
        return given[0]
    return str(uuid7())


def _values(headers: list[tuple[bytes, bytes]], name: str) -> list[str]:
    wanted = name.encode()
    return [value.decode("latin-1") for key, value in headers if key.lower() == wanted]


def _echoing(send: Send, request_id: str) -> Send:
    name = REQUEST_ID_HEADER.encode()

    async def echo(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.accept"):
            headers = [pair for pair in message.get("headers") or () if pair[0].lower() != name]
            message = {**message, "headers": [*headers, (name, request_id.encode())]}
        await send(message)

    return echo
