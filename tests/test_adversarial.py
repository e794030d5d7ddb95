"""
One table of bad input, through every door, into both databases, and back.

Nothing raises, no neighbour is lost, no code of a value runs, the accounts are
exact, no secret is anywhere, and PostgreSQL and SQLite give the same back.
"""

from __future__ import annotations

import logging
import warnings

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from structlog_activity import ActivityLog, ActivityRecord, InvalidRecordError, Redactor
from structlog_activity.record.rowmaker import RowMaker
from structlog_activity.store.batch import Batch
from structlog_activity.store.faults import Fault, StoreError
from structlog_activity.write.buffer import BufferedRepository
from tests.capture.hostile import VALUES, alarms
from tests.capture.test_hostile import NOT_FOREIGN, firing
from tests.record.hostile import HOSTILE, LIMIT, cost
from tests.record.test_secrets import ADVERSARIAL
from tests.write.doubles import Repository


MARK: Final = "CANARY7F3Q9Z2K"
"""Part of every planted secret; 14 characters, as none of our own words has."""

TOKENS: Final = {
    "aws key": f"AKIA{MARK}AB",
    "github token": f"ghp_{MARK * 3}",
    "github pat": f"github_pat_{MARK}_{MARK}",
    "slack token": f"xoxb-{MARK}-{MARK}",
    "stripe key": f"sk_live_{MARK}{MARK}",
    "google key": f"AIza{MARK}{MARK}{MARK}",
    "jwt": f"eyJhbGciOiJIUzI1NiJ9.{MARK}.{MARK}",
    "bearer": f"Bearer {MARK}{MARK}",
    "basic": f"Authorization: Basic {MARK}==",
    "dsn": f"postgresql://app:{MARK}@db/app",
    "dsn with an odd password": f"could not connect to amqp://u:{MARK}@{MARK}@mq/",
    "query": f"GET /cb?state=1&access_token={MARK}&x=2",
    "libpq": f"host=db password={MARK} user=app",
    "json": f'{{"user": "bo", "client_secret": "{MARK}"}}',
    "json cut off": f'{{"user": "bo", "password": "{MARK}',
    "json in json": f'"{{\\"password\\": \\"{MARK}\\"}}"',
    "repr": f"{{'password': '{MARK}', 'n': 1}}",
    "repr of repr": f"'{{\\'password\\': \\'{MARK}\\'}}'",
    "private key": f"-----BEGIN PRIVATE KEY-----\n{MARK}\n-----END PRIVATE KEY-----",
    "private key cut off": f"x -----BEGIN OPENSSH PRIVATE KEY-----\n{MARK}",
}

WRAPS: Final[dict[str, Callable[[str], Any]]] = {
    "list": lambda token: [1, token],
    "dict": lambda token: {"a": {"b": token}},
    "key": lambda token: {token: 1},
    "bytes": lambda token: token.encode(),
    "exception": lambda token: ValueError(token),
    "headers": lambda token: [("Accept", "*/*"), ("X-Note", token)],
    "far into a long text": lambda token: "word " * 1500 + token,
    "at the edge of a long text": lambda token: "word " * 1636 + token + " word" * 99,
}

BY_KEY: Final = {
    "password": lambda: MARK,
    "nested secret": lambda: {"db": [{"passwd": MARK}]},
    "secret number": lambda: {"pin": [MARK]},
    "secret of odd type": lambda: {"token": ValueError(MARK), "cookie": {MARK: MARK}},
    "pair of headers": lambda: [("Cookie", f"sid={MARK}"), (b"authorization", MARK.encode())],
    "folded key": lambda: {"ＰａｓｓＷｏｒｄ": MARK, "X-Api-Key": MARK},  # noqa: RUF001
}

SECRETS: Final[dict[str, Callable[[], Any]]] = {
    **{f"secret: {name}": partial(str, token) for name, token in TOKENS.items()},
    **{
        f"secret: {name} in {place}": partial(wrap, token)
        for number, (name, token) in enumerate(TOKENS.items())
        for place, wrap in list(WRAPS.items())[number % 2 :: 2]
    },
    **{f"secret by key: {name}": make for name, make in BY_KEY.items() if name != "password"},
}

BAIT: Final = {f"bait: {piece!r}": partial(str, (piece * 8192)[:8192]) for piece in ADVERSARIAL}

TABLE: Final[dict[str, Callable[[], Any]]] = {
    **VALUES,
    **{f"record: {name}": make for name, make in HOSTILE.items()},
    **SECRETS,
    **BAIT,
}
"""Makers of bad input by name."""


def by_processor(log: ActivityLog, event: dict[str, Any]) -> None:
    log.processor(None, "info", event)


def by_handler(log: ActivityLog, event: dict[str, Any]) -> None:
    record = logging.makeLogRecord({"name": "app", "msg": "done"})
    record.__dict__.update(event)
    log.handler.handle(record)


def by_record(log: ActivityLog, event: dict[str, Any]) -> None:
    event = dict(event)
    try:
        log.record(event.pop("verb"), event.pop("object"), **event)
    except InvalidRecordError as error:
        assert MARK not in str(error)


DOORS: Final = {"processor": by_processor, "handler": by_handler, "record": by_record}


def test_there_are_enough_of_them() -> None:
    assert len(TABLE) >= 300
    assert len(SECRETS) >= 90


# What the other database gave back, for whichever comes second.
_answers: dict[str, list[Any]] = {}


@pytest.mark.parametrize("door", DOORS)
def test_whatever_comes_in_is_stored_or_refused_and_nothing_else_is_touched(
    url: str, door: str, tmp_path: Path, capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    spool = tmp_path / "spool"
    log = ActivityLog(url, migrate=True, durability="wal", spool_dir=spool, warn_role=False)
    alarms.clear()
    with log, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of coroutines that nobody awaits.
        for number, make in enumerate(TABLE.values()):
            value = make()
            log.record("neighbour.before", ("case", number), tenant_id="t")
            event = {"verb": "bad.input", "object": ("case", number), "tenant_id": "t"}
            with firing():
                DOORS[door](log, {**event, "value": value})
                DOORS[door](log, {**event, "ip": value, "actor_id": value, "password": value})
            log.record("neighbour.after", ("case", number), tenant_id="t")
        on_disk = contents(spool)
        assert log.flush(120)
        counts = log.counters()
        stored = list(everything(log))
        tables = dump(log)

    # I3: the accounts are exact. I2: no neighbour is lost. I5: no foreign code ran.
    assert counts["submitted"] == 4 * len(TABLE) == counts["accepted"] + counts["rejected"]
    assert counts["written"] == counts["accepted"] == len(stored)
    assert (counts["dead"], counts["dropped"]) == (0, 0)
    numbers = [str(number) for number in range(len(TABLE))]
    for verb in ("neighbour.before", "neighbour.after"):
        assert [r.object_id for r in stored if r.verb == verb] == numbers
    bad = [r for r in stored if r.verb == "bad.input" and "value" in r.data]
    assert [r.object_id for r in bad] == numbers
    assert set(alarms) <= NOT_FOREIGN

    # I6: the secrets are nowhere.
    printed = capfd.readouterr()
    for where in (tables, on_disk, contents(tmp_path), printed.out, printed.err, caplog.text):
        assert MARK.encode() not in where if isinstance(where, bytes) else MARK not in where

    # I7: both databases give the same back.
    actual = [(r.verb, r.object_id, r.actor_id, r.ip, r.data) for r in stored]
    assert actual == _answers.setdefault(door, actual)


def contents(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def everything(log: ActivityLog) -> Iterator[ActivityRecord]:
    """Yield all records from the oldest on."""
    found: list[ActivityRecord] = []
    cursor = None
    while True:
        page = log.feed(tenant_id="t", limit=200, total="none", after=cursor)
        found += page.records
        cursor = page.next_cursor
        if cursor is None:
            return iter(found[::-1])


def dump(log: ActivityLog) -> str:
    tables = ("user_activity", "user_activity_daily", "user_activity_batch")
    with log.engine.connect() as connection:
        rows = [connection.execute(text(f"SELECT * FROM {name}")).all() for name in tables]
    return "\n".join(map(str, rows))


@pytest.mark.parametrize("name", [*SECRETS, *BAIT])
def test_no_text_takes_long(name: str) -> None:
    rows, value = RowMaker(Redactor()), TABLE[name]()
    fields = {"verb": "a.b", "object_type": "c", "object_id": value, "actor_id": value}

    assert cost(lambda: rows.make(fields, {"value": value, "list": [value]})) < LIMIT


def test_a_dead_letter_holds_no_secret(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(batch: Batch) -> None:
        raise StoreError(Fault.DATA, "a row is refused", row=0)

    buffer = BufferedRepository(Repository(refuse), linger=0, spool_dir=tmp_path)
    for name, make in SECRETS.items():
        buffer.log(ActivityRecord(verb="a.b", object_type="case", object_id=name,
                                  data={"value": make(), "password": MARK}))  # fmt: skip
    buffer.close(30)

    assert buffer.counters()["dead"] == len(SECRETS)
    assert b'"a.b"' in contents(tmp_path)
    assert MARK.encode() not in contents(tmp_path)
    assert MARK not in "".join(capfd.readouterr()) + caplog.text


def planted(depth: int) -> st.SearchStrategy[Any]:
    """Anything that JSON knows, with secrets in it wherever they may be."""
    words = st.text(max_size=20) | st.sampled_from(sorted(TOKENS.values()))
    texts = st.lists(words, max_size=3).map(" ".join)
    leaves = (
        texts
        | st.integers()
        | st.none()
        | st.floats()
        | texts.map(lambda token: token.encode("utf-8", "replace"))
    )
    keys = texts | st.integers()
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
        max_leaves=depth,
    )


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(values=st.dictionaries(st.text(), planted(12), max_size=5))
def test_a_secret_is_found_wherever_it_lies(values: dict[str, Any]) -> None:
    fields = {"verb": "a.b", "object_type": "c"}

    row = RowMaker(Redactor()).make(fields, values)

    assert MARK not in row.data
