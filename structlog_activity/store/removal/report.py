"""
What retention and erasure did.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from ...findings import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneReport(Report):
    """
    What one run of retention did, or would do.

    Attributes:

        before: Records older than this are gone; UTC.

        rows: How many went.

        months_dropped: Months of PostgreSQL that went as a whole.

        is_dry_run: Nothing was done.

        is_floored: The floor kept records that are older than was asked for.

        is_busy: Another process was at it, or at maintenance, so this one did nothing.

        findings: What wants a decision of yours.

    .. versionadded:: 0.1.0
    """

    before: datetime
    rows: int = 0
    months_dropped: tuple[date, ...] = ()
    is_dry_run: bool = False
    is_floored: bool = False
    is_busy: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as JSON knows them, months as ``"2026-01"``."""
        found = Report.to_dict(self) | {"before": self.before.isoformat()}
        found["months_dropped"] = [f"{month:%Y-%m}" for month in self.months_dropped]
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class EraseReport(Report):
    """
    What one run of erasure did, or would do.

    Attributes:

        rows: How many records in the table lost their personal part.

        tenants: Of how many tenants those were.

        on_disk: How many records on disk did: in files of the spool that
            nobody else holds, and dead letters.

        held: How many wait, or waited, in files that another process has open.

        findings: What wants something of yours.

        is_dry_run: Nothing was done.

    .. versionadded:: 0.1.0
    """

    rows: int = 0
    tenants: int = 0
    on_disk: int = 0
    held: int = 0
    is_dry_run: bool = False
