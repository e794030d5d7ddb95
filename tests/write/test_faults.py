"""
Whatever the network does, each record is stored once or counted, and nobody waits for it.
"""

from __future__ import annotations

import os
import signal
import time

from collections.abc import Callable, Iterator

import pytest

from tests.support.postgres import PostgresServer
from tests.support.proxy import CommitFault, FaultProxy, Mode
from tests.support.standstill import took
from tests.write.checker import SECONDS, Trial, threads_of_ours
from tests.write.conftest import MakeTrial
from tests.write.databases import Database
from tests.write.doubles import eventually


# -- the server can't be reached ------------------------------------------------


def test_what_is_recorded_while_connections_are_refused_is_written_later(
    make_trial: MakeTrial, proxy: FaultProxy, database: Database
) -> None:
    proxy.mode = "refuse"
    with make_trial() as trial:
        trial.submit(*range(100))
        trial.trouble("refused")
        proxy.mode = "pass"
        trial.flush()
        in_order = database.do(
            "SELECT object_id::int FROM user_activity ORDER BY batch_id, batch_ix"
        )
        assert in_order == [*range(100)]
        assert trial.buffer.health().ok


def test_a_server_that_never_answers_is_waited_for_by_the_writer_alone(
    make_trial: MakeTrial, proxy: FaultProxy
) -> None:
    proxy.mode = "blackhole"
    with make_trial() as trial, trial.callers():
        eventually(lambda: proxy.did["blackholed"] == 1, "connecting")
        assert trial.buffer.flush(0.05) is False
        proxy.mode = "pass"
        proxy.kill_all()
        trial.flush_more()


def test_connecting_is_given_up_after_its_timeout(make_trial: MakeTrial, proxy: FaultProxy) -> None:
    proxy.mode = "blackhole"
    with make_trial() as trial:
        trial.submit(0)
        trial.trouble("does not answer in time")
        proxy.mode = "pass"


def close_soon(trial: Trial, seconds: float = 0.2) -> None:
    """Close while nothing goes; the buffer must be in time, and leave no thread."""
    started = time.monotonic()
    assert trial.buffer.close(seconds) is False
    assert took(started) < seconds + 0.7
    eventually(lambda: not threads_of_ours(), "the end of our threads")
    assert took(started) < seconds + 1.2


@pytest.mark.parametrize("mode", ["blackhole", "freeze", "refuse"])
def test_a_close_is_in_time_and_leaves_nothing_running_while_nobody_is_let_in(
    make_trial: MakeTrial, proxy: FaultProxy, mode: Mode, capsys: pytest.CaptureFixture[str]
) -> None:
    proxy.mode = mode
    with make_trial("statement_timeout=1000") as trial:
        trial.loses = True
        trial.submit(*range(30))
        eventually(lambda: trial.buffer.counters()["in_flight"] > 0)
        close_soon(trial)
        assert "30 records were not written in time and are lost" in capsys.readouterr().err


# -- the connection breaks --------------------------------------------------------


def test_a_connection_that_is_cut_in_the_middle_of_copy_is_made_up_for(
    make_trial: MakeTrial, proxy: FaultProxy
) -> None:
    with make_trial(batch_size=500, linger=0.05) as trial:
        proxy.cut_after(20_000, 30_000, 2_000, 500, 100, 1)
        trial.submit(*range(1000))
        trial.flush()
        assert proxy.did["cut"] == 6


@pytest.mark.parametrize("fault", ["drop_request", "drop_ack", "delay_ack"])
def test_a_commit_that_gets_lost_and_one_whose_answer_does_are_each_made_once(
    make_trial: MakeTrial, proxy: FaultProxy, fault: CommitFault
) -> None:
    proxy.ack_delay = 0.05
    with make_trial() as trial:
        proxy.fail_commits(*[fault] * 5)
        trial.submit(*range(200))
        trial.flush()
        assert proxy.did[fault] == 5
        # A commit that was made is not asked for again.
        assert proxy.did["commits"] == 10 + (5 if fault == "drop_request" else 0)


def test_connections_that_broke_while_nobody_looked_are_replaced(
    make_trial: MakeTrial, proxy: FaultProxy
) -> None:
    with make_trial() as trial:
        for number in range(5):
            trial.submit(number)
            trial.flush()
            assert proxy.kill_all() == 1
        trial.submit(5)
        trial.flush()
        assert proxy.did["connected"] == 6


# -- the line is slow ---------------------------------------------------------------


def test_a_narrow_line_costs_those_that_find_no_room_and_they_are_counted(
    make_trial: MakeTrial, proxy: FaultProxy
) -> None:
    proxy.bandwidth, proxy.latency = 100_000, 0.001
    with make_trial(max_records=100) as trial:
        trial.loses = True
        trial.submit(*range(600))
        assert trial.buffer.counters()["queued"] <= 100
        trial.buffer.flush(SECONDS)
        proxy.bandwidth, proxy.latency = None, 0.0


# -- the server stops -----------------------------------------------------------------


def test_a_call_that_nobody_answers_is_broken_off_and_made_again(
    make_trial: MakeTrial, proxy: FaultProxy
) -> None:
    with make_trial(limit=0.2) as trial:
        trial.submit(0)
        trial.flush()
        proxy.mode = "freeze"
        trial.submit(*range(1, 60))
        trial.trouble("took longer than 0.2 s")
        connected = proxy.did["connected"]
        eventually(lambda: proxy.did["connected"] > connected, "another connection")
        proxy.mode = "pass"
        trial.flush()


@pytest.fixture
def stop(own_server: PostgresServer, database: Database) -> Iterator[Callable[[], None]]:
    """What stops the processes that serve us, until the end of the test."""
    pids: list[int] = []

    def stop() -> None:
        found = database.backends()
        assert found
        pids.extend(found)
        for pid in found:
            os.kill(pid, signal.SIGSTOP)

    yield stop
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def test_a_server_process_that_is_stopped_is_left_for_another(
    make_trial: MakeTrial, database: Database, stop: Callable[[], None]
) -> None:
    with make_trial(limit=0.2, url=database.url) as trial:
        trial.submit(0)
        trial.flush()
        stop()
        with trial.callers(1):
            trial.flush_more()


def test_a_close_is_in_time_and_leaves_nothing_running_while_the_server_process_is_stopped(
    make_trial: MakeTrial,
    database: Database,
    stop: Callable[[], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with make_trial(url=database.url) as trial:
        trial.loses = True
        trial.submit(0)
        trial.flush()
        stop()
        trial.submit(*range(1, 31))
        eventually(lambda: trial.buffer.counters()["in_flight"] > 0)
        close_soon(trial)
        assert "30 records were not written in time and are lost" in capsys.readouterr().err


def test_of_a_batch_whose_answer_is_due_when_the_time_is_up_nobody_knows(
    make_trial: MakeTrial, proxy: FaultProxy
) -> None:
    """It is counted as lost, and is there: the one uncertainty, of one batch."""
    proxy.ack_delay = SECONDS
    with make_trial() as trial:
        trial.loses, trial.in_doubt = True, 20
        trial.submit(*range(20))
        trial.flush()
        proxy.fail_commits("delay_ack")
        trial.submit(*range(20, 40))
        eventually(lambda: proxy.did["delay_ack"] == 1, "a commit")
        close_soon(trial)
        assert trial.buffer.counters()["dropped.shutdown"] <= 20
