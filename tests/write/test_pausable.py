"""A repository that is kept still: whoever calls waits, and whoever wants it still waits, too."""

from __future__ import annotations

import threading

import pytest

from structlog_activity.write.pausable import PausableRepository
from tests.write.doubles import DEADLINE, Gate, Repository, rows
from tests.write.spool.spools import batch


def test_a_pause_lets_go_of_the_connection_and_a_call_waits_for_its_end() -> None:
    is_still, written = threading.Event(), []
    repository = Repository(lambda _: written.append(is_still.is_set()))
    pausable = PausableRepository(repository)
    assert pausable.pause(DEADLINE)
    assert repository.closed
    is_still.set()

    writing = threading.Thread(target=pausable.write, args=(batch(rows(1)),))
    writing.start()
    is_still.clear()
    pausable.resume()
    writing.join(DEADLINE)

    assert [False] == written


def test_only_one_at_a_time_has_a_pause() -> None:
    pausable = PausableRepository(Repository())
    assert pausable.pause(DEADLINE)
    assert not pausable.pause(0)

    pausable.resume()

    assert pausable.pause(0)


def test_no_pause_is_had_while_a_call_takes_longer_and_the_next_ones_go_on() -> None:
    gate = Gate()
    pausable = PausableRepository(gate)
    writing = threading.Thread(target=pausable.write, args=(batch(rows(1)),))
    writing.start()
    assert gate.entered.wait(DEADLINE)

    assert not pausable.pause(0.01)

    gate.open()
    writing.join(DEADLINE)
    assert pausable.write(batch(rows(1, 1), 2))
    assert 2 == len(gate.rows)


def test_a_child_has_a_repository_of_its_own_though_it_was_paused() -> None:
    repository = Repository()
    pausable = PausableRepository(repository)
    assert pausable.pause(DEADLINE)

    pausable.abandon()

    assert 1 == repository.abandoned
    assert pausable.write(batch(rows(1)))


def test_a_connection_that_can_not_be_closed_keeps_nobody_from_a_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse() -> None:
        raise OSError

    repository = Repository()
    monkeypatch.setattr(repository, "close", refuse)

    assert PausableRepository(repository).pause(0)
