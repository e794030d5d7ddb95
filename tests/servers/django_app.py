"""
Django with a way to record from every place where its requests run code, for WSGI and ASGI.
"""

from __future__ import annotations

import asyncio
import os

from collections.abc import AsyncIterator, Iterator
from typing import Any

import django

from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path

from structlog_activity import carry
from tests.servers.activity import anote, note


class User:
    """Somebody who is logged in; asking the database for them is not allowed in coroutines."""

    is_authenticated = True

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def pk(self) -> str:
        return self._name


class Authentication:
    """As Django's own: the user is loaded when the view, or a record, asks for it."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Any) -> None:
        from asgiref.sync import iscoroutinefunction, markcoroutinefunction

        self._get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        from django.utils.asyncio import async_unsafe
        from django.utils.functional import SimpleLazyObject

        @async_unsafe
        def load() -> Any:
            return User(request.headers["X-User"])

        if "X-User" in request.headers:
            request.user = SimpleLazyObject(load)
        return self._get_response(request)


settings.configure(
    SECRET_KEY="x" * 50,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[
        "structlog_activity.django.ActivityMiddleware",
        f"{__name__}.Authentication",
        "django.middleware.common.CommonMiddleware",
    ],
    STRUCTLOG_ACTIVITY={"TRUSTED_PROXIES": ["127.0.0.1"]},
    LOGGING_CONFIG=None,
)


def plain(request: HttpRequest, number: int) -> HttpResponse:
    note(number, "endpoint")
    return HttpResponse(str(number))


async def plain_async(request: HttpRequest, number: int) -> HttpResponse:
    await asyncio.sleep(0)
    note(number, "endpoint")
    await anote(number, "endpoint")
    return HttpResponse(str(number))


def late(request: Any, number: int) -> HttpResponse:
    """Authenticate in the view, as REST frameworks do."""
    note(number, "before")
    request.user = User(request.headers["X-Late"])
    note(number, "endpoint")
    return HttpResponse(str(number))


def stream(request: HttpRequest, number: int) -> StreamingHttpResponse:
    def chunks() -> Iterator[str]:
        for part in range(3):
            note(number, f"chunk{part}")
            yield str(part)

    return StreamingHttpResponse(chunks())


async def stream_async(request: HttpRequest, number: int) -> StreamingHttpResponse:
    async def chunks() -> AsyncIterator[str]:
        for part in range(3):
            await asyncio.sleep(0)
            note(number, f"chunk{part}")
            yield str(part)

    return StreamingHttpResponse(chunks())


def error(request: HttpRequest, number: int) -> HttpResponse:
    note(number, "endpoint")
    raise LookupError(number)


def failed(request: HttpRequest) -> HttpResponse:
    number = request.path.rpartition("/")[2]
    note(number, "handler")
    return HttpResponse("failed", status=500)


def pool(request: HttpRequest, number: int) -> HttpResponse:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as threads:
        threads.submit(carry(note), number, "carried").result()
        threads.submit(note, number, "uncarried").result()
    return HttpResponse(str(number))


handler500 = failed
urlpatterns = [
    path("sync/<int:number>", plain),
    path("async/<int:number>", plain_async),
    path("late/<int:number>", late),
    path("stream/<int:number>", stream),
    path("async-stream/<int:number>", stream_async),
    path("error/<int:number>", error),
    path("pool/<int:number>", pool),
]
django.setup()
wsgi = WSGIHandler()


class Asgi(ASGIHandler):
    """Django knows no lifespan; this one closes the log at its end."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        from tests.servers.activity import activity

        if scope["type"] != "lifespan":
            await super().__call__(scope, receive, send)
            return
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await activity.aclose(30)
        await send({"type": "lifespan.shutdown.complete"})


asgi = Asgi()
assert os.environ["STRUCTLOG_ACTIVITY_TEST_FILE"]
