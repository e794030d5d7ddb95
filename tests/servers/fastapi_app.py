"""
FastAPI with a way to record from every place where its requests run code.
"""

from __future__ import annotations

import asyncio

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import BackgroundTasks, Depends, FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse
from structlog.contextvars import bind_contextvars

from structlog_activity import ActivityMiddleware, carry
from tests.servers.activity import activity, anote, note


POOL = ThreadPoolExecutor(2)


@asynccontextmanager
async def lifespan(_: Any) -> AsyncIterator[None]:
    yield
    await activity.aclose(30)


api = FastAPI(lifespan=lifespan)


@api.exception_handler(Exception)
async def failed(request: Request, error: Exception) -> JSONResponse:
    note(error.args[0], "handler")
    return JSONResponse({"failed": error.args[0]}, status_code=500)


@api.get("/async/{number}")
async def plain(number: int) -> int:
    await asyncio.sleep(0)
    note(number, "endpoint")
    await anote(number, "endpoint")
    task = asyncio.create_task(anote(number, "task"))
    await asyncio.to_thread(note, number, "to_thread")
    await task
    return number


@api.get("/sync/{number}")
def in_a_thread(number: int) -> int:
    note(number, "endpoint")
    return number


async def async_user(request: Request) -> str:
    user = request.headers["x-late"]
    await asyncio.sleep(0)
    bind_contextvars(actor_id=user)
    return user


def sync_user(request: Request) -> str:
    request.state.user = request.headers["x-late"]
    return str(request.state.user)


@api.get("/async-dependency/{number}")
async def dependent(number: int, user: Annotated[str, Depends(async_user)]) -> int:
    note(number, "endpoint")
    return number


@api.get("/sync-dependency/{number}")
def dependent_sync(number: int, user: Annotated[str, Depends(sync_user)]) -> int:
    note(number, "endpoint")
    return number


@api.get("/background/{number}")
async def background(number: int, tasks: BackgroundTasks) -> int:
    tasks.add_task(note, number, "background_sync")
    tasks.add_task(anote, number, "background")
    return number


@api.get("/stream/{number}")
async def stream(number: int) -> StreamingResponse:
    async def chunks() -> AsyncIterator[str]:
        for part in range(3):
            await asyncio.sleep(0)
            note(number, f"chunk{part}")
            yield str(part)

    return StreamingResponse(chunks())


@api.get("/sync-stream/{number}")
def sync_stream(number: int) -> StreamingResponse:
    def chunks() -> Iterator[str]:
        for part in range(3):
            note(number, f"chunk{part}")
            yield str(part)

    return StreamingResponse(chunks())


@api.get("/error/{number}")
async def error(number: int) -> int:
    note(number, "endpoint")
    raise LookupError(number)


@api.get("/pool/{number}")
async def pool(number: int) -> int:
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(POOL, carry(note), number, "carried")
    await loop.run_in_executor(POOL, note, number, "uncarried")
    return number


def identify(scope: Any) -> dict[str, Any]:
    headers = dict(scope["headers"])
    user = headers.get(b"x-user", b"").decode()
    if user:
        return {"actor_id": user, "tenant_id": "t"}
    return {"actor_id": lambda: scope.get("state", {}).get("user"), "tenant_id": "t"}


app = ActivityMiddleware(api, identify=identify, trusted_proxies=["127.0.0.1"])
