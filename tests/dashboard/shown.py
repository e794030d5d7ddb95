"""What the tests of the dashboard share: records, and the application behind a client."""

from __future__ import annotations

import contextlib
import socket
import threading

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import httpx2
import uvicorn

from starlette.testclient import TestClient

from examples.dashboard.app import Options, make_app
from examples.dashboard.guard import App
from structlog_activity import ActivityLog


NOW = datetime(2026, 3, 15, 12, 30, tzinfo=UTC)
KEY = b"of the tests, 32 bytes, no less!"
BASE = "http://127.0.0.1:8321"
OPTIONS = Options(clock=lambda: NOW, tenants=("acme", "other"))

HOSTILE = (
    "<script>document.title='taken'</script>",
    '"><img src=x onerror="document.title=\'taken\'">',
    "' onmouseover='document.title=1",
    "{{ 7 * 7 }}{% raw %}",
    "\u202egnp.exe\u202c right to left",
    "bell\x07 escape\x1b[31m and\u2028line",
    '=HYPERLINK("http://example.com","x")',
    " +1+cmd|' /C calc'!A0",
    "@SUM(1)",
    "\uff1d1+1",
    "\t=1",
    "</textarea></title></style>",
)


class Shown:
    """
    The dashboard of a log, asked without a network.

    Args:

        log: Which.

        options: Other than those of all tests.
    """

    def __init__(self, log: ActivityLog, **options: Any) -> None:
        self.log = log
        self.client = TestClient(
            make_app(log, replace(OPTIONS, **options)), base_url=BASE, follow_redirects=False
        )

    def __enter__(self) -> Self:
        self.client.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.client.__exit__(None, None, None)

    def get(self, path: str = "/", **params: str) -> httpx2.Response:
        return self.client.get(path, params=params or None)

    def page(self, path: str = "/", **params: str) -> str:
        found = self.get(path, **params)
        assert 200 == found.status_code, found.text
        return found.text


def fill(log: ActivityLog) -> None:
    """Record a few days of activity, of two tenants."""
    for number in range(70):
        changed: dict[str, Any] = {}
        if number % 3 == 0:
            changed = {"path": "ui.theme", "from": "light", "to": "dark"}
        log.record(
            "invoice.paid" if number % 3 else "settings.updated",
            ("invoice", number) if number % 3 else "settings:theme",
            tenant_id="acme",
            actor_id=f"user-{number % 4}",
            actor_name=f"Person {number % 4}",
            channel="billing" if number % 3 else "settings",
            ip="203.0.113.9",
            occurred_at=NOW - timedelta(hours=number),
            request_id=f"request-{number // 2}",
            outcome="failed" if number % 10 == 0 else "ok",
            **changed,
        )
    log.record("nightly.done", "job", tenant_id="acme", occurred_at=NOW - timedelta(days=9))
    log.record(
        "secret.seen", "vault:1", tenant_id="other", actor_id="eve", occurred_at=NOW - timedelta(1)
    )
    assert log.flush(30)


def fill_hostile(log: ActivityLog) -> None:
    """Record what somebody might who wants to do harm."""
    for number, text in enumerate(HOSTILE):
        odd: dict[str, Any] = {f"key{text}": {text: [text]}}
        log.record(
            f"odd.{number}",
            (f"type{text}"[:60], text),
            tenant_id="acme",
            actor_id=text,
            actor_name=text,
            channel=text,
            event=text,
            occurred_at=NOW - timedelta(minutes=number),
            changes={text: {"from": text, "to": text}},
            request_id=text,
            **odd,
        )
    assert log.flush(30)


@contextlib.contextmanager
def served(app: App) -> Iterator[str]:
    """Serve an application on a free port of loopback."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        config = uvicorn.Config(
            app, log_level="critical", timeout_graceful_shutdown=1, lifespan="off"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
