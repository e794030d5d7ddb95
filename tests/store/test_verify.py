"""What is found when somebody lays hands on a stored log, and that nothing is found otherwise."""

from __future__ import annotations

import hmac
import json

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from sqlalchemy import insert, select

from structlog_activity import BrokenChainError, to_uuid
from structlog_activity.record.rowmaker import RowMaker
from structlog_activity.store.batch import Batch
from structlog_activity.store.seals import stored, verify
from structlog_activity.store.seals.checkpoint import read_checkpoints, take_checkpoint
from structlog_activity.store.seals.report import SealFindings
from structlog_activity.store.seals.seal import key_id_of
from structlog_activity.store.seals.verify import verify_log
from structlog_activity.store.table import user_activity, user_activity_batch
from tests.store.sealed import (
    BATCHES,
    KEY,
    ROWS,
    SealedLog,
    at,
    in_batch,
    line,
    lines_of,
    rows_of,
    sealed_postgresql,
    sealed_sqlite,
)
from tests.support.records import record


def test_a_log_that_nobody_touched_is_clean(log: SealedLog) -> None:
    report = log.verify()

    assert report.ok
    assert (BATCHES * ROWS, BATCHES, 1) == (report.rows, report.batches, report.chains)
    report.raise_if_broken()


# -- rows -------------------------------------------------------------------

CHANGES: dict[str, dict[str, Any]] = {
    "verb": {"verb": "settings.reset"},
    "actor": {"actor_id": to_uuid("somebody else")},
    "user": {"user_id": to_uuid("somebody")},
    "organisation": {"org_id": to_uuid("an organisation")},
    "tenant": {"tenant_id": to_uuid("another")},
    "object type": {"object_type": "user"},
    "channel": {"channel": "b"},
    "address": {"ip": "192.0.2.2"},
    "a value": {"data": {"count": 2, "note": "as it was", "small": 1e-7, "é": [1.5, None]}},
    "1 to 1.0": {"data": {"count": 1.0, "note": "as it was", "small": 1e-7, "é": [1.5, None]}},
    "null to nothing": {"data": {"count": 1, "note": "as it was", "small": 1e-7, "é": [1.5]}},
    "a small number": {"data": {"count": 1, "note": "as it was", "small": 2e-7, "é": [1.5, None]}},
    "salt": {"commitment": bytes(16)},
    "salt gone": {"commitment": b""},
    "id": {"id": to_uuid("another id")},
    "bytes shifted between fields": {"object_type": "settingsa", "channel": ""},
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_row_is_found_with_its_batch(log: SealedLog, what: str) -> None:
    log.change(at(1, 2), **CHANGES[what])

    found = log.found()

    assert ("row.changed", 1002) == (found.kind, found.batch_id)
    assert log.row(1, 2).id in found.record_ids


def test_a_moment_changed_by_a_microsecond_is_found(log: SealedLog) -> None:
    log.change(at(0, 3), created_at=log.row(0, 3).created_at + timedelta(microseconds=1))

    assert ("row.changed", 1001) == (log.found().kind, log.found().batch_id)


def test_rows_that_changed_places_are_found(log: SealedLog) -> None:
    for ix, place in ((0, 9), (1, 0), (0, 1)):
        log.change(at(1, ix), batch_ix=place)

    assert "row.changed" == log.found().kind


@pytest.mark.parametrize("ix", [0, ROWS - 1])
def test_a_missing_row_is_found(log: SealedLog, ix: int) -> None:
    log.remove(at(2, ix))

    found = log.found()

    assert ("row.missing", 1003) == (found.kind, found.batch_id)
    assert ROWS - 1 == len(found.record_ids)


def test_a_missing_row_is_found_though_the_number_of_rows_fits(log: SealedLog) -> None:
    log.remove(at(2, ROWS - 1))
    log.change(line(2), user_activity_batch, n=ROWS - 1)

    assert ["row.changed", "seal.changed"] == log.kinds()


def test_a_row_that_was_slipped_into_a_batch_is_found(log: SealedLog) -> None:
    log.copy(at(1, 1), id=to_uuid("forged"), batch_ix=ROWS)

    found = log.found()

    assert ("row.unsealed", (to_uuid("forged"),)) == (found.kind, found.record_ids)


def test_a_row_of_no_batch_is_found(log: SealedLog) -> None:
    log.copy(at(1, 1), id=to_uuid("forged"), batch_id=77, batch_ix=0)

    found = log.found()

    assert ("row.unsealed", 77) == (found.kind, found.batch_id)
    assert (to_uuid("forged"),) == found.record_ids


def test_a_row_that_was_played_again_is_found(log: SealedLog) -> None:
    log.copy(at(1, 1), created_at=log.row(1, 1).created_at + timedelta(hours=1))

    assert not log.verify().ok
    assert 1002 in {finding.batch_id for finding in log.verify().findings}


# -- batches ----------------------------------------------------------------


def test_a_batch_without_its_rows_is_found(log: SealedLog) -> None:
    log.remove(in_batch(1))

    found = log.found()

    assert ("batch.empty", 1002, log.writer_id, 2) == (
        found.kind,
        found.batch_id,
        found.writer_id,
        found.seq,
    )


@pytest.mark.parametrize("is_spread", [False, True])
def test_batches_without_rows_are_found_on_one_machine_and_on_many(
    is_spread: bool,
    migrated_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stored, "is_spread", lambda _: is_spread)
    with sealed_postgresql(migrated_url, tmp_path) as log:
        log.remove(in_batch(0))
        log.remove(in_batch(BATCHES - 1))

        assert ["batch.empty"] == log.kinds()
        assert {1001, 1000 + BATCHES} == {f.batch_id for f in log.verify().findings}


def test_with_rows_on_many_machines_the_ledger_is_asked_again(
    migrated_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "is_spread", lambda _: True)
    with (
        sealed_postgresql(migrated_url, tmp_path) as log,
        stored.snapshot(log.engine) as reading,
    ):
        seen = [*reading.seals()]
        log.write(3)

        assert seen == [*reading.seals()]
        assert [True, True, False] == [reading.written_meanwhile(n) for n in (1004, 1004, 77)]


def test_a_batch_without_its_line_is_found(log: SealedLog) -> None:
    log.remove(line(1), user_activity_batch)

    assert ["chain.gap", "row.unsealed"] == log.kinds()


@pytest.mark.parametrize("n", [0, 1])
def test_a_batch_that_is_gone_with_its_line_leaves_a_gap(log: SealedLog, n: int) -> None:
    log.remove(in_batch(n))
    log.remove(line(n), user_activity_batch)

    found = log.verify().findings[0]

    assert ("chain.gap", log.chain_id, n + 2) == (found.kind, found.chain_id, found.link)
    assert f"link {n + 1} is gone" in found.problem


def test_a_gap_that_was_closed_up_is_found(log: SealedLog) -> None:
    log.remove(in_batch(1))
    log.remove(line(1), user_activity_batch)
    log.change(line(2), user_activity_batch, link=2)

    assert ["chain.broken", "mac.wrong", "seal.changed"] == log.kinds()


def test_a_batch_that_was_played_again_is_found(log: SealedLog) -> None:
    log.copy(in_batch(1), batch_id=5000, tenant_id=to_uuid("another"))
    log.copy(line(1), user_activity_batch, batch_id=5000, seq=9)

    kinds = log.kinds()

    assert {"chain.repeated", "row.changed", "seal.changed"} <= set(kinds)


def test_a_batch_that_was_added_at_the_end_is_found(log: SealedLog) -> None:
    log.copy(in_batch(2), batch_id=5000, tenant_id=to_uuid("another"))
    log.copy(line(2), user_activity_batch, batch_id=5000, seq=9, link=4)

    assert {"chain.broken", "seal.changed", "mac.wrong"} <= set(log.kinds())


SEALED: dict[str, Any] = {
    "writer_id": to_uuid("another"),
    "seq": 99,
    "batch_id": 99,
    "flags": 8,
    "root": bytes(32),
    "prev": bytes(32),
    "seal": bytes(32),
    "n": 3,
}


@pytest.mark.parametrize("column", SEALED)
def test_a_changed_line_is_found(log: SealedLog, column: str) -> None:
    log.change(line(1), user_activity_batch, **{column: SEALED[column]})

    report = log.verify()

    assert 2 in {finding.link for finding in report.findings}
    assert "seal.changed" in {finding.kind for finding in report.findings}


@pytest.mark.parametrize("column", ["written_at", "first_at", "last_at"])
def test_a_changed_time_of_a_line_is_found(log: SealedLog, column: str) -> None:
    with log.engine.connect() as connection:
        then = connection.scalar(select(lines_of[column]).where(line(1)))
    assert then is not None
    log.change(line(1), user_activity_batch, **{column: then + timedelta(microseconds=1)})

    assert ("seal.changed", 2) == (log.found().kind, log.found().link)


def test_chains_are_held_apart(log: SealedLog) -> None:
    other = log.new_repository()
    log.write(3, other)
    log.write(4, other)

    report = log.verify()

    assert (True, 2, BATCHES + 2) == (report.ok, report.chains, report.batches)
    assert report.notes[0].startswith("2 of 2 chains have no clean end")
    other.finish()
    assert log.verify().notes[0].startswith("1 of 2 chains have no clean end")


# -- keys -------------------------------------------------------------------


def test_a_chain_rebuilt_without_the_key_is_found_by_who_has_it(log: SealedLog) -> None:
    log.change(at(1, 2), verb="settings.reset")
    log.reseal()

    assert ["mac.wrong"] == log.kinds()
    assert {2, 3} == {finding.link for finding in log.verify().findings}
    assert log.verify(key=b"").ok


def test_a_chain_whose_signatures_were_taken_off_is_found(log: SealedLog) -> None:
    log.change(lines_of.n > 0, user_activity_batch, key_id="", mac=b"")
    log.reseal()

    assert ["mac.missing"] == log.kinds()


@pytest.mark.parametrize("key_id", ["", "another"])
def test_a_link_that_is_signed_with_no_known_key_casts_no_doubt_on_the_next(
    log: SealedLog, key_id: str
) -> None:
    log.change(line(1), user_activity_batch, key_id=key_id)

    assert {2} == {finding.link for finding in log.verify().findings}


def test_links_with_numbers_that_nobody_can_count_up_to_stop_nothing(log: SealedLog) -> None:
    log.change(lines_of.n > 0, user_activity_batch, link=lines_of.link + 10**15)

    assert {"chain.gap", "mac.wrong", "seal.changed"} == {*log.kinds()}


def test_another_key_is_unknown(log: SealedLog) -> None:
    assert ["mac.unknown"] == log.kinds(key=b"another")


def test_without_a_key_the_report_says_what_was_not_checked(log: SealedLog) -> None:
    report = log.verify(key=b"")

    assert report.ok
    assert any("3 signatures were not checked" in note for note in report.notes)


# -- what only a checkpoint tells --------------------------------------------


def truncate(log: SealedLog) -> None:
    log.remove(in_batch(2))
    log.remove(line(2), user_activity_batch)


def remove_writer(log: SealedLog) -> None:
    log.remove(rows_of.batch_id > 0)
    log.remove(lines_of.batch_id > 0, user_activity_batch)


def rebuild_after_a_change(log: SealedLog) -> None:
    log.change(at(1, 2), verb="settings.reset")
    log.reseal(KEY)


def rebuild_after_a_removal(log: SealedLog) -> None:
    log.remove(at(1, ROWS - 1))
    log.reseal(KEY)


FROM_OUTSIDE: dict[str, tuple[Callable[[SealedLog], None], str]] = {
    "the end cut off": (truncate, "chain.truncated"),
    "a writer removed": (remove_writer, "chain.removed"),
    "a change, all rebuilt with the key": (rebuild_after_a_change, "chain.rewritten"),
    "a removal, all rebuilt with the key": (rebuild_after_a_removal, "chain.rewritten"),
}


@pytest.mark.parametrize("what", FROM_OUTSIDE)
def test_only_a_checkpoint_tells_of(log: SealedLog, what: str) -> None:
    attack, kind = FROM_OUTSIDE[what]
    path = log.folder / "checkpoints.jsonl"
    take_checkpoint(log.engine, path, key=KEY)
    assert log.verify(checkpoint=path).ok

    attack(log)

    assert log.verify().ok
    assert [kind] == log.kinds(checkpoint=path)
    assert log.chain_id == log.found(checkpoint=path).chain_id or kind == "chain.removed"


def test_a_log_that_was_written_anew_is_not_the_one_of_the_checkpoint(log: SealedLog) -> None:
    path = log.folder / "checkpoints.jsonl"
    take_checkpoint(log.engine, path, key=KEY)

    log.empty()
    log.seq = 0
    repository = log.new_repository()
    for n in range(BATCHES):
        log.write(n, repository)

    assert log.verify().ok
    assert ["chain.removed"] == log.kinds(checkpoint=path)


def test_what_came_after_the_checkpoint_may_be_cut_off_unseen(log: SealedLog) -> None:
    path = log.folder / "checkpoints.jsonl"
    take_checkpoint(log.engine, path)
    log.write(3)

    log.remove(in_batch(3))
    log.remove(line(3), user_activity_batch)

    assert log.verify(checkpoint=path, key=b"").ok


def test_a_line_that_was_signed_with_another_key_is_found(log: SealedLog) -> None:
    path = log.folder / "checkpoints.jsonl"
    take_checkpoint(log.engine, path, key=b"a key that signed no batch of these")

    found = log.found(checkpoint=path)
    told = "checkpoint 1 is not signed by who has the key"
    assert ("checkpoint.mac", told) == (found.kind, found.problem)


def test_a_line_after_one_that_was_cut_off_counts(log: SealedLog) -> None:
    path = log.folder / "checkpoints.jsonl"
    path.write_text('{"v": 1, "no": 1, "hea')
    take_checkpoint(log.engine, path, key=KEY)
    truncate(log)

    assert ["chain.truncated"] == log.kinds(checkpoint=path)


def test_a_checkpoint_says_how_far_each_chain_is(log: SealedLog) -> None:
    with log.engine.connect() as connection:
        head = connection.scalars(select(lines_of.seal).where(line(BATCHES - 1))).one()

    told = json.loads(take_checkpoint(log.engine, str))

    assert told.pop("taken_at")
    assert told == {
        "v": 1,
        "no": 1,
        "heads": [[str(log.chain_id), BATCHES, bytes(head).hex()]],
        "prev": "",
        "key_id": "",
        "mac": "",
    }


def test_a_checkpoint_is_signed_with_a_key_of_its_own(log: SealedLog) -> None:
    told = json.loads(take_checkpoint(log.engine, str, key=KEY))

    mac = told.pop("mac")
    own = hmac.digest(KEY, b"checkpoint", "sha256")
    assert key_id_of(KEY) == told["key_id"]
    assert hmac.digest(own, json.dumps(told).encode(), "sha256").hex() == mac


def test_a_line_that_is_no_text_is_a_note(log: SealedLog) -> None:
    path = log.folder / "checkpoints.jsonl"
    path.write_bytes(b"\xff\n")
    take_checkpoint(log.engine, path, key=KEY)

    report = log.verify(checkpoint=path)

    assert report.ok
    assert "line 1 of the checkpoints is cut off or none" in report.notes


def test_the_first_batch_that_may_be_younger_than_the_checkpoint_is_checked(
    log: SealedLog,
) -> None:
    path = log.folder / "checkpoints.jsonl"
    take_checkpoint(log.engine, path, key=KEY)
    since = read_checkpoints(path, SealFindings(), [KEY]).since
    for seq, batch_id in ((4, since - 1), (5, since)):
        rows = [RowMaker().make_from(record(object_id=str(seq)))]
        assert log.repository.write(Batch(log.writer_id, seq, batch_id, rows))

    report = log.verify(checkpoint=path, since_checkpoint=True)

    assert (True, 1) == (report.ok, report.rows)


def test_all_is_checked_unless_only_what_came_since_a_checkpoint_is_asked_for(
    log: SealedLog,
) -> None:
    path = log.folder / "checkpoints.jsonl"
    take_checkpoint(log.engine, path, key=KEY)
    log.change(at(0, 1), ip="198.51.100.1")

    whole = verify_log(log.engine, keys=[KEY], checkpoint=path)
    since = log.verify(checkpoint=path, since_checkpoint=True)

    assert (["row.changed"], BATCHES * ROWS) == ([one.kind for one in whole.findings], whole.rows)
    assert ((), 0, BATCHES) == (since.findings, since.rows, since.batches)


def test_an_older_line_at_the_end_of_the_file_hides_nothing(log: SealedLog) -> None:
    path = log.folder / "checkpoints.jsonl"
    take_checkpoint(log.engine, path, key=KEY)
    older = path.read_text()
    log.write(3)
    take_checkpoint(log.engine, path, key=KEY)
    path.write_text(path.read_text() + older)
    log.remove(in_batch(3))
    log.remove(line(3), user_activity_batch)

    assert "chain.truncated" in log.kinds(checkpoint=path)


def test_with_an_emptied_file_all_is_checked_though_only_later_batches_were_asked_for(
    log: SealedLog,
) -> None:
    path = log.folder / "checkpoints.jsonl"
    path.touch()
    log.change(at(0, 1), ip="198.51.100.1")

    found = log.kinds(checkpoint=path, since_checkpoint=True)

    assert {"checkpoint.broken", "row.changed"} <= {*found}
    problems = {one.problem for one in log.verify(checkpoint=path).findings}
    assert "the file holds no checkpoint" in problems


# -- reports ----------------------------------------------------------------


def test_a_report_raises_where_it_is_asked_to(log: SealedLog) -> None:
    log.change(at(1, 2), verb="settings.reset")

    with pytest.raises(BrokenChainError, match="batch 1002") as info:
        log.verify().raise_if_broken()
    assert log.found().problem == str(info.value)


def test_a_report_is_plain_data(log: SealedLog) -> None:
    log.change(at(0, 1), verb="settings.reset")
    log.remove(in_batch(1))

    report = log.verify()
    changed, empty = report.findings

    assert report.to_dict() == {
        "ok": False,
        "findings": [
            {
                "kind": "row.changed",
                "problem": changed.problem,
                **dict.fromkeys(("chain_id", "link", "writer_id", "seq")),
                "batch_id": 1001,
                "record_ids": [str(log.row(0, ix).id) for ix in range(ROWS)],
            },
            {
                "kind": "batch.empty",
                "problem": empty.problem,
                "chain_id": str(log.chain_id),
                "link": 2,
                "writer_id": str(log.writer_id),
                "seq": 2,
                "batch_id": 1002,
                "record_ids": [],
            },
        ],
        "omitted": 0,
        "notes": list(report.notes),
        "rows": 2 * ROWS,
        "batches": BATCHES,
        "chains": 1,
        "erased": 0,
    }


OPEN = (
    "1 of 1 chains have no clean end: their writers run, or were killed, or the end was cut off; "
    "only a checkpoint tells which"
)


def test_notes_say_what_is_not_proved(log: SealedLog) -> None:
    assert (OPEN,) == log.verify().notes
    assert (OPEN, "3 signatures were not checked: no key was given") == log.verify(key=b"").notes


def test_progress_is_told_now_and_then(log: SealedLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "_PERIOD", 5)
    told: list[tuple[int, int]] = []

    log.verify(progress=lambda *how_far: told.append(how_far))
    log.empty()
    log.verify(progress=lambda *how_far: told.append(how_far))

    assert [(5, 12), (10, 12), (12, 12), (0, 0)] == told


def test_progress_is_told(log: SealedLog) -> None:
    told: list[tuple[int, int]] = []

    log.verify(progress=lambda done, total: told.append((done, total)))

    assert [(12, 12)] == told


def test_a_place_that_is_taken_twice_is_found(log: SealedLog) -> None:
    log.change(at(1, 2), batch_ix=1)

    assert ["row.missing", "row.unsealed"] == log.kinds()


def test_a_gap_of_several_links_is_one_finding(log: SealedLog) -> None:
    log.write(3)
    for n in (1, 2):
        log.remove(in_batch(n))
        log.remove(line(n), user_activity_batch)

    assert "links 2 to 3 are gone" in log.found().problem


@pytest.mark.parametrize(("n", "flags"), [(0, 0), (1, 1)])
def test_only_the_first_link_is_the_first(log: SealedLog, n: int, flags: int) -> None:
    log.change(line(n), user_activity_batch, flags=flags)
    log.reseal(KEY)

    assert ("seal.changed", n + 1) == (log.found().kind, log.found().link)


def test_of_very_many_findings_a_thousand_are_kept(log: SealedLog) -> None:
    with log.hands_on() as connection:
        found = connection.execute(select(user_activity).where(at(0, 0))).one()._asdict()
        many = [{**found, "id": UUID(int=n), "batch_id": 5} for n in range(1_003)]
        connection.execute(insert(user_activity), many)

    report = log.verify()

    assert (1_000, 3) == (len(report.findings), report.omitted)
    with pytest.raises(BrokenChainError, match="1002 more"):
        report.raise_if_broken()


def test_without_any_key_the_report_says_what_that_means(tmp_path: Path) -> None:
    with sealed_sqlite(tmp_path) as log:
        log.empty()
        log.write(0, log.new_repository(b""))

        report = log.verify(key=b"")

    assert report.ok
    rebuilt = "no key: whoever can write to the database can also rebuild the seals"
    assert (OPEN, rebuilt) == report.notes


def test_a_moment_beyond_all_moments_is_found(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with sealed_postgresql(request.getfixturevalue("migrated_url"), tmp_path) as log:
        with log.hands_on() as connection:
            connection.exec_driver_sql(
                "UPDATE user_activity SET created_at = 'infinity' WHERE object_id = '1-1'"
            )

        assert "row.changed" == log.found().kind


LONGER = """
    UPDATE user_activity SET actor_id = CAST(actor_id || x'00' AS BLOB) WHERE object_id = '1-1'
"""
NO_TEXT = "UPDATE user_activity SET channel = CAST(x'ff' AS TEXT) WHERE object_id = '1-1'"
TWICE = """
    UPDATE user_activity SET data = replace(data, '{', '{"count":2,') WHERE object_id = '1-1'
"""


@pytest.mark.parametrize("statement", [NO_TEXT, TWICE, LONGER])
def test_what_only_sqlite_takes_is_found_and_stops_nothing(tmp_path: Path, statement: str) -> None:
    with sealed_sqlite(tmp_path) as log:
        with log.hands_on() as connection:
            connection.exec_driver_sql(statement)

        assert "row.changed" == log.found().kind
        assert log.engine.connect().exec_driver_sql("SELECT 'text'").scalar() == "text"


@pytest.mark.parametrize(
    "change",
    [
        "n = -1",
        "writer_id = CAST(writer_id || x'00' AS BLOB)",
        "chain_id = x'00'",
        "root = CAST(root || x'00' AS BLOB)",
        "prev = x''",
        "key_id = CAST(x'ff' AS TEXT)",
        "link = 9223372036854775807",
    ],
)
def test_a_line_that_only_sqlite_takes_is_found_and_stops_nothing(
    tmp_path: Path, change: str
) -> None:
    with sealed_sqlite(tmp_path) as log:
        with log.hands_on() as connection:
            connection.exec_driver_sql(f"UPDATE user_activity_batch SET {change} WHERE seq = 2")

        assert not log.verify().ok
        assert not log.verify(key=b"").ok
