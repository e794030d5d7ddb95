"""
The doctor: look at a set-up that somebody made, and say which line to change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from .capture.check_logging import check_logging, has_handler
from .capture.check_structlog import check_structlog
from .findings import Finding


if TYPE_CHECKING:
    from .log import ActivityLog


def check_setup(logs: Iterable[ActivityLog]) -> list[Finding]:
    """Return all that is wrong with this process and the databases of *logs*; problems first."""
    found = [*check_structlog(has_handler=has_handler()), *check_logging()]
    for log in logs:
        found += check_log(log)
    return sorted(found, key=lambda finding: finding.is_note)


def check_log(log: ActivityLog) -> Iterator[Finding]:
    """Yield what is wrong with the database of a log, and what became of its records so far."""
    from .store.check_database import check_database
    from .store.postgresql.roles import check_role

    found = list(check_database(log.engine, migrates=log.migrates))
    yield from found
    if not found:
        yield from check_role(log.engine)
    for reason in log.health().reasons:
        yield Finding("log.health", reason, "activity.health(), activity.counters()")
    counts = log.counters()
    told = {
        "rejected": "calls made no record",
        "missing.actor_id": "records have no actor",
        "missing.tenant_id": "records have no tenant",
    }
    for name, what in told.items():
        if counts.get(name):
            yield Finding(
                f"log.{name}",
                f"{counts[name]} of {counts['submitted']} {what}",
                "see activity.counters() and the warnings of the logger structlog_activity",
                is_note=True,
            )
