"""Requests: each starts empty, says who asks, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import logging
import wsgiref.util

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars

from structlog_activity import ActivityMiddleware, WSGIActivityMiddleware


Scope = dict[str, Any]


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    clear_contextvars()
    yield
    clear_contextvars()


def scope(**more: Any) -> Scope:
    return {"type": "http", "client": ("192.0.2.1", 5), "headers": [], **more}


def ask(app: Any, request: Scope) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    asyncio.run(app(request, receive, send))
    return sent


def seeing(seen: list[dict[str, Any]]) -> Any:
    async def app(request: Any, receive: Any, send: Any) -> None:
        seen.append(dict(get_contextvars()))
        bind_contextvars(deeper="value")
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body", "body": b"ok"})

    return app


def test_a_request_says_who_asks_and_from_where() -> None:
    seen: list[dict[str, Any]] = []
    app = ActivityMiddleware(
        seeing(seen), identify=lambda request: {"actor_id": request["user"], "tenant_id": None}
    )

    ask(app, scope(user="ana", headers=[(b"x-request-id", b"r-1")]))

    assert [{"actor_id": "ana", "ip": "192.0.2.1", "request_id": "r-1"}] == seen


def test_a_request_starts_from_an_empty_context_and_restores_the_old_one() -> None:
    seen: list[dict[str, Any]] = []
    app = ActivityMiddleware(seeing(seen), identify=lambda _: {"actor_id": "ana"})

    async def both() -> dict[str, Any]:
        bind_contextvars(outer="value")
        for _ in range(2):
            await app(scope(), None, _nothing)  # type: ignore[arg-type]
        return dict(get_contextvars())

    assert {"outer": "value"} == asyncio.run(both())
    assert all({"actor_id", "ip", "request_id"} == set(context) for context in seen)


async def _nothing(message: Any) -> None: ...


def test_requests_at_the_same_time_never_mix() -> None:
    wrong: list[Any] = []

    async def app(request: Any, receive: Any, send: Any) -> None:
        for _ in range(3):
            await asyncio.sleep(0)
            if get_contextvars()["actor_id"] != request["user"]:
                wrong.append(request["user"])

    async def main() -> None:
        ours = ActivityMiddleware(app, identify=lambda request: {"actor_id": request["user"]})
        await asyncio.gather(
            *(ours(scope(user=f"u{n}"), None, _nothing) for n in range(500))  # type: ignore[arg-type]
        )

    asyncio.run(main())

    assert [] == wrong


@pytest.mark.parametrize("bad", [b"", b"a b", b"x" * 65, b"<script>", "é".encode(), b"a\r\nb: c"])
def test_a_request_id_that_is_none_is_replaced(bad: bytes) -> None:
    seen: list[dict[str, Any]] = []
    app = ActivityMiddleware(seeing(seen), identify=lambda _: None)

    sent = ask(app, scope(headers=[(b"X-Request-ID", bad)]))

    request_id = seen[0]["request_id"]
    assert 36 == len(request_id)
    assert [(b"a", b"b"), (b"x-request-id", request_id.encode())] == sent[0]["headers"]


def test_the_proxies_word_is_taken_where_they_are_trusted() -> None:
    seen: list[dict[str, Any]] = []
    headers = [(b"x-forwarded-for", b"1.1.1.1, 203.0.113.9")]
    for trusted in ((), ("192.0.2.0/24",)):
        app = ActivityMiddleware(seeing(seen), identify=lambda _: None, trusted_proxies=trusted)
        ask(app, scope(headers=headers))

    assert ["192.0.2.1", "203.0.113.9"] == [context["ip"] for context in seen]


def test_a_request_goes_on_without_an_actor_where_identify_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[dict[str, Any]] = []
    app = ActivityMiddleware(seeing(seen), identify=lambda request: request["user"].id)

    with caplog.at_level(logging.WARNING):
        sent = ask(app, scope())

    assert 2 == len(sent)
    assert "actor_id" not in seen[0]
    assert "identify() failed with KeyError" in caplog.text


def test_an_error_of_the_application_passes_and_restores_the_context() -> None:
    async def broken(request: Any, receive: Any, send: Any) -> None:
        raise LookupError

    app = ActivityMiddleware(broken, identify=lambda _: {"actor_id": "ana"})
    with pytest.raises(LookupError):
        ask(app, scope())

    assert {} == get_contextvars()


def test_lifespan_passes_through() -> None:
    seen: list[Any] = []

    async def app(request: Any, receive: Any, send: Any) -> None:
        seen.append((request, dict(get_contextvars())))

    ask(ActivityMiddleware(app, identify=lambda _: {"actor_id": "x"}), {"type": "lifespan"})

    assert [({"type": "lifespan"}, {})] == seen


# -- WSGI ---------------------------------------------------------------------


def environ(**more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    wsgiref.util.setup_testing_defaults(found)
    return found | {"REMOTE_ADDR": "192.0.2.1"} | more


def serve(
    app: Callable[..., Iterable[bytes]], request: dict[str, Any]
) -> tuple[list[bytes], dict[str, str]]:
    headers: dict[str, str] = {}

    def start(status: str, pairs: list[tuple[str, str]], *_: Any) -> None:
        headers.update(pairs)

    body = app(request, start)
    try:
        chunks = list(body)
    finally:
        body.close()  # type: ignore[attr-defined]
    return chunks, headers


def test_the_context_lasts_as_long_as_the_body() -> None:
    def stream() -> Iterator[bytes]:
        for _ in range(2):
            yield str(get_contextvars()["actor_id"]).encode()

    def app(request: dict[str, Any], start: Any) -> Iterable[bytes]:
        start("200 OK", [("Content-Type", "text/plain")])
        return stream()

    ours = WSGIActivityMiddleware(app, identify=lambda request: {"actor_id": request["user"]})
    chunks, headers = serve(ours, environ(user="ana", HTTP_X_REQUEST_ID="r-1"))

    assert [b"ana", b"ana"] == chunks
    assert {"Content-Type": "text/plain", "X-Request-ID": "r-1"} == headers
    assert {} == get_contextvars()


def test_one_worker_thread_never_hands_an_actor_on() -> None:
    """The leak that every WSGI server with threads shows where nobody clears."""
    seen: list[dict[str, Any]] = []

    def app(request: dict[str, Any], start: Any) -> Iterable[bytes]:
        seen.append(dict(get_contextvars()))
        bind_contextvars(actor_id="bound too late", secret="x")
        start("200 OK", [])
        return [b""]

    ours = WSGIActivityMiddleware(
        app, identify=lambda request: {"actor_id": request["user"]} if "user" in request else None
    )
    serve(ours, environ(user="alice"))
    serve(ours, environ())

    assert [{"actor_id", "ip", "request_id"}, {"ip", "request_id"}] == [set(c) for c in seen]


def test_a_wsgi_application_that_fails_leaves_nothing_bound() -> None:
    def broken(request: dict[str, Any], start: Any) -> Iterable[bytes]:
        raise LookupError

    with pytest.raises(LookupError):
        serve(WSGIActivityMiddleware(broken, identify=lambda _: {"actor_id": "x"}), environ())
    assert {} == get_contextvars()


def test_closing_a_body_twice_closes_once_and_keeps_what_was_bound_since() -> None:
    ours = WSGIActivityMiddleware(lambda request, start: [b"x"], identify=lambda _: None)
    body: Any = ours(environ(), lambda *_: None)
    body.close()
    bind_contextvars(later=1)
    body.close()

    assert {"later": 1} == get_contextvars()
    assert 1 == len(body)
