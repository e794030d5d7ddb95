"""Records in transactions of programs that are killed, and that fork."""

from __future__ import annotations

import os
import signal

import pytest

from tests.write.scripts import Programs, assert_quiet


_HOST = """
from sqlalchemy import create_engine, event, text
from sqlalchemy.orm import Session
engine = create_engine(activity._url)
activity.migrate()
with engine.begin() as connection:
    connection.execute(text("CREATE TABLE account (id integer PRIMARY KEY)"))

def record(number, session):
    who = {"tenant_id": "t", "actor_id": "a"}
    activity.record("theme.updated", ("theme", number), session=session, **who)

def open_account(number, session):
    session.execute(text(f"INSERT INTO account VALUES ({number})"))
    record(number, session)

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(
    ("moment", "stays"),
    [
        ("session.flush(); die()", False),
        ('event.listen(engine, "commit", die); session.commit()', False),
        ("session.commit(); die()", True),
    ],
)
def test_a_kill_leaves_both_or_neither(both: Programs, moment: str, stays: bool) -> None:
    done = both.run(
        f"""
{_HOST}
session = Session(engine)
open_account(1, session)
{moment}
"""
    )

    assert -signal.SIGKILL == done.returncode, done.stderr
    assert ([1] if stays else []) == both.ask("SELECT id FROM account") == both.stored


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system can't fork")
def test_a_child_does_not_write_what_its_parent_holds(programs: Programs) -> None:
    done = programs.run(
        f"""
{_HOST}
session = Session(engine)
record(1, session)
child = os.fork()
if child == 0:
    engine.dispose(close=False)
    session.commit()
    open_account(2, session)
    session.commit()
    assert {{"written": 1, "rolled_back": 0}} == {{
        name: activity.counters()[name] for name in ("written", "rolled_back")}}
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
session.commit()
assert activity.counters()["written"] == 1
"""
    )

    assert_quiet(done)
    assert [1, 2] == programs.stored
    assert 2 == programs.writers


def test_a_program_that_ends_with_its_session_open_ends_quietly(programs: Programs) -> None:
    done = programs.run(
        f"""
{_HOST}
session = Session(engine)
open_account(1, session)
record(2, Session(engine))
"""
    )

    assert_quiet(done)
    assert [] == programs.stored
