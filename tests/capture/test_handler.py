"""The handler for stdlib logging: the shapes it reads, and what it leaves alone."""

from __future__ import annotations

import json
import logging

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
import structlog

from structlog_activity import NIL, InvalidRecordError, to_uuid

from .conftest import Kit


EXTRA = {"verb": "invoice.paid", "object": "invoice:7"}
MOMENT = datetime(2020, 2, 3, 4, 5, 6, tzinfo=UTC)


def make_record(**attributes: Any) -> logging.LogRecord:
    return logging.makeLogRecord({"name": "app", "msg": "paid", **attributes})


def test_a_call_with_a_verb_is_recorded(kit: Kit) -> None:
    kit.stdlib().info("export done", extra={**EXTRA, "count": 120})

    record = kit.only
    assert ("invoice.paid", ("invoice", "7")) == (record.verb, record.object)
    assert {"event": "export done", "count": 120} == record.data


@pytest.mark.parametrize(
    "extra", [None, {}, {"actor_id": "u", "object": "invoice:7"}, {"msg_verb": "a.b"}]
)
def test_a_call_without_verb_is_left_alone(kit: Kit, extra: dict[str, Any] | None) -> None:
    record = make_record(**(extra or {}))
    before = dict(record.__dict__)

    kit.handler.handle(record)

    assert before == record.__dict__
    assert [] == kit.tape.pending
    assert {} == kit.tape.rejected


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"path": "ui.theme", "to": "dark", "n": 5, "ratio": 0.5, "on": True, "off": None},
        {"actor_id": UUID(int=1), "tenant_id": UUID(int=2), "user_id": 3, "org_id": "o"},
        {"actor": "u", "tenant": "t", "user": "v", "organization_id": "o"},
        {"org": "o"},
        {"ip": "10.0.0.1", "channel": "billing"},
        {"ip": "nowhere"},
        {"occurred_at": MOMENT},
        {"occurred_at": "2020-02-03T04:05:06Z"},
        {"occurred_at": 0},
        {"occurred_at": "soon"},
        {"details": {"a": [1, {"b": (2, 3)}], "s": {1, 2}}},
        {"data": {"a": 1, "b": {"c": 2}}},
        {"data": [1, 2]},
        {"data": None},
        {"password": "hunter2", "headers": {"Authorization": "Bearer x"}},
        {"price": Decimal("1.50"), "at": MOMENT, "blob": b"\x00\xff"},
        {"object": ("invoice", 7)},
        {"object": {"type": "invoice", "id": UUID(int=7)}},
        {"object": ["invoice", "7"]},
        {"object": "invoice"},
        {"object": None, "object_type": "invoice", "object_id": 7},
        {"request_id": "r1", "correlation_id": "c1", "impersonator_id": "admin"},
        {"level": "x", "logger": "y", "timestamp": "z", "stack": "s"},
        {"text": "nul \x00 and \ud800 surrogate", "big": 2**70, "nan": float("nan")},
    ],
)
def test_structlog_and_stdlib_calls_with_the_same_keys_make_equal_records(
    make_kit: Any, fields: dict[str, Any]
) -> None:
    """In all fields but id and, where it is not told, time."""
    fields = {**EXTRA, **fields}
    by_processor, by_handler = make_kit(), make_kit()
    with structlog.contextvars.bound_contextvars(request_id="bound", region="eu"):
        by_processor.logger(structlog.contextvars.merge_contextvars).info("paid", **fields)
        by_handler.stdlib().info("paid", extra=fields)

    one, other = by_processor.only, by_handler.only
    if "2020" in str(fields.get("occurred_at")):
        assert MOMENT == one.occurred_at == other.occurred_at
    assert replace(one, id=NIL, occurred_at=None) == replace(other, id=NIL, occurred_at=None)


def test_both_tell_the_same_of_an_exception(make_kit: Any) -> None:
    by_processor, by_handler = make_kit(), make_kit()
    try:
        raise LookupError("nothing there")
    except LookupError as error:
        by_processor.logger().error("not paid", **EXTRA, exc_info=True)
        by_processor.logger().error("not paid", **EXTRA, exc_info=error)
        by_handler.stdlib().exception("not paid", extra=EXTRA)
        by_handler.stdlib().error("not paid", extra=EXTRA, exc_info=error)

    expected = {
        "event": "not paid",
        "error": {"type": "LookupError", "message": "nothing there"},
        "outcome": "failed",
    }
    assert [expected] * 2 == [record.data for record in by_processor.records]
    assert [expected] * 2 == [record.data for record in by_handler.records]


@pytest.mark.parametrize("alias", ["actor_id", "actor"])
@pytest.mark.parametrize("bound", ["actor_id", "actor"])
def test_who_acts_is_what_the_context_says_whatever_extra_says(
    kit: Kit, alias: str, bound: str
) -> None:
    with structlog.contextvars.bound_contextvars(**{bound: "context"}):
        kit.stdlib().info("paid", extra={**EXTRA, alias: "extra"})

    assert to_uuid("context") == kit.only.actor_id


def test_every_field_of_who_comes_from_the_context_first(kit: Kit) -> None:
    names = ("actor_id", "user_id", "tenant_id", "org_id")

    with structlog.contextvars.bound_contextvars(**dict.fromkeys(names, "x"), ip="10.0.0.1"):
        kit.stdlib().info("paid", extra={**EXTRA, **dict.fromkeys(names, "e"), "ip": "10.0.0.2"})

    assert [to_uuid("x")] * 4 == [getattr(kit.only, name) for name in names]
    assert "10.0.0.1" == kit.only.ip


def test_what_the_context_does_not_say_comes_from_extra_then_defaults(make_kit: Any) -> None:
    kit = make_kit(defaults={"user_id": "d", "org_id": "d"})

    with structlog.contextvars.bound_contextvars(actor_id="x"):
        kit.stdlib().info("paid", extra={**EXTRA, "actor_id": "e", "user_id": "e"})

    record = kit.only
    assert [to_uuid(text) for text in "xed"] == [record.actor_id, record.user_id, record.org_id]


def test_all_other_keys_of_extra_win_over_the_context(kit: Kit) -> None:
    with structlog.contextvars.bound_contextvars(
        channel="context", region="context", verb="context", object="context", event="context"
    ):
        kit.stdlib().info("paid", extra={**EXTRA, "channel": "extra", "region": "extra"})

    record = kit.only
    assert ("extra", "invoice.paid", ("invoice", "7")) == (
        record.channel,
        record.verb,
        record.object,
    )
    assert {"event": "paid", "region": "extra"} == record.data


def test_arguments_are_put_into_the_message(kit: Kit) -> None:
    kit.stdlib().info("paid %s of %d", "all", 5, extra=EXTRA)

    assert "paid all of 5" == kit.only.data["event"]


def test_arguments_that_do_not_fit_leave_the_message_as_it_is(kit: Kit) -> None:
    kit.stdlib().info("paid %d", "all", extra=EXTRA)

    assert "paid %d" == kit.only.data["event"]


def test_a_dict_of_arguments_is_read_as_keys(kit: Kit) -> None:
    kit.stdlib().info("%(verb)s", {**EXTRA, "count": 3})

    assert "invoice.paid" == kit.only.verb
    assert {"event": "invoice.paid", "count": 3} == kit.only.data


def test_a_dict_message_is_read_as_keys(kit: Kit) -> None:
    kit.stdlib().info({**EXTRA, "event": "paid", "count": 3})

    assert {"event": "paid", "count": 3} == kit.only.data


def test_an_event_within_extra_does_not_replace_the_message(kit: Kit) -> None:
    kit.stdlib().info("paid", extra={**EXTRA, "event": "other"})

    assert "paid" == kit.only.data["event"]


def test_attributes_that_a_filter_sets_are_read(kit: Kit) -> None:
    """The usual way of correlation ids."""

    def set_actor(record: logging.LogRecord) -> bool:
        record.actor_id = "u1"
        record.request_id = "r1"
        return True

    logger = kit.stdlib()
    kit.handler.addFilter(set_actor)
    logger.info("paid", extra=EXTRA)

    assert (to_uuid("u1"), "r1") == (kit.only.actor_id, kit.only.data["request_id"])


def test_a_filter_that_objects_is_obeyed(kit: Kit) -> None:
    logger = kit.stdlib()
    kit.handler.addFilter(lambda record: False)
    logger.info("paid", extra=EXTRA)

    assert [] == kit.records


def test_a_record_that_a_filter_returns_stands_in(kit: Kit) -> None:
    """As Python has it from 3.12 on."""
    other = make_record(**EXTRA, note="the other one")
    kit.handler.filter = lambda record: other  # type: ignore[method-assign, assignment, return-value]

    kit.handler.handle(make_record(**EXTRA))

    assert "the other one" == kit.only.data["note"]


def test_attributes_of_a_log_record_factory_are_read(kit: Kit) -> None:
    usual = logging.getLogRecordFactory()

    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = usual(*args, **kwargs)
        record.actor_id = "u1"
        return record

    logging.setLogRecordFactory(factory)
    kit.stdlib().info("paid", extra=EXTRA)

    assert to_uuid("u1") == kit.only.actor_id


def test_the_level_of_the_handler_is_obeyed(kit: Kit) -> None:
    logger = kit.stdlib()
    kit.handler.setLevel("ERROR")

    logger.warning("paid", extra={**EXTRA, "n": 1})
    logger.error("paid", extra={**EXTRA, "n": 2})

    assert [2] == [record.data["n"] for record in kit.records]


@pytest.mark.parametrize("name", ["sqlalchemy", "psycopg", "structlog_activity"])
@pytest.mark.parametrize("rest", ["", ".engine", ".pool.impl.QueuePool"])
def test_loggers_of_what_writes_are_never_recorded(kit: Kit, name: str, rest: str) -> None:
    """Or an outage would feed on its own messages."""
    kit.stdlib(name + rest).error("paid", extra=EXTRA)
    kit.stdlib(name + rest).error("bad", extra={"verb": "a.b"})

    assert [] == kit.tape.pending
    assert {} == kit.tape.rejected


@pytest.mark.parametrize("name", ["sqlalchemyish", "app.sqlalchemy", "psycopg_like", "root"])
def test_loggers_of_similar_names_are_recorded(kit: Kit, name: str) -> None:
    kit.stdlib(name).info("paid", extra=EXTRA)

    assert "invoice.paid" == kit.only.verb


@pytest.mark.parametrize("name", [None, 5, ""])
def test_a_log_record_without_a_proper_name_is_recorded(kit: Kit, name: Any) -> None:
    kit.handler.handle(make_record(**EXTRA, name=name))

    assert "invoice.paid" == kit.only.verb


def test_the_log_record_gets_the_id(kit: Kit) -> None:
    record = make_record(**EXTRA)

    kit.handler.handle(record)

    assert str(kit.only.id) == record.activity_id  # type: ignore[attr-defined]


def test_a_bad_call_gets_the_error_and_is_counted_once(kit: Kit) -> None:
    record = make_record(verb="invoice.paid")

    kit.handler.handle(record)
    kit.handler.handle(record)

    assert record.activity_error.startswith("object_type: ")  # type: ignore[attr-defined]
    assert {"object_type": 1} == kit.tape.rejected


def test_a_strict_handler_raises_at_the_call(make_kit: Any) -> None:
    kit = make_kit(strict=True)
    logger = kit.stdlib()

    with pytest.raises(InvalidRecordError, match="object_type"):
        logger.info("paid", extra={"verb": "invoice.paid"})

    assert {"object_type": 1} == kit.tape.rejected


def test_the_handler_takes_no_lock(kit: Kit) -> None:
    """Another thread may hold the handler's lock for as long as it likes."""
    from threading import Event, Thread

    done = Event()
    logger = kit.stdlib()

    def call() -> None:
        logger.info("paid", extra=EXTRA)
        done.set()

    assert kit.handler.lock is not None
    with kit.handler.lock:
        Thread(target=call, daemon=True).start()
        assert done.wait(5)

    assert "invoice.paid" == kit.only.verb


def test_extra_is_not_changed(kit: Kit) -> None:
    extra: dict[str, Any] = {**EXTRA, "data": {"a": 1}, "list": [1]}
    before = json.dumps(extra)

    kit.stdlib().info("paid", extra=extra)

    assert before == json.dumps(extra)


@pytest.fixture(params=["first", "last"])
def order(request: pytest.FixtureRequest) -> Iterator[Callable[..., None]]:
    """Add a handler before or after the one that is there."""

    def add(logger: logging.Logger, handler: logging.Handler) -> None:
        logger.handlers.insert(0 if request.param == "first" else 1, handler)

    yield add


def test_other_handlers_see_the_same_message(kit: Kit, order: Callable[..., None]) -> None:
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    logger = kit.stdlib()
    order(logger, Lines())
    logger.info("paid %s", "all", extra=EXTRA)

    assert ["paid all"] == lines
    assert "paid all" == kit.only.data["event"]
