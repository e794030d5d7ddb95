"""The processor: what it records, what it passes on, and what it adds."""

from __future__ import annotations

import logging

from collections import OrderedDict, UserDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
import structlog

from structlog.processors import JSONRenderer
from structlog.stdlib import ExtraAdder, ProcessorFormatter

from structlog_activity import ActivityKeys, InvalidRecordError
from structlog_activity.capture.recorder import NOT_KEPT
from structlog_activity.record.sink import Pending

from .conftest import Kit, Tape


EVENT = {"event": "paid", "verb": "invoice.paid", "object": "invoice:7"}


class Full(Tape):
    """A queue that has no room."""

    def put(self, pending: Pending, /) -> bool:
        return False


class Rude:
    """Something rendered that answers no question."""

    def __contains__(self, key: object) -> bool:
        raise ValueError("ambiguous")


@pytest.mark.parametrize(
    "event",
    [
        {"event": "x"},
        {},
        {"event": "x", "actor_id": "u", "object": "invoice:7", "tenant_id": "t"},
        OrderedDict(event="x"),
        "text",
        'a rendered line with the word verb, {"verb": "a.b"}',
        b"bytes",
        b"bytes with verb",
        bytearray(b"verb"),
        ("verb", "tuple"),
        (("x",), {"extra": {"verb": "a.b"}}),
        ["verb"],
        {"verb"},
        None,
        5,
        object(),
        Rude(),
    ],
)
@pytest.mark.parametrize("verbs", [("verb",), ("verb", "action")])
def test_what_is_no_activity_passes_through_untouched(
    make_kit: Any, event: Any, verbs: tuple[str, ...]
) -> None:
    """The very same object, with nothing added and nothing recorded."""
    kit = make_kit(keys=ActivityKeys(verb=verbs))
    before = repr(event)

    assert kit.processor(None, "info", event) is event
    assert before == repr(event)
    assert [] == kit.tape.pending
    assert {} == kit.tape.rejected


def test_an_activity_passes_through_as_the_same_object_with_its_id(kit: Kit) -> None:
    event = {**EVENT, "path": "ui.theme"}

    out = kit.processor(None, "info", event)

    assert out is event
    assert {**EVENT, "path": "ui.theme", "activity_id": str(kit.only.id)} == out


def test_the_id_is_a_uuid7(kit: Kit) -> None:
    for nested in ({}, {"more": [1]}):
        out = kit.process(**EVENT, **nested)

        assert 7 == UUID(out["activity_id"]).version


def test_a_bad_activity_passes_through_with_what_is_wrong(kit: Kit) -> None:
    out = kit.process(event="paid", verb="invoice.paid")

    assert {"event": "paid", "verb": "invoice.paid", "activity_error": out["activity_error"]} == out
    assert out["activity_error"].startswith("object_type: is missing")
    assert {"object_type": 1} == kit.tape.rejected


def test_a_strict_processor_raises_at_the_call(make_kit: Any) -> None:
    kit = make_kit(strict=True)

    with pytest.raises(InvalidRecordError) as caught:
        kit.logger().info("paid", verb="invoice.paid")

    assert "object_type" == caught.value.field
    assert {"object_type": 1} == kit.tape.rejected


def test_a_strict_processor_lets_good_activities_pass(make_kit: Any) -> None:
    kit = make_kit(strict=True)

    kit.process(**EVENT, path="ui.theme")

    assert "invoice.paid" == kit.only.verb


@pytest.mark.parametrize("mark", ["activity_id", "activity_error"])
def test_a_marked_event_is_not_recorded_again(kit: Kit, mark: str) -> None:
    out = kit.process(**EVENT, **{mark: "x"})

    assert {**EVENT, mark: "x"} == out
    assert [] == kit.tape.pending


def test_two_processors_in_one_chain_make_one_record() -> None:
    first, second = Kit(), Kit()

    second.processor(None, "info", first.process(**EVENT))
    second.processor(None, "info", first.process(event="x", verb="a.b"))

    assert (1, 0) == (len(first.records), len(second.records))
    assert (1, 0) == (first.tape.rejected.total(), second.tape.rejected.total())


@pytest.mark.parametrize("kind", [OrderedDict, UserDict])
def test_events_of_another_mapping_type_are_recorded(kit: Kit, kind: Callable[..., Any]) -> None:
    """structlog's context_class may be any."""
    event = kind(EVENT)

    out = kit.processor(None, "info", event)

    assert out is event
    assert str(kit.only.id) == out["activity_id"]


@pytest.mark.parametrize("value", [5, "text", object(), None])
def test_a_key_named_like_the_formatters_record_does_no_harm(kit: Kit, value: Any) -> None:
    kit.process(**EVENT, _record=value)

    assert "invoice.paid" == kit.only.verb


def test_the_record_is_not_changed_by_processors_that_come_later(kit: Kit) -> None:
    def spoil(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
        event["details"]["list"].append("later")
        event["amount"] = 6
        del event["object"]
        return event

    kit.logger(after=[spoil]).info(
        "paid", verb="invoice.paid", object="invoice:7", amount=5, details={"list": []}
    )

    assert {"event": "paid", "amount": 5, "details": {"list": []}} == kit.only.data
    assert ("invoice", "7") == kit.only.object


def test_one_processor_serves_many_threads_without_mixing_them(kit: Kit) -> None:
    """A shared processor that keeps state mixed up the calls of two threads elsewhere."""

    def work(number: int) -> None:
        for nested in (number, {"n": number}):
            kit.process(event="x", verb="a.b", object=("a", number), actor_id=number, n=nested)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(200)))

    assert 400 == len(kit.records)
    for record in kit.records:
        told = record.data["n"]
        number = told["n"] if isinstance(told, dict) else told
        assert (str(number), str(number)) == (record.object_id, record.data["_raw"]["actor_id"])


def test_the_log_level_does_not_matter_to_the_processor(kit: Kit) -> None:
    log = kit.logger()

    for level in ("debug", "info", "warning", "error", "critical"):
        getattr(log, level)("x", verb="a.b", object="a:1", said=level)

    assert ["debug", "info", "warning", "error", "critical"] == [
        record.data["said"] for record in kit.records
    ]


@pytest.mark.parametrize("key", ["name", "level", "msg", "args", "logger", "module"])
def test_keys_that_logging_reserves_do_no_harm_on_structlog_loggers(kit: Kit, key: str) -> None:
    kit.logger().info("x", verb="a.b", object="a:1", **{key: "value"})

    assert "a.b" == kit.only.verb


def test_who_acts_is_looked_up_even_before_merge_contextvars(kit: Kit) -> None:
    log = kit.logger(after=[structlog.contextvars.merge_contextvars])

    with structlog.contextvars.bound_contextvars(
        actor_id=UUID(int=1), tenant=UUID(int=2), org=UUID(int=3), ip="10.0.0.1"
    ):
        log.info("x", verb="a.b", object="a:1")
        log.info("x", verb="a.b", object="a:1", more=[1])
        log.info("x", verb="a.b", object="a:1", actor=UUID(int=9))

    assert [(UUID(int=n), UUID(int=2), UUID(int=3), "10.0.0.1") for n in (1, 1, 9)] == [
        (record.actor_id, record.tenant_id, record.org_id, record.ip) for record in kit.records
    ]


def test_logger_exception_marks_the_outcome(kit: Kit) -> None:
    log = structlog.wrap_logger(
        structlog.testing.CapturingLogger(),
        processors=[kit.processor, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    try:
        raise LookupError("nothing there")
    except LookupError:
        log.exception("not paid", verb="invoice.paid", object="invoice:7")

    assert {
        "event": "not paid",
        "error": {"type": "LookupError", "message": "nothing there"},
        "outcome": "failed",
    } == kit.only.data


def test_a_strict_processor_leaves_other_calls_alone(make_kit: Any) -> None:
    kit = make_kit(strict=True)

    assert {"event": "x"} == kit.process(event="x")


@pytest.mark.parametrize("kind", [dict, OrderedDict], ids=["set aside", "caught"])
def test_a_record_that_the_queue_does_not_take_has_no_id_in_the_line(kind: Any) -> None:
    kit = Kit(tape=Full())

    out = kit.processor(None, "info", kind(EVENT))

    assert "activity_id" not in out
    assert NOT_KEPT == out["activity_error"]
    assert "paid" == out["event"]


def test_a_formatter_of_a_strict_log_raises_and_the_next_handler_does_not_try_again() -> None:
    kit = Kit(strict=True)
    first, second = (
        ProcessorFormatter(
            foreign_pre_chain=[ExtraAdder(), kit.processor],
            processors=[ProcessorFormatter.remove_processors_meta, JSONRenderer()],
        )
        for _ in range(2)
    )
    call = logging.makeLogRecord({"name": "app", "msg": "paid", "verb": "invoice.paid"})

    with pytest.raises(InvalidRecordError, match="object_type"):
        first.format(call)

    assert "paid" in second.format(call)
    assert [] == kit.records
    assert {"object_type": 1} == kit.tape.rejected
