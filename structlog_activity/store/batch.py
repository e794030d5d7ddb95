"""
A batch: the rows of one transaction, and the identity that makes a retry safe.
"""

from __future__ import annotations

import re
import secrets
import time

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Self, TypeAlias
from uuid import UUID

from ..record.ids import uuid7
from ..record.record import ActivityRecord
from ..record.row import Row
from ..record.times import DAY


# As SQLite and PostgreSQL name it.
_NUMBER: Final = re.compile(r"\buser_activity_batch(\.batch_id$|_batch_id_key\b)")


def _nothing() -> None:
    pass


Identity: TypeAlias = "tuple[UUID, int, int]"
"""``(writer_id, seq, batch_id)`` of a batch, under which it is sent again."""

DailyCount: TypeAlias = "tuple[bytes, int, str, str, str, int]"
"""``(tenant_id, day, channel, verb, object_type, n)``; day counts from 1970-01-01, UTC."""


@dataclass(frozen=True, slots=True)
class Batch:
    """
    Rows that are committed together, once.

    Attributes:

        writer_id: The writer, one per process incarnation.

        seq: Its how-manieth batch this is, from 1. The pair
            ``(writer_id, seq)`` is unique in the ledger, so that a batch whose
            COMMIT got no answer can be sent again without doubling a row.

        batch_id: A 63-bit number that joins rows and ledger: 41 bits of
            milliseconds, 22 random bits. It is unique in the ledger; see
            `renumbered`.

        rows: At least one.

        inherited: Whether another process, which died, may have sent it.

        meanwhile: What there is to do while a server works on the batch. A
            repository that has to wait for one calls it once the rows are sent.
    """

    writer_id: UUID
    seq: int
    batch_id: int
    rows: Sequence[Row]
    inherited: bool = False
    meanwhile: Callable[[], object] = field(default=_nothing, compare=False, repr=False)

    @classmethod
    def alone(cls, rows: Sequence[Row]) -> Self:
        """Return the only batch of a writer of its own."""
        return cls(uuid7(), 1, new_batch_id(), rows)

    @property
    def identity(self) -> Identity:
        """What tells the batch from others, whichever rows it has."""
        return self.writer_id, self.seq, self.batch_id

    def renumbered(self) -> Self:
        """
        Return the batch with another number, where the ledger has its own already.

        Two writers draw the same one in four million cases of two batches in the
        same millisecond.
        """
        return replace(self, batch_id=new_batch_id())

    @property
    def records(self) -> list[ActivityRecord]:
        """The rows as records."""
        return [row.to_record() for row in self.rows]

    def daily_counts(self) -> list[DailyCount]:
        """
        Return how many rows there are for each key of the daily counts.

        Sorted by key: writers that lock the same counts in the same order
        can't deadlock.
        """
        counts = Counter(
            (row.tenant_id, row.created_at // DAY, row.channel, row.verb, row.object_type)
            for row in self.rows
        )
        return [(*key, n) for key, n in sorted(counts.items())]


def new_batch_id() -> int:
    """Return a number for `Batch.batch_id`."""
    return ((time.time_ns() // 1_000_000) << 22 | secrets.randbits(22)) & (2**63 - 1)


def is_number_taken(said: str) -> bool:
    """Tell whether a database refuses a batch because the ledger has its number already."""
    return _NUMBER.search(said) is not None
