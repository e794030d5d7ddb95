"""What is taken away is taken once, though others lock the same things in another order."""

from __future__ import annotations

import pytest

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from structlog_activity.store.transactions import take_away


class Work:
    """Stores a note, and is broken off by the server at its first tries."""

    def __init__(self, breaks: int, code: str = "40P01") -> None:
        self.tries = 0
        self._breaks = breaks
        self._code = code

    def __call__(self, connection: Connection) -> str:
        self.tries += 1
        connection.execute(text(f"INSERT INTO note VALUES ({self.tries})"))
        if self.tries <= self._breaks:
            connection.execute(
                text(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{self._code}'; END $$")
            )
        return "done"


@pytest.fixture
def notes(server: Engine) -> Engine:
    """A database with room for notes."""
    with server.begin() as connection:
        connection.execute(text("CREATE TABLE note (n integer)"))
    return server


def kept(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return list(connection.scalars(text("SELECT n FROM note")))


@pytest.mark.parametrize("code", ["40P01", "40001"])
def test_what_a_deadlock_broke_off_is_done_again_and_its_tries_leave_nothing(
    notes: Engine, code: str
) -> None:
    assert "done" == take_away(notes, Work(2, code))
    assert [3] == kept(notes)


def test_the_last_of_ten_tries_is_as_good_as_the_first(notes: Engine) -> None:
    assert "done" == take_away(notes, Work(9))
    assert [10] == kept(notes)


def test_a_deadlock_that_comes_at_every_try_is_told(notes: Engine) -> None:
    work = Work(1000)
    with pytest.raises(DBAPIError, match="no"):
        take_away(notes, work)

    assert 10 == work.tries
    assert [] == kept(notes)


def test_any_other_failure_is_told_at_once(notes: Engine) -> None:
    work = Work(1000, "22012")
    with pytest.raises(DBAPIError, match="no"):
        take_away(notes, work)

    assert 1 == work.tries
    assert [] == kept(notes)
