"""Values that are worked out when they are needed: once, at the call, and never at its cost."""

from __future__ import annotations

import asyncio
import json
import logging
import threading

from collections.abc import Callable
from typing import Any

import pytest
import structlog

from structlog.contextvars import bind_contextvars, bound_contextvars, merge_contextvars

from structlog_activity import (
    NIL,
    ActivityLog,
    acting_as,
    carry,
    export_context,
    lazy,
    to_uuid,
)
from structlog_activity.capture.faults import fault_counts
from tests.write.doubles import run_all

from .conftest import Kit


EXTRA = {"verb": "invoice.paid", "object": "invoice:7"}


class Asked:
    """A function that counts who asks, and answers what it is told to."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.threads: list[int] = []

    def __call__(self) -> Any:
        self.threads.append(threading.get_ident())
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def pay(kit: Kit, **more: Any) -> None:
    kit.logger(merge_contextvars).info("paid", **EXTRA, **more)


def test_a_value_is_asked_for_once_and_only_when_a_record_needs_it(kit: Kit) -> None:
    ask = Asked("ana")
    with bound_contextvars(actor_id=lazy(ask)):
        kit.logger(merge_contextvars).info("no activity")
        assert [] == ask.threads

        pay(kit)
        pay(kit)

    assert [to_uuid("ana")] * 2 == [record.actor_id for record in kit.records]
    assert 1 == len(ask.threads)


def test_it_is_asked_in_the_thread_of_the_call(activity: ActivityLog) -> None:
    ask = Asked("ana")
    log = structlog.wrap_logger(
        None, processors=[merge_contextvars, activity.processor, structlog.testing.LogCapture()]
    )

    with bound_contextvars(actor_id=lazy(ask), tenant_id="t"):
        log.info("paid", **EXTRA)
    assert activity.flush(10)

    assert [threading.get_ident()] == ask.threads
    assert [to_uuid("ana")] == [r.actor_id for r in activity.feed(tenant_id="t").records]


@pytest.mark.parametrize("way", ["processor", "handler", "record"])
def test_every_door_knows_it(kit: Kit, way: str) -> None:
    with bound_contextvars(actor_id=lazy(lambda: "ana"), shop=lazy(lambda: "north")):
        if way == "processor":
            pay(kit)
        elif way == "handler":
            kit.stdlib().info("paid", extra=EXTRA)
        else:
            kit.recorder.record(dict(EXTRA))

    assert to_uuid("ana") == kit.only.actor_id
    assert "north" == kit.only.data["shop"]


def test_as_long_as_nobody_is_known_it_is_asked_again(kit: Kit) -> None:
    ask = Asked(None, "ana")
    with bound_contextvars(actor_id=lazy(ask)):
        pay(kit)
        pay(kit)
        pay(kit)

    assert [NIL, to_uuid("ana"), to_uuid("ana")] == [record.actor_id for record in kit.records]
    assert 2 == len(ask.threads)


def test_a_default_stands_for_nobody_but_not_for_a_failure(make_kit: Callable[..., Kit]) -> None:
    kit = make_kit(defaults={"actor_id": "anonymous"})
    with bound_contextvars(actor_id=lazy(Asked(None, LookupError()))):
        pay(kit)
        pay(kit)

    assert [to_uuid("anonymous"), NIL] == [record.actor_id for record in kit.records]


def test_an_error_is_counted_and_never_raised(kit: Kit, caplog: pytest.LogCaptureFixture) -> None:
    with bound_contextvars(actor_id=lazy(Asked(LookupError("secret"), LookupError(), "ana"))):
        pay(kit)
        pay(kit)
        pay(kit)

    assert [NIL, NIL, to_uuid("ana")] == [record.actor_id for record in kit.records]
    assert {"faults.actor_id": 2} == fault_counts()
    assert ["the lazy actor_id failed with LookupError: a record goes without it"] == [
        record.message for record in caplog.records
    ]


def test_a_strict_log_does_not_raise_for_it_either(make_kit: Callable[..., Kit]) -> None:
    kit = make_kit(strict=True)
    with bound_contextvars(actor_id=lazy(Asked(LookupError()))):
        pay(kit)

    assert NIL == kit.only.actor_id


def test_counters_tell_of_faults(activity: ActivityLog) -> None:
    with bound_contextvars(actor_id=lazy(Asked(LookupError()))):
        activity.record(EXTRA["verb"], EXTRA["object"])

    assert 1 == activity.counters()["faults.actor_id"]


def test_a_function_that_records_does_not_ask_itself(kit: Kit) -> None:
    def ask() -> str:
        pay(kit, inner=True)
        return "ana"

    with bound_contextvars(actor_id=lazy(ask)):
        pay(kit)

    inner, outer = kit.records
    assert (True, NIL, to_uuid("ana")) == (inner.data["inner"], inner.actor_id, outer.actor_id)


def test_threads_that_ask_at_once_all_get_the_answer(kit: Kit) -> None:
    value = lazy(lambda: "ana")

    def work() -> None:
        with bound_contextvars(actor_id=value):
            pay(kit)

    run_all(*[work] * 16)

    assert [to_uuid("ana")] * 16 == [record.actor_id for record in kit.records]


@pytest.mark.parametrize(
    ("renderer", "text"),
    [
        (structlog.processors.JSONRenderer(), '{"event": "hi", "actor_id": "ana"}'),
        (structlog.processors.KeyValueRenderer(), "event='hi' actor_id='ana'"),
        (structlog.processors.LogfmtRenderer(), "event=hi actor_id=ana"),
    ],
)
def test_a_printed_line_shows_the_value(renderer: Any, text: str) -> None:
    log = structlog.wrap_logger(structlog.ReturnLogger(), processors=[merge_contextvars, renderer])

    with bound_contextvars(actor_id=lazy(lambda: "ana")):
        assert text == log.info("hi")


def test_a_printed_line_survives_a_failure() -> None:
    log = structlog.wrap_logger(
        structlog.ReturnLogger(),
        processors=[merge_contextvars, structlog.processors.JSONRenderer()],
    )

    with bound_contextvars(actor_id=lazy(Asked(LookupError(), None))):
        assert {"actor_id": None, "event": "hi"} == json.loads(log.info("hi"))
        assert {"actor_id": None, "event": "hi"} == json.loads(log.info("hi"))


def test_acting_as_takes_functions(kit: Kit) -> None:
    with acting_as(lambda: "ana", tenant_id=lambda: "t"):
        pay(kit)

    assert (to_uuid("ana"), to_uuid("t")) == (kit.only.actor_id, kit.only.tenant_id)


def test_what_leaves_the_request_is_worked_out_before(kit: Kit) -> None:
    """In another thread, or another process, the request is over."""
    ask = Asked("ana")
    with bound_contextvars(actor_id=lazy(ask)):
        work = carry(pay)
        assert {"actor_id": "ana"} == export_context()
    thread = threading.Thread(target=work, args=(kit,))
    thread.start()
    thread.join()

    assert [threading.get_ident()] == ask.threads
    assert to_uuid("ana") == kit.only.actor_id


def test_in_coroutines_it_is_asked_wherever_the_call_is_made(kit: Kit) -> None:
    async def main() -> None:
        bind_contextvars(actor_id=lazy(lambda: "ana"))
        await asyncio.gather(*(asyncio.to_thread(pay, kit) for _ in range(5)))

    asyncio.run(main())

    assert [to_uuid("ana")] * 5 == [record.actor_id for record in kit.records]


def test_faults_are_told_once_a_minute(kit: Kit, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), bound_contextvars(tenant_id=lazy(Asked(LookupError()))):
        for _ in range(5):
            pay(kit)

    assert 1 == len(caplog.records)
    assert {"faults.tenant_id": 5} == fault_counts()
