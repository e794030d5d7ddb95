"""
However a program ends, what it recorded is stored or counted, and the end is as it would be.
"""

from __future__ import annotations

import re
import time

from pathlib import Path

import pytest

from tests.support.standstill import took
from tests.write.scripts import Programs, assert_quiet


def test_a_program_that_just_ends_has_stored_all(leveled: Programs) -> None:
    done = leveled.run("for n in range(2000): record(n)")
    assert_quiet(done)
    assert leveled.stored == [*range(2000)]


def test_an_exception_that_nobody_catches_is_told_as_ever_and_all_is_stored(
    leveled: Programs,
) -> None:
    done = leveled.run(
        """
        for n in range(1000): record(n)
        raise LookupError("boom")
        """
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "LookupError: boom"
    assert done.stderr.count("Traceback") == 1
    assert "structlog_activity" not in done.stderr
    assert leveled.stored == [*range(1000)]


def test_an_exit_code_is_kept(leveled: Programs) -> None:
    done = leveled.run(
        """
        for n in range(1000): record(n)
        sys.exit(3)
        """
    )
    assert_quiet(done, 3)
    assert leveled.stored == [*range(1000)]


def test_an_exit_while_a_thread_goes_on_waits_for_the_thread_and_stores_all(
    leveled: Programs,
) -> None:
    done = leveled.run(
        """
        def work():
            main.join()
            for n in range(500, 1000): record(n)

        main = threading.main_thread()
        for n in range(500): record(n)
        threading.Thread(target=work).start()
        sys.exit(3)
        """
    )
    assert_quiet(done, 3)
    assert leveled.stored == [*range(1000)]


def test_ctrl_c_ends_a_program_as_ever_and_all_is_stored(leveled: Programs) -> None:
    done = leveled.run(
        """
        for n in range(1000): record(n)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
        """
    )
    assert done.returncode == -2
    assert done.stderr.splitlines()[-1] == "KeyboardInterrupt"
    assert done.stderr.count("Traceback") == 1
    assert leveled.stored == [*range(1000)]


def test_a_daemon_thread_that_never_stops_is_no_trouble(leveled: Programs) -> None:
    done = leveled.run(
        """
        def work():
            n = 1000
            while True:
                record(n)
                n += 1
                time.sleep(0.0001)

        for n in range(1000): record(n)
        activity.flush()
        threading.Thread(target=work, daemon=True).start()
        """
    )
    assert_quiet(done)
    assert leveled.stored[:1000] == [*range(1000)]
    assert len(set(leveled.stored)) == len(leveled.stored)


def test_a_closed_log_leaves_nothing_to_do_at_exit(leveled: Programs) -> None:
    done = leveled.run(
        """
        for n in range(100): record(n)
        print(activity.close(), activity.close())
        print([t.name for t in threading.enumerate()])
        """
    )
    assert_quiet(done)
    assert done.stdout == "True True\n['MainThread']\n"
    assert leveled.stored == [*range(100)]


def test_a_log_that_nobody_used_leaves_no_trace(programs: Programs) -> None:
    assert_quiet(programs.run(""))
    assert not programs.file.exists()


# -- records at the very end --------------------------------------------------


def test_a_record_of_an_exit_function_is_stored(leveled: Programs) -> None:
    done = leveled.run(
        """
        atexit.register(record, 1)
        record(0)
        """
    )
    assert_quiet(done)
    assert leveled.stored == [0, 1]


def test_a_first_record_of_an_exit_function_is_stored(leveled: Programs) -> None:
    """No thread can be started any more in some versions."""
    done = leveled.run("atexit.register(record, 0)")
    assert_quiet(done)
    assert leveled.stored == [0]


@pytest.mark.parametrize("durability", ["memory", "wal"])
def test_what_was_recorded_where_no_thread_could_start_is_stored_at_the_end(
    tmp_path: Path, durability: str
) -> None:
    """As in the exit functions of 3.12."""
    programs = Programs(tmp_path, durability=durability)
    done = programs.run(
        """
        def start(thread):
            raise RuntimeError("can't create new thread at interpreter shutdown")

        threading.Thread.start = start
        for n in range(100): record(n)
        """
    )
    assert_quiet(done)
    assert programs.stored == [*range(100)]
    assert programs.spooled == []


def test_a_record_of_an_exit_function_that_runs_after_ours_is_counted(leveled: Programs) -> None:
    done = leveled.run(
        "record(0)",
        before="""
        def late():
            record(1)
            print(activity.counters())

        atexit.register(late)
        """,
    )
    assert_quiet(done)
    assert leveled.stored == [0]
    assert "'rejected.closed': 1" in done.stdout
    assert "'written': 1" in done.stdout


@pytest.mark.parametrize("is_used", [False, True])
def test_a_record_of_a_finalizer_at_the_end_of_the_interpreter_is_no_trouble(
    leveled: Programs, is_used: bool
) -> None:
    done = leveled.run(
        f"""
        class Late:
            def __init__(self):
                self.cycle = self

            def __del__(self, record=record, activity=activity, print=print):
                record(1)
                print(activity.counters()["rejected.closed"])

        sys.late = Late()
        late = Late()
        if {is_used}: record(0)
        """
    )
    assert_quiet(done)
    assert set(done.stdout.split()) <= {"1", "2"}
    assert not is_used or leveled.stored == [0]


def test_records_after_logging_was_shut_down_are_stored(leveled: Programs) -> None:
    done = leveled.run(
        """
        import logging
        logging.getLogger().addHandler(activity.handler)
        record(0)
        logging.shutdown()
        logging.warning("late", extra={"verb": "a.b", "object": ("theme", 1)})
        """
    )
    assert_quiet(done)
    assert leveled.stored == [0, 1]


# -- a database that does not answer ------------------------------------------


def test_a_database_that_does_not_answer_delays_the_end_no_longer_than_it_may(
    programs: Programs,
) -> None:
    assert_quiet(programs.run("record(0)"))
    with programs.locked():
        started = time.monotonic()
        done = programs.run(
            """
            activity = ActivityLog(os.environ["URL"], close_timeout=0.3)
            for n in range(1, 8): record(n, activity)
            sys.exit(4)
            """
        )
        seconds = took(started)
    assert done.returncode == 4
    assert re.fullmatch(
        r"structlog_activity: 7 records were not written in time and are lost: .*\n", done.stderr
    )
    assert seconds < 5
    assert programs.stored == [0]


def test_a_close_that_lost_records_is_told_once_and_not_waited_for_again(
    programs: Programs,
) -> None:
    assert_quiet(programs.run("record(0)"))
    with programs.locked():
        done = programs.run(
            """
            record(1)
            started = time.monotonic()
            print(activity.close(0.2), activity.counters()["dropped.shutdown"])
            atexit.register(lambda: print(time.monotonic() - started < 5))
            """
        )
    assert done.stderr.count("\n") == 1
    assert done.stdout == "False 1\nTrue\n"


# -- re-entrancy, where a deadlock must not hang the tests ---------------------


def test_a_signal_handler_may_record_the_first_record_and_close(leveled: Programs) -> None:
    done = leveled.run(
        """
        def handle(*_):
            record(1)
            activity.close()

        signal.signal(signal.SIGUSR1, handle)
        record(0)
        os.kill(os.getpid(), signal.SIGUSR1)
        print(activity.counters()["written"])
        """
    )
    assert_quiet(done)
    assert done.stdout == "2\n"
    assert leveled.stored == [0, 1]


def test_an_alarm_many_times_a_second_may_record_while_its_thread_does(
    leveled: Programs,
) -> None:
    # A handler that waits for the disk takes longer than half a millisecond: such
    # alarms would pile up in any program.
    period = 0.05 if leveled.durability == "fsync" else 0.0005
    done = leveled.run(
        f"""
        period = {period}
        """
        """
        alarms = 0

        def handle(*_):
            global alarms
            alarms += 1
            record(1_000_000 + alarms)

        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, period, period)
        n = 0
        end = time.monotonic() + 1
        while time.monotonic() < end:
            record(n)
            n += 1
            if n % 100 == 0:
                activity.counters()
                activity.health()
            if n % 500 == 0:
                activity.flush()
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(n, alarms, activity.flush(), activity.counters()["written"])
        """
    )
    assert_quiet(done)
    own, alarms, flushed, written = done.stdout.split()
    assert int(alarms) > 0.05 / period
    assert flushed == "True"
    assert int(written) == int(own) + int(alarms) == len(set(leveled.stored))


def test_an_interrupt_at_any_moment_leaves_the_log_usable(leveled: Programs) -> None:
    """KeyboardInterrupt strikes within our own code, too."""
    done = leveled.run(
        """
        def interrupt(*_):
            raise KeyboardInterrupt

        signal.signal(signal.SIGALRM, interrupt)
        interrupts = returned = n = 0
        while interrupts < 300:
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0005)
                while True:
                    n += 1
                    record(n)
                    returned += 1
            except KeyboardInterrupt:
                interrupts += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        record(0)
        print(activity.flush(20), returned, activity.counters())
        """
    )
    assert_quiet(done)
    flushed, returned, counters = done.stdout.split(" ", 2)
    counts = eval(counters)
    stored = leveled.stored
    assert flushed == "True"
    assert counts["submitted"] == counts["written"] == len(stored) == len(set(stored))
    assert int(returned) + 1 <= len(stored) <= int(returned) + 301


# -- signals ------------------------------------------------------------------


def test_a_program_that_asks_for_it_stores_all_when_it_is_terminated(leveled: Programs) -> None:
    done = leveled.run(
        """
        activity.install_signal_flush()
        for n in range(1000): record(n)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
        """
    )
    assert_quiet(done, 128 + 15)
    assert leveled.stored == [*range(1000)]


def test_the_handler_of_the_program_decides_what_a_signal_does(leveled: Programs) -> None:
    done = leveled.run(
        """
        caught = []
        signal.signal(signal.SIGTERM, lambda *_: caught.append(1))
        activity.install_signal_flush(signal.SIGTERM)
        activity.install_signal_flush(signal.SIGTERM)
        for n in range(10): record(n)
        os.kill(os.getpid(), signal.SIGTERM)
        assert caught == [1]
        """
    )
    assert_quiet(done)
    assert leveled.stored == [*range(10)]


def test_a_signal_that_is_ignored_stays_ignored(leveled: Programs) -> None:
    done = leveled.run(
        """
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        activity.install_signal_flush(signal.SIGHUP, signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGHUP)
        record(1)
        """
    )
    assert_quiet(done)
    assert leveled.stored == [1]


def test_a_signal_while_the_database_hangs_ends_the_program_in_its_time(
    programs: Programs,
) -> None:
    programs.migrate()
    with programs.locked():
        done = programs.run(
            """
            activity = ActivityLog(os.environ["URL"], close_timeout=0.5)
            activity.install_signal_flush()
            for n in range(10): record(n, activity)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
            """
        )
    assert done.returncode == 128 + 15
    assert "10 records were not written in time and are lost" in done.stderr
    assert programs.stored == []
