"""Calls of the standard library whose records have the attributes of the last one."""

from __future__ import annotations

import itertools
import logging

from typing import Any

import pytest
import structlog

from structlog_activity import NIL, to_uuid
from structlog_activity.record.row import Row

from .conftest import Kit


EXTRA: dict[str, Any] = {"verb": "invoice.paid", "object": "invoice:7"}


def record(message: str = "paid", *args: Any, **extra: Any) -> logging.LogRecord:
    made = logging.getLogger("app").makeRecord(
        "app", logging.INFO, __file__, 1, message, args, None, extra={**EXTRA, **extra}
    )
    assert type(made) is logging.LogRecord
    return made


def data_of(kit: Kit, *records: logging.LogRecord) -> list[dict[str, Any]]:
    for one in records:
        kit.handler.handle(one)
    return [made.data for made in kit.records]


def test_calls_with_one_verb_and_other_attributes_tell_each_their_own(kit: Kit) -> None:
    one, other = record(count=1), record(total=2, currency="EUR")
    again = [record(count=3), record(total=4, currency="EUR"), record()]

    assert [
        {"event": "paid", "count": 1},
        {"event": "paid", "total": 2, "currency": "EUR"},
        {"event": "paid", "count": 3},
        {"event": "paid", "total": 4, "currency": "EUR"},
        {"event": "paid"},
    ] == data_of(kit, one, other, *again)


def test_the_same_attributes_in_another_order_are_told_apart(kit: Kit) -> None:
    swapped = record(total=2, count=1)

    assert [
        {"event": "paid", "count": 3, "total": 4},
        {"event": "paid", "count": 1, "total": 2},
    ] == (data_of(kit, record(count=3, total=4), swapped))


def test_what_replaces_an_attribute_of_logging_s_own_is_not_lost(kit: Kit) -> None:
    """As many attributes as before, but others."""
    slim = record(count=1)
    del slim.exc_text
    slim.note = "slim"

    assert {"event": "paid", "count": 1, "note": "slim"} == data_of(kit, record(count=0), slim)[1]


def test_what_a_formatter_before_us_adds_is_no_data(kit: Kit) -> None:
    formatter = logging.Formatter("%(asctime)s %(message)s")
    records = [record(count=count) for count in range(3)]
    for one in records:
        formatter.format(one)

    assert [{"event": "paid", "count": count} for count in range(3)] == data_of(kit, *records)


def test_each_message_has_its_own_arguments(kit: Kit) -> None:
    messages = [
        data["event"] for data in data_of(kit, *(record("paid %d", amount) for amount in (1, 2)))
    ]

    assert ["paid 1", "paid 2"] == messages


def test_values_that_change_after_the_call_are_recorded_as_they_were(kit: Kit) -> None:
    tags = ["a"]
    kit.handler.handle(record(tags=tags))
    kit.handler.handle(record(tags=tags))
    tags.append("b")

    assert [["a"], ["a"]] == [made.data["tags"] for made in kit.records]


@pytest.mark.parametrize("object_", [("invoice", 7), "Invoice:7", "7:7"])
def test_every_kind_of_object_is_read_the_second_time_too(kit: Kit, object_: Any) -> None:
    data_of(kit, record(), record(object=object_), record(object=object_))

    assert kit.records[1].object == kit.records[2].object
    assert "7" == kit.records[2].object_id


@pytest.mark.parametrize("object_", [("invoice", 7, 8), "", " :7", None, 7])
def test_an_object_without_a_type_is_refused_the_second_time_too(kit: Kit, object_: Any) -> None:
    data_of(kit, record(), record(object=object_))

    assert 1 == len(kit.records)
    assert {"object_type": 1} == dict(kit.tape.rejected) or {"object": 1} == dict(kit.tape.rejected)


def test_each_call_is_told_what_is_bound_at_that_moment(kit: Kit) -> None:
    kit.handler.handle(record())
    with structlog.contextvars.bound_contextvars(tenant_id="globex", region="north"):
        kit.handler.handle(record())
    with structlog.contextvars.bound_contextvars(tags=["x"]):
        kit.handler.handle(record())
    kit.handler.handle(record())

    first, second, third, last = kit.records
    assert NIL == first.tenant_id == third.tenant_id == last.tenant_id
    assert to_uuid("globex") == second.tenant_id
    assert [{}, {"region": "north"}, {"tags": ["x"]}, {}] == [
        {name: value for name, value in made.data.items() if name not in ("event", "_raw")}
        for made in (first, second, third, last)
    ]


def test_ten_thousand_calls_in_one_millisecond_all_go_the_short_way(make_kit: type[Kit]) -> None:
    """Ids are made 4096 at a time."""
    kit = make_kit(clock=itertools.repeat(1_750_000_000_123_456_789).__next__)
    for _ in range(5_000):
        kit.handler.handle(record())
        kit.process(event="paid", actor_id="ana", **EXTRA)

    assert not [item for item in kit.tape.pending if isinstance(item, Row)]
    assert 10_000 == len({item[1] for item in kit.tape.pending})
