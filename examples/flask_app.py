"""
Shows Flask: who asks, behind a proxy, with addresses cut to their network.

    python examples/flask_app.py

Served by ``gunicorn examples.flask_app:app`` it is an ordinary application.
"""

from __future__ import annotations

import logging
import threading
import urllib.request

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask, Response, request
from werkzeug.serving import make_server

from structlog_activity import ActivityLog, WSGIActivityMiddleware


logging.basicConfig(level=logging.WARNING)
logging.getLogger("shop").setLevel(logging.INFO)
log = logging.getLogger("shop")
activity = ActivityLog("sqlite://").configure()
app = Flask(__name__)


@app.post("/orders/<int:number>")
def pay(number: int) -> dict[str, int]:
    """Record by the standard library's logging, with the same words in ``extra``."""
    log.info("paid", extra={"verb": "order.paid", "object": ("order", number)})
    return {"paid": number}


@app.get("/export")
def export() -> Response:
    """Stream a file; its last line is logged when the endpoint has returned already."""
    user = request.headers["X-User"]

    def lines() -> Iterator[str]:
        yield f"for {user}\n"
        log.info("exported", extra={"verb": "export.completed", "object": "export:orders"})

    return Response(lines())


def who_asks(environ: dict[str, Any]) -> dict[str, Any]:
    """Tell who asks; a real one would look at a session or a token."""
    return {"actor_id": environ.get("HTTP_X_USER"), "tenant_id": "acme"}


app.wsgi_app = WSGIActivityMiddleware(  # type: ignore[method-assign]
    app.wsgi_app, identify=who_asks, trusted_proxies=["127.0.0.1"], ip="truncate"
)


@contextmanager
def served() -> Iterator[str]:
    """Serve the application on a free port of loopback."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def main() -> None:
    """Send some requests, then read who did what."""
    with served() as url:
        for user, method, path in (("ana", "POST", "/orders/7"), ("bob", "GET", "/export")):
            headers = {"X-User": user, "X-Forwarded-For": "198.51.100.1, 203.0.113.9"}
            asked = urllib.request.Request(url + path, method=method, headers=headers)
            with urllib.request.urlopen(asked) as response:
                print(response.headers["X-Request-ID"], response.read().decode().split())
    activity.flush(10)
    for record in activity.feed(tenant_id="acme").records:
        print(record.data["_raw"]["actor_id"], record.verb, record.ip)
    activity.close()


if __name__ == "__main__":
    main()
