"""
What the applications under test share: a log in a file, and a line that says who asked.
"""

from __future__ import annotations

import logging
import os

from typing import Any

import structlog

from structlog_activity import ActivityLog


structlog.configure(
    processors=[structlog.contextvars.merge_contextvars, structlog.processors.JSONRenderer()],
    logger_factory=structlog.ReturnLoggerFactory(),
    cache_logger_on_first_use=True,
)
activity = ActivityLog(os.environ["STRUCTLOG_ACTIVITY_TEST_FILE"])
structlog.get_config()["processors"].insert(1, activity.processor)
_log = structlog.get_logger()
_stdlib = logging.getLogger("tests.servers")
_stdlib.setLevel(logging.INFO)
_stdlib.addHandler(activity.handler)
_stdlib.propagate = False


def note(number: Any, where: str) -> None:
    """Record by structlog and by the standard library that request *number* came to *where*."""
    _log.info("asked", verb=f"structlog.{where}", object=("request", str(number)))
    _stdlib.info("asked", extra={"verb": f"stdlib.{where}", "object": ("request", str(number))})


async def anote(number: Any, where: str) -> None:
    """Record the same by a coroutine."""
    await _log.ainfo("asked", verb=f"async.{where}", object=("request", str(number)))
