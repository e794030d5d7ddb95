"""
What the host has done around the writing of records costs none of them.
"""

from __future__ import annotations

import threading

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from structlog_activity import ActivityRecord, Redactor
from structlog_activity.record.rowmaker import RowMaker
from structlog_activity.write.buffer import BufferedRepository
from structlog_activity.write.hooks import Hooks
from structlog_activity.write.hostthread import HostThread
from structlog_activity.write.report import Reporter
from tests.record.test_secrets import AWS
from tests.write.doubles import Repository, down, eventually, row, rows


@pytest.fixture
def repository() -> Repository:
    return Repository()


@pytest.fixture
def made() -> Iterator[list[BufferedRepository]]:
    found: list[BufferedRepository] = []
    yield found
    for one in found:
        one.close()


@pytest.fixture
def buffered(
    repository: Repository, made: list[BufferedRepository]
) -> Callable[..., BufferedRepository]:
    def make(**options: Any) -> BufferedRepository:
        made.append(BufferedRepository(repository, linger=0, **options))
        return made[-1]

    return make


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Closed as long as the test runs, unless it opens it."""
    event = threading.Event()
    yield event
    event.set()


def data(repository: Repository) -> list[dict[str, Any]]:
    return [{k: v for k, v in r.data.items() if k not in STAMPS} for r in repository.records]


STAMPS = {"enriched_at", "enricher_version"}
Make = Callable[..., BufferedRepository]


def show_actor(record: ActivityRecord) -> dict[str, Any]:
    return {"actor_display": f"Actor {record.object_id}"}


def test_what_enrichers_return_is_added_to_the_data(repository: Repository, buffered: Make) -> None:
    buffer = buffered(enrichers=[show_actor, lambda record: {"seen": record.data["actor_display"]}])
    buffer.put(row(1, data='{"n": 1}'))

    assert buffer.flush(20)
    assert data(repository) == [{"n": 1, "actor_display": "Actor 1", "seen": "Actor 1"}]


def test_an_enriched_record_says_when_and_by_which_version(
    repository: Repository, buffered: Make
) -> None:
    buffer = buffered(enrichers=[show_actor])
    buffer.put(row(1))
    buffer.flush(20)

    (record,) = repository.records
    assert record.data["enricher_version"] == "v1"
    assert record.data["enriched_at"][-1] == "Z"
    assert len(record.data["enriched_at"]) == len("2026-01-02T03:04:05.123456789Z")


@pytest.mark.parametrize("answer", [None, {}])
def test_a_record_that_nothing_is_added_to_stays_as_it_is(
    repository: Repository, buffered: Make, answer: Any
) -> None:
    buffer = buffered(enrichers=[lambda record: answer])
    buffer.put(row(1))

    assert buffer.flush(20)
    assert repository.rows == [row(1)]


def test_what_is_there_already_stays(repository: Repository, buffered: Make) -> None:
    buffer = buffered(enrichers=[show_actor])
    buffer.put(row(1, data='{"actor_display": "as it was"}'))

    assert buffer.flush(20)
    assert data(repository) == [{"actor_display": "as it was"}]


def test_what_is_added_is_redacted_and_made_plain(repository: Repository, buffered: Make) -> None:
    added = {"password": "x", "note": f"key {AWS}", "object": object(), 5: float("nan")}
    buffer = buffered(enrichers=[lambda record: added])
    buffer.put(row(1))

    assert buffer.flush(20)
    assert data(repository) == [
        {"password": "[redacted]", "note": "key [redacted]", "object": "<object>", "5": "NaN"}
    ]


def fail(*_: Any) -> Any:
    raise ValueError(AWS)


def leave(*_: Any) -> Any:
    raise SystemExit


@pytest.mark.parametrize("enricher", [fail, leave, lambda record: 5, lambda record: [("a", 1)]])
def test_an_enricher_that_fails_costs_its_own_addition_only(
    repository: Repository, buffered: Make, enricher: Any, caplog: pytest.LogCaptureFixture
) -> None:
    buffer = buffered(enrichers=[enricher, show_actor])
    for item in rows(3):
        buffer.put(item)

    assert buffer.flush(20)
    assert [item["actor_display"] for item in data(repository)] == ["Actor 0", "Actor 1", "Actor 2"]
    assert buffer.counters()["enrichment_failed"] == 3
    assert AWS not in caplog.text
    assert "an enricher raised" in caplog.text


def test_enrichers_do_not_run_in_the_callers_thread_nor_before_it_goes_on(
    repository: Repository, buffered: Make, gate: threading.Event
) -> None:
    threads = set()

    def enrich(record: ActivityRecord) -> None:
        threads.add(threading.current_thread().name)
        gate.wait(20)

    buffer = buffered(enrichers=[enrich], hook_timeout=20)
    buffer.put(row(1))
    gate.set()

    assert buffer.flush(20)
    assert threads == {"structlog-activity-enrichers"}


def test_an_enricher_that_hangs_costs_no_record(
    repository: Repository, buffered: Make, gate: threading.Event
) -> None:
    def enrich(record: ActivityRecord) -> dict[str, Any]:
        if record.object_id == "1":
            gate.wait(20)
        return {"seen": True}

    buffer = buffered(enrichers=[enrich], hook_timeout=1, batch_size=3)
    for item in rows(9):
        buffer.put(item)

    assert buffer.flush(20)
    assert repository.numbers == list(range(9))
    assert buffer.counters()["enrichment_skipped"] == 8
    assert data(repository)[0] == {"seen": True}


def test_enriching_goes_on_when_what_hung_is_over(
    repository: Repository, buffered: Make, gate: threading.Event
) -> None:
    def enrich(record: ActivityRecord) -> dict[str, Any]:
        gate.wait(20)
        return {"seen": True}

    buffer = buffered(enrichers=[enrich], hook_timeout=0.01)
    buffer.put(row(1))
    assert buffer.flush(20)
    gate.set()

    def is_enriched() -> bool:
        buffer.put(row(len(repository.rows) + 1))
        assert buffer.flush(20)
        return data(repository)[-1] == {"seen": True}

    eventually(is_enriched)
    assert data(repository)[0] == {}


def test_a_batch_is_enriched_once_however_often_it_is_tried(
    repository: Repository, buffered: Make
) -> None:
    calls: list[str] = []
    failures = iter([True, True, False])

    def answer(batch: Any) -> None:
        if next(failures):
            raise down()

    repository.answer = answer
    buffer = buffered(enrichers=[lambda record: calls.append(record.object_id)])
    buffer.put(row(1))

    assert buffer.flush(20)
    assert calls == ["1"]
    assert len(repository.tries) == 3


def test_records_from_disk_are_enriched_too(
    repository: Repository, buffered: Make, tmp_path: Path
) -> None:
    buffer = buffered(enrichers=[show_actor], durability="wal", spool_dir=tmp_path)
    for item in rows(5):
        buffer.put(item)

    assert buffer.flush(20)
    assert [item["actor_display"] for item in data(repository)] == [f"Actor {n}" for n in range(5)]
    counts = buffer.counters()
    assert (counts["written"], counts["spooled"], counts["in_flight"]) == (5, 0, 0)


def test_what_a_hook_records_itself_is_refused(repository: Repository, buffered: Make) -> None:
    buffers: list[BufferedRepository] = []
    kept: list[bool] = []

    def enrich(record: ActivityRecord) -> None:
        kept.append(buffers[0].put(row(7)))

    def tell(records: list[ActivityRecord]) -> None:
        kept.append(buffers[0].put(row(8)))
        kept.append(buffers[0].flush(20))

    buffers.append(buffered(enrichers=[enrich], after_write=tell))
    buffers[0].put(row(1))

    assert buffers[0].flush(20)
    eventually(lambda: len(kept) == 3)
    assert kept == [False, False, False]
    assert repository.numbers == [1]
    assert buffers[0].counters()["rejected.recursion"] == 2


# -- after -------------------------------------------------------------------


def test_after_write_is_called_with_what_was_committed(
    repository: Repository, buffered: Make
) -> None:
    told: list[tuple[list[str], int]] = []

    def tell(records: list[ActivityRecord]) -> None:
        told.append(([record.object_id for record in records], len(repository.rows)))

    buffer = buffered(enrichers=[show_actor], after_write=tell, batch_size=2)
    for item in rows(4):
        buffer.put(item)

    assert buffer.close(20)
    assert [id_ for ids, _ in told for id_ in ids] == ["0", "1", "2", "3"]
    assert all(there >= len(ids) for ids, there in told)


def test_after_write_is_not_called_for_what_was_not_committed(
    repository: Repository, buffered: Make
) -> None:
    told: list[int] = []
    failures = iter([True, True, True, False])

    def answer(batch: Any) -> None:
        if next(failures):
            raise down()

    repository.answer = answer
    buffer = buffered(after_write=lambda records: told.append(len(repository.tries)))
    buffer.put(row(1))

    assert buffer.close(20)
    assert told == [4]


def test_after_write_is_not_called_for_duplicates(repository: Repository, buffered: Make) -> None:
    told: list[list[str]] = []
    buffer = buffered(after_write=lambda records: told.append([r.object_id for r in records]))
    for _ in range(2):
        buffer.put(row(1))
        assert buffer.flush(20)

    assert buffer.close(20)
    assert told == [["1"]]
    assert buffer.counters()["duplicates"] == 1


@pytest.mark.parametrize("function", [fail, leave])
def test_after_write_that_fails_is_counted(
    repository: Repository, buffered: Make, function: Any, caplog: pytest.LogCaptureFixture
) -> None:
    buffer = buffered(after_write=function)
    buffer.put(row(1))

    assert buffer.flush(20)
    assert repository.numbers == [1]
    eventually(lambda: buffer.counters().get("after_write_failed") == 1)
    assert AWS not in caplog.text


def test_after_write_that_hangs_holds_up_nothing(
    repository: Repository, buffered: Make, gate: threading.Event
) -> None:
    told: list[int] = []

    def tell(records: list[ActivityRecord]) -> None:
        told.append(1)
        gate.wait(20)

    buffer = buffered(after_write=tell, hook_timeout=0.01)
    for number in range(3):
        buffer.put(row(number))
        assert buffer.flush(20)

    assert repository.numbers == [0, 1, 2]
    eventually(lambda: len(told) == 1)
    eventually(lambda: buffer.counters().get("after_write_skipped") == 2)


@pytest.mark.parametrize(
    "options",
    [{"enrichers": fail}, {"enrichers": [5]}, {"after_write": 5}, {"hook_timeout": -1}],
)
def test_hooks_without_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        BufferedRepository(Repository(), **options)


def test_the_threads_end_with_the_log(repository: Repository) -> None:
    buffer = BufferedRepository(
        repository, linger=0, enrichers=[show_actor], after_write=lambda records: None
    )
    buffer.put(row(1))
    assert buffer.close(20)

    names = {"structlog-activity-enrichers", "structlog-activity-after-write"}
    eventually(lambda: names.isdisjoint(thread.name for thread in threading.enumerate()))


def test_where_no_thread_can_be_started_records_are_written_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    hooks = Hooks([show_actor], timeout=1, rows=RowMaker(Redactor()), reporter=Reporter())
    monkeypatch.setattr(threading.Thread, "start", refuse)

    assert hooks.enriched([row(1)]) == [row(1)]
    assert hooks.counts() == {"enrichment_skipped": 1}


def test_a_host_thread_does_one_thing_after_the_other() -> None:
    thread, done = HostThread("host"), []

    assert all(thread.do(lambda n=n: done.append(n), 20) for n in range(3))  # type: ignore[misc]
    assert done == [0, 1, 2]
    thread.stop()
