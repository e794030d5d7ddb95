"""Who may ask, and what every answer says to the browser."""

from __future__ import annotations

import hmac

from collections.abc import Awaitable, Callable, MutableMapping
from hashlib import sha256
from typing import Any, Final
from urllib.parse import parse_qs

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response


Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")
COOKIE: Final = "activity_dashboard"
ENTER: Final = "/enter"
_LONGEST_FORM: Final = 4_096
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


class Guard:
    """
    Answer only for hosts that are known, and only to whoever has the token.

    A page elsewhere whose name resolves to loopback (DNS rebinding) names its own host,
    and is refused.

    Args:

        app: Answers what is let through.

        hosts: Names of this server, without a port.

        token: Needed where it is not ``""``: as ``Authorization: Bearer``, or typed once.

        refuse: Makes the page that says why not: of a request, a status and a text.

        ask: Makes the page that asks for the token: of a request, and whether one was wrong.
    """

    def __init__(
        self,
        app: App,
        *,
        hosts: tuple[str, ...],
        token: str,
        refuse: Callable[[Request, int, str], Response],
        ask: Callable[..., Response],
    ) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)
        self._token = token
        self._refuse = refuse
        self._ask = ask

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have it answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        said = _Said(send, is_static=scope["path"].startswith("/static/"))
        answer = await self._answer(request)
        await (answer or self._app)(scope, receive, said)

    async def _answer(self, request: Request) -> Response | None:
        host = request.headers.get("host", "")
        if _without_port(host) not in self._hosts:
            return self._refuse(request, 403, f"This server does not answer for the host {host!r}.")
        if request.url.path == ENTER and request.method == "POST" and self._token:
            return await self._enter(request)
        if request.method not in {"GET", "HEAD"}:
            return self._refuse(request, 405, "This dashboard only shows; nothing can be changed.")
        if request.url.path.startswith("/static/") or not self._token or self._knows(request):
            return None
        return self._ask(request, was_wrong=False)

    async def _enter(self, request: Request) -> Response:
        origin = request.headers.get("origin")
        if origin and origin != "null" and origin.partition("://")[2] != request.headers["host"]:
            return self._refuse(request, 403, "That form was sent from another site.")
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > _LONGEST_FORM:
                return self._refuse(request, 413, "That form is too long.")
        given = parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0]
        if not _same(given, self._token):
            return self._ask(request, was_wrong=True)
        answer = RedirectResponse("/", 303)
        secure = request.url.scheme == "https"
        answer.set_cookie(
            COOKIE, self._proof(), httponly=True, samesite="strict", secure=secure, path="/"
        )
        return answer

    def _knows(self, request: Request) -> bool:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and _same(given.strip(), self._token):
            return True
        return _same(request.cookies.get(COOKIE, ""), self._proof())

    def _proof(self) -> str:
        """Return what a cookie says instead of the token."""
        return hmac.new(self._token.encode(), b"activity dashboard", sha256).hexdigest()


class _Said:
    """Send an answer with the headers that all have."""

    def __init__(self, send: Send, *, is_static: bool) -> None:
        self._send = send
        self._is_static = is_static

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            headers["cache-control"] = "no-cache" if self._is_static else "no-store"
        await self._send(message)


def _without_port(host: str) -> str:
    host = host.lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())
