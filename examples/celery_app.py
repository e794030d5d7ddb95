"""
Shows Celery: a task acts as whoever queued it, and never as the one before it.

    python examples/celery_app.py

`ActingTask` sends who acts along with each task and binds it, and nothing else, while the
task runs. A worker with the in-memory transport runs in a thread of this program; with
a broker, ``celery -A examples.celery_app worker`` runs the same tasks.
"""

from __future__ import annotations

import logging

from typing import Any

import structlog

from celery import Celery, Task
from celery.contrib.testing.worker import start_worker

from structlog_activity import NIL, ActivityLog, acting_as, export_context, import_context


structlog.configure(
    processors=[structlog.contextvars.merge_contextvars, structlog.processors.JSONRenderer()]
)
activity = ActivityLog("sqlite://").configure()
log = structlog.get_logger()


class ActingTask(Task):  # type: ignore[misc]
    """A task that acts as whoever queued it."""

    def apply_async(self, *args: Any, headers: Any = None, **options: Any) -> Any:
        """Send who acts along, in the task's headers."""
        headers = {**(headers or {}), "activity_context": export_context()}
        return super().apply_async(*args, headers=headers, **options)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task as whoever sent it; as nobody if that was not sent along."""
        with import_context(self.request.get("activity_context") or {}):
            return super().__call__(*args, **kwargs)


app = Celery(
    "shop", broker="memory://", backend="cache+memory://", task_cls=f"{__name__}:ActingTask"
)
app.conf.broker_transport_options = {"polling_interval": 0.05}


@app.task
def export(name: str) -> str:
    """Export something, then let another task tell of it."""
    log.info("export done", verb="export.completed", object=("export", name))
    if name == "broken":
        raise LookupError(name)
    notify.delay(name)
    return name


@app.task
def notify(name: str) -> None:
    """Run as whoever queued the export, two tasks away."""
    log.info("told", verb="export.announced", object=("export", name))


def main() -> None:
    """Queue tasks as two users and as nobody, then read who did what."""
    logging.getLogger("celery").setLevel(logging.CRITICAL)
    with start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=30):
        with acting_as("ana", tenant_id="acme"):
            results = [export.delay("orders"), export.delay("broken")]
        with acting_as("bob", tenant_id="acme"):
            results.append(export.delay("invoices"))
        results.append(export.delay("nightly"))
        for result in results:
            result.get(timeout=30, propagate=False)
        results = [notify.delay("last")]
        results[0].get(timeout=30)
    activity.flush(10)
    for tenant in ("acme", NIL):
        for record in activity.feed(tenant_id=tenant).records:
            who = record.data.get("_raw", {}).get("actor_id", "nobody")
            print(who, record.verb, record.object_id)
    activity.close()


if __name__ == "__main__":
    main()
