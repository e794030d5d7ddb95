"""What PostgreSQL's errors mean, caused on a real server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sqlalchemy import URL, Engine, select, text

from structlog_activity.record.row import Row
from structlog_activity.record.rowmaker import RowMaker
from structlog_activity.store.batch import Batch
from structlog_activity.store.engine import parse_url
from structlog_activity.store.faults import Fault, StoreError
from structlog_activity.store.postgresql.repository import PostgresRepository
from structlog_activity.store.table import user_activity_daily
from tests.support.files import no_more_files
from tests.support.postgres import PostgresServer
from tests.support.records import record


SECRET = "hunter2"


@pytest.fixture
def repository(server: Engine) -> Iterator[PostgresRepository]:
    repository = PostgresRepository(server.url)
    yield repository
    repository.close()


def rows(count: int) -> list[Row]:
    return [RowMaker().make_from(record(data={"n": n, "note": SECRET})) for n in range(count)]


def failure(repository: PostgresRepository, batch_rows: list[Row], seq: int = 1) -> StoreError:
    with pytest.raises(StoreError) as caught:
        repository.write(Batch(record().id, seq, seq, batch_rows))
    assert SECRET not in str(caught.value)
    return caught.value


def with_options(url: URL, options: str) -> URL:
    return url.update_query_dict({"options": options})


def run(server: Engine, sql: str) -> None:
    with server.begin() as connection:
        connection.execute(text(sql))


def test_copy_names_the_row_at_fault(repository: PostgresRepository, server: Engine) -> None:
    run(server, "ALTER TABLE user_activity ADD CHECK (data ->> 'n' <> '17')")

    error = failure(repository, rows(40))

    assert (Fault.DATA, 17, "23514") == (error.fault, error.row, error.sqlstate)
    assert repository.write(Batch(record().id, 9, 9, rows(3)))


def test_a_value_too_long_for_an_index_is_the_rows_own_fault(
    repository: PostgresRepository,
) -> None:
    """psycopg calls it an OperationalError, as it calls a lost connection."""
    import random

    noise = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=12_000))
    batch = rows(5)
    batch[3] = batch[3]._replace(object_id=noise)

    error = failure(repository, batch)

    assert (Fault.DATA, 3) == (error.fault, error.row)


@pytest.mark.parametrize("odd", ["\ud800", "nul\0"])
def test_text_that_no_database_takes_is_the_rows_own_fault(
    repository: PostgresRepository, odd: str
) -> None:
    batch = rows(5)
    batch[2] = batch[2]._replace(object_id=odd)

    error = failure(repository, batch)

    assert (Fault.DATA, 2) == (error.fault, error.row)


def test_broken_json_is_the_rows_own_fault(repository: PostgresRepository) -> None:
    batch = rows(5)
    batch[4] = batch[4]._replace(data='{"a": NaN}')

    error = failure(repository, batch)

    assert (Fault.DATA, 4) == (error.fault, error.row)


def test_a_partition_that_is_missing_is_nobodys_row(
    repository: PostgresRepository, server: Engine
) -> None:
    """The server calls it a check violation, as it calls a constraint that a row breaks."""
    run(server, "ALTER TABLE user_activity DETACH PARTITION user_activity_past")
    old = [row._replace(created_at=1_000_000) for row in rows(3)]

    error = failure(repository, old)

    assert (Fault.CONFIGURATION, "23514") == (error.fault, error.sqlstate)
    assert "partition" in str(error)
    run(server, "ALTER TABLE user_activity ATTACH PARTITION user_activity_past DEFAULT")
    assert repository.write(Batch(record().id, 1, 1, old))


@pytest.mark.parametrize(
    "check",
    [
        "ALTER TABLE user_activity ADD CONSTRAINT few CHECK (data ->> 'n' <> '2')",
        "ALTER TABLE user_activity ADD CHECK (data ->> 'n' <> '2')",
        """
        DROP VIEW activity_feed_v1;
        CREATE DOMAIN few AS text CHECK (VALUE <> 'theme:2');
        ALTER TABLE user_activity ALTER COLUMN object_id TYPE few
        """,
        """
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE check_violation; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON user_activity
        FOR EACH ROW WHEN (NEW.data ->> 'n' = '2') EXECUTE FUNCTION refuse()
        """,
    ],
    ids=["named", "unnamed", "domain", "trigger"],
)
def test_a_check_that_a_row_breaks_is_the_rows_own_fault(
    repository: PostgresRepository, server: Engine, check: str
) -> None:
    run(server, check)
    batch = rows(5)
    batch[2] = batch[2]._replace(object_id="theme:2")

    error = failure(repository, batch)

    assert (Fault.DATA, 2, "23514") == (error.fault, error.row, error.sqlstate)


@pytest.mark.parametrize(
    ("sql", "sqlstate"),
    [
        ("ALTER TABLE user_activity RENAME TO elsewhere", "42P01"),
        ("ALTER TABLE user_activity RENAME COLUMN ip TO address", "42703"),
        ("ALTER TABLE user_activity ADD COLUMN extra text NOT NULL", "23502"),
        ("DROP TABLE user_activity_daily CASCADE", "42P01"),
    ],
)
def test_a_schema_that_does_not_fit_is_nobodys_row(
    repository: PostgresRepository, server: Engine, sql: str, sqlstate: str
) -> None:
    run(server, sql)

    error = failure(repository, rows(2))

    assert (Fault.CONFIGURATION, sqlstate) == (error.fault, error.sqlstate)


def test_an_index_of_somebody_else_on_the_ledger_is_nobodys_row(
    repository: PostgresRepository, server: Engine
) -> None:
    """Neither is the batch there already, nor would another number help."""
    run(server, "CREATE UNIQUE INDEX somebody ON user_activity_batch (n)")
    assert repository.write(Batch(record().id, 1, 1, rows(2)))

    error = failure(repository, rows(2), seq=2)

    assert (None, "23505") == (error.row, error.sqlstate)
    assert repository.write(Batch(record().id, 3, 3, rows(3)))


@pytest.mark.parametrize(
    "word", ['"', "\\", "{a,b}", "NULL", "", "'; DROP TABLE user_activity; --", "%s {} é", "\t"]
)
def test_daily_counts_take_any_text(
    repository: PostgresRepository, server: Engine, word: str
) -> None:
    batch = [row._replace(verb=f"v{word}", channel=word, object_type=word) for row in rows(3)]

    assert repository.write(Batch.alone(batch))

    with server.connect() as connection:
        found = connection.execute(select(user_activity_daily)).one()
    assert (f"v{word}", word, word, 3) == (found.verb, found.channel, found.object_type, found.n)


def test_missing_privileges_are_a_matter_of_configuration(
    server: Engine, postgres_server: PostgresServer
) -> None:
    run(server, "DROP ROLE IF EXISTS activity_stranger")
    run(server, "CREATE ROLE activity_stranger LOGIN")
    repository = PostgresRepository(server.url.set(username="activity_stranger"))

    error = failure(repository, rows(1))

    assert (Fault.CONFIGURATION, "42501") == (error.fault, error.sqlstate)
    repository.close()
    run(server, "DROP ROLE activity_stranger")


@pytest.mark.parametrize(
    ("change", "fault", "words"),
    [
        ({"database": "no_such_database"}, Fault.CONFIGURATION, "does not exist"),
        ({"username": "no_such_role"}, Fault.CONFIGURATION, "does not exist"),
        ({"host": "127.0.0.1", "port": 1, "query": {}}, Fault.TRANSIENT, "refused"),
        ({"host": "no-such-host.invalid", "query": {}}, Fault.TRANSIENT, "host"),
        ({"query": {"host": "/no/such/folder"}}, Fault.TRANSIENT, "no such socket"),
        ({"query": {"nonsense": "1"}}, Fault.CONFIGURATION, "an option that libpq does not know"),
    ],
)
def test_a_server_that_can_not_be_reached_is_named_without_its_password(
    tables_url: str, change: dict[str, object], fault: Fault, words: str
) -> None:
    url = parse_url(tables_url).set(**{"password": SECRET} | change)  # type: ignore[arg-type]

    error = failure(PostgresRepository(url), rows(1))

    assert fault is error.fault
    assert words in str(error)


def test_tables_that_are_missing_are_told_at_the_first_write(postgres_url: str) -> None:
    error = failure(PostgresRepository(parse_url(postgres_url)), rows(1))

    assert Fault.CONFIGURATION is error.fault
    assert "run structlog-activity migrate" in str(error)


def test_a_terminated_connection_is_transient_and_replaced(
    repository: PostgresRepository, server: Engine
) -> None:
    repository.write(Batch(record().id, 1, 1, rows(1)))
    run(
        server,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'structlog_activity' AND pid <> pg_backend_pid()",
    )

    error = failure(repository, rows(2))

    assert Fault.TRANSIENT is error.fault
    assert repository.write(Batch(record().id, 2, 2, rows(2)))


def test_a_system_that_is_short_of_something_is_transient(
    repository: PostgresRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error, words in (
        (OSError(24, "Too many open files"), "Too many"),
        (MemoryError(), "memory"),
    ):

        def refuse(*_: object, error: BaseException = error) -> None:
            raise error

        repository.close()
        with monkeypatch.context() as patch:
            patch.setattr("socket.fromfd", refuse)
            found = failure(repository, rows(1))

        assert Fault.TRANSIENT is found.fault
        assert words in str(found)
    assert repository.write(Batch(record().id, 2, 2, rows(1)))


def test_a_row_for_which_no_memory_is_left_is_not_at_fault(
    repository: PostgresRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("structlog_activity.store.postgresql.copyformat._encode_row", refuse)
        assert Fault.TRANSIENT is failure(repository, rows(3)).fault
    assert repository.write(Batch(record().id, 2, 2, rows(1)))


def test_too_many_open_files_are_transient(repository: PostgresRepository) -> None:
    with no_more_files():
        error = failure(repository, rows(1))

    assert Fault.TRANSIENT is error.fault
    assert "files are open" in str(error)
    assert repository.write(Batch(record().id, 2, 2, rows(1)))


def test_a_locked_table_is_waited_for_no_longer_than_the_lock_timeout(
    repository: PostgresRepository, server: Engine
) -> None:
    fast = PostgresRepository(with_options(server.url, "-c lock_timeout=50"))
    with server.begin() as holder:
        holder.execute(text("LOCK TABLE user_activity"))

        error = failure(fast, rows(1))
    fast.close()

    assert (Fault.TRANSIENT, "55P03") == (error.fault, error.sqlstate)
    assert repository.write(Batch(record().id, 2, 2, rows(1)))


def test_a_read_only_server_is_transient(repository: PostgresRepository, server: Engine) -> None:
    run(
        server,
        "ALTER DATABASE " + str(server.url.database) + " SET default_transaction_read_only = on",
    )
    try:
        error = failure(repository, rows(1))
    finally:
        with server.connect() as connection:
            connection.execute(text("SET default_transaction_read_only = off"))
            connection.execute(
                text(f"ALTER DATABASE {server.url.database} RESET default_transaction_read_only")
            )
            connection.commit()

    assert (Fault.TRANSIENT, "25006") == (error.fault, error.sqlstate)
