"""
Shows the standard library's logging alone: a handler set up by dictConfig.

    python examples/plain_logging.py
"""

from __future__ import annotations

import logging.config
import tempfile

from pathlib import Path

from structlog_activity import ActivityLog


def main() -> None:
    """Log an export, then read it back through a log of its own."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'activity.db'}"
        logging.config.dictConfig(
            {
                "version": 1,
                "disable_existing_loggers": False,
                "formatters": {"short": {"format": "%(levelname)s %(message)s"}},
                "handlers": {
                    "console": {"class": "logging.StreamHandler", "formatter": "short"},
                    "activity": {"class": "structlog_activity.ActivityHandler", "url": url},
                },
                "root": {"level": "INFO", "handlers": ["console", "activity"]},
            }
        )
        logging.getLogger("exports").info(
            "export done",
            extra={
                "verb": "export.completed",
                "object": ("export.job", 9),
                "actor_id": "worker:nightly",
                "tenant_id": "acme",
                "count": 120,
            },
        )
        with ActivityLog(url) as activity:
            wait_for_the_writer()
            for record in activity.feed(tenant_id="acme").records:
                print(record.verb, record.object, record.data["count"])


def wait_for_the_writer() -> None:
    """Write what waits in the handlers' shared log; at exit that happens by itself."""
    from structlog_activity.shared import close_shared_logs

    close_shared_logs()


if __name__ == "__main__":
    main()
