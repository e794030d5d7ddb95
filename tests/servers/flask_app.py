"""
Flask with a way to record from every place where its requests run code.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flask import Flask, Response, request, stream_with_context
from structlog.contextvars import bind_contextvars

from structlog_activity import WSGIActivityMiddleware, carry
from tests.servers.activity import note


POOL = ThreadPoolExecutor(2)
app = Flask(__name__)


@app.get("/plain/<number>")
def plain(number: str) -> str:
    note(number, "endpoint")
    return number


@app.get("/late/<number>")
def late(number: str) -> str:
    bind_contextvars(actor_id=request.headers["X-Late"])
    note(number, "endpoint")
    return number


@app.get("/stream/<number>")
def stream(number: str) -> Response:
    def chunks() -> Iterator[str]:
        for part in range(3):
            note(number, f"chunk{part}")
            yield str(part)

    return Response(stream_with_context(chunks()))


@app.get("/error/<number>")
def error(number: str) -> str:
    note(number, "endpoint")
    raise LookupError(number)


@app.get("/pool/<number>")
def pool(number: str) -> str:
    POOL.submit(carry(note), number, "carried").result()
    POOL.submit(note, number, "uncarried").result()
    return number


@app.get("/after/<number>")
def after(number: str) -> Response:
    response = Response(number)
    response.call_on_close(lambda: note(number, "closed"))
    return response


@app.errorhandler(LookupError)
def failed(problem: LookupError) -> tuple[str, int]:
    note(problem.args[0], "handler")
    return "failed", 500


def identify(environ: dict[str, Any]) -> dict[str, Any] | None:
    user = environ.get("HTTP_X_USER")
    return {"actor_id": user, "tenant_id": "t"} if user else {"tenant_id": "t"}


app.wsgi_app = WSGIActivityMiddleware(  # type: ignore[method-assign]
    app.wsgi_app, identify=identify, trusted_proxies=["127.0.0.1"]
)
