"""
Servers and pools that fork their workers: each worker's records are stored once.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import textwrap

from pathlib import Path

import pytest

from tests.write.doubles import eventually
from tests.write.scripts import ROOT, Programs, assert_quiet


@pytest.fixture(params=["memory", "wal"])
def level(request: pytest.FixtureRequest, tmp_path: Path) -> Programs:
    """Programs that record into a file, in memory and ahead of it."""
    programs = Programs(tmp_path, durability=request.param)
    programs.migrate()
    return programs


@pytest.mark.parametrize(
    ("durability", "method"),
    [("memory", "fork"), ("wal", "fork"), ("wal", "spawn"), ("wal", "forkserver")],
)
def test_each_worker_of_a_process_pool_stores_its_own(
    tmp_path: Path, durability: str, method: str
) -> None:
    level = Programs(tmp_path, durability=durability)
    level.migrate()
    done = level.run(
        f"""
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        def work(first):
            for n in range(first, first + 100): record(n)
            return first

        if __name__ == "__main__":
            record(0)
            context = multiprocessing.get_context({method!r})
            with ProcessPoolExecutor(2, mp_context=context) as pool:
                print(sum(pool.map(work, range(1000, 11000, 1000))))
        """
    )
    assert_quiet(done)
    assert done.stdout == "55000\n"
    expected = [0, *(n for first in range(1000, 11000, 1000) for n in range(first, first + 100))]
    assert level.stored == expected
    assert level.spooled == []


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_child_of_multiprocessing_stores_what_it_wrote_ahead(tmp_path: Path, method: str) -> None:
    programs = Programs(tmp_path, durability="wal")
    programs.migrate()
    done = programs.run(
        f"""
        import multiprocessing

        def work(first):
            for n in range(first, first + 100): record(n)

        if __name__ == "__main__":
            record(0)
            context = multiprocessing.get_context({method!r})
            children = [context.Process(target=work, args=(n * 1000,)) for n in (1, 2)]
            for child in children: child.start()
            for child in children: child.join()
            record(1)
            print([child.exitcode for child in children])
        """
    )
    assert_quiet(done)
    assert done.stdout == "[0, 0]\n"
    assert programs.stored == [0, 1, *range(1000, 1100), *range(2000, 2100)]
    assert programs.spooled == []


def test_children_by_os_fork_store_what_they_wrote_ahead(tmp_path: Path) -> None:
    """One ends as a program does, one at once, whose records are left to the next start."""
    programs = Programs(tmp_path, durability="wal")
    programs.migrate()
    done = programs.run(
        """
        for n in range(100): record(n)
        for first, end in ((1000, sys.exit), (2000, os._exit)):
            pid = os.fork()
            if pid == 0:
                for n in range(first, first + 100): record(n)
                end(0)
            assert os.waitpid(pid, 0) == (pid, 0)
        for n in range(100, 200): record(n)
        """
    )
    assert_quiet(done)
    programs.recover()
    assert programs.stored == [*range(200), *range(1000, 1100), *range(2000, 2100)]
    assert programs.spooled == []


_APP = """
import os

from structlog_activity import ActivityLog

activity = ActivityLog(os.environ["URL"], durability=os.environ["DURABILITY"])
activity.record("server.loaded", ("server", 0), tenant_id="t")
activity.flush()  # The writer and its connection are there before the fork.

def app(environ, start_response):
    number = int(environ["PATH_INFO"].strip("/"))
    activity.record("page.viewed", ("page", number), tenant_id="t", worker=os.getpid())
    start_response("200 OK", [("Content-Length", "0")])
    return [b""]
"""


def test_each_worker_of_a_server_that_loads_before_it_forks_stores_its_own(
    level: Programs,
) -> None:
    """As ``gunicorn --preload`` does; the workers end by a signal of the master's."""
    (level.folder / "preloaded.py").write_text(textwrap.dedent(_APP))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        os.set_inheritable(listener.fileno(), True)
        command = [
            sys.executable, "-m", "gunicorn", "--preload", "--workers", "4",
            "--bind", f"fd://{listener.fileno()}", "--log-level", "warning", "preloaded:app",
        ]  # fmt: skip
        environment = level._environment()
        environment["PYTHONPATH"] = os.pathsep.join([str(level.folder), str(ROOT)])
        with subprocess.Popen(
            command,
            cwd=level.folder,
            env=environment,
            pass_fds=[listener.fileno()],
            start_new_session=True,
            stderr=subprocess.PIPE,
            text=True,
        ) as server:
            try:
                for number in range(1, 101):
                    _get(listener.getsockname(), f"/{number}")
                server.send_signal(signal.SIGTERM)
                _, said = server.communicate(timeout=60)
            finally:
                if server.poll() is None:
                    os.killpg(server.pid, signal.SIGKILL)
    assert (server.returncode, said) == (0, "")
    assert level.stored == [*range(101)]
    assert level.spooled == []
    assert level.writers >= 2


def _get(address: tuple[str, int], path: str) -> None:
    answers: list[int] = []

    def ask() -> bool:
        connection = http.client.HTTPConnection(*address, timeout=30)
        try:
            connection.request("GET", path)
            answers.append(connection.getresponse().status)
        except ConnectionError:
            return False
        finally:
            connection.close()
        return True

    eventually(ask, f"an answer to {path}")
    assert answers == [200]
