"""
What is wrong with a set-up or a database, and the line to change.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One thing that is wrong with a set-up, or worth to know.

    Attributes:

        check: What was looked at, for example ``"processor.after_renderer"``.

        problem: What is wrong with it, and what is lost by it.

        remedy: The line to change, or to run.

        is_note: It may well be meant so; a note is not counted as a problem.

    .. versionadded:: 0.1.0
    """

    check: str
    problem: str
    remedy: str
    is_note: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as a dict, for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """
    What a piece of work on a database found; those that derive from it say what it did.

    Attributes:

        findings: What wants something of yours.

    .. versionadded:: 0.1.0
    """

    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether there is no finding; notes don't count."""
        return all(finding.is_note for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as JSON knows them."""
        found = asdict(self) | {"ok": self.ok}
        found["findings"] = [finding.to_dict() for finding in self.findings]
        return found
