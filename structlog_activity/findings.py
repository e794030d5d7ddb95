"""
What a look at a set-up found, and the line to change.
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
