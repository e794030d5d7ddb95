"""
A program that reads and never closes ends in silence, and so do its children.
"""

from __future__ import annotations

import pytest

from tests.write.scripts import Programs, assert_quiet


READING = """
def read():
    print(len(activity.feed(tenant_id="t").records), flush=True)
"""


def test_a_program_that_reads_and_never_closes_ends_in_silence(both: Programs) -> None:
    done = both.run(
        """
        record(1)
        activity.flush()
        read()
        """,
        before=READING,
    )
    assert_quiet(done)
    assert done.stdout == "1\n"


def test_a_function_that_reads_from_an_engine_of_ours_ends_in_silence(both: Programs) -> None:
    done = both.run(
        """
        from structlog_activity import ActivityFilter, feed
        record(1)
        activity.flush()
        print(len(feed(activity.engine, ActivityFilter(tenant_id="t")).records))
        raise SystemExit(3)
        """
    )
    assert_quiet(done, 3)
    assert done.stdout == "1\n"


def test_a_forked_child_that_reads_leaves_its_parent_s_connection_alone(both: Programs) -> None:
    done = both.run(
        """
        record(1)
        activity.flush()
        read()
        for _ in range(2):
            pid = os.fork()
            if pid == 0:
                read()
                sys.exit()
            assert os.waitpid(pid, 0) == (pid, 0)
            read()
        """,
        before=READING,
    )
    assert_quiet(done)
    assert done.stdout == "1\n" * 5


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_multiprocessing_that_read_end_in_silence(both: Programs, method: str) -> None:
    done = both.run(
        f"""
        import multiprocessing

        if __name__ == "__main__":
            record(1)
            activity.flush()
            read()
            child = multiprocessing.get_context({method!r}).Process(target=read)
            child.start()
            child.join()
            print(child.exitcode)
        """,
        before=READING,
    )
    assert_quiet(done)
    assert done.stdout == "1\n1\n0\n"
