"""The middleware for Django, in Django's own test client; real servers are in tests/servers."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys

from collections.abc import AsyncIterator, Iterator
from typing import Any

import django
import pytest

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.test import AsyncRequestFactory, RequestFactory, override_settings
from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars

from structlog_activity import ActorContext
from structlog_activity.capture.faults import fault_counts
from structlog_activity.django import ActivityMiddleware


if not settings.configured:
    settings.configure(SECRET_KEY="x", ALLOWED_HOSTS=["*"], LOGGING_CONFIG=None)
    django.setup()
for signal in (request_started, request_finished):
    signal.disconnect(close_old_connections)

SYNC, ASYNC = RequestFactory(), AsyncRequestFactory()


class User:
    """Somebody; who looks at them is counted."""

    is_authenticated = True

    def __init__(self, pk: Any) -> None:
        self._pk = pk
        self.looks = 0

    @property
    def pk(self) -> Any:
        self.looks += 1
        return self._pk


class Anonymous:
    is_authenticated = False


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    clear_contextvars()
    yield
    clear_contextvars()


def shown() -> dict[str, Any]:
    return {key: str(value) for key, value in get_contextvars().items()}


def context_of(request: Any, **middleware: Any) -> dict[str, Any]:
    seen: list[dict[str, Any]] = []

    def view(request: Any) -> HttpResponse:
        seen.append(shown())
        return HttpResponse("ok")

    with override_settings(STRUCTLOG_ACTIVITY=middleware):
        ActivityMiddleware(view)(request)
    return seen[0]


def get(user: Any = None, **headers: str) -> Any:
    request = SYNC.get("/", headers=headers)
    if user is not None:
        request.user = user
    return request


def test_the_logged_in_user_acts() -> None:
    assert {"actor_id": "7", "ip": "127.0.0.1", "request_id": "r-1"} == context_of(
        get(User(7), **{"X-Request-ID": "r-1"})
    )


@pytest.mark.parametrize("user", [None, Anonymous()])
def test_without_a_user_nobody_does(user: Any) -> None:
    assert "None" == context_of(get(user))["actor_id"]


def test_the_user_is_not_looked_at_without_need() -> None:
    """To look at it touches the session, and makes every response vary by cookie."""
    user = User(7)

    ActivityMiddleware(lambda _: HttpResponse())(get(user))

    assert 0 == user.looks


def test_the_id_of_the_request_is_echoed() -> None:
    response = ActivityMiddleware(lambda _: HttpResponse())(get(**{"X-Request-ID": "r-1"}))

    assert "r-1" == response["X-Request-ID"]


def test_nothing_is_left_behind() -> None:
    bind_contextvars(outer=1)

    def view(_: Any) -> HttpResponse:
        assert "outer" not in get_contextvars()
        bind_contextvars(deeper=1)
        raise LookupError

    with pytest.raises(LookupError):
        ActivityMiddleware(view)(get(User(7)))

    assert {"outer": 1} == get_contextvars()


def test_settings_have_the_meaning_of_the_arguments() -> None:
    request = get(**{"X-Forwarded-For": "203.0.113.9", "X-Trace": "t-1"})
    context = context_of(
        request,
        IDENTIFY=lambda _: ActorContext(actor_id="ana", tenant_id="t"),
        TRUSTED_PROXIES=["127.0.0.1"],
        IP="truncate",
        REQUEST_ID_HEADER="X-Trace",
    )

    assert {
        "actor_id": "ana",
        "tenant_id": "t",
        "ip": "203.0.113.0",
        "request_id": "t-1",
    } == context


def identify(_: Any) -> dict[str, Any]:
    return {"actor_id": "by-path"}


def test_identify_may_be_a_dotted_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "accounts", sys.modules[__name__])

    assert "by-path" == context_of(get(), IDENTIFY="accounts.identify")["actor_id"]


def test_a_failing_identify_is_counted() -> None:
    assert "actor_id" not in context_of(get(), IDENTIFY=lambda request: request.missing)
    assert {"faults.identify": 1} == fault_counts()


def test_an_unknown_setting_is_refused() -> None:
    with (
        pytest.raises(ImproperlyConfigured, match="TRUSTED_PROXY"),
        override_settings(STRUCTLOG_ACTIVITY={"TRUSTED_PROXY": "x"}),
    ):
        ActivityMiddleware(lambda _: HttpResponse())


def test_a_streamed_body_is_made_in_its_request() -> None:
    def chunks() -> Iterator[str]:
        for _ in range(2):
            yield shown()["actor_id"]

    response = ActivityMiddleware(lambda _: StreamingHttpResponse(chunks()))(get(User(7)))
    body = iter(response)

    assert b"7" == next(body)
    assert {} == get_contextvars()
    assert [b"7"] == list(body)


def test_a_file_is_left_to_the_server() -> None:
    file = io.BytesIO(b"x")
    response = ActivityMiddleware(lambda _: FileResponse(file))(get())

    assert file is response.file_to_stream


# -- coroutines -------------------------------------------------------------------


def test_a_coroutine_is_handled_as_one() -> None:
    seen: list[dict[str, Any]] = []

    async def view(request: Any) -> HttpResponse:
        await asyncio.sleep(0)
        seen.append(shown())
        return HttpResponse("ok")

    async def main() -> Any:
        request = ASYNC.get("/", headers={"X-Request-ID": "r-1"})
        request.user = User(7)
        middleware = ActivityMiddleware(view)
        assert asyncio.iscoroutinefunction(middleware)
        return await middleware(request)

    response = asyncio.run(main())

    assert {"actor_id": "7", "ip": "127.0.0.1", "request_id": "r-1"} == seen[0]
    assert "r-1" == response["X-Request-ID"]


def test_an_async_body_is_made_in_its_request() -> None:
    async def chunks() -> AsyncIterator[str]:
        for _ in range(2):
            await asyncio.sleep(0)
            yield shown()["actor_id"]

    async def view(request: Any) -> StreamingHttpResponse:
        return StreamingHttpResponse(chunks())

    async def main() -> list[bytes]:
        request = ASYNC.get("/")
        request.user = User(7)
        response = await ActivityMiddleware(view)(request)
        return [part async for part in response]

    assert [b"7", b"7"] == asyncio.run(main())


@pytest.mark.parametrize(
    ("cookie", "is_async", "looks"), [("sid=1", True, 1), ("", True, 0), ("sid=1", False, 0)]
)
def test_the_user_is_loaded_before_an_async_view_only(
    cookie: str, is_async: bool, looks: int
) -> None:
    """There, the database could not be asked later."""
    user = User(7)
    request = get(user, Cookie=cookie)

    async def async_view(_: Any) -> None: ...

    def view(request: Any) -> HttpResponse:
        middleware.process_view(request, async_view if is_async else view, (), {})
        return HttpResponse()

    middleware = ActivityMiddleware(view)
    middleware(request)

    assert looks == user.looks


def test_django_is_not_needed_to_import_it() -> None:
    code = (
        "import sys\nsys.modules['django'] = sys.modules['asgiref'] = None\n"
        "import structlog_activity.django as d; print(d.ActivityMiddleware.__name__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )

    assert "ActivityMiddleware" == done.stdout.strip()
