"""Requests: each starts empty, says who asks, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import io
import logging
import wsgiref.util

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from structlog.contextvars import (
    bind_contextvars,
    clear_contextvars,
    get_contextvars,
    merge_contextvars,
)

from structlog_activity import (
    NIL,
    ActivityMiddleware,
    ActorContext,
    WSGIActivityMiddleware,
    to_uuid,
)
from structlog_activity.capture.faults import fault_counts
from structlog_activity.capture.ipmode import ip_hider
from structlog_activity.capture.request import RequestContext

from .conftest import Kit


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


def test_between_the_chunks_the_thread_has_its_own_context() -> None:
    """A server, or a test client, may ask for the next chunk late, or never."""

    def app(request: dict[str, Any], start: Any) -> Iterable[bytes]:
        start("200 OK", [])
        bind_contextvars(deeper=request["user"])
        return (str(sorted(get_contextvars().items())).encode() for _ in range(3))

    ours = WSGIActivityMiddleware(app, identify=lambda request: {"actor_id": request["user"]})
    bind_contextvars(outer=1)
    ana, bob = (iter(ours(environ(user=user), lambda *_: None)) for user in ("ana", "bob"))
    chunks = [next(ana), next(bob), next(ana)]
    assert {"outer": 1} == get_contextvars()
    del bob
    chunks.append(next(ana))

    assert [b"ana", b"bob", b"ana", b"ana"] == [
        b"ana" if b"'deeper', 'ana'" in c and b"'actor_id', 'ana'" in c else b"bob" for c in chunks
    ]
    assert all(b"outer" not in chunk for chunk in chunks)
    assert {"outer": 1} == get_contextvars()


def test_a_body_that_fails_gives_the_context_back() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"x"
        raise LookupError

    ours = WSGIActivityMiddleware(lambda *_: chunks(), identify=lambda _: {"actor_id": "ana"})

    with pytest.raises(LookupError):
        list(ours(environ(), lambda *_: None))

    assert {} == get_contextvars()


def test_a_body_is_closed_in_its_context() -> None:
    seen: list[Any] = []

    class Body(list[bytes]):
        def close(self) -> None:
            seen.append(get_contextvars()["actor_id"])

    ours = WSGIActivityMiddleware(lambda *_: Body([b"x"]), identify=lambda _: {"actor_id": "ana"})
    serve(ours, environ())

    assert ["ana"] == seen


def test_a_file_is_left_to_the_server() -> None:
    wrapper = wsgiref.util.FileWrapper
    body = wrapper(io.BytesIO(b"x"))
    ours = WSGIActivityMiddleware(lambda *_: body, identify=lambda _: None)

    assert body is ours(environ(**{"wsgi.file_wrapper": wrapper}), lambda *_: None)


# -- who, as identify says it -----------------------------------------------------


def asgi_context(identify: Any, request: Scope | None = None, **options: Any) -> dict[str, Any]:
    seen: list[dict[str, Any]] = []
    ask(ActivityMiddleware(seeing(seen), identify=identify, **options), request or scope())
    return seen[0]


def test_identify_may_be_async() -> None:
    async def identify(request: Any) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"actor_id": request["user"]}

    assert "ana" == asgi_context(identify, scope(user="ana"))["actor_id"]


def test_identify_may_tell_an_actor_context() -> None:
    claims = {"sub": "ana", "role": "admin", "tenant_id": "t", "impersonator_id": "root"}

    context = asgi_context(lambda _: ActorContext.from_claims(claims))

    del context["request_id"], context["ip"]
    assert {
        "actor_id": "ana",
        "tenant_id": "t",
        "impersonator_id": "root",
        "role": "admin",
    } == context


def test_a_failing_async_identify_is_counted() -> None:
    async def identify(request: Any) -> dict[str, Any]:
        raise LookupError

    assert "actor_id" not in asgi_context(identify)
    assert {"faults.identify": 1} == fault_counts()


@pytest.mark.parametrize("nonsense", [5, ["actor_id"], {5: "x"}])
def test_what_identify_should_not_return_is_counted(nonsense: Any) -> None:
    assert {"ip", "request_id"} == set(asgi_context(lambda _: nonsense))
    assert {"faults.identify": 1} == fault_counts()


def test_an_async_identify_is_a_fault_under_wsgi(recwarn: pytest.WarningsRecorder) -> None:
    async def identify(request: Any) -> None: ...

    serve(WSGIActivityMiddleware(lambda *_: [b""], identify=identify), environ())

    assert {"faults.identify": 1} == fault_counts()
    assert [] == recwarn.list


def test_a_later_layer_may_say_who_asks(kit: Kit) -> None:
    """Authentication within the application, as frameworks have it."""

    async def app(request: Any, receive: Any, send: Any) -> None:
        kit.logger(merge_contextvars).info("x", verb="a.b", object="a:1")
        request["user"] = "ana"
        kit.logger(merge_contextvars).info("x", verb="a.b", object="a:1")

    ask(ActivityMiddleware(app, identify=lambda s: {"actor_id": lambda: s.get("user")}), scope())

    assert [NIL, to_uuid("ana")] == [record.actor_id for record in kit.records]


def test_actor_user_and_impersonator_are_kept_apart(kit: Kit) -> None:
    async def app(request: Any, receive: Any, send: Any) -> None:
        kit.logger(merge_contextvars).info("x", verb="a.b", object="a:1")

    who = {"actor_id": "support", "user_id": "ana", "impersonator_id": "support-lead"}
    ask(ActivityMiddleware(app, identify=lambda _: who), scope())

    record = kit.only
    assert (to_uuid("support"), to_uuid("ana"), "support-lead") == (
        record.actor_id,
        record.user_id,
        record.data["impersonator_id"],
    )


# -- options ------------------------------------------------------------------------


def test_an_address_may_be_hidden() -> None:
    key = b"k" * 16
    options: list[dict[str, Any]] = [
        {"ip": "truncate"},
        {"ip": "hash", "ip_key": key},
        {"ip": "off"},
    ]
    found = [asgi_context(lambda _: None, **option).get("ip", "") for option in options]

    assert ["192.0.2.0", ip_hider("hash", key)("192.0.2.1"), ""] == found


def test_another_header_may_hold_the_id() -> None:
    seen: list[dict[str, Any]] = []
    app = ActivityMiddleware(
        seeing(seen), identify=lambda _: None, request_id_header="X-Correlation-ID"
    )
    sent = ask(app, scope(headers=[(b"x-correlation-id", b"c-1"), (b"x-request-id", b"r-1")]))

    assert "c-1" == seen[0]["request_id"]
    assert (b"x-correlation-id", b"c-1") in sent[0]["headers"]


def test_two_ids_are_none() -> None:
    headers = [(b"x-request-id", b"r-1"), (b"x-request-id", b"r-2")]

    assert 36 == len(asgi_context(lambda _: None, scope(headers=headers))["request_id"])


@pytest.mark.parametrize("kind", [ActivityMiddleware, WSGIActivityMiddleware])
@pytest.mark.parametrize(
    "options",
    [
        {"ip": "some"},
        {"ip": "hash"},
        {"trusted_proxies": ["nonsense"]},
        {"request_id_header": "a\r\nb"},
    ],
)
def test_options_that_make_no_sense_are_refused(kind: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"ip|trusted_proxies|request_id_header"):
        kind(lambda *_: None, identify=lambda _: None, **options)


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
@pytest.mark.parametrize(
    ("trusted", "forwarded", "ip"),
    [
        ((), "203.0.113.9", "192.0.2.1"),
        (("192.0.2.1",), "203.0.113.9", "203.0.113.9"),
        (("192.0.2.1",), "1.1.1.1, 203.0.113.9", "203.0.113.9"),
        (("192.0.2.1", "10.0.0.0/8"), "1.1.1.1, 203.0.113.9, 10.0.0.7", "203.0.113.9"),
        (("192.0.2.1",), "127.0.0.1, 203.0.113.9:5", "203.0.113.9"),
        (("192.0.2.1",), "1.1.1.1, '; DROP TABLE", "192.0.2.1"),
        (("192.0.2.1",), "1" * 20_000, "192.0.2.1"),
        (("192.0.2.1",), "", "192.0.2.1"),
    ],
)
def test_a_client_can_not_choose_its_address(
    kind: str, trusted: tuple[str, ...], forwarded: str, ip: str
) -> None:
    if kind == "asgi":
        headers = [(b"x-forwarded-for", forwarded.encode())]
        context = asgi_context(lambda _: None, scope(headers=headers), trusted_proxies=trusted)
        assert ip == context["ip"]
        return

    def app(request: dict[str, Any], start: Any) -> Iterable[bytes]:
        start("200 OK", [])
        return [get_contextvars()["ip"].encode()]

    ours = WSGIActivityMiddleware(app, identify=lambda _: None, trusted_proxies=trusted)
    assert [ip.encode()] == serve(ours, environ(HTTP_X_FORWARDED_FOR=forwarded))[0]


def test_a_request_that_is_entered_twice_gives_the_context_back_once() -> None:
    """As a body that is read within the application's own call."""
    bind_contextvars(outer=1)
    request = RequestContext({"actor_id": "ana"})

    with request:
        bind_contextvars(own=2)
        with request:
            assert {"actor_id": "ana", "own": 2} == get_contextvars()
        assert {"actor_id": "ana", "own": 2} == get_contextvars()
    assert {"outer": 1} == get_contextvars()

    with request:
        assert {"actor_id": "ana", "own": 2} == get_contextvars()
    assert {"outer": 1} == get_contextvars()
