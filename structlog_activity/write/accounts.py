"""
What became of every record: the counters, and what they mean for health.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ..record.ids import NIL_BYTES
from ..record.row import Row
from .mailbox import Mailbox
from .spool.counts import NOTHING
from .spool.spool import Spool
from .ticks import TicksByReason


_SETTLED: Final = ("written", "duplicates", "dead")
_NEARLY_FULL: Final = 0.8


@dataclass(frozen=True, slots=True)
class Health:
    """
    Whether records reach the database.

    Attributes:

        ok: Nothing is wrong.

        reasons: What is, in words; empty where nothing is.

        notes: What is worth to know, and may well be meant so.

    .. versionadded:: 0.1.0
    """

    ok: bool
    reasons: tuple[str, ...]
    notes: tuple[str, ...] = ()


class Missing(TicksByReason):
    """Count rows that don't say who acted, or for which tenant."""

    __slots__ = ()

    def look_at(self, row: Row) -> None:
        """Count *row* where it lacks one of them."""
        if row.actor_id == NIL_BYTES:
            self.tick("actor_id")
        if row.tenant_id == NIL_BYTES:
            self.tick("tenant_id")


def count(
    mailbox: Mailbox,
    spool: Spool | None,
    settled: Mapping[str, int],
    spilled: int,
    *,
    is_over: bool,
) -> dict[str, int]:
    """
    Return how many records went where.

    Args:

        mailbox: Where records wait in memory.

        spool: Where they wait on disk.

        settled: What became of those that the writer took, read before this call.

        spilled: How many went from memory to disk.

        is_over: Whether the writer gave up: nothing that is in memory will be
            written any more.
    """
    on_disk = spool.counts() if spool else NOTHING
    taken, queued = mailbox.position()
    taken += on_disk.own + on_disk.adopted - spilled - on_disk.evicted
    rest = taken - sum(settled.values()) - on_disk.damaged
    spooled = on_disk.unsettled if is_over else on_disk.waiting
    lost = rest - spooled if is_over else 0
    dropped = _dropped(
        mailbox,
        overflow=on_disk.evicted,
        damaged=on_disk.damaged,
        dead_letters=settled["unkept"],
        shutdown=lost,
    )
    rejected = mailbox.rejected.values()
    accepted = taken + queued + dropped.get("overflow", 0)
    return {
        "submitted": accepted + sum(rejected.values()),
        "accepted": accepted,
        "rejected": sum(rejected.values()),
        **{name: settled[name] for name in _SETTLED},
        "queued": queued,
        "in_flight": rest - spooled - lost,
        "spooled": spooled,
        "dropped": sum(dropped.values()),
        **named("rejected", rejected),
        **named("dropped", dropped),
    }


def judge(
    counts: Mapping[str, int], max_records: int, trouble: Exception | None, seconds: float
) -> list[str]:
    """
    Return what is wrong, in words.

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
    return reasons


def judge_disk(spool: Spool, in_memory: int) -> list[str]:
    """
    Return what is wrong with the spool, in words.

    Args:

        spool: The spool.

        in_memory: How many records were to be on disk and were not.
    """
    reasons = []
    if spool.trouble is not None:
        reasons.append(f"the spool takes nothing: {spool.trouble}")
    counts = spool.counts()
    numbers = {
        "records waited in memory instead of on disk": in_memory,
        "records are on disk without its word for it": counts.unsynced,
        "damaged records were found in the spool": counts.damaged + counts.damaged_adopted,
        "damaged files were found in the spool and set apart as *.corrupt": counts.corrupt,
    }
    return reasons + [f"{n} {what}" for what, n in numbers.items() if n]


def judge_redaction(failures: int) -> list[str]:
    """
    Return what is wrong with the functions of a redactor, in words.

    Args:

        failures: How often one failed.
    """
    what = "values were lost to a redaction function that failed"
    return [f"{failures} {what}"] if failures else []


def named(name: str, counts: Mapping[str, int]) -> dict[str, int]:
    """Return *counts* with ``name.`` before each reason."""
    return {f"{name}.{reason}": n for reason, n in counts.items()}


def _dropped(mailbox: Mailbox, *, overflow: int, **others: int) -> dict[str, int]:
    dropped = mailbox.dropped.values()
    losses = {"overflow": overflow + dropped.get("overflow", 0) + mailbox.evicted.value, **others}
    return dropped | {reason: n for reason, n in losses.items() if n}
