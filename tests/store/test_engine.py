"""URLs: what they may be, and what is said when they are not."""

from __future__ import annotations

import os
import subprocess
import sys

from pathlib import Path

import pytest

from sqlalchemy import text

from structlog_activity import ActivityLog, RepositoryError
from structlog_activity.store.engine import make_engine, parse_url, shown


@pytest.mark.parametrize(
    ("given", "driver"),
    [
        ("postgresql://app@db/app", "postgresql+psycopg"),
        ("postgresql+psycopg://app@db/app", "postgresql+psycopg"),
        ("postgres://app@db/app", "postgresql+psycopg"),
        ("sqlite:///activity.db", "sqlite"),
        ("sqlite+pysqlite:////abs/activity.db", "sqlite"),
        ("sqlite://", "sqlite"),
    ],
)
def test_urls_of_both_databases_are_read(given: str, driver: str) -> None:
    assert driver == parse_url(given).drivername


@pytest.mark.parametrize(
    "given",
    [
        "mysql://root:hunter2@db/app",
        "postgresql+asyncpg://app:hunter2@db/app",
        "postgresql+psycopg2://app:hunter2@db/app",
        "sqlite+aiosqlite:///hunter2.db",
        "http://hunter2",
        "activity.db",
        "://hunter2",
        "postgresql://app:hunter2@db:port/app",
        "sqlite://activity.db",
        "",
    ],
)
def test_other_urls_are_refused_at_once_and_without_their_password(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RepositoryError) as caught:
        parse_url(given)

    assert "hunter2" not in str(caught.value)
    assert "sqlite:///" in str(caught.value)


def test_a_log_with_a_bad_url_can_not_be_made() -> None:
    with pytest.raises(RepositoryError, match="unknown URL scheme 'mysql'"):
        ActivityLog("mysql://root:hunter2@db/app")


def test_no_password_and_no_option_is_shown() -> None:
    url = parse_url("postgresql://app:hunter2@db:5433/app?password=hunter2&sslkey=hunter2")

    assert "postgresql://app@db:5433/app" == shown(url)
    assert "hunter2" not in repr(ActivityLog("postgresql://app:hunter2@db/app"))


def test_memory_is_a_file_that_goes_with_its_engine() -> None:
    engine = make_engine(parse_url("sqlite://"))
    path = Path(engine.url.database or "")
    with engine.begin() as one:
        one.execute(text("CREATE TABLE t (x)"))
    with engine.connect() as other:
        assert [] == list(other.execute(text("SELECT * FROM t")))
    engine.dispose()

    assert path.exists()
    del engine, one, other
    import gc

    gc.collect()
    assert not path.exists()


def test_a_log_in_memory_reads_what_it_wrote() -> None:
    with ActivityLog("sqlite://") as activity:
        activity.record("a.b", "c:1", tenant_id="acme")
        assert activity.flush(10)

        assert 1 == activity.stats(tenant_id="acme").total


@pytest.mark.parametrize("missing", ["psycopg", "libpq"])
def test_a_missing_driver_is_told_at_once(missing: str, tmp_path: Path) -> None:
    """In a process of its own, in which psycopg can't be imported."""
    (tmp_path / "psycopg.py").write_text("raise ImportError('no pq wrapper available')\n")
    code = (
        "from structlog_activity import ActivityLog, RepositoryError\n"
        "ActivityLog('sqlite:///x.db')\n"
        "try: ActivityLog('postgresql://app:hunter2@db/app')\n"
        "except RepositoryError as error: print(error)\n"
    )
    root = Path(__file__).parents[2]

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={"PYTHONPATH": f"{tmp_path}:{root}"}, cwd=tmp_path,
    )  # fmt: skip

    assert "psycopg can't be loaded" in done.stdout
    assert "structlog-activity[binary]" in done.stdout
    assert "hunter2" not in done.stdout + done.stderr


def test_a_forked_child_reads_on_a_connection_of_its_own(postgres_url: str) -> None:
    """The parent's connection would mix up both their answers."""
    engine = make_engine(parse_url(postgres_url))

    def backend() -> int:
        with engine.connect() as connection:
            return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())

    parents = backend()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, str(backend()).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        childs = int(answer.read())
    os.waitpid(child, 0)

    assert parents != childs
    assert parents == backend()
    engine.dispose()


def test_a_forked_child_leaves_its_parents_memory_alone() -> None:
    engine = make_engine(parse_url("sqlite://"))
    path = Path(engine.url.database or "")
    child = os.fork()
    if child == 0:
        from structlog_activity.store.engine import _remove

        _remove(str(path), os.getppid())
        os._exit(0)
    os.waitpid(child, 0)

    assert path.exists()
    engine.dispose()
