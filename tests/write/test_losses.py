"""
A loss is told: to the host at once, and to the readers of the log.
"""

from __future__ import annotations

import json

from uuid import UUID

from structlog_activity.record.rowmaker import RowMaker
from structlog_activity.store.batch import Batch
from structlog_activity.write.buffer import BufferedRepository
from structlog_activity.write.losses import Losses
from tests.write.conftest import MakeBuffer
from tests.write.doubles import (
    DEADLINE,
    Answers,
    Gate,
    assert_invariant,
    down,
    eventually,
    rows,
)


WRITER = UUID(int=9)
SECOND = 1_000_000_000


class Clock:
    def __init__(self) -> None:
        self.ns = 1_700_000_000 * SECOND

    def __call__(self) -> int:
        return self.ns


def make(**options: object) -> tuple[Losses, Clock]:
    clock = Clock()
    return Losses(WRITER, RowMaker(), clock=clock, **options), clock  # type: ignore[arg-type]


def test_there_is_nothing_to_tell_without_a_loss() -> None:
    losses, _ = make()
    losses.notice({})
    losses.notice({"overflow": 0})
    assert losses.take_rows() == []


def test_a_row_tells_how_many_why_and_when() -> None:
    losses, clock = make()
    losses.notice({"overflow": 3})
    clock.ns += 5 * SECOND
    losses.notice({"overflow": 7, "dead_letters": 1})
    first, second = losses.take_rows()
    assert json.loads(first.data) == {
        "count": 7,
        "reason": "overflow",
        "first_at": "2023-11-14T22:13:20+00:00",
        "last_at": "2023-11-14T22:13:25+00:00",
    }
    assert (first.verb, first.object_type) == ("activity.records_lost", "activity.writer")
    assert first.object_id == str(WRITER)
    assert json.loads(second.data)["reason"] == "dead_letters"


def test_each_loss_is_told_once() -> None:
    losses, _ = make()
    losses.notice({"overflow": 3})
    losses.take_rows()
    losses.notice({"overflow": 3})
    assert losses.take_rows() == []


def test_the_host_is_told_what_is_new() -> None:
    told: list[tuple[str, int]] = []
    losses, _ = make(on_loss=lambda reason, count: told.append((reason, count)))
    losses.notice({"overflow": 3})
    losses.notice({"overflow": 3})
    losses.notice({"overflow": 5, "dead_letters": 2})
    assert told == [("overflow", 3), ("overflow", 2), ("dead_letters", 2)]


def test_a_host_that_fails_is_counted_and_ends_nothing(make_buffer: MakeBuffer) -> None:
    gate = Gate()
    buffer = make_buffer(gate, batch_size=1, max_records=2, on_loss=lambda *_: 1 / 0)
    lose(buffer, gate, 10)
    gate.open()
    buffer.flush(DEADLINE)
    eventually(lambda: bool(gate.notes))
    assert buffer.counters()["on_loss_failed"] == 1
    assert_invariant(buffer.counters())


def test_the_table_tells_of_what_an_outage_cost(make_buffer: MakeBuffer) -> None:
    gate = Gate()
    told: list[tuple[str, int]] = []
    buffer = make_buffer(gate, batch_size=1, max_records=2, on_loss=lambda *loss: told.append(loss))
    lost = lose(buffer, gate, 10)
    gate.open()
    assert buffer.flush(DEADLINE) is False
    eventually(lambda: bool(gate.notes))
    (note,) = gate.notes
    assert json.loads(note.data)["count"] == lost == 7
    assert told == [("overflow", 7)]


def test_a_note_is_no_record_of_the_host(make_buffer: MakeBuffer) -> None:
    gate = Gate()
    buffer = make_buffer(gate, batch_size=1, max_records=2)
    lose(buffer, gate, 10)
    gate.open()
    buffer.flush(DEADLINE)
    eventually(lambda: bool(gate.notes))
    counts = buffer.counters()
    assert (counts["submitted"], counts["written"], counts["dropped"]) == (10, 3, 7)


def test_a_note_waits_until_the_database_takes_it(make_buffer: MakeBuffer) -> None:
    gate = Gate()
    answers = Answers(None, None, None, down(), down())

    def answer(batch: Batch) -> None:
        gate._wait(batch)
        answers(batch)

    gate.answer = answer
    buffer = make_buffer(gate, batch_size=1, max_records=2)
    lose(buffer, gate, 5)
    gate.open()
    buffer.flush(DEADLINE)
    eventually(lambda: bool(gate.notes))
    assert len(gate.notes) == 1


def lose(buffer: BufferedRepository, gate: Gate, count: int) -> int:
    """Put records while the database hangs over the first; return how many were dropped."""
    first, *others = rows(count)
    buffer.put(first)
    assert gate.entered.wait(DEADLINE)
    return [buffer.put(item) for item in others].count(False)
