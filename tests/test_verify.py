"""What a log says of its own seals, by whatever way its records came."""

from __future__ import annotations

import asyncio
import json
import re

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from structlog_activity import ActivityLog, SchemaError
from structlog_activity.store.engine import SQLITE, parse_url, shown
from structlog_activity.store.seals.seal import CLOSING, SESSION
from structlog_activity.store.table import user_activity, user_activity_batch
from tests.record.test_canonical import HOSTILE
from tests.support.records import record


KEY = b"a key of thirty-two bytes, all of"


@pytest.fixture
def activity(url: str) -> Iterator[ActivityLog]:
    with ActivityLog(url, migrate=True, key=KEY) as activity:
        yield activity


def write(activity: ActivityLog, count: int = 3) -> None:
    for number in range(count):
        activity.record("theme.updated", ("settings", number), tenant_id="acme", to=number)
    assert activity.flush(20)


def ledger(activity: ActivityLog) -> list[Any]:
    batch = user_activity_batch
    with activity.engine.connect() as connection:
        return list(connection.execute(select(batch).order_by(batch.c.chain_id, batch.c.link)))


def change(activity: ActivityLog) -> None:
    with activity.engine.begin() as connection:
        connection.execute(
            update(user_activity).where(user_activity.c.object_id == "1").values(verb="x.y")
        )


def test_an_empty_log_is_clean(activity: ActivityLog) -> None:
    assert activity.verify().ok


def test_a_log_that_is_written_to_has_an_open_chain(activity: ActivityLog) -> None:
    write(activity)

    report = activity.verify()

    assert (True, 3, 1) == (report.ok, report.rows, report.chains)
    assert any("no clean end" in note for note in report.notes)


def test_a_log_that_was_closed_has_a_closed_chain(url: str, activity: ActivityLog) -> None:
    write(activity)
    assert activity.close()

    with ActivityLog(url, key=KEY) as reading:
        assert () == reading.verify().notes
        last = ledger(reading)[-1]
    assert (CLOSING, 0, 0) == (last.flags, last.n, last.seq)


def test_a_log_that_was_never_written_to_leaves_nothing(url: str, activity: ActivityLog) -> None:
    activity.verify()
    activity.close()

    with ActivityLog(url) as reading:
        assert [] == ledger(reading)


def test_a_changed_record_is_named(activity: ActivityLog) -> None:
    write(activity)
    change(activity)

    report = activity.verify()

    (finding,) = report.findings
    changed = activity.feed(tenant_id="acme", verbs=["x.y"]).records[0]
    assert not report.ok
    assert changed.id in finding.record_ids
    assert not asyncio.run(activity.averify()).ok


def test_records_of_a_transaction_are_a_chain_of_their_own(activity: ActivityLog) -> None:
    activity.verify()
    with Session(activity.engine) as session:
        for number in range(3):
            activity.record("theme.updated", ("settings", number), session=session, tenant_id="a")
        session.commit()

    report = activity.verify()

    assert (True, (), 3) == (report.ok, report.notes, report.rows)
    assert [SESSION | CLOSING | 1] == [one.flags for one in ledger(activity)]
    change(activity)
    assert ["row.changed"] == [finding.kind for finding in activity.verify().findings]


def test_whatever_is_logged_is_stored_as_it_was_sealed(activity: ActivityLog) -> None:
    is_there = activity.engine.dialect.name == "postgresql"

    @given(st.lists(HOSTILE, min_size=1, max_size=5))
    @settings(max_examples=15, deadline=None)
    def check(given_: list[dict[Any, Any]]) -> None:
        for data in given_:
            named = {key: value for key, value in data.items() if type(key) is str}
            who = {"verb": "a.b", "object": "c:1", "actor_id": "ana", "tenant_id": 42}
            activity.processor(None, "info", {**named, **who})
            activity.log(record(data=data))
        assert activity.flush(20)

        assert activity.verify().findings == ()
        assert not is_there or activity.verify(in_database=True).findings == ()

    check()
    assert activity.counters()["dead"] == 0


def test_history_is_sealed(activity: ActivityLog) -> None:
    activity.verify()
    line = {"verb": "a.b", "object": "t:1", "tenant_id": "x", "timestamp": "2020-01-01T00:00:00Z"}
    row = activity.line_reader().read(json.dumps(line).encode())
    assert row is not None
    importer = activity.importer()
    importer.store([row])
    importer.store([row])
    importer.close()

    report = activity.verify()

    assert (True, (), 1) == (report.ok, report.notes, report.rows)
    assert [1, 0] == [one.n for one in ledger(activity)]


def test_an_old_key_is_still_known(url: str, activity: ActivityLog) -> None:
    write(activity)
    activity.close()

    with ActivityLog(url, key=b"new", old_keys=[KEY]) as newer:
        newer.record("theme.updated", "settings", tenant_id="acme")
        assert newer.flush(20)
        assert newer.verify().ok
    with ActivityLog(url, key=b"new") as newer:
        assert {"mac.unknown"} == {finding.kind for finding in newer.verify().findings}


def test_a_checkpoint_file_grows_by_what_is_new(activity: ActivityLog, tmp_path: Path) -> None:
    path = tmp_path / "checkpoints.jsonl"
    write(activity)
    first = activity.checkpoint(path)
    second = activity.checkpoint(path)
    write(activity)
    asyncio.run(activity.acheckpoint(str(path)))

    told = [json.loads(line) for line in path.read_text().splitlines()]
    assert [first, second] == path.read_text().splitlines()[:2]
    assert [1, 2, 3] == [line["no"] for line in told]
    assert [1, 0, 1] == [len(line["heads"]) for line in told]
    assert activity.verify(checkpoint=path).ok


def test_a_checkpoint_goes_to_whoever_takes_it(activity: ActivityLog, tmp_path: Path) -> None:
    lines: list[str] = []
    write(activity)
    activity.checkpoint(lines.append)
    activity.checkpoint(lines.append)

    assert [1, 1] == [len(json.loads(line)["heads"]) for line in lines]
    path = tmp_path / "collected"
    path.write_text(lines[1] + "\n")
    assert activity.verify(checkpoint=path).ok


def test_lines_that_went_elsewhere_may_be_collected_in_a_file(
    activity: ActivityLog, tmp_path: Path
) -> None:
    path = tmp_path / "collected"
    with path.open("w") as file:
        for _ in range(3):
            write(activity)
            activity.checkpoint(lambda line: file.write(line + "\n"))

    report = activity.verify(checkpoint=path)

    assert (True, ()) == (report.ok, report.findings)


def test_a_sink_that_fails_leaves_nothing_behind(activity: ActivityLog) -> None:
    def refuse(line: str) -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        activity.checkpoint(refuse)

    assert 1 == json.loads(activity.checkpoint(str))["no"]


def test_a_line_that_was_cut_off_is_a_note_and_spoils_no_other(
    activity: ActivityLog, tmp_path: Path
) -> None:
    path = tmp_path / "checkpoints.jsonl"
    write(activity)
    activity.checkpoint(path)
    with path.open("a") as file:
        file.write('{"v": 1, "no": 2, "hea')
    activity.checkpoint(path)

    report = activity.verify(checkpoint=path)

    assert report.ok
    assert any("line 2 of the checkpoints" in note for note in report.notes)


@pytest.mark.parametrize("damage", ["begun later", "removed", "changed", "forged"])
def test_a_damaged_checkpoint_file_is_found(
    activity: ActivityLog, tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "checkpoints.jsonl"
    for _ in range(3):
        write(activity)
        activity.checkpoint(path)
    lines = path.read_text().splitlines()
    if damage in {"begun later", "removed"}:
        del lines[damage == "removed"]
    else:
        place = 1 if damage == "changed" else 2
        lines[place] = lines[place].replace('"no": ', '"no": 1')
    path.write_text("\n".join(lines) + "\n")

    found = {finding.kind for finding in activity.verify(checkpoint=path).findings}

    assert found <= {"checkpoint.broken", "checkpoint.mac"}
    assert found


@pytest.mark.parametrize("left", ["", "\n", '{"v": 1, "no": 1, "hea'])
def test_a_checkpoint_file_that_says_nothing_is_found(
    activity: ActivityLog, tmp_path: Path, left: str
) -> None:
    path = tmp_path / "checkpoints.jsonl"
    write(activity)
    path.write_text(left)

    found = [finding.kind for finding in activity.verify(checkpoint=path).findings]

    assert ["checkpoint.broken"] == found


def test_since_a_checkpoint_only_younger_rows_are_read(
    activity: ActivityLog, tmp_path: Path
) -> None:
    path = tmp_path / "checkpoints.jsonl"
    write(activity)
    activity.checkpoint(path)
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, "taken_at": "2100-01-01T00:00:00+00:00"}) + "\n")

    report = activity.verify(checkpoint=path, since_checkpoint=True)

    assert (0, 1) == (report.rows, report.batches)
    assert ["checkpoint.mac"] == [finding.kind for finding in report.findings]
    with pytest.raises(ValueError, match="checkpoint"):
        activity.verify(since_checkpoint=True)


def test_in_the_background_the_same_is_asked_for(activity: ActivityLog, tmp_path: Path) -> None:
    path = tmp_path / "checkpoints.jsonl"
    write(activity)
    activity.checkpoint(path)
    path.write_text(path.read_text().replace('"no": ', '"no": 1'))

    report = asyncio.run(activity.averify(checkpoint=path))

    assert activity.verify(checkpoint=path).findings == report.findings != ()


def test_digests_are_computed_where_rows_lie_if_that_can_be(activity: ActivityLog) -> None:
    write(activity)
    change(activity)

    if activity.engine.dialect.name == SQLITE:
        with pytest.raises(ValueError, match=r"^in_database: only PostgreSQL"):
            activity.verify(in_database=True)
    else:
        report = activity.verify(in_database=True)
        assert ["row.changed"] == [finding.kind for finding in report.findings]


def test_a_ledger_that_is_gone_is_told_with_where_it_was(url: str, activity: ActivityLog) -> None:
    write(activity)
    assert activity.close()
    with ActivityLog(url, key=KEY) as reading:
        assert reading.verify().ok
        with reading.engine.begin() as connection:
            connection.execute(text("DROP TABLE user_activity_batch"))

        for look in (reading.verify, lambda: reading.checkpoint(str)):
            with pytest.raises(SchemaError, match=re.escape(shown(parse_url(url)))):
                look()


def test_what_is_written_meanwhile_disturbs_nothing(activity: ActivityLog) -> None:
    write(activity)
    seen: list[int] = []

    def meanwhile(done: int, total: int) -> None:
        if not seen:
            write(activity)
        seen.append(done)

    report = activity.verify(progress=meanwhile)

    assert (True, 3) == (report.ok, report.rows)
    assert 6 == activity.verify().rows
