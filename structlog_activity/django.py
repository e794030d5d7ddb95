"""
Middleware for Django, sync and async.

::

    MIDDLEWARE = [
        "structlog_activity.django.ActivityMiddleware",
        ...
    ]
    STRUCTLOG_ACTIVITY = {"TRUSTED_PROXIES": ["10.0.0.0/8"]}  # may be left out

The settings, each with the meaning of the argument of the same name of
`structlog_activity.ActivityMiddleware`:

``IDENTIFY``
    A function that takes the request, or its dotted path. Default:
    `logged_in_user`.

``TRUSTED_PROXIES``, ``IP``, ``IP_KEY``, ``REQUEST_ID_HEADER``
    As there.

Nothing of Django is imported before the middleware is made.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from .capture.context import resolve_bound
from .capture.request import RequestContext, RequestMiddleware, Who, request_id_of


SETTING: Final = "STRUCTLOG_ACTIVITY"
_OPTIONS: Final = ("IDENTIFY", "TRUSTED_PROXIES", "IP", "IP_KEY", "REQUEST_ID_HEADER")


def logged_in_user(request: Any) -> Who:
    """
    Return the primary key of the request's user as the actor, asked for when it is needed.

    So the session is not touched by requests that record nothing, and a user
    whom the view itself authenticates, as REST frameworks do, is found.

    Args:

        request: Django's request.

    .. versionadded:: 0.1.0
    """

    def primary_key() -> Any:
        user = getattr(request, "user", None)
        return user.pk if user is not None and user.is_authenticated else None

    return {"actor_id": primary_key}


class ActivityMiddleware(RequestMiddleware):
    """
    Bind who is asking to all that happens within a request of Django.

    Stands first, so that what the other middlewares log is told, too. See the
    module for its settings.

    Args:

        get_response: The next layer.

    Raises:

        django.core.exceptions.ImproperlyConfigured: A setting makes no sense.

    .. versionadded:: 0.1.0
    """

    sync_capable: Final = True
    async_capable: Final = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        from asgiref.sync import iscoroutinefunction, markcoroutinefunction

        super().__init__(get_response, **_settings())
        self._is_async = iscoroutinefunction(get_response)
        self._is_coroutine_function = iscoroutinefunction
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        """Handle one request."""
        if self._is_async:
            return self._handle_async(request)
        context, request_id = self._opened_for(request)
        with context:
            self._bind_who(request)
            response = self._app(request)
        return self._finished(response, context, request_id)

    async def _handle_async(self, request: Any) -> Any:
        context, request_id = self._opened_for(request)
        with context:
            self._bind_who(request)
            response = await self._app(request)
        return self._finished(response, context, request_id)

    def process_view(self, request: Any, view: Any, *_: Any) -> None:
        """
        Load the user for an async view: there, the database can't be asked later.

        Django calls this in a thread that may ask. Who sent no cookie has no
        session, and costs nothing.
        """
        if request.COOKIES and self._is_coroutine_function(view):
            resolve_bound()

    def _opened_for(self, request: Any) -> tuple[RequestContext, str]:
        forwarded = request.headers.get("X-Forwarded-For")
        given = request.headers.get(self._header)
        request_id = request_id_of([given] if given else [])
        peer = request.META.get("REMOTE_ADDR") or ""
        return self._opened(peer, [forwarded] if forwarded else [], request_id), request_id

    def _finished(self, response: Any, context: RequestContext, request_id: str) -> Any:
        response.headers[self._header] = request_id
        is_file = getattr(response, "file_to_stream", None) is not None  # The server sends it.
        if response.streaming and not is_file:
            chunks = response.streaming_content
            wrapped = _each(chunks, context) if response.is_async else context.each(chunks)
            response.streaming_content = wrapped
        return response


async def _each(chunks: AsyncIterator[bytes], context: RequestContext) -> AsyncIterator[bytes]:
    while True:
        with context:
            try:
                chunk = await anext(chunks)
            except StopAsyncIteration:
                return
        yield chunk


def _settings() -> dict[str, Any]:
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.utils.module_loading import import_string

    given = dict(getattr(settings, SETTING, {}))
    unknown = sorted(set(given) - set(_OPTIONS))
    if unknown:
        raise ImproperlyConfigured(f"{SETTING}: unknown {unknown[0]}; there are {_OPTIONS}")
    options = {key.lower(): value for key, value in given.items()}
    identify = options.get("identify", logged_in_user)
    options["identify"] = import_string(identify) if isinstance(identify, str) else identify
    return options
