"""
Whatever is done in whatever order, with crashes in between: held against a plain model.
"""

from __future__ import annotations

import shutil
import tempfile

from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from structlog_activity.record.ids import uuid7
from structlog_activity.record.row import Row
from structlog_activity.store.batch import Batch, Identity
from structlog_activity.write.spool.chunk import Chunk
from structlog_activity.write.spool.spool import Spool
from tests.write.doubles import numbers, row, rows
from tests.write.spool.spools import SMALL, assert_exact, chunks


class Life(RuleBasedStateMachine):
    """
    One folder, one process after another.

    The model knows of each row the batch as which it was last marked, and
    whether it is settled. A row that isn't settled must come, once in each
    life. One that is may come again after a crash, but only as the batch that
    the ledger knows; one that was set aside never does.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.count = 0
        self.seq = 0
        self.there: set[int] = set()  # Rows that must come in this life.
        self.settled: set[int] = set()
        self.aside: set[int] = set()
        self.marked: dict[int, Identity] = {}
        self.chunks: list[Chunk] = []
        self.seen: list[int] = []
        self.left: dict[int, set[int]] = {}  # Of chunk number: rows that aren't settled.
        self.open()

    def open(self) -> None:
        self.spool = Spool(
            self.folder / "spool", writer_id=uuid7, segment_bytes=SMALL, max_bytes=1 << 20
        )

    def batch(self, taken: list[Row]) -> Batch:
        self.seq += 1
        return Batch(uuid7(), self.seq, self.seq, taken)

    # -- steps ----------------------------------------------------------------

    @rule(count=st.integers(1, 40))
    def append(self, count: int) -> None:
        for item in rows(count, self.count):
            assert self.spool.append(item)
        self.there.update(range(self.count, self.count + count))
        self.count += count

    @rule(count=st.integers(1, 60), fixed=st.booleans())
    def keep(self, count: int, fixed: bool) -> None:
        batch = self.batch(rows(count, self.count))
        assert self.spool.keep(batch, fixed=fixed)
        own = range(self.count, self.count + count)
        self.there.update(own)
        if fixed:
            self.marked.update(dict.fromkeys(own, (batch.writer_id, batch.seq, batch.batch_id)))
        self.count += count

    @rule()
    def prepare(self) -> None:
        self.spool.prepare()
        assert self.spool.trouble is None

    @rule()
    def adopt(self) -> None:
        self.spool.adopt()

    @rule(most=st.integers(1, 50))
    def take(self, most: int) -> None:
        chunk = self.spool.take(most)
        if chunk is not None:
            self.check(chunk, most)

    def check(self, chunk: Chunk, most: int) -> None:
        came = numbers(chunk.rows)
        assert chunk.rows == [row(number) for number in came]
        assert not set(came) & (set(self.seen) | self.aside)
        for number in came:
            assert self.marked.get(number) == chunk.identity
            assert number in self.there or number in self.settled
        if chunk.identity is None:
            assert len(came) <= most
        else:
            whole = {n for n, identity in self.marked.items() if identity == chunk.identity}
            assert set(came) == whole - self.aside
        self.seen += came
        self.chunks.append(chunk)

    @precondition(lambda self: self.chunks)
    @rule(which=st.integers(0), cut=st.integers(0, 40))
    def fix(self, which: int, cut: int) -> None:
        """Mark a chunk's rows as one batch, or as two."""
        chunk = self.chunks[which % len(self.chunks)]
        left = [item for item in chunk.rows if numbers([item])[0] not in self.aside]
        for part in (left[:cut], left[cut:]):
            if part:
                batch = self.batch(part)
                chunk.fix(batch)
                identity = (batch.writer_id, batch.seq, batch.batch_id)
                self.marked.update(dict.fromkeys(numbers(part), identity))

    @precondition(lambda self: self.chunks)
    @rule(which=st.integers(0), index=st.integers(0))
    def set_aside(self, which: int, index: int) -> None:
        chunk = self.chunks[which % len(self.chunks)]
        item = chunk.rows[index % len(chunk.rows)]
        chunk.set_aside([item])
        (number,) = numbers([item])
        self.aside.add(number)
        self.there.discard(number)
        self.marked.pop(number, None)

    @precondition(lambda self: self.chunks)
    @rule(which=st.integers(0))
    def settle(self, which: int) -> None:
        chunk = self.chunks.pop(which % len(self.chunks))
        chunk.settle()
        self.settled.update(numbers(chunk.rows))
        self.there -= set(numbers(chunk.rows))

    @rule(graceful=st.booleans())
    def end(self, graceful: bool) -> None:
        """Close the spool, or die: what a killed process leaves is what `abandon` leaves."""
        if graceful:
            self.spool.close()
            assert not self.spool._line.held
        else:
            self.spool.abandon()
        self.chunks = []
        self.seen = []
        self.open()

    # -- what always holds ----------------------------------------------------

    @invariant()
    def the_counts_add_up(self) -> None:
        counts = self.spool.counts()
        assert counts.waiting >= 0
        assert counts.damaged == counts.damaged_adopted == counts.corrupt == 0
        assert counts.taken + counts.taken_adopted == len(self.seen)
        in_flight = sum(len(set(numbers(chunk.rows)) - self.aside) for chunk in self.chunks)
        settled = counts.settled + counts.settled_adopted
        assert counts.taken + counts.taken_adopted == settled + in_flight

    def teardown(self) -> None:
        for chunk in self.chunks:
            chunk.settle()
            self.there -= set(numbers(chunk.rows))
        self.chunks = []
        for chunk in chunks(self.spool, 1000):
            self.check(chunk, 1000)
            self.settle(-1)
        assert not self.there
        assert_exact(self.spool.counts())
        self.spool.close()
        assert list((self.folder / "spool").glob("*")) == []
        shutil.rmtree(self.folder)


Life.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestLife = Life.TestCase
