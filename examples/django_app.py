"""
Shows Django: the logged-in user acts, and a failed login of Django's own becomes an activity.

    python examples/django_app.py

The settings that matter are ``MIDDLEWARE``, ``STRUCTLOG_ACTIVITY`` and ``LOGGING``; the
rest makes one file of what is otherwise a project.
"""

from __future__ import annotations

import logging
import tempfile
import threading
import urllib.error
import urllib.request

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

from structlog_activity import ActivityLog
from structlog_activity.shared import close_shared_logs


URL = f"sqlite:///{Path(tempfile.mkdtemp()) / 'activity.db'}"

settings.configure(
    SECRET_KEY="an example's",  # noqa: S106
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["127.0.0.1"],
    MIDDLEWARE=[
        "structlog_activity.django.ActivityMiddleware",  # first, so all others are within
        f"{__name__}.TokenAuthentication",
    ],
    STRUCTLOG_ACTIVITY={"TRUSTED_PROXIES": ["10.0.0.0/8"]},
    LOGGING={
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {
            "third_party": {
                "()": "structlog_activity.ActivityMapper",
                "rules": [
                    {
                        "logger": "django.request",
                        "event": "Forbidden*",
                        "verb": "access.denied",
                        "object": "path:{1}",
                    }
                ],
            }
        },
        "handlers": {
            "activity": {
                "class": "structlog_activity.ActivityHandler",
                "url": URL,
                "filters": ["third_party"],
                "defaults": {"tenant_id": "acme"},
            },
            "console": {"class": "logging.StreamHandler", "level": "ERROR"},
        },
        "root": {"level": "INFO", "handlers": ["console", "activity"]},
    },
)
log = logging.getLogger("shop")


class User:
    """Somebody who is logged in."""

    is_authenticated = True

    def __init__(self, name: str) -> None:
        self.pk = name


class TokenAuthentication:
    """Stands for Django's own, which needs a database."""

    def __init__(self, get_response: Any) -> None:
        self._get_response = get_response

    def __call__(self, request: Any) -> Any:
        """Set the request's user."""
        if "X-User" in request.headers:
            request.user = User(request.headers["X-User"])
        return self._get_response(request)


def change(request: Any, name: str) -> HttpResponse:
    """Change a setting."""
    if not hasattr(request, "user"):
        return HttpResponse("who are you?", status=403)
    log.info("changed", extra={"verb": "settings.updated", "object": ("settings", name)})
    return HttpResponse(f"{name} changed")


def home(_: HttpRequest) -> HttpResponse:
    """Record nothing, and so never ask who is logged in."""
    return HttpResponse("welcome")


urlpatterns = [path("", home), path("settings/<name>", change)]
django.setup()
application = get_wsgi_application()


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@contextmanager
def served() -> Iterator[str]:
    """Serve the application on a free port of loopback."""
    with make_server("127.0.0.1", 0, application, handler_class=_Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def main() -> None:
    """Send some requests, then read who did what."""
    with served() as url:
        for where, headers in (
            ("/", {"X-User": "ana"}),
            ("/settings/theme", {"X-User": "ana"}),
            ("/settings/theme", {}),
        ):
            try:
                with urllib.request.urlopen(
                    urllib.request.Request(url + where, headers=headers)
                ) as response:
                    print(response.status, response.headers["X-Request-ID"])
            except urllib.error.HTTPError as error:
                print(error.code, error.headers["X-Request-ID"])
                error.close()
    close_shared_logs()  # At exit that happens by itself.
    with ActivityLog(URL) as activity:
        for record in activity.feed(tenant_id="acme").records:
            who = record.data.get("_raw", {}).get("actor_id", "nobody")
            print(who, record.verb, record.object_id)


if __name__ == "__main__":
    main()
