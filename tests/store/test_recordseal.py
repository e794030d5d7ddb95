"""What is said of one record after somebody laid hands on the log, and that no more is said."""

from __future__ import annotations

import dataclasses
import re

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from sqlalchemy import insert, select

from structlog_activity import NIL, SchemaError, to_uuid
from structlog_activity.record.rowmaker import RowMaker
from structlog_activity.store.batch import Batch
from structlog_activity.store.engine import make_engine, parse_url, shown
from structlog_activity.store.seals import recordseal
from structlog_activity.store.seals.recordseal import RecordSeal, seal_of
from structlog_activity.store.seals.stored import RecordPlace, StoredLog, snapshot
from structlog_activity.store.seals.traces import erased_commitment, erasure_rows
from structlog_activity.store.table import user_activity, user_activity_batch
from tests.store.sealed import (
    KEY,
    ROWS,
    SealedLog,
    at,
    in_batch,
    line,
    lines_of,
    rows_of,
    sealed_sqlite,
)
from tests.store.test_verify import CHANGES
from tests.support.records import record


def told(
    log: SealedLog, n: int = 1, ix: int = 2, *, keys: tuple[bytes, ...] = (KEY,)
) -> RecordSeal:
    return told_at(log, at(n, ix), keys=keys)


def told_at(log: SealedLog, where: Any, *, keys: tuple[bytes, ...] = (KEY,)) -> RecordSeal:
    with log.engine.connect() as connection:
        columns = (rows_of.tenant_id, rows_of.created_at, rows_of.id)
        place = connection.execute(select(*columns).where(where)).one()
    return seal_of(log.engine, RecordPlace(*place), keys)


def test_a_record_that_nobody_touched_is_intact(log: SealedLog) -> None:
    seal = told(log)

    assert ("intact", True, False) == (seal.state, seal.ok, seal.erased)
    assert (1002, ROWS, 2, 2) == (seal.batch_id, seal.rows, seal.seq, seal.link)
    assert (log.writer_id, log.chain_id) == (seal.writer_id, seal.chain_id)
    assert seal.written_at is not None
    assert seal.key_id


def test_its_values_are_those_that_json_has(log: SealedLog) -> None:
    seal = told(log)
    found = seal.to_dict()

    assert (str(seal.id), str(seal.chain_id)) == (found["id"], found["chain_id"])
    assert seal.written_at is not None
    assert seal.written_at.isoformat() == found["written_at"]
    missing = recordseal.no_record(seal.id)
    assert missing.text == "there is no such record"
    assert missing.to_dict() == {
        **dict.fromkeys(found),
        "id": str(seal.id),
        "state": "missing",
        "text": missing.text,
        "ok": False,
        "erased": False,
        "key_id": "",
    }


@pytest.mark.parametrize("what", [name for name in CHANGES if name not in {"tenant", "id"}])
def test_a_changed_record_is_found(log: SealedLog, what: str) -> None:
    log.change(at(1, 2), **CHANGES[what])

    seal = told(log)

    assert ("changed", False) == (seal.state, seal.ok)
    assert "a row of the batch was changed" in seal.text


@pytest.mark.parametrize("what", ["tenant", "id"])
def test_a_record_under_another_key_is_changed(log: SealedLog, what: str) -> None:
    log.change(at(1, 2), **CHANGES[what])

    assert "changed" == told(log).state


def test_a_moment_that_lies_outside_its_batch_is_changed(log: SealedLog) -> None:
    log.change(at(1, 2), created_at=log.row(1, 2).created_at - timedelta(days=40))

    assert "changed" == told(log).state


def test_no_record_of_a_batch_is_proved_where_another_was_changed_or_taken(log: SealedLog) -> None:
    log.change(at(1, 0), ip="192.0.2.2")
    log.remove(at(2, 0))

    assert "a row of the batch was changed" in told(log, 1, 2).text
    assert f"only {ROWS - 1} of {ROWS} rows are there" in told(log, 2, 2).text
    assert "intact" == told(log, 0, 2).state


def test_no_other_record_is_named(log: SealedLog) -> None:
    log.remove(in_batch(1) & ~at(1, 2) & ~at(1, 3))
    others = {str(log.row(1, 3).id)}

    text = told(log).text

    assert "changed" == told(log).state
    assert not [other for other in others if other in text]


def test_a_record_that_was_added_is_not_taken_for_one_of_its_batch(log: SealedLog) -> None:
    forged = to_uuid("forged")
    log.copy(at(1, 2), id=forged)

    assert "changed" == told_at(log, rows_of.id == forged).state


@pytest.mark.parametrize("place", [-1, ROWS, 9])
def test_a_record_without_a_place_in_its_batch_is_changed(log: SealedLog, place: int) -> None:
    forged = to_uuid("forged")
    log.copy(at(1, 2), id=forged, batch_ix=place)

    assert "a row has no place in its batch" in told_at(log, rows_of.id == forged).text
    assert "intact" == told_at(log, at(1, 2) & (rows_of.id != forged)).state


def test_a_record_of_no_batch_is_not_sealed(log: SealedLog) -> None:
    log.change(at(1, 2), batch_id=77)

    seal = told(log)

    assert ("unsealed", False, None) == (seal.state, seal.ok, seal.batch_id)
    assert log.row(1, 2).id == seal.id
    assert "the ledger has no batch of this record" == seal.text


def test_a_record_that_is_gone_is_missing(log: SealedLog) -> None:
    row = log.row(1, 2)
    log.remove(at(1, 2))

    seal = seal_of(log.engine, RecordPlace(row.tenant_id, row.created_at, row.id), (KEY,))

    assert ("missing", False, row.id) == (seal.state, seal.ok, seal.id)


# -- the line in the ledger ---------------------------------------------------

LINES: dict[str, dict[str, Any]] = {
    "rows": {"n": 5},
    "digest": {"root": bytes(32)},
    "nonsense": {"root": b"short"},
    "number": {"seq": 9},
    "seal": {"seal": bytes(32)},
    "key": {"key_id": ""},
}


@pytest.mark.parametrize("what", LINES)
def test_a_changed_line_of_the_ledger_is_found(log: SealedLog, what: str) -> None:
    log.change(line(1), user_activity_batch, **LINES[what])

    seal = told(log)

    assert "changed" == seal.state
    assert seal.text.startswith("not as it was sealed: ")
    if what not in {"rows", "digest", "nonsense"}:  # These fit the rows no more, either.
        assert "its batch's line in the ledger was changed" in seal.text


def test_where_there_are_no_tables_it_is_told_of_what_place(tmp_path: Path) -> None:
    engine = make_engine(parse_url(f"sqlite:///{tmp_path / 'empty.db'}"))
    try:
        with pytest.raises(SchemaError, match=re.escape(shown(engine.url))):
            seal_of(engine, RecordPlace(NIL, datetime.now(UTC), NIL), (KEY,))
    finally:
        engine.dispose()


def test_a_seal_that_somebody_made_without_the_key_is_found(log: SealedLog) -> None:
    log.change(at(1, 2), ip="192.0.2.2")
    log.reseal()

    seal = told(log)

    assert "changed" == seal.state
    assert "not signed by who has the key" in seal.text


def test_of_a_seal_that_is_not_signed_no_more_is_said_than_that(log: SealedLog) -> None:
    make_alone(log, 1)

    assert "not as it was sealed: the seal is not signed by who has the key" == told(log).text


def test_what_is_wrong_beside_a_signed_seal_is_not_said_of_it(log: SealedLog) -> None:
    log.change(line(2), user_activity_batch, prev=bytes(32))

    assert ("intact", True) == (told(log).state, told(log).ok)


def test_all_that_is_wrong_is_told(log: SealedLog) -> None:
    log.change(at(1, 2), verb="settings.reset")
    log.change(line(1), user_activity_batch, seq=9)

    rows, ledger = told(log).text.removeprefix("not as it was sealed: ").split("; ")

    assert "a row of the batch was changed" in rows
    assert "its batch's line in the ledger was changed" == ledger


def test_a_record_is_not_proved_among_more_that_is_wrong_than_is_told(log: SealedLog) -> None:
    found = log.row(1, 2)._asdict()
    many = [{**found, "object_id": "-", "id": UUID(int=n)} for n in range(1, 1_003)]
    with log.hands_on() as connection:
        connection.execute(insert(user_activity), many)

    seal = told(log)

    assert "changed" == seal.state
    assert 1 == seal.text.count("batch 1002")


def test_whoever_has_the_key_is_believed(log: SealedLog) -> None:
    log.change(at(1, 2), ip="192.0.2.2")
    log.reseal(KEY)

    assert "intact" == told(log).state


def test_a_key_that_was_used_before_still_counts(log: SealedLog) -> None:
    assert "intact" == told(log, keys=(b"new", KEY)).state


@pytest.mark.parametrize(("keys", "ok"), [((), True), ((b"another",), False)])
def test_without_the_key_the_signature_is_not_checked(
    log: SealedLog, keys: tuple[bytes, ...], ok: bool
) -> None:
    seal = told(log, keys=keys)

    assert ("unchecked", ok) == (seal.state, seal.ok)
    assert seal.key_id in seal.text


def test_a_link_far_along_its_chain_is_left_to_verify(
    log: SealedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recordseal, "_FARTHEST", 1)

    seal = told(log)

    assert ("unchecked", True) == (seal.state, seal.ok)
    assert "verify" in seal.text
    assert "intact" == told(log, 0).state


def make_alone(log: SealedLog, n: int) -> None:
    """Change a row of a batch and make its seal anew, but not those of the others."""
    log.change(at(n, 2), ip="192.0.2.2")
    with snapshot(log.engine) as stored:
        before = {found.seal.link: found for found in stored.seals()}
    log.reseal()
    for link, found in before.items():
        if link != n + 1:
            values = {"seal": found.digest, "prev": found.seal.prev, "mac": found.mac}
            log.change(lines_of.link == link, user_activity_batch, **values)


@pytest.mark.parametrize("n", [0, 1])
def test_a_seal_made_anew_alone_does_not_fit_the_next_one(log: SealedLog, n: int) -> None:
    make_alone(log, n)

    assert "the next seal is not tied to this one" in told(log, n, keys=()).text


def test_a_seal_that_is_tied_to_another_one_than_that_before_it_is_found(log: SealedLog) -> None:
    log.change(at(0, 2), ip="192.0.2.2")
    with snapshot(log.engine) as stored:
        first = next(stored.seals())
    log.reseal()
    log.change(lines_of.link == 1, user_activity_batch, seal=first.digest)

    assert "not tied to the one before it" in told(log, 1, keys=()).text
    assert "unchecked" == told(log, 2, keys=()).state


def test_a_seal_is_tied_to_those_of_its_own_chain(log: SealedLog) -> None:
    log.write(3, log.new_repository())
    log.write(4)
    log.write(5)
    assert "unchecked" == told(log, 4, keys=()).state

    log.change(line(5), user_activity_batch, prev=bytes(32))

    assert "the next seal is not tied to this one" in told(log, 4, keys=()).text


def test_what_was_written_without_a_key_is_told_to_be_unsigned(log: SealedLog) -> None:
    log.write(7, log.new_repository(b""))

    assert ("unsigned", True) == (told(log, 7, keys=()).state, told(log, 7, keys=()).ok)
    assert ("unsigned", False) == (told(log, 7).state, told(log, 7).ok)


def test_a_first_link_that_is_tied_to_something_is_found(log: SealedLog) -> None:
    with snapshot(log.engine) as stored:
        first = dataclasses.replace(next(stored.seals()).seal, prev=bytes(32))
    log.change(line(0), user_activity_batch, prev=first.prev, seal=first.digest())

    assert "the seal is not that of a first link" in told(log, 0, keys=()).text


# -- what is lawfully gone ----------------------------------------------------


def erase(log: SealedLog, n: int, ix: int, *, tell: bool = True) -> UUID:
    """Erase the personal part of a row, with a sealed record of it or without."""
    with snapshot(log.engine) as stored:
        found = next(
            one for one in stored.rows() if one.batch_id == 1001 + n and one.batch_ix == ix
        )
    commitment = erased_commitment(found.row, bytes(found.commitment))
    nobody: dict[str, Any] = {"actor_id": UUID(int=0), "user_id": UUID(int=0), "ip": ""}
    id_ = UUID(bytes=found.row.id)
    log.change(rows_of.id == id_, **nobody, object_id="", data={}, commitment=commitment)
    if tell:
        log.seq += 1
        rows = erasure_rows(found.row.tenant_id, [found.row.id], reason="x", requested_by="y")
        assert log.repository.write(Batch(log.writer_id, log.seq, 1000 + log.seq, rows))
    return id_


def test_an_erased_record_is_still_proved(log: SealedLog) -> None:
    id_ = erase(log, 1, 2)

    seal = told_at(log, rows_of.id == id_)

    assert ("intact", True, True) == (seal.state, seal.ok, seal.erased)
    assert ("intact", False) == (told(log, 1, 3).state, told(log, 1, 3).erased)


def test_an_erasure_that_nobody_recorded_is_found(log: SealedLog) -> None:
    id_ = erase(log, 1, 2, tell=False)

    seal = told_at(log, rows_of.id == id_)

    assert ("changed", False) == (seal.state, seal.erased)
    assert "no sealed record says so" in seal.text
    assert "intact" == told(log, 1, 3).state


def test_a_record_of_an_erasure_that_was_not_sealed_counts_for_nothing(log: SealedLog) -> None:
    id_ = erase(log, 1, 2)
    log.change(rows_of.verb == "activity.erased", batch_id=77)

    assert "no sealed record says so" in told_at(log, rows_of.id == id_).text


def test_a_record_of_an_erasure_that_was_changed_counts_for_nothing(log: SealedLog) -> None:
    id_ = erase(log, 1, 2)
    log.change(rows_of.verb == "activity.erased", ip="192.0.2.9")

    assert "no sealed record says so" in told_at(log, rows_of.id == id_).text


@pytest.mark.parametrize("change", ["created_at = 1 << 62", "id = x'00'"])
def test_a_record_of_an_erasure_that_only_sqlite_takes_counts_for_nothing(
    tmp_path: Path, change: str
) -> None:
    with sealed_sqlite(tmp_path) as log:
        id_ = erase(log, 1, 2)
        with log.hands_on() as connection:
            connection.exec_driver_sql(
                f"UPDATE user_activity SET {change} WHERE verb = 'activity.erased'"
            )

        assert "no sealed record says so" in told_at(log, rows_of.id == id_).text


def test_data_that_say_the_same_are_as_they_were_sealed(tmp_path: Path) -> None:
    with sealed_sqlite(tmp_path) as log:
        with log.hands_on() as connection:
            connection.exec_driver_sql("UPDATE user_activity SET data = replace(data, ', ', ',')")

        assert "intact" == told(log).state


def test_an_erased_record_with_something_in_it_is_found(log: SealedLog) -> None:
    id_ = erase(log, 1, 2)
    log.change(rows_of.id == id_, ip="192.0.2.9")

    assert "something stands in a row that was erased" in told_at(log, rows_of.id == id_).text


def test_only_the_batch_of_the_record_is_read(
    log: SealedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    rows: Callable[..., Any] = StoredLog.rows

    def noted(stored: Any, since: int = 0, only: Any = None) -> Any:
        asked.append(only)
        return rows(stored, since, only)

    monkeypatch.setattr(StoredLog, "rows", noted)
    told(log)

    assert [[1002]] == asked


def test_a_record_that_says_of_another_that_it_was_erased_is_read_once(log: SealedLog) -> None:
    id_ = erase(log, 1, 2)
    make = RowMaker().make_from
    log.seq += 1
    other = record(verb="activity.erased", object_type="activity", data={"ids": [str(id_)]})
    assert log.repository.write(Batch(log.writer_id, log.seq, 1000 + log.seq, [make(other)]))

    assert "intact" == told_at(log, rows_of.id == id_).state
