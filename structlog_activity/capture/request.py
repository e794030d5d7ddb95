"""
What is bound for a request, and for how long: what all middlewares share.
"""

from __future__ import annotations

import re

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from inspect import iscoroutine
from typing import Any, Final, TypeAlias

from structlog.contextvars import bind_contextvars, get_contextvars

from ..record.actor import ActorContext
from ..record.ids import uuid7
from .clientip import TrustedProxies
from .context import bindable, replace_context
from .faults import count_fault
from .ipmode import FULL, ip_hider


Who: TypeAlias = "Mapping[str, Any] | ActorContext | None"
Identify: TypeAlias = "Callable[[Any], Who | Awaitable[Who]]"
"""Takes a scope, an environ or a request, returns what to bind; `None` for nobody."""

REQUEST_ID_HEADER: Final = "X-Request-ID"
_REQUEST_ID = re.compile(r"[0-9A-Za-z._-]{1,64}", re.ASCII)
_HEADER_NAME = re.compile(r"[0-9A-Za-z-]+", re.ASCII)


class RequestContext:
    """
    What is bound during a request; a context manager that may be entered again and again.

    Each block has what is bound here, and nothing else, and what the block
    binds is there in the next one; between the blocks the thread's own context
    is back. So the context can be held for the chunks of a body that a
    server asks for when it likes, or never.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._inner: Mapping[str, Any] = values
        self._outer: list[dict[str, Any]] = []

    def __enter__(self) -> None:
        self._outer.append(get_contextvars())
        if len(self._outer) == 1:
            replace_context(self._inner)

    def __exit__(self, *_: object) -> None:
        outer = self._outer.pop()
        if not self._outer:
            self._inner = get_contextvars()
            replace_context(outer)

    def each(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the chunks of a body, each made in a block of its own."""
        while True:
            with self:
                try:
                    chunk = next(chunks)
                except StopIteration:
                    return
            yield chunk


class RequestMiddleware:
    """
    What the middlewares share.

    Args:

        app: What is called with the request.

        identify: Takes the request and returns who is asking, as for
            `ActivityMiddleware`.

        trusted_proxies: As for `ActivityMiddleware`.

        ip: As for `ActivityMiddleware`.

        ip_key: As for `ActivityMiddleware`.

        request_id_header: As for `ActivityMiddleware`.

    Raises:

        ValueError: A trusted proxy can't be read, or an option makes no sense.
    """

    def __init__(
        self,
        app: Any,
        *,
        identify: Identify,
        trusted_proxies: Iterable[str] = (),
        ip: str = FULL,
        ip_key: bytes | str | None = None,
        request_id_header: str = REQUEST_ID_HEADER,
    ) -> None:
        if not _HEADER_NAME.fullmatch(request_id_header):
            raise ValueError(f"request_id_header={request_id_header!r}: is no name of a header")
        self._app = app
        self._identify = identify
        self._proxies = TrustedProxies(trusted_proxies)
        self._hide_ip = ip_hider(ip, ip_key)
        self._header = request_id_header

    def _opened(self, peer: str, forwarded: Sequence[str], request_id: str) -> RequestContext:
        """Return the context of a request that nobody is known to have sent yet."""
        ip = self._hide_ip(self._proxies.client_ip(peer, forwarded))
        values = {"request_id": request_id, "ip": ip}
        return RequestContext({key: value for key, value in values.items() if value})

    def _bind_who(self, request: Any) -> None:
        """Bind who is asking; the context of the request is entered."""
        try:
            found: Any = self._identify(request)
            if iscoroutine(found):
                found.close()  # Nobody awaits it here, and Python would warn of that.
            bind_contextvars(**bindable(found))
        except Exception as error:  # noqa: BLE001  No actor rather than no answer.
            not_identified(error)


def not_identified(error: Exception) -> None:
    """Count that ``identify`` failed."""
    count_fault(
        "identify", f"identify() failed with {type(error).__name__}: a request has no actor"
    )


def request_id_of(given: Sequence[str]) -> str:
    """Return the id that came with a request, if it is one, else a new one."""
    if len(given) == 1 and _REQUEST_ID.fullmatch(given[0]):
        return given[0]
    return str(uuid7())
