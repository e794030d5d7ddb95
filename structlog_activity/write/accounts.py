"""
What became of every record: the counters, and what they mean for health.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .mailbox import Mailbox


_SETTLED: Final = ("written", "duplicates", "dead")
_NEARLY_FULL: Final = 0.8


@dataclass(frozen=True, slots=True)
class Health:
    """
    Whether records reach the database.

    Attributes:

        ok: Nothing is wrong.

        reasons: What is, in words; empty where nothing is.

    .. versionadded:: 0.1.0
    """

    ok: bool
    reasons: tuple[str, ...]


def count(
    mailbox: Mailbox, settled: Mapping[str, int], position: tuple[int, int], *, gave_up: bool
) -> dict[str, int]:
    """
    Return how many records went where.

    Args:

        mailbox: Knows what was dropped and rejected.

        settled: What became of those that the writer took, as far as it is
            done with them.

        position: How many the writer took, and how many wait.

        gave_up: Whether the rest of what it took is given up.
    """
    taken, queued = position
    out = {name: settled[name] for name in _SETTLED}
    unsettled = taken - sum(out.values())
    lost = unsettled if gave_up else 0
    dropped, rejected = _dropped(mailbox, lost), mailbox.rejected.values()
    accepted = taken + queued + dropped.get("overflow", 0)
    return {
        "submitted": accepted + sum(rejected.values()),
        "accepted": accepted,
        "rejected": sum(rejected.values()),
        **out,
        "queued": queued,
        "in_flight": unsettled - lost,
        "spooled": 0,
        "dropped": sum(dropped.values()),
        **named("rejected", rejected),
        **named("dropped", dropped),
    }


def judge(
    counts: Mapping[str, int], max_records: int, trouble: Exception | None, seconds: float
) -> Health:
    """
    Say whether all is well.

    Args:

        counts: As `count` returns them.

        max_records: Most records that may wait.

        trouble: Why nothing can be written at present.

        seconds: Since when.
    """
    reasons = [
        f"{counts[name]} records {what}"
        for name, what in (("dropped", "were dropped"), ("dead", "are dead letters"))
        if counts[name]
    ]
    if counts["queued"] > max_records * _NEARLY_FULL:
        reasons.append(f"{counts['queued']} records wait, {max_records} may")
    if trouble is not None:
        reasons.insert(0, f"nothing can be written since {seconds:.0f} s: {trouble}")
    return Health(not reasons, tuple(reasons))


def named(name: str, counts: Mapping[str, int]) -> dict[str, int]:
    """Return *counts* with ``name.`` before each reason."""
    return {f"{name}.{reason}": n for reason, n in counts.items()}


def _dropped(mailbox: Mailbox, at_shutdown: int) -> dict[str, int]:
    dropped = mailbox.dropped.values()
    overflow = dropped.get("overflow", 0) + mailbox.evicted.value
    losses = {"overflow": overflow, "shutdown": at_shutdown}
    return dropped | {reason: n for reason, n in losses.items() if n}
