"""
Middleware: binds who is asking for the time of a request, and nothing longer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from inspect import isawaitable
from typing import Any, TypeAlias

from structlog.contextvars import bind_contextvars

from .context import bindable
from .request import RequestContext, RequestMiddleware, not_identified, request_id_of


Scope: TypeAlias = "MutableMapping[str, Any]"
Message: TypeAlias = "MutableMapping[str, Any]"
Receive: TypeAlias = "Callable[[], Awaitable[Message]]"
Send: TypeAlias = "Callable[[Message], Awaitable[None]]"
Environ: TypeAlias = "dict[str, Any]"
StartResponse: TypeAlias = "Callable[..., Any]"


class ActivityMiddleware(RequestMiddleware):
    """
    Bind who is asking to all that happens within an ASGI request.

    Every request starts from an empty context, so nothing of another request can
    be in it, and leaves the context as it was; streaming bodies and background
    tasks of a request are part of it. Bound are what *identify* says, the
    client's address as ``ip`` and the request's id as ``request_id``, which is
    echoed in the response. Wrap the whole application in it, error handlers
    included::

        app = ActivityMiddleware(app, identify=lambda scope: {"actor_id": scope["user"].id})

    Args:

        app: The application.

        identify: Takes the scope of a request and returns who is asking, as a
            mapping to be bound (``actor_id``, ``tenant_id``, ``user_id``,
            ``org_id``, ``impersonator_id`` or anything else) or an
            `ActorContext`; `None` is nobody. It may be ``async``. A function as
            a value is asked when a record needs it, so it may tell what only a
            later layer finds out. Where *identify* fails the request goes on
            without an actor, and that is counted.

        trusted_proxies: Addresses or networks of proxies whose
            X-Forwarded-For is believed, ``"unix"`` for whoever connects by a
            unix socket; default none.

        ip: How much of the client's address is bound: ``"full"`` (the
            default), ``"truncate"`` (the network: 24 bits of IPv4, 48 of IPv6),
            ``"hash"`` (keyed by *ip_key*) or ``"off"``.

        ip_key: The secret for ``ip="hash"``, 16 bytes or more. With another
            key the same address can't be recognised any more.

        request_id_header: The header a request's id is read from, and echoed
            in; default ``X-Request-ID``. What is no id (1 to 64 ASCII letters,
            digits and ``._-``), or comes twice, makes room for a new UUIDv7.

    Raises:

        ValueError: A trusted proxy can't be read, or an option makes no sense.

    .. versionadded:: 0.1.0
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; anything but HTTP and WebSocket passes through."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers: list[tuple[bytes, bytes]] = list(scope.get("headers") or ())
        request_id = request_id_of(_values(headers, self._header))
        peer = scope.get("client")
        context = self._opened(
            str(peer[0]) if peer else "", _values(headers, "X-Forwarded-For"), request_id
        )
        with context:
            await self._identify_in(scope)
            await self._app(scope, receive, _echoing(send, self._header, request_id))

    async def _identify_in(self, scope: Scope) -> None:
        try:
            found: Any = self._identify(scope)
            if isawaitable(found):
                found = await found
            bind_contextvars(**bindable(found))
        except Exception as error:  # noqa: BLE001  No actor rather than no answer.
            not_identified(error)


class WSGIActivityMiddleware(RequestMiddleware):
    """
    Bind who is asking to all that happens within a WSGI request.

    As `ActivityMiddleware`. The context is bound while the application runs,
    while each chunk of the body is made and while the body is closed; between
    them the thread has its own back, so that no server can carry an actor on.

    Args:

        app: The application.

        identify: Takes the environ of a request and returns who is asking, as
            for `ActivityMiddleware`; it can't be ``async``.

        trusted_proxies: As for `ActivityMiddleware`.

        ip: As for `ActivityMiddleware`.

        ip_key: As for `ActivityMiddleware`.

        request_id_header: As for `ActivityMiddleware`.

    Raises:

        ValueError: A trusted proxy can't be read, or an option makes no sense.

    .. versionadded:: 0.1.0
    """

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Handle one request."""
        forwarded = environ.get("HTTP_X_FORWARDED_FOR")
        given = environ.get(f"HTTP_{self._header.upper().replace('-', '_')}")
        request_id = request_id_of([given] if given else [])
        context = self._opened(
            environ.get("REMOTE_ADDR") or "", [forwarded] if forwarded else [], request_id
        )
        name = self._header

        def start(status: str, headers: list[tuple[str, str]], *args: Any) -> Any:
            kept = [pair for pair in headers if pair[0].lower() != name.lower()]
            return start_response(status, [*kept, (name, request_id)], *args)

        with context:
            self._bind_who(environ)
            body: Iterable[bytes] = self._app(environ, start)
        wrapper = environ.get("wsgi.file_wrapper")
        is_file = isinstance(wrapper, type) and isinstance(body, wrapper)
        return body if is_file else _Body(body, context)  # A server sends a file by itself.


class _Body:
    """A response's body that is made within the context of its request."""

    def __init__(self, body: Iterable[bytes], context: RequestContext) -> None:
        self._body = body
        self._context = context

    def __iter__(self) -> Iterator[bytes]:
        with self._context:
            chunks = iter(self._body)
        yield from self._context.each(chunks)

    def __len__(self) -> int:
        return len(self._body)  # type: ignore[arg-type]  # A server asks, and takes a TypeError.

    def close(self) -> None:
        """Close the body in the request's context."""
        close = getattr(self._body, "close", None)
        if close is not None:
            with self._context:
                close()


def _values(headers: list[tuple[bytes, bytes]], name: str) -> list[str]:
    wanted = name.lower().encode()
    return [value.decode("latin-1") for key, value in headers if key.lower() == wanted]


def _echoing(send: Send, header: str, request_id: str) -> Send:
    name = header.lower().encode()

    async def echo(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.accept"):
            headers = [pair for pair in message.get("headers") or () if pair[0].lower() != name]
            message = {**message, "headers": [*headers, (name, request_id.encode())]}
        await send(message)

    return echo
