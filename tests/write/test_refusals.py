"""
Whatever a database refuses, and however long: no record is lost, and only bad ones are dead.
"""

from __future__ import annotations

import random
import threading

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from sqlalchemy.engine import make_url

from tests.support.files import no_more_files
from tests.support.postgres import PASSWORD_ROLE, PostgresServer
from tests.support.proxy import FaultProxy
from tests.write.checker import SECRET, Trial
from tests.write.conftest import MakeTrial
from tests.write.databases import Database, File
from tests.write.doubles import eventually


# -- the database refuses everything -------------------------------------------


PASSING = (
    "08006", "0A000", "25006", "28000", "3F000", "40001", "40P01", "42501", "53000", "53100",
    "53200", "53300", "55006", "55P03", "57014", "57P01", "57P03", "58030", "P0001", "XX000",
)  # fmt: skip


def test_codes_that_are_nobodys_fault_are_waited_out_and_nothing_is_dead(
    make_trial: MakeTrial, database: Database
) -> None:
    with make_trial(url=database.url) as trial:
        for number, code in enumerate(PASSING):
            with database.refusing(code, SECRET):
                trial.submit(*range(number * 10, number * 10 + 5))
                trial.trouble("GRANT INSERT" if code == "42501" else code)
                assert not trial.buffer.health().ok
            trial.flush()
            trial.check()
            assert trial.buffer.health().ok


OWN = ("22000", "22001", "22021", "22P02", "22P05", "23503", "23505", "23514", "54000", "54001")


def test_codes_that_are_a_rows_own_fault_cost_that_row_alone(
    make_trial: MakeTrial, database: Database
) -> None:
    with make_trial(url=database.url) as trial:
        dead = []
        for number, code in enumerate(OWN):
            first = number * 10
            dead.append(first + 3)
            bad = f"FOR EACH ROW WHEN (NEW.object_id = '{first + 3}')"
            with database.refusing(code, SECRET, when=bad):
                trial.submit(*range(first, first + 7))
                assert trial.buffer.flush(20) is False
            trial.dead = dead
            trial.check()


SCHEMAS = {
    "another column": (  # First, while there is no row that lacks it.
        "ALTER TABLE user_activity ADD COLUMN extra text NOT NULL",
        "ALTER TABLE user_activity DROP COLUMN extra",
        "23502",
    ),
    "table": (
        "ALTER TABLE user_activity RENAME TO elsewhere",
        "ALTER TABLE elsewhere RENAME TO user_activity",
        "42P01",
    ),
    "column": (
        "ALTER TABLE user_activity RENAME COLUMN ip TO address",
        "ALTER TABLE user_activity RENAME COLUMN address TO ip",
        "42703",
    ),
    "ledger": (
        "ALTER TABLE user_activity_batch RENAME TO elsewhere",
        "ALTER TABLE elsewhere RENAME TO user_activity_batch",
        "42P01",
    ),
    "daily counts": (
        "ALTER TABLE user_activity_daily RENAME TO elsewhere",
        "ALTER TABLE elsewhere RENAME TO user_activity_daily",
        "42P01",
    ),
    "a check on the daily counts": (
        "ALTER TABLE user_activity_daily ADD CONSTRAINT none CHECK (n < 0) NOT VALID",
        "ALTER TABLE user_activity_daily DROP CONSTRAINT none",
        "23514",
    ),
}


def test_a_schema_that_does_not_fit_holds_records_until_it_does(
    make_trial: MakeTrial, database: Database
) -> None:
    with make_trial(url=database.url) as trial:
        for number, (broken, mended, words) in enumerate(SCHEMAS.values()):
            database.do(broken)
            trial.submit(*range(number * 10, number * 10 + 5))
            trial.trouble(words)
            assert not trial.buffer.health().ok
            database.do(mended)
            trial.flush()
            trial.check()


def test_a_partition_that_is_missing_holds_all_but_the_rows_at_fault(
    make_trial: MakeTrial, database: Database
) -> None:
    database.do("ALTER TABLE user_activity ADD CONSTRAINT good CHECK (verb <> 'bad.verb')")
    database.do(
        """
        DO $$ DECLARE part regclass; BEGIN
            FOR part IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'user_activity'::regclass
            LOOP EXECUTE 'ALTER TABLE user_activity DETACH PARTITION ' || part; END LOOP;
        END $$
        """
    )
    with make_trial(url=database.url) as trial:
        trial.submit(*range(30))
        trial.submit(30, verb="bad.verb")
        trial.submit(*range(31, 50))
        trial.trouble("no partition of user_activity")
        assert trial.buffer.counters()["dead"] == 0
        database.do("CREATE TABLE user_activity_all PARTITION OF user_activity DEFAULT")
        trial.dead = [30]
        assert trial.buffer.flush(40) is False


def before_each_insert(database: Database, call: str) -> None:
    """Have the server call a function before each record that it stores."""
    database.do(
        f"""
        CREATE FUNCTION before_insert() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM {call}; RETURN NEW; END $$;
        CREATE TRIGGER before_insert BEFORE INSERT ON user_activity
        FOR EACH ROW EXECUTE FUNCTION before_insert()
        """
    )


def test_a_statement_that_takes_longer_than_the_server_allows_is_made_smaller(
    make_trial: MakeTrial, database: Database
) -> None:
    before_each_insert(database, "pg_sleep(0.02)")
    with make_trial("statement_timeout=250", url=database.url, linger=0.1) as trial:
        trial.submit(*range(20))
        trial.trouble("57014")
        trial.flush()
        batches = database.do("SELECT count(*) FROM user_activity_batch")
        assert batches[0] > 1


def test_a_lock_that_somebody_holds_too_long_is_asked_for_again(
    make_trial: MakeTrial, database: Database
) -> None:
    with make_trial("lock_timeout=30", url=database.url) as trial:
        with database.connect() as other, other.transaction():
            other.execute("LOCK TABLE user_activity IN ACCESS EXCLUSIVE MODE")
            trial.submit(*range(40))
            trial.trouble("55P03")
        trial.flush()


COUNTS = "UPDATE user_activity_daily SET n = n"


def test_a_deadlock_with_somebody_else_costs_another_try(
    make_trial: MakeTrial, database: Database
) -> None:
    before_each_insert(database, "pg_advisory_xact_lock_shared(7)")
    with (
        make_trial("deadlock_timeout=20", url=database.url) as trial,
        database.connect() as gate,
        database.connect() as other,
    ):
        trial.submit(0)
        trial.flush()
        other.execute("BEGIN; SET LOCAL deadlock_timeout = '60s'; " + COUNTS)
        gate.execute("SELECT pg_advisory_lock(7)")
        trial.submit(*range(1, 30))
        eventually(lambda: waiting(database) == [1], "waiting at the gate")
        lock = "LOCK TABLE user_activity IN SHARE MODE"
        locking = threading.Thread(target=other.execute, args=(lock,))
        locking.start()  # It waits for ours, which goes on to wait for its counts.
        eventually(lambda: waiting(database) == [2], "waiting for ours")
        gate.execute("SELECT pg_advisory_unlock(7)")
        locking.join()
        trial.trouble("40P01")
        other.execute("COMMIT")
        trial.flush()


def test_a_transaction_that_can_not_be_serialised_is_made_again(
    make_trial: MakeTrial, database: Database
) -> None:
    isolation = "default_transaction_isolation=repeatable\\ read"
    with make_trial(isolation, url=database.url) as trial:
        trial.submit(0)
        trial.flush()
        with database.connect() as other, other.transaction():
            other.execute(COUNTS)
            trial.submit(*range(1, 30))
            eventually(lambda: waiting(database) == [1], "waiting for the counts")
        trial.flush()
        assert [text for text in trial.messages if "40001" in text]


def waiting(database: Database) -> list[int]:
    return database.do(
        "SELECT count(*)::int FROM pg_stat_activity "
        "WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )


# -- the role ------------------------------------------------------------------


@pytest.fixture
def role(database: Database) -> Iterator[str]:
    """A role that may write the log, and no more."""
    role = f"activity_writer_{uuid4().hex[:8]}"
    database.do(
        f"CREATE ROLE {role} LOGIN;"
        f"GRANT INSERT ON user_activity, user_activity_batch TO {role};"
        f"GRANT SELECT, INSERT, UPDATE ON user_activity_daily TO {role};"
        f"GRANT SELECT ON user_activity_migration TO {role}"
    )
    yield role
    database.do(f"DROP OWNED BY {role}; DROP ROLE {role}")


def url_of(database: Database, role: str) -> str:
    return make_url(database.url).set(username=role).render_as_string(hide_password=False)


def test_a_role_that_loses_a_privilege_writes_all_once_it_has_it_again(
    make_trial: MakeTrial, database: Database, role: str
) -> None:
    with make_trial(url=url_of(database, role)) as trial:
        for number, table in enumerate(("", "_batch", "_daily")):
            database.do(f"REVOKE INSERT ON user_activity{table} FROM {role}")
            trial.submit(*range(number * 10, number * 10 + 9))
            trial.trouble("GRANT INSERT")
            database.do(f"GRANT INSERT ON user_activity{table} TO {role}")
            trial.flush()


def test_a_server_that_has_no_connection_left_is_asked_again(
    make_trial: MakeTrial, database: Database, role: str
) -> None:
    database.do(f"ALTER ROLE {role} CONNECTION LIMIT 0")
    with make_trial(url=url_of(database, role)) as trial:
        trial.submit(*range(30))
        trial.trouble("too many connections")
        database.do(f"ALTER ROLE {role} CONNECTION LIMIT 1")
        trial.flush()
        assert len(database.backends()) == 1


def test_a_password_that_was_changed_is_asked_for_until_it_is_right(
    make_trial: MakeTrial, database: Database, own_server: PostgresServer
) -> None:
    database.do(
        f"DROP ROLE IF EXISTS {PASSWORD_ROLE};"
        f"CREATE ROLE {PASSWORD_ROLE} LOGIN SUPERUSER PASSWORD 'another'"
    )
    try:
        with make_trial(url=url_of(database, PASSWORD_ROLE)) as trial:
            trial.submit(*range(30))
            trial.trouble("the password or the role is wrong")
            database.do(f"ALTER ROLE {PASSWORD_ROLE} PASSWORD '{SECRET}'")
            trial.flush()
            database.do(f"ALTER ROLE {PASSWORD_ROLE} PASSWORD 'another'")
            trial.submit(*range(30, 40))
            trial.flush()  # A connection outlives its password.
            database.end_connections()
            trial.submit(*range(40, 50))
            trial.trouble("the password or the role is wrong")
            database.do(f"ALTER ROLE {PASSWORD_ROLE} PASSWORD '{SECRET}'")
            trial.flush()
    finally:
        database.do(f"DROP ROLE {PASSWORD_ROLE}")


def test_a_database_that_is_there_later_gets_all(
    make_trial: MakeTrial, database: Database, postgres_server: PostgresServer
) -> None:
    name = database.name
    elsewhere = Database(postgres_server.url())
    elsewhere.do(f"ALTER DATABASE {name} RENAME TO {name}_later")
    with make_trial(url=database.url) as trial:
        trial.submit(*range(30))
        trial.trouble("does not exist")
        elsewhere.do(f"ALTER DATABASE {name}_later RENAME TO {name}")
        trial.flush()


# -- this machine ----------------------------------------------------------------


def test_while_too_many_files_are_open_records_wait(
    make_trial: MakeTrial, database: Database
) -> None:
    with make_trial(url=database.url) as trial:
        with no_more_files():
            trial.submit(*range(30))
            trial.trouble("too many files are open")
        trial.flush()


def test_while_too_many_files_are_open_records_wait_for_a_file_of_sqlite(
    make_file_trial: MakeTrial, file: File
) -> None:
    with make_file_trial() as trial:
        with no_more_files():
            trial.submit(*range(30))
            trial.trouble("CANTOPEN")
        trial.flush()


# -- rows at fault -----------------------------------------------------------------


LONG = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=12_000))
SPOILT: tuple[dict[str, Any], ...] = (
    {"object_id": "nul\0"},
    {"verb": "surrogate\ud800"},
    {"data": '{"a": NaN}'},
    {"data": '{"a": "\\u0000"}'},
    {"data": '{"a": 1e131072}'},
    {"data": "[" * 20_000 + "]" * 20_000},
    {"object_id": LONG},
    {"created_at": 1 << 63},
    {"created_at": -(1 << 62)},
)


def submit_among_others(trial: Trial, spoilt: dict[int, dict[str, Any]], count: int) -> None:
    """Submit so many rows, some of them spoilt: those alone are dead afterwards."""
    trial.dead = [*spoilt]
    for number in range(count):
        if number in spoilt:
            trial.submit_raw(number, **spoilt[number])
        else:
            trial.submit(number)
    assert trial.buffer.flush(40) is False


@pytest.mark.parametrize("batch_size", [20, 1000])
def test_rows_that_no_check_has_seen_are_dead_and_cost_no_neighbour(
    make_trial: MakeTrial, database: Database, batch_size: int
) -> None:
    with make_trial(url=database.url, batch_size=batch_size, linger=0.2) as trial:
        submit_among_others(trial, {n * 50: spoilt for n, spoilt in enumerate(SPOILT)}, 1000)


def test_rows_that_sqlite_can_not_bind_are_dead_and_cost_no_neighbour(
    make_file_trial: MakeTrial,
) -> None:
    spoilt: tuple[dict[str, Any], ...] = (
        {"verb": "\ud800"},
        {"created_at": 1 << 63},
        {"data": b"5"},
    )
    with make_file_trial(batch_size=100, linger=0.2) as trial:
        submit_among_others(trial, {n * 20 + 7: bad for n, bad in enumerate(spoilt)}, 100)


def test_a_batch_of_nothing_but_bad_rows_does_not_hold_up_the_next(
    make_trial: MakeTrial, database: Database
) -> None:
    database.do("ALTER TABLE user_activity ADD CONSTRAINT good CHECK (verb <> 'bad.verb')")
    with make_trial(url=database.url) as trial:
        trial.dead = [*range(20)]
        trial.submit(*trial.dead, verb="bad.verb")
        trial.submit(*range(20, 40))
        assert trial.buffer.flush(40) is False
        assert database.stored == [*range(20, 40)]


# -- too many --------------------------------------------------------------------


LOST = "SELECT sum((data ->> 'count')::int)::int FROM user_activity WHERE verb LIKE 'activity.%'"


@pytest.mark.parametrize("overflow", ["drop_newest", "drop_oldest", "block", "spill"])
def test_what_an_outage_costs_is_what_the_policy_says_and_the_table_tells_it(
    make_trial: MakeTrial,
    proxy: FaultProxy,
    database: Database,
    tmp_path_factory: pytest.TempPathFactory,
    overflow: str,
) -> None:
    most, callers = 50, range(150)
    options: dict[str, float | str] = {"overflow": overflow, "max_records": most}
    if overflow == "spill":
        options["spool_dir"] = str(tmp_path_factory.mktemp("spool"))
    proxy.mode = "refuse"
    with make_trial(block_timeout=0.005, **options) as trial:
        trial.loses = overflow != "spill"
        trial.evicts = overflow == "drop_oldest"
        trial.submit(*callers)
        assert trial.buffer.counters()["queued"] <= most
        proxy.mode = "pass"
        assert trial.buffer.flush(40) is not trial.loses
        lost = trial.buffer.counters()["dropped"]
        if overflow == "spill":
            assert database.stored == [*callers]
        elif overflow == "drop_oldest":
            assert database.stored[-most:] == [*callers[-most:]]
        else:
            assert database.stored == trial.kept
            assert database.stored[:most] == [*callers[:most]]
        eventually(lambda: database.do(LOST)[0] == (lost or None), "a note")


def test_a_storm_during_an_outage_is_bounded_counted_and_told_once(
    make_trial: MakeTrial, proxy: FaultProxy
) -> None:
    proxy.mode = "refuse"
    with make_trial(max_records=500) as trial:
        trial.loses = True
        with trial.callers(2):
            trial.submit(*range(10_000))
        assert trial.buffer.counters()["queued"] <= 502
        proxy.mode = "pass"
        trial.buffer.flush(40)
    assert len(trial.messages) <= 2, trial.messages
