"""What a session in a log call is taken for, and what becomes of it."""

from __future__ import annotations

import logging

from collections import OrderedDict
from typing import Any
from unittest.mock import MagicMock

import pytest
import structlog

from sqlalchemy.orm import Session, scoped_session, sessionmaker

from structlog_activity import ActivityLog, InvalidRecordError
from structlog_activity.capture.processor import ActivityProcessor
from structlog_activity.capture.recorder import Recorder
from structlog_activity.capture.sessions import is_session, plain_session
from structlog_activity.record.redact import REDACTED
from structlog_activity.record.row import Row
from structlog_activity.testing import capture_activity

from .conftest import KEYS, ROWS, Kit


EVENT = {"event": "paid", "verb": "invoice.paid", "object": "invoice:7", "tenant_id": "acme"}


class SessionTape:
    """A sink of rows that belong to sessions."""

    def __init__(self) -> None:
        self.held: list[tuple[Any, Row]] = []

    def put(self, session: Any, row: Row, /) -> None:
        self.held.append((session, row))

    @property
    def only(self) -> tuple[Any, Row]:
        (held,) = self.held
        return held


class SessionKit(Kit):
    """A kit that tells the records of sessions from the others."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.held = SessionTape()
        self.recorder = Recorder(
            self.tape,
            rows=ROWS,
            keys=KEYS,
            defaults={"channel": "billing"},
            strict=bool(options.get("strict")),
            session_sink=self.held,
        )
        self.processor = ActivityProcessor(self.recorder)
        self.handler._recorder = self.recorder


class Own(Session):
    """As sessionmaker makes one, and many an application."""


class Sly:
    """Says that it is a session, by every means but its class."""

    __class__ = Session  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise AssertionError("ran")

    __hash__ = None  # type: ignore[assignment]


Namesake = type("Session", (), {"__module__": "sqlalchemy.orm.session"})


@pytest.fixture
def sessions() -> SessionKit:
    return SessionKit()


@pytest.mark.parametrize(
    "session",
    [
        Session(),
        Own(),
        sessionmaker()(),
        scoped_session(sessionmaker()),
    ],
    ids=lambda session: type(session).__name__,
)
def test_every_kind_of_session_is_one_and_leads_to_a_plain_one(session: Any) -> None:
    assert is_session(session)
    assert isinstance(plain_session(session), Session)
    assert plain_session(session) is plain_session(session)


@pytest.mark.parametrize(
    "value", ["s-1", 7, None, {}, object(), Session, Sly(), Namesake(), MagicMock(spec=Session)]
)
def test_nothing_else_is_one(value: Any) -> None:
    assert not is_session(value)


def test_the_processor_takes_the_session_out_and_leaves_the_id(sessions: SessionKit) -> None:
    session = Session()
    out = sessions.process(**EVENT, session=session, amount=5)

    held, row = sessions.held.only
    assert session is held
    assert {**EVENT, "amount": 5, "activity_id": str(row.to_record().id)} == out
    assert '{"_raw": {"tenant_id": "acme"}, "event": "paid", "amount": 5}' == row.data
    assert "billing" == row.channel
    assert [] == sessions.tape.pending


def test_any_mapping_is_freed_of_it(sessions: SessionKit) -> None:
    event = OrderedDict({**EVENT, "session": Session()})
    sessions.processor(None, "info", event)

    assert "session" not in event
    assert 1 == len(sessions.held.held)


def test_a_refused_call_does_not_show_it_either(sessions: SessionKit) -> None:
    out = sessions.process(event="paid", verb="invoice.paid", session=Session())

    assert "activity_error" in out
    assert "session" not in out
    assert {"object_type": 1} == sessions.tape.rejected
    assert [] == sessions.held.held


def test_a_call_without_a_verb_is_left_alone(sessions: SessionKit) -> None:
    session = Session()

    assert {"event": "paid", "session": session} == sessions.process(event="paid", session=session)


@pytest.mark.parametrize("value", ["s-1", 7, {"id": 1}])
def test_a_session_of_another_kind_is_data_as_ever(sessions: SessionKit, value: Any) -> None:
    out = sessions.process(**EVENT, session=value)

    assert value == out["session"]
    assert REDACTED == sessions.tape.only.data["session"]
    assert [] == sessions.held.held


def test_the_handler_finds_it_in_extra(sessions: SessionKit) -> None:
    session = Session()
    sessions.stdlib().info("paid", extra={**EVENT, "event": "paid", "session": session})

    assert session is sessions.held.only[0]
    assert "session" not in sessions.held.only[1].data


@pytest.mark.parametrize("is_recorded_before", [True, False])
def test_a_formatter_does_not_print_it(sessions: SessionKit, is_recorded_before: bool) -> None:
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder(), sessions.processor],
        processor=structlog.processors.JSONRenderer(),
    )
    record = logging.makeLogRecord({**EVENT, "msg": "paid", "session": Session()})
    if is_recorded_before:
        sessions.handler.handle(record)

    assert "session" not in formatter.format(record)
    assert 1 == len(sessions.held.held)


def test_a_session_that_is_bound_counts_for_all_calls(sessions: SessionKit) -> None:
    session = Session()
    sessions.logger(structlog.contextvars.merge_contextvars).bind(session=session).info(**EVENT)
    with structlog.contextvars.bound_contextvars(session=session):
        sessions.recorder.record({"verb": "a.b", "object": "c:1"})
        sessions.logger(structlog.contextvars.merge_contextvars).info(**EVENT)

    assert [session] * 3 == [held for held, _ in sessions.held.held]


def test_a_scope_that_fails_is_a_refusal(sessions: SessionKit) -> None:
    def fail() -> Session:
        raise LookupError

    out = sessions.process(**EVENT, session=scoped_session(fail))  # type: ignore[arg-type]

    assert "LookupError" in out["activity_error"]
    assert {"event": 1} == sessions.tape.rejected


def test_strictness_holds() -> None:
    kit = SessionKit(strict=True)
    with pytest.raises(InvalidRecordError):
        kit.process(event="paid", verb="invoice.paid", session=Session())


def test_record_refuses_what_is_no_session(sessions: SessionKit) -> None:
    with pytest.raises(InvalidRecordError, match=r"session: .* not str"):
        sessions.recorder.record({"verb": "a.b", "object": "c:1"}, "s-1")

    assert {"session": 1} == sessions.tape.rejected


def test_a_recorder_without_a_sink_for_sessions_records_all_the_same() -> None:
    kit = Kit()
    kit.process(**EVENT, session=Session())

    assert "invoice.paid" == kit.only.verb
    assert "session" not in kit.only.data


@pytest.fixture
def processing(activity: ActivityLog) -> Any:
    structlog.configure(processors=[activity.processor, structlog.testing.LogCapture()])
    return structlog.get_logger()


def test_captured_activity_holds_what_names_a_session(
    activity: ActivityLog, processing: Any
) -> None:
    """At the call, whatever becomes of the transaction: tests roll back most of theirs."""
    session = Session()
    with capture_activity() as seen:
        processing.info(**EVENT, session=session)
        activity.record("a.b", "c:1", session=session)
        logging.getLogger("app").warning(
            "x", extra={"verb": "d.e", "object": "f:1", "session": session}
        )

    assert ["invoice.paid", "a.b", "d.e"] == [record.verb for record in seen]
    assert not session.info


def test_captured_activity_works_where_nothing_is_set_up() -> None:
    with capture_activity() as seen:
        structlog.get_logger().info(**EVENT, session=Session())

    assert ["invoice.paid"] == [record.verb for record in seen]
