"""What may lawfully be gone from a sealed log, and what not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from structlog_activity import NIL, to_uuid
from structlog_activity.record.row import Row
from structlog_activity.record.rowmaker import RowMaker
from structlog_activity.record.times import to_microseconds
from structlog_activity.record.traces import TRACES
from structlog_activity.store.batch import Batch
from structlog_activity.store.seals import seal as seals
from structlog_activity.store.seals import traces as lawful
from structlog_activity.store.seals.seal import COMMIT_BYTES
from structlog_activity.store.seals.stored import snapshot
from structlog_activity.store.table import user_activity_batch
from tests.store.sealed import (
    ROWS,
    SealedLog,
    at,
    in_batch,
    line,
    rows_of,
)
from tests.support.records import NOON, record


def stored(log: SealedLog, n: int, ix: int) -> tuple[Row, bytes]:
    with snapshot(log.engine) as reading:
        for found in reading.rows():
            if (found.batch_id, found.batch_ix) == (1001 + n, ix):
                return found.row, bytes(found.commitment)
    raise LookupError


def declare(log: SealedLog, rows: Sequence[Row]) -> None:
    """Write sealed records."""
    log.seq += 1
    assert log.repository.write(Batch(log.writer_id, log.seq, 1000 + log.seq, rows))


def erase(log: SealedLog, n: int, ix: int, *, told: bool = True, **left: Any) -> None:
    row, salt = stored(log, n, ix)
    values = {
        "actor_id": NIL, "user_id": NIL, "object_id": "", "ip": "", "data": {},
        "commitment": lawful.erased_commitment(row, salt),
    }  # fmt: skip
    log.change(at(n, ix), **{**values, **left})
    if told:
        declare(
            log, lawful.erasure_rows(row.tenant_id, [row.id], reason="asked", requested_by="dpo")
        )


def test_an_erasure_that_is_declared_leaves_the_log_clean(log: SealedLog) -> None:
    erase(log, 1, 2)

    report = log.verify()

    assert report.ok, report.findings
    assert 1 == report.erased
    assert "1 rows are named by records activity.erased" in report.notes


def test_an_erasure_that_nobody_declared_is_found(log: SealedLog) -> None:
    id_ = log.row(1, 2).id
    erase(log, 1, 2, told=False)

    found = log.found()

    assert ("row.erased", 1002, (id_,)) == (found.kind, found.batch_id, found.record_ids)


def test_an_erasure_that_another_tenant_declared_counts_for_nothing(log: SealedLog) -> None:
    row, _ = stored(log, 1, 2)
    erase(log, 1, 2, told=False)
    other = to_uuid("another").bytes
    declare(log, lawful.erasure_rows(other, [row.id], reason="", requested_by=""))

    assert ["row.erased"] == log.kinds()


@pytest.mark.parametrize(
    "left",
    [
        {"object_id": "x"},
        {"ip": "192.0.2.1"},
        {"actor_id": UUID(int=1)},
        {"user_id": UUID(int=1)},
        {"data": {"a": 1}},
    ],
)
def test_what_stands_in_an_erased_row_is_found(log: SealedLog, left: dict[str, Any]) -> None:
    erase(log, 1, 2, **left)

    found = log.found()

    assert ("row.filled", 1002) == (found.kind, found.batch_id)


def test_a_made_up_erasure_is_found_even_if_declared(log: SealedLog) -> None:
    erase(log, 1, 2, commitment=bytes(32))

    assert ["row.changed"] == log.kinds()


def test_the_header_of_an_erased_row_is_still_proved(log: SealedLog) -> None:
    erase(log, 1, 2, verb="settings.reset")

    assert ["row.changed"] == log.kinds()


def test_many_ids_are_told_in_several_records() -> None:
    ids = [UUID(int=n).bytes for n in range(450)]
    rows = lawful.erasure_rows(to_uuid("acme").bytes, ids, reason="r", requested_by="b")
    told = lawful.Declarations()
    for row in rows:
        told.read(row)

    assert 3 == len(rows)
    assert {(to_uuid("acme").bytes, id_) for id_ in ids} == told.erased


# -- retention --------------------------------------------------------------

LATE = NOON + timedelta(hours=2)
BETWEEN = to_microseconds(NOON + timedelta(hours=1))


def test_rows_that_went_for_their_age_are_not_missed(log: SealedLog) -> None:
    log.write(3, occurred_at=LATE)
    log.remove(rows_of.created_at < NOON + timedelta(hours=1))
    assert ["batch.empty"] == log.kinds()

    declare(log, [lawful.pruned_row(BETWEEN, 12)])

    report = log.verify()
    assert report.ok, report.findings
    assert "old rows were dropped, as sealed records activity.pruned say" in report.notes


@pytest.mark.parametrize(
    "scope", ['"tenant_id": 5', '"tenant_id": "nobody"', '"channel": 5', '"channel": ["a"]']
)
def test_rows_of_a_scope_that_can_not_be_read_are_missed(log: SealedLog, scope: str) -> None:
    log.write(3, occurred_at=LATE)
    log.remove(rows_of.created_at < NOON + timedelta(hours=1))
    told = lawful.pruned_row(BETWEEN, 12)

    declare(log, [told._replace(data=told.data.replace("{", f"{{{scope}, ", 1))])

    assert ["batch.empty"] == log.kinds()


def test_rows_that_may_go_need_not(log: SealedLog) -> None:
    declare(log, [lawful.pruned_row(BETWEEN, 0)])

    assert log.verify().ok, log.verify().findings


def test_a_younger_row_is_missed_all_the_same(log: SealedLog) -> None:
    log.write(3, occurred_at=LATE)
    log.remove(in_batch(3))
    declare(log, [lawful.pruned_row(BETWEEN, 12)])

    assert ("batch.empty", 1004) == (log.found().kind, log.found().batch_id)


def straddle(log: SealedLog) -> tuple[Row, bytes]:
    """Have a batch of which one row is late; return one of the others."""
    moved = stored(log, 2, 1)[0]._replace(
        id=UUID(int=1).bytes, created_at=to_microseconds(LATE), object_id="late"
    )
    early = stored(log, 2, 0)[0]._replace(id=UUID(int=2).bytes, object_id="early")
    declare(log, [early, moved])
    return stored(log, 3, 0)


def drop(log: SealedLog, object_id: str, **stubs: bytes) -> None:
    packed = lawful.pack_stubs({int(ix[1:]): found for ix, found in stubs.items()})
    log.remove(rows_of.object_id == object_id)
    log.change(line(3), user_activity_batch, dropped=packed)


def test_a_batch_that_straddles_keeps_stubs(log: SealedLog) -> None:
    row, salt = straddle(log)
    drop(log, "early", _0=lawful.stub(row, salt))
    log.remove(rows_of.object_id.in_([f"{n}-{ix}" for n in range(3) for ix in range(ROWS)]))
    declare(log, [lawful.pruned_row(BETWEEN, 13)])

    assert log.verify().ok, log.verify().findings


def test_a_row_that_was_erased_before_it_went_is_still_proved(log: SealedLog) -> None:
    row, salt = straddle(log)
    left, commitment = lawful.erased(row), lawful.erased_commitment(row, salt)
    drop(log, "early", _0=lawful.stub(left, commitment))
    declare(log, [lawful.pruned_row(BETWEEN, 1)])

    assert log.verify().ok, log.verify().findings


def test_stubs_say_of_each_row_when_it_was_and_whose() -> None:
    salt = bytes(seals.SALT_BYTES)
    rows = {
        ix: RowMaker().make_from(record(channel="c" * ix, tenant_id=to_uuid(f"tenant {ix}")))
        for ix in (7, 0, 300)
    }

    packed = lawful.pack_stubs({ix: lawful.stub(row, salt) for ix, row in rows.items()})

    assert lawful.unpack_stubs(packed) == {
        ix: lawful.Stub(
            seals.leaf(seals.header(row), seals.commit(row, salt)),
            row.created_at,
            row.tenant_id,
            row.channel,
        )
        for ix, row in rows.items()
    }


def test_a_stub_of_a_younger_row_is_found(log: SealedLog) -> None:
    straddle(log)
    late, salt = stored(log, 3, 1)
    drop(log, "late", _1=lawful.stub(late, salt))
    declare(log, [lawful.pruned_row(BETWEEN, 13)])

    assert "retention.early" == log.found().kind


def one_stub(zeros: int) -> bytes:
    """A stub of the first row, its head made of zeros."""
    return lawful.pack_stubs({0: bytes(zeros + COMMIT_BYTES)})


@pytest.mark.parametrize(
    "packed",
    [
        b"x",
        bytes(8),
        one_stub(8),
        one_stub(lawful._TEXTS_PLACE),
        one_stub(lawful._TEXTS_PLACE + lawful._TEXTS * lawful._LENGTH.size + 1),
    ],
    ids=["one byte", "nothing in it", "cut off", "without texts", "one byte too many"],
)
def test_a_damaged_stub_is_found(log: SealedLog, packed: bytes) -> None:
    straddle(log)
    log.remove(rows_of.object_id == "early")
    log.change(line(3), user_activity_batch, dropped=packed)

    assert not log.verify().ok


def test_lines_of_the_ledger_may_never_go(log: SealedLog) -> None:
    log.write(3, occurred_at=LATE)
    log.remove(in_batch(0))
    log.remove(line(0), user_activity_batch)
    declare(log, [lawful.pruned_row(BETWEEN, 12)])

    assert ["chain.gap"] == log.kinds()


@pytest.mark.parametrize("data", ["[]", "{", '{"before": "x", "rows": 1}', '{"ids": [1, "x"]}'])
def test_a_record_that_can_not_be_read_declares_nothing(data: str) -> None:
    told = lawful.Declarations()
    for verb in TRACES:
        told.read(lawful.pruned_row(1, 1)._replace(verb=verb, data=data))

    assert lawful.Declarations() == told


def test_an_id_that_can_not_be_read_hides_no_other() -> None:
    tenant_id, id_ = to_uuid("acme").bytes, UUID(int=1)
    (row,) = lawful.erasure_rows(tenant_id, [id_.bytes], reason="", requested_by="")
    told = lawful.Declarations()
    told.read(row._replace(data=f'{{"ids": ["x", 5, "{id_}"]}}'))

    assert {(tenant_id, id_.bytes)} == told.erased


ACME, OTHER = to_uuid("acme").bytes, to_uuid("another").bytes


@pytest.mark.parametrize(
    "scope",
    [{}, {"tenant_id": ACME}, {"channel": "a"}, {"tenant_id": ACME, "channel": "a"}],
    ids=["all", "of a tenant", "of a channel", "of a channel of a tenant"],
)
def test_retention_may_take_what_is_older_and_of_the_scope_that_was_told(
    scope: dict[str, Any],
) -> None:
    told = lawful.Declarations()
    for before in (5, 9, 7):
        told.read(lawful.pruned_row(before, 1, **scope))

    def may_go(created_at: int, tenant_id: bytes = ACME, channel: str = "a") -> bool:
        return told.allows(lawful.Stub(b"", created_at, tenant_id, channel))

    assert (True, False) == (may_go(8), may_go(9))
    assert ("tenant_id" not in scope) == may_go(8, tenant_id=OTHER)
    assert ("channel" not in scope) == may_go(8, channel="b")


def test_only_a_record_of_no_tenant_declares_retention() -> None:
    told = lawful.Declarations()
    row = lawful.pruned_row(5, 1)
    told.read(row._replace(tenant_id=to_uuid("acme").bytes))
    assert lawful.Declarations() == told

    told.read(row)
    assert 5 == told.before
