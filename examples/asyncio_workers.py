"""
Shows asyncio workers: each job acts as whoever queued it, many at once, in one thread.

    python examples/asyncio_workers.py

A job carries what `export_context` gave; the worker runs it in `import_context`, so that
nothing of the job before is left. Work in a thread pool takes the context by `carry`.
"""

from __future__ import annotations

import asyncio

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog

from structlog_activity import ActivityLog, acting_as, carry, export_context, import_context


structlog.configure(
    processors=[structlog.contextvars.merge_contextvars, structlog.processors.JSONRenderer()]
)
log = structlog.get_logger()
Job = tuple[dict[str, Any], str]


async def worker(jobs: asyncio.Queue[Job], pool: ThreadPoolExecutor) -> None:
    """Take jobs for ever, each as its own actor."""
    loop = asyncio.get_running_loop()
    while True:
        context, name = await jobs.get()
        with import_context(context):
            await log.ainfo("started", verb="export.started", object=("export", name))
            await loop.run_in_executor(pool, carry(render), name)
        jobs.task_done()


def render(name: str) -> None:
    """Do the work that would block the loop."""
    log.info("rendered", verb="export.rendered", object=("export", name))


async def run() -> None:
    """Queue jobs as four users, and let two workers do them."""
    jobs: asyncio.Queue[Job] = asyncio.Queue()
    with ThreadPoolExecutor(2) as pool:
        workers = [asyncio.create_task(worker(jobs, pool)) for _ in range(2)]
        for user in ("ana", "bob", "eve", "max"):
            with acting_as(user, tenant_id="acme", secret="stays here"):  # noqa: S106
                jobs.put_nowait((export_context(), f"of {user}"))
        await jobs.join()
        for task in workers:
            task.cancel()


def main() -> None:
    """Run the jobs, then read who did what."""
    with ActivityLog("sqlite://").configure() as activity:
        asyncio.run(run())
        activity.flush(10)
        for record in activity.feed(tenant_id="acme").records:
            print(record.data["_raw"]["actor_id"], record.verb, record.object_id)
            assert "secret" not in record.data  # noqa: S101


if __name__ == "__main__":
    main()
