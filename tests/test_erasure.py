"""Erasure: what a person's records say of them goes everywhere, and the log stays provable."""

from __future__ import annotations

import asyncio
import errno
import os

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sqlalchemy import text

from structlog_activity import ALL_TENANTS, NIL, ActivityLog, InvalidFilterError, to_uuid
from structlog_activity.record.traces import ERASED
from structlog_activity.store.removal import erasure
from structlog_activity.write.deadletters import DeadLetter
from tests.support.records import record


ANA, BOB = to_uuid("ana"), to_uuid("bob")
SECRET = "ana's own words"


def fill(activity: ActivityLog, count: int = 3, **fields: Any) -> None:
    for n in range(count):
        values = {"actor_id": ANA, "object_id": f"o{n}", "ip": "192.0.2.1", **fields}
        activity.log(record(data={"said": SECRET}, **values))
    assert activity.flush(20)


def check(activity: ActivityLog) -> None:
    with activity.engine.connect() as connection:
        rows = connection.scalar(text("SELECT count(*) FROM user_activity"))
    assert rows == activity.stats(tenant_id=ALL_TENANTS).total
    for in_database in {False, activity.engine.dialect.name == "postgresql"}:
        report = activity.verify(in_database=in_database)
        assert report.ok, report.findings


def test_what_is_personal_goes_and_the_rest_stays(activity: ActivityLog) -> None:
    fill(activity, 1, user_id=BOB)
    fill(activity, 1, actor_id=BOB)
    before = activity.stats(tenant_id="acme")

    report = activity.erase(actor_id="ana", reason="asked for it", requested_by="ticket 7")

    assert (1, 1, True) == (report.rows, report.tenants, report.ok)
    left = activity.feed(tenant_id="acme", verbs=["settings.*"]).records
    (mine,) = [found for found in left if found.actor_id == NIL]
    assert (NIL, "", "", {}) == (mine.user_id, mine.object_id, mine.ip, mine.data)
    (other,) = [found for found in left if found.actor_id == BOB]
    assert {"said": SECRET} == other.data
    after = activity.stats(tenant_id="acme", verbs=["settings.*"])
    assert before.by_verb == after.by_verb
    check(activity)


def test_a_sealed_record_names_the_records_and_the_reason(activity: ActivityLog) -> None:
    fill(activity, 2)
    ids = {str(found.id) for found in activity.feed(tenant_id="acme").records}

    activity.erase(actor_id="ana", reason="asked for it", requested_by="ticket 7")

    (told,) = activity.feed(tenant_id="acme", verbs=[ERASED]).records
    assert ids == set(told.data.pop("ids"))
    assert {"reason": "asked for it", "requested_by": "ticket 7"} == told.data
    assert 2 == activity.verify().erased


def test_nothing_of_it_is_in_the_file_of_sqlite_any_more(tmp_path: Path) -> None:
    path = tmp_path / "activity.db"
    with ActivityLog(f"sqlite:///{path}") as activity:
        fill(activity, 50)
        activity.erase(actor_id="ana", reason="r")
    assert SECRET.encode() not in b"".join(p.read_bytes() for p in tmp_path.glob("activity.db*"))


def test_a_person_may_be_the_user_or_either(activity: ActivityLog) -> None:
    fill(activity, 1)
    fill(activity, 1, actor_id=BOB, user_id=ANA)
    fill(activity, 1, actor_id=BOB)

    assert 2 == activity.erase(involving="ana", reason="r", dry_run=True).rows
    assert 1 == activity.erase(user_id="ana", reason="r").rows
    assert 1 == activity.erase(involving="ana", reason="r").rows
    check(activity)


def test_all_tenants_are_meant_unless_one_is_named(activity: ActivityLog) -> None:
    for tenant in ("a", "b", "c"):
        fill(activity, 1, tenant_id=to_uuid(tenant))

    assert (1, 1) == _done(activity.erase(actor_id="ana", reason="r", tenant_id="a"))
    assert (2, 2) == _done(activity.erase(actor_id="ana", reason="r"))
    check(activity)


def _done(report: Any) -> tuple[int, int]:
    return report.rows, report.tenants


def test_a_second_run_finds_nothing_and_leaves_no_trace(activity: ActivityLog) -> None:
    fill(activity)
    activity.erase(actor_id="ana", reason="r")
    total = activity.stats(tenant_id=ALL_TENANTS).total

    assert 0 == activity.erase(actor_id="ana", reason="r").rows
    assert total == activity.stats(tenant_id=ALL_TENANTS).total


def test_a_dry_run_counts_and_changes_nothing(activity: ActivityLog) -> None:
    fill(activity)

    report = activity.erase(actor_id="ana", reason="r", dry_run=True)

    assert (3, 1, True) == (report.rows, report.tenants, report.to_dict()["is_dry_run"])
    assert 3 == activity.feed(tenant_id="acme", actor_id="ana").total


def test_what_broke_off_goes_on_at_the_next_run(
    activity: ActivityLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "_MOST", 2)
    fill(activity, 5)

    def stop(done: int, total: int) -> None:
        assert 5 == total
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        activity.erase(actor_id="ana", reason="r", progress=stop)
    check(activity)
    assert 3 == activity.feed(tenant_id="acme", actor_id="ana").total

    assert 3 == activity.erase(actor_id="ana", reason="r").rows
    check(activity)


def test_a_row_that_somebody_filled_again_is_emptied(activity: ActivityLog) -> None:
    fill(activity, 1)
    activity.erase(actor_id="ana", reason="r")
    with activity.engine.begin() as connection:
        connection.execute(
            text("UPDATE user_activity SET actor_id = :ana WHERE verb = 'settings.updated'"),
            {"ana": ANA.bytes if activity.engine.dialect.name == "sqlite" else ANA},
        )
    assert {"row.filled"} == {finding.kind for finding in activity.verify().findings}

    assert 1 == activity.erase(actor_id="ana", reason="r").rows
    check(activity)


def test_a_row_whose_salt_somebody_spoilt_is_emptied_though_its_proof_is_gone(
    activity: ActivityLog,
) -> None:
    fill(activity, 1)
    with activity.engine.begin() as connection:
        connection.execute(text("UPDATE user_activity SET commitment = :salt"), {"salt": b"short"})

    assert 1 == activity.erase(actor_id="ana", reason="r").rows

    (left,) = activity.feed(tenant_id="acme", verbs="settings.*").records
    assert (NIL, {}) == (left.actor_id, left.data)
    assert not activity.verify().ok


def test_an_erasure_without_its_record_is_found(activity: ActivityLog) -> None:
    fill(activity, 1)
    activity.erase(actor_id="ana", reason="r")
    with activity.engine.begin() as connection:
        connection.execute(text(f"DELETE FROM user_activity WHERE verb = '{ERASED}'"))

    kinds = {finding.kind for finding in activity.verify().findings}
    assert {"row.erased", "batch.empty"} == kinds


def test_pruning_after_erasing_keeps_the_log_clean(activity: ActivityLog) -> None:
    fill(activity)
    activity.erase(actor_id="ana", reason="r")
    activity.prune(datetime.now(UTC))
    assert activity.verify().ok


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"actor_id": "ana", "user_id": "ana"},
        {"actor_id": NIL},
        {"actor_id": 1.5},
        {"actor_id": "ana", "reason": " "},
        {"actor_id": "ana", "requested_by": None},
        {"actor_id": "ana", "tenant_id": None},
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, how: dict[str, Any]) -> None:
    with (
        ActivityLog(f"sqlite:///{tmp_path / 'x.db'}") as activity,
        pytest.raises(InvalidFilterError),
    ):
        activity.erase(**{"reason": "r", **how})


def test_coroutines_have_twins(activity: ActivityLog) -> None:
    fill(activity)

    assert 3 == asyncio.run(activity.aerase(actor_id="ana", reason="r")).rows
    assert activity.prune(datetime.now(UTC)).rows == 3
    assert asyncio.run(activity.aprune(datetime.now(UTC))).rows == 0


# -- what waits -------------------------------------------------------------


def spooled(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


@pytest.mark.parametrize("durability", ["memory", "wal"])
def test_what_waits_is_written_and_erased(tmp_path: Path, durability: str) -> None:
    spool = tmp_path / "spool"
    with ActivityLog(
        f"sqlite:///{tmp_path / 'x.db'}", durability=durability, spool_dir=spool, linger=60
    ) as activity:
        activity.log(record(actor_id=ANA, data={"said": SECRET}))
        activity.log(record(actor_id=BOB, data={"said": "bob's"}))

        report = activity.erase(actor_id="ana", reason="r")

        assert (1, True) == (report.rows, report.ok)
        assert SECRET.encode() not in spooled(spool)
        activity.log(record(actor_id=BOB))
        assert activity.flush(20)
        assert 2 == activity.feed(tenant_id="acme", actor_id="bob").total
        assert activity.counters()["submitted"] == 3
        check(activity)


def test_a_file_that_another_process_has_open_is_told(tmp_path: Path) -> None:
    spool, url = tmp_path / "spool", f"sqlite:///{tmp_path / 'x.db'}"
    with (
        ActivityLog(url, durability="wal", spool_dir=spool) as theirs,
        ActivityLog(url, spool_dir=spool) as ours,
    ):
        theirs.log(record(actor_id=ANA, data={"said": SECRET}))
        assert theirs.flush(20)

        report = ours.erase(actor_id="ana", reason="r")

        assert (1, 1, False) == (report.rows, report.held, report.ok)
        assert ["erase.held"] == [finding.check for finding in report.findings]
        assert theirs.erase(actor_id="ana", reason="r").ok
        assert SECRET.encode() not in spooled(spool)


def test_files_that_were_set_apart_are_erased(tmp_path: Path) -> None:
    spool, url = tmp_path / "spool", f"sqlite:///{tmp_path / 'x.db'}"
    with ActivityLog(url, durability="wal", spool_dir=spool, linger=60) as activity:
        activity.log(record(actor_id=ANA, data={"said": SECRET}))
        (file,) = [path for path in spool.rglob("*.seg") if SECRET.encode() in path.read_bytes()]
        apart = file.parent / f"{'0' * 32}-00000000.seg.corrupt"
        apart.write_bytes(file.read_bytes())
        (file.parent / f"{'1' * 32}-00000000.seg.corrupt").write_bytes(b"none of ours")
        (file.parent / f"{'2' * 32}-00000000.seg.corrupt").write_bytes(bytes(4096))
    assert SECRET.encode() in spooled(spool)

    with ActivityLog(url, spool_dir=spool) as activity:
        assert 1 == activity.erase(actor_id="ana", reason="r", dry_run=True).on_disk
        assert SECRET.encode() in apart.read_bytes()
        report = activity.erase(actor_id="ana", reason="r")

    assert 1 == report.on_disk
    assert ["erase.file"] == [finding.check for finding in report.findings]
    assert SECRET.encode() not in apart.read_bytes()


def test_damaged_records_that_were_set_apart_are_told(tmp_path: Path) -> None:
    spool, url = tmp_path / "spool", f"sqlite:///{tmp_path / 'x.db'}"
    with ActivityLog(url, durability="wal", spool_dir=spool, linger=60) as activity:
        for actor in (BOB, ANA):
            activity.log(record(actor_id=actor, data={"said": SECRET}))
        (file,) = [path for path in spool.rglob("*.seg") if SECRET.encode() in path.read_bytes()]
        damaged = file.read_bytes().replace(SECRET.encode(), b"?" + SECRET.encode()[1:], 1)
        (file.parent / f"{'0' * 32}-00000000.seg.corrupt").write_bytes(damaged)

    with ActivityLog(url, spool_dir=spool) as activity:
        report = activity.erase(actor_id="ana", reason="r")

    assert (1, False) == (report.on_disk, report.ok)
    (finding,) = report.findings
    assert ("erase.damaged", True) == (finding.check, finding.problem.startswith("1 damaged"))


@pytest.mark.parametrize("on_disk", [False, True])
def test_dead_letters_are_erased(tmp_path: Path, *, on_disk: bool) -> None:
    folder = tmp_path / "spool"
    with ActivityLog(
        f"sqlite:///{tmp_path / 'x.db'}", spool_dir=folder if on_disk else None
    ) as activity:
        letters = activity._buffer._delivery.dead_letters
        for actor in (ANA, BOB):
            row = activity._rows.make_from(record(actor_id=actor, data={"said": SECRET}))
            assert letters.add(DeadLetter(row, "refused", datetime.now(UTC)))

        assert 1 == activity.erase(actor_id="ana", reason="r").on_disk
        assert 0 == activity.erase(actor_id="ana", reason="r").on_disk

        rows = [letter.row for letter in letters]
        assert ["{}", True] == [rows[0].data, SECRET in rows[1].data]
        assert {NIL.bytes, BOB.bytes} == {row.actor_id for row in rows}


def test_a_letter_that_the_disk_does_not_take_is_told_and_erased_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with ActivityLog(f"sqlite:///{tmp_path / 'x.db'}", spool_dir=tmp_path / "spool") as activity:
        letters = activity._buffer._delivery.dead_letters
        row = activity._rows.make_from(record(actor_id=ANA, data={"said": SECRET}))
        assert letters.add(DeadLetter(row, "refused", datetime.now(UTC)))
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            report = activity.erase(actor_id="ana", reason="r")
        (finding,) = report.findings
        assert ("erase.file", False) == (finding.check, report.ok)
        assert "dead letters: No space left on device" in finding.problem
        assert [ANA.bytes] == [letter.row.actor_id for letter in letters]

        assert activity.erase(actor_id="ana", reason="r").ok

        assert [NIL.bytes] == [letter.row.actor_id for letter in letters]


def test_what_waits_of_another_tenant_stays_and_so_does_what_the_log_says_itself(
    tmp_path: Path,
) -> None:
    with ActivityLog(f"sqlite:///{tmp_path / 'x.db'}") as activity:
        letters = activity._buffer._delivery.dead_letters
        mine = activity._rows.make_from(record(actor_id=ANA))
        others = mine._replace(tenant_id=to_uuid("other").bytes), mine._replace(verb=ERASED)
        for row in (mine, *others):
            assert letters.add(DeadLetter(row, "refused", datetime.now(UTC)))

        assert 1 == activity.erase(actor_id="ana", tenant_id="acme", reason="r").on_disk

        assert [NIL.bytes, ANA.bytes, ANA.bytes] == [letter.row.actor_id for letter in letters]
