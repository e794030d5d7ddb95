"""
Shows FastAPI: who asks is known in endpoints, background tasks and streams.

    python examples/fastapi_app.py

The middleware wraps the whole application, and a function as a value tells what the
dependency `current_user` finds out only later. Served by
``uvicorn examples.fastapi_app:app`` it is an ordinary application.
"""

from __future__ import annotations

import socket
import threading
import urllib.request

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, Any

import structlog
import uvicorn

from fastapi import BackgroundTasks, Depends, FastAPI, Request
from fastapi.responses import StreamingResponse

from structlog_activity import ActivityLog, ActivityMiddleware


structlog.configure(
    processors=[structlog.contextvars.merge_contextvars, structlog.processors.JSONRenderer()]
)
activity = ActivityLog("sqlite://").configure()
log = structlog.get_logger()


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Write what waits before the server ends."""
    yield
    await activity.aflush(10)


api = FastAPI(lifespan=lifespan)


def current_user(request: Request) -> str:
    """Authenticate; a real one would look at a token."""
    request.state.user = request.headers["x-user"]
    return str(request.state.user)


@api.put("/theme/{name}")
def change_theme(
    name: str, user: Annotated[str, Depends(current_user)], tasks: BackgroundTasks
) -> dict[str, str]:
    """Change a setting, and tell others about it once the response is sent."""
    log.info("theme changed", verb="settings.updated", object="settings:theme", to=name)
    tasks.add_task(notify, name)
    return {"theme": name, "by": user}


def notify(name: str) -> None:
    """Run after the response, as the same user."""
    log.info("followers told", verb="followers.notified", object="settings:theme", to=name)


@api.get("/export", dependencies=[Depends(current_user)])
async def export() -> StreamingResponse:
    """Stream a file that is made while it is sent."""

    async def lines() -> AsyncIterator[str]:
        for number in range(3):
            yield f"{number}\n"
        log.info("exported", verb="export.completed", object="export:settings", lines=3)

    return StreamingResponse(lines())


def who_asks(scope: Any) -> dict[str, Any]:
    """Tell whom `current_user` found, once a record needs it."""
    return {"actor_id": lambda: scope.get("state", {}).get("user"), "tenant_id": "acme"}


app = ActivityMiddleware(api, identify=who_asks)


@contextmanager
def served() -> Iterator[str]:
    """Serve the application on a free port of loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def main() -> None:
    """Send some requests, then read who did what."""
    with served() as url:
        for user, method, path in (
            ("ana", "PUT", "/theme/dark"),
            ("bob", "GET", "/export"),
        ):
            request = urllib.request.Request(url + path, method=method, headers={"X-User": user})
            with urllib.request.urlopen(request) as response:
                print(response.headers["X-Request-ID"], response.read().decode().split())
    for record in activity.feed(tenant_id="acme").records:
        print(record.data["_raw"]["actor_id"], record.verb, record.ip)
    activity.close()


if __name__ == "__main__":
    main()
