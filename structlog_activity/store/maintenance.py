"""
What maintenance did, and what it found.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from ..findings import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceReport:
    """
    What one run of maintenance did.

    Attributes:

        is_busy: Another process was at it already, so this one did nothing.

        months_made: Months that got a partition.

        months_folded: Months whose daily counts were folded.

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
    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether there is no finding; notes don't count."""
        return all(finding.is_note for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as JSON knows them, months as ``"2026-01"``."""
        found = asdict(self) | {"ok": self.ok}
        for name in ("months_made", "months_folded", "months_rebuilt"):
            found[name] = [f"{month:%Y-%m}" for month in found[name]]
        found["findings"] = [finding.to_dict() for finding in self.findings]
        return found
