"""
Programs that run in an interpreter of their own, and what they stored.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap

from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from sqlalchemy import NullPool, create_engine, text

from structlog_activity.store.schema import Schema
from structlog_activity.store.seals.verify import verify_log


ROOT = Path(__file__).parents[2]

_SECONDS = 60
_PROLOGUE = """
import atexit, os, signal, sys, threading, time, warnings
# Since 3.12 said of every fork of a process with threads, as all ours are.
warnings.filterwarnings("ignore", "This process", DeprecationWarning)
"""

_RECORD = """
from functools import partial
from structlog_activity import ActivityLog
ActivityLog = partial(ActivityLog, durability=os.environ["DURABILITY"])
activity = ActivityLog(os.environ["URL"])

def record(number, activity=activity):
    activity.record("theme.updated", ("theme", number), tenant_id="t", actor_id="a")
"""


# Tells each number before and after it is recorded, so that whoever kills the
# process knows what was surely accepted, and what at most.
TELLING = """
def tell(word, number):
    os.write(1, b"%s %d\\n" % (word, number))

def telling(first):
    number = first
    while True:
        tell(b"try", number)
        record(number)
        tell(b"ok", number)
        number += 1
"""


class Programs:
    """
    Runs programs that record into one database.

    Args:

        folder: Where they run.

        url: Where they record; by default into a file in the folder.

        durability: How they record; in all but ``"memory"`` they have a spool.

        spool: Whether they have one in ``"memory"`` as well.
    """

    def __init__(
        self, folder: Path, url: str = "", *, durability: str = "memory", spool: bool = False
    ) -> None:
        self.folder = folder
        self.file = folder / "activity.db"
        self.url = url or f"sqlite:///{self.file}"
        self.durability = durability
        self.spool_dir = folder / "spool"
        self.has_spool = spool or durability != "memory"
        self._written = 0

    def run(self, code: str, *, before: str = "") -> subprocess.CompletedProcess[str]:
        """
        Run a program in which ``record(number)`` and ``activity`` are there.

        Args:

            code: The program.

            before: What runs before our package is imported.
        """
        with self.start(code, before=before) as process:
            try:
                out, err = process.communicate(timeout=_SECONDS)
            except subprocess.TimeoutExpired:
                # Development mode has it say where it hangs, and its children with it.
                os.killpg(process.pid, signal.SIGABRT)
                _, err = process.communicate()
                pytest.fail(f"the program hangs:\n{err}")
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    @contextmanager
    def start(self, code: str, *, before: str = "") -> Iterator[Any]:
        """Run a program that goes on meanwhile; at the end it is killed, if need be."""
        program = "".join(textwrap.dedent(part) for part in (_PROLOGUE, before, _RECORD, code))
        self._written += 1
        script = self.folder / f"program{self._written}.py"
        script.write_text(program)
        with subprocess.Popen(
            [sys.executable, "-X", "dev", "-W", "error", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=self._environment(),
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def _environment(self) -> dict[str, str]:
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        own = {"PYTHONPATH": path, "URL": self.url, "DURABILITY": self.durability}
        if self.has_spool:
            own["STRUCTLOG_ACTIVITY_SPOOL_DIR"] = str(self.spool_dir)
        return {**os.environ, **own}

    @property
    def spooled(self) -> list[str]:
        """The files in the spool; dead letters are not counted."""
        found = [path for path in self.spool_dir.rglob("*") if path.is_file()]
        return sorted(path.name for path in found if path.parent.name != "dead")

    def recover(self) -> Counter[str]:
        """Do what the next start does, and return its counters."""
        done = self.run("activity.flush(60); activity.close(); print(activity.counters())")
        assert_quiet(done)
        return Counter(eval(done.stdout))

    @property
    def stored(self) -> list[int]:
        """The numbers that were recorded, sorted, each as often as it is there."""
        engine = create_engine(self.url)
        try:
            verify_log(engine).raise_if_broken()
        finally:
            engine.dispose()
        return sorted(int(number) for number in self.ask("SELECT object_id FROM user_activity"))

    @property
    def writers(self) -> int:
        """How many writers stored something."""
        (count,) = self.ask("SELECT count(DISTINCT writer_id) FROM user_activity_batch")
        return int(count)

    def migrate(self) -> None:
        """Make the tables."""
        engine = create_engine(self.url)
        try:
            Schema(engine).migrate()
        finally:
            engine.dispose()

    def ask(self, query: str) -> list[Any]:
        """Return the first column of what a query finds."""
        engine = create_engine(self.url, poolclass=NullPool)
        with engine.connect() as connection:
            return list(connection.execute(text(query)).scalars())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep everybody from writing into the file."""
        with closing(sqlite3.connect(self.file, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield


def assert_quiet(done: subprocess.CompletedProcess[str], code: int = 0) -> None:
    """The program ended as it should, and nothing was said about it."""
    assert (done.stderr, done.returncode) == ("", code)
