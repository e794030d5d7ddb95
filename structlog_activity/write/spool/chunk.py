"""
Rows on their way from the spool to the database.
"""

from __future__ import annotations

import contextlib

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

from ...record.row import Row
from ...store.batch import Batch, Identity
from .marks import SETTLED, Mark, MarkError
from .reading import Reader, Span


class Chunk:
    """
    Hold rows that go into one batch, all from one segment.

    One thread at a time uses it. Until `settle` is called the rows stay on
    disk, and whoever reads the segment after a crash sends them again.

    Args:

        reader: Where they come from.

        identity: Of the batch as which they may have been sent before.

        spans: The rows, and where they are.

        synced: Whether marks must survive a power failure.

        settled: Told how many rows are done with.

        done: Called when all are.

    Attributes:

        rows: The rows, oldest first.

        identity: ``(writer_id, seq, batch_id)`` under which they must be sent,
            together; `None` where they may get a new one.

        inherited: Whether another process left them behind.
    """

    __slots__ = (
        "_done", "_fixed", "_left", "_places", "_reader", "_settled", "_spans", "_synced",
        "identity", "inherited", "rows",
    )  # fmt: skip

    def __init__(
        self,
        reader: Reader,
        identity: Identity | None,
        spans: Sequence[Span],
        *,
        synced: bool,
        settled: Callable[[Reader, int], None],
        done: Callable[[Reader], None],
    ) -> None:
        self._reader = reader
        self._spans = spans
        self._synced = synced
        self._settled = settled
        self._done = done
        # By object: twins, which are equal, lie in two places.
        self._places = {id(span.row): index for index, span in enumerate(spans)}
        self._left = set(range(len(spans)))
        self._fixed = {identity} if identity else set()
        self.rows = [span.row for span in spans]
        self.identity = identity
        self.inherited = reader.inherited

    def fix(self, batch: Batch) -> None:
        """
        Note down that *batch* is about to be sent; a second call for it does nothing.

        Args:

            batch: Holds rows of this chunk, the very objects.

        Raises:

            ValueError: A row is of another chunk.

            MarkError: It can't be noted down now.
        """
        identity = batch.identity
        if identity in self._fixed:
            return
        segment = self._reader.segment
        if not segment.is_open:
            raise MarkError("the spool is closed")
        try:
            segment.mark(self._marks(identity, batch.rows), synced=self._synced)
        except OSError as error:
            raise MarkError(f"a batch can't be marked: {error.strerror}") from error
        self._fixed.add(identity)

    def set_aside(self, rows: Iterable[Row]) -> None:
        """
        Settle some rows that no batch will hold: dead letters, and what is there already.

        It never fails. Where it can't be noted down, and the process dies, the
        rows are sent once more, and settled the same way.

        Args:

            rows: Of this chunk, the very objects.
        """
        rows = list(rows)
        segment = self._reader.segment
        if segment.is_open:
            with contextlib.suppress(OSError):
                segment.mark(self._marks(SETTLED, rows), synced=self._synced)
        self.let_go(rows)

    def let_go(self, rows: Iterable[Row]) -> None:
        """
        Settle some rows that were one batch: their mark and the ledger tell of it.

        Args:

            rows: Of this chunk, the very objects.
        """
        places = set(self._places_of(rows)) & self._left
        self._left -= places
        self._settled(self._reader, len(places))

    def settle(self) -> None:
        """Say that all rows are done with; a second call does nothing."""
        places, self._places = self._places, {}
        if places:
            self._settled(self._reader, len(self._left))
            self._done(self._reader)

    def _places_of(self, rows: Iterable[Row]) -> list[int]:
        try:
            return sorted(self._places[id(row)] for row in rows)
        except KeyError:
            raise ValueError("a row is not of this chunk, or no longer") from None

    def _marks(self, identity: Identity, rows: Iterable[Row]) -> Iterator[Mark]:
        """Yield one mark for each run of frames that follow one another in the file."""
        spans = [self._spans[place] for place in self._places_of(rows)]
        start = spans[0].start if spans else 0
        for span, following in pairwise((*spans, None)):
            if span and (following is None or following.start != span.end):
                yield Mark(identity, start, span.end)
                start = following.start if following else 0
