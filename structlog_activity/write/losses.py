"""
What was lost, told in the log itself: a hole in an audit trail must show.
"""

from __future__ import annotations

import time

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from ..record.row import Row
from ..record.rowmaker import RowMaker
from ..record.times import from_microseconds


VERB: Final = "activity.records_lost"
OBJECT_TYPE: Final = "activity.writer"

OnLoss = Callable[[str, int], object]
"""Called with the reason and how many records were lost since the last call."""


@dataclass(slots=True)
class _Hole:
    count: int
    first_at: int
    last_at: int


class Losses:
    """
    Notice losses, tell the host, and make the rows that tell readers.

    Args:

        writer_id: Whose losses these are.

        rows: Makes the rows.

        on_loss: Told of each loss; what it raises is ignored and counted.

        clock: Returns now, in nanoseconds since 1970.
    """

    def __init__(
        self,
        writer_id: UUID,
        rows: RowMaker,
        on_loss: OnLoss | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._writer_id = writer_id
        self._rows = rows
        self._on_loss = on_loss
        self._clock = clock
        self._noticed: dict[str, int] = {}
        self._holes: dict[str, _Hole] = {}
        self.callback_failures = 0

    def notice(self, dropped: Mapping[str, int]) -> None:
        """
        Look for records that were lost since the last look.

        Args:

            dropped: How many were lost so far, by reason.
        """
        now = self._clock() // 1000
        for reason, total in dropped.items():
            new = total - self._noticed.get(reason, 0)
            if new <= 0:
                continue
            self._noticed[reason] = total
            hole = self._holes.setdefault(reason, _Hole(0, now, now))
            hole.count += new
            hole.last_at = now
            self._tell(reason, new)

    def take_rows(self) -> list[Row]:
        """Return a row for each reason for which records were lost since the last call."""
        holes, self._holes = self._holes, {}
        return [self._row(reason, hole) for reason, hole in holes.items()]

    def _row(self, reason: str, hole: _Hole) -> Row:
        fields = {"verb": VERB, "object_type": OBJECT_TYPE, "object_id": str(self._writer_id)}
        data: dict[Any, Any] = {
            "count": hole.count,
            "reason": reason,
            "first_at": from_microseconds(hole.first_at).isoformat(),
            "last_at": from_microseconds(hole.last_at).isoformat(),
        }
        return self._rows.make(fields, data, ns=hole.last_at * 1000)

    def _tell(self, reason: str, count: int) -> None:
        if self._on_loss is None:
            return
        try:
            self._on_loss(reason, count)
        except Exception:  # noqa: BLE001  The host's own; the writer must go on.
            self.callback_failures += 1
