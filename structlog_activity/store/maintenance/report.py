"""
What one run of maintenance did, and what it found.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from ...findings import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceReport(Report):
    """
    What one run of maintenance did.

    Attributes:

        is_busy: Another process was at it already, so this one did nothing.

        months_made: Months that got a partition.

        months_folded: Months of which daily counts were folded.

        counts_folded: How many daily counts that were.

        months_rebuilt: Closed months whose indexes were rebuilt.

        findings: What wants a decision of yours.

    .. versionadded:: 0.1.0
    """

    is_busy: bool = False
    months_made: tuple[date, ...] = ()
    months_folded: tuple[date, ...] = ()
    counts_folded: int = 0
    months_rebuilt: tuple[date, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as JSON knows them, months as ``"2026-01"``."""
        found = Report.to_dict(self)
        for name in ("months_made", "months_folded", "months_rebuilt"):
            found[name] = [f"{month:%Y-%m}" for month in found[name]]
        return found
