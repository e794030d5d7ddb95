"""
Whatever a caller passes: nothing raises, hangs, runs foreign code or costs a neighbour.

The invariants I1 to I7 of the design, for every value at every door.
"""

from __future__ import annotations

import copy
import gc
import itertools
import json
import logging
import threading
import weakref

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import structlog

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from structlog_activity import ActivityLog, BufferedRepository, InvalidRecordError
from structlog_activity.capture.keys import ActivityKeys
from structlog_activity.capture.processor import ActivityProcessor
from structlog_activity.capture.recorder import Recorder
from structlog_activity.record.canonical import Canonical
from structlog_activity.record.redact import Redactor
from structlog_activity.record.row import Row
from structlog_activity.record.rowmaker import RowMaker
from structlog_activity.testing import MemoryRepository
from tests.record.hostile import LIMIT, cost

from .conftest import Kit, TapeHandler
from .hostile import VALUES, Pair, Point, alarms, loaded


EVENT = {"event": "paid", "verb": "invoice.paid", "object": "invoice:7"}
PLACES = """
    event verb object object_type object_id actor_id user_id tenant_id org_id channel ip
    occurred_at data exc_info exception value stack_info positional_args _record
""".split()
NOT_FOREIGN = {
    "Zone.utcoffset",  # A moment in a zone is nothing until the zone is asked.
    "Meta.__hash__",  # A class can't be looked up without it; it may fail.
}
Door = Callable[[Kit, dict[str, Any]], None]


def by_processor(kit: Kit, event: dict[str, Any]) -> None:
    kit.processor(None, "info", event)


def by_handler(kit: Kit, event: dict[str, Any]) -> None:
    event = dict(event)
    record = logging.makeLogRecord({"name": "app", "msg": event.pop("event", "x")})
    record.__dict__.update(event)
    kit.handler.handle(record)


def by_wrapped_call(kit: Kit, event: dict[str, Any]) -> None:
    """As structlog's wrap_for_formatter leaves it."""
    kit.handler.handle(logging.makeLogRecord({"name": "app", "msg": event}))


def by_record(kit: Kit, event: dict[str, Any]) -> None:
    log = object.__new__(ActivityLog)
    log._recorder = kit.recorder
    event = dict(event)
    verb = event.pop("verb", None)
    with suppress(InvalidRecordError):
        log.record(verb, event.pop("object", None), **event)


DOORS = [by_processor, by_handler, by_wrapped_call, by_record]


def events(value: Any) -> list[dict[str, Any]]:
    """Return events that have *value* in every place."""
    found = [{**EVENT, place: value} for place in PLACES]
    found.append({"event": "paid", "verb": "invoice.paid", "object_type": value, "object_id": "7"})
    found.append({"event": "paid", "verb": "invoice.paid", "object": ("invoice", value)})
    found.append({"event": "paid", "verb": "invoice.paid", "object": (value, 7)})
    found.append({**EVENT, "value": [value], "data": {"in": {"deep": (value, value)}}})
    found.append(dict.fromkeys(EVENT, value))
    return found


def check(row: Row) -> None:
    """A stored row reads back, is valid JSON and can be encoded (I4)."""

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is no JSON")

    data = json.loads(row.data, parse_constant=refuse)
    assert dict is type(data)
    assert Canonical is type(row.data)
    for text in (row.verb, row.object_type, row.object_id, row.channel, row.ip, str(row.data)):
        assert str is type(text)
        text.encode("utf-8")
        assert "\x00" not in text
    assert "\\u0000" not in row.data
    assert [16] * 5 == [
        len(part) for part in (row.id, row.tenant_id, row.actor_id, row.user_id, row.org_id)
    ]
    assert row.verb.strip()
    assert row.object_type.strip()
    assert len(row.data) < 200_000


@contextmanager
def firing() -> Iterator[None]:
    """Let what can leave or interrupt the program do so."""
    loaded[0] = True
    try:
        yield
    finally:
        loaded[0] = False


def test_there_are_enough_of_them() -> None:
    assert len(VALUES) >= 100


@pytest.mark.parametrize("name", VALUES)
def test_a_hostile_value_does_no_harm_anywhere(name: str) -> None:
    """Not as a field, within a field, as an item, nor in the depth of data; at no door."""
    for door, event in itertools.product(DOORS, events(VALUES[name]())):
        kit = Kit()
        rows: list[Row] = []
        alarms.clear()
        with firing():
            at_call = cost(lambda: door(kit, dict(event)))  # noqa: B023  Called at once.
            later = cost(lambda: rows.extend(kit.tape.rows))  # noqa: B023

        assert at_call < LIMIT
        assert later < LIMIT
        assert set(alarms) <= NOT_FOREIGN
        assert (len(kit.tape.pending) > 0) != (kit.tape.rejected.total() > 0)
        for row in rows:
            check(row)


@pytest.mark.parametrize("name", VALUES)
def test_a_hostile_value_within_data_never_costs_its_record(name: str) -> None:
    kit = Kit()

    out = kit.process(**EVENT, value=VALUES[name](), good="neighbour")

    assert "activity_error" not in out
    assert "neighbour" == kit.only.data["good"]
    assert {"event", "value", "good"} == kit.only.data.keys()


@pytest.mark.parametrize("name", VALUES)
def test_a_hostile_value_where_an_id_belongs_never_costs_its_record(name: str) -> None:
    kit = Kit()

    for place in ("actor_id", "user_id", "tenant_id", "org_id", "ip", "channel", "occurred_at"):
        kit.process(**EVENT, **{place: VALUES[name]()})

    assert {} == kit.tape.rejected
    assert 7 == len(kit.records)


@pytest.mark.parametrize("name", VALUES)
def test_processor_and_handler_store_the_same(name: str) -> None:
    """Made twice, so that what one door consumed the other has too."""
    one, other = Kit(), Kit()

    by_processor(one, {**EVENT, "value": VALUES[name](), "data": {"more": VALUES[name]()}})
    by_handler(other, {**EVENT, "value": VALUES[name](), "data": {"more": VALUES[name]()}})

    assert one.only.data == other.only.data


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    pair=st.tuples(st.sampled_from(sorted(VALUES)), st.sampled_from(sorted(VALUES))),
    places=st.lists(st.sampled_from(PLACES), min_size=2, max_size=2, unique=True),
    door=st.sampled_from(DOORS),
)
def test_pairs_of_hostile_values_do_no_harm(
    pair: tuple[str, str], places: list[str], door: Door
) -> None:
    kit = Kit()
    alarms.clear()
    event: dict[str, Any] = {
        **EVENT,
        **{place: VALUES[name]() for place, name in zip(places, pair, strict=True)},
    }

    with firing():
        door(kit, event)
        rows = kit.tape.rows

    for row in rows:
        check(row)
    assert set(alarms) <= NOT_FOREIGN


def json_like(depth: int) -> st.SearchStrategy[Any]:
    scalars = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text()
        | st.binary()
        | st.datetimes()
        | st.uuids()
        | st.decimals()
        | st.text(st.characters(codec="utf-16-be"))
    )
    keys = st.text() | st.integers() | st.none() | st.tuples(st.integers())
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner) | st.dictionaries(keys, inner) | st.tuples(inner, inner),
        max_leaves=depth,
    )


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(event=st.dictionaries(st.sampled_from(PLACES) | st.text(), json_like(12), max_size=6))
def test_any_event_makes_a_record_or_a_rejection_and_the_same_at_both_doors(
    event: dict[str, Any],
) -> None:
    one, other = Kit(), Kit()
    for key in ("activity_id", "activity_error", "exc_info", "exception", "args", "msg", "name"):
        event.pop(key, None)
    event = {"verb": "a.b", "object": "a:1", **event, "event": "text"}
    usual = {*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName"}
    event = {key: value for key, value in event.items() if key not in usual}

    by_processor(one, copy.copy(event))
    by_handler(other, copy.copy(event))

    assert 1 == len(one.tape.pending) + one.tape.rejected.total()
    assert one.tape.rejected == other.tape.rejected
    for row, same in zip(one.tape.rows, other.tape.rows, strict=True):
        check(row)
        assert json.loads(row.data) == json.loads(same.data)
        assert row[3:11] == same[3:11]


def test_good_neighbours_survive_and_the_accounting_is_exact() -> None:
    """Every value in every place, between good calls, through a real buffer (I2, I3)."""
    memory = MemoryRepository()
    buffer = BufferedRepository(memory, linger=0, batch_size=50)
    recorder = Recorder(
        buffer, rows=RowMaker(Redactor()), keys=ActivityKeys(), defaults={}, strict=False
    )
    processor, handler = ActivityProcessor(recorder), TapeHandler(recorder)
    submitted = good = 0
    for number, (name, make) in enumerate(VALUES.items()):
        place = PLACES[number % len(PLACES)]
        processor(None, "info", {**EVENT, "good": name})
        processor(None, "info", {**EVENT, place: make()})
        processor(None, "info", {**EVENT, "value": make()})
        record = logging.makeLogRecord({"name": "app", "msg": "x"})
        record.__dict__.update({**EVENT, "value": make()})
        handler.handle(record)
        processor(None, "info", {**EVENT, "good": [name]})
        submitted, good = submitted + 5, good + 2

    assert buffer.close(20)
    counters = buffer.counters()

    assert submitted == counters["submitted"]
    assert counters["submitted"] == counters["accepted"] + counters["rejected"]
    assert counters["accepted"] == counters["written"]
    assert (0, 0) == (counters["dead"], counters["dropped"])
    assert len(memory.rows) == counters["written"]
    told = [record.data["good"] for record in memory.records if "good" in record.data]
    assert [form for name in VALUES for form in (name, [name])] == told
    assert good == len(told)


def test_generators_are_not_consumed() -> None:
    kit = Kit()
    alarms.clear()
    numbers = (number for number in range(3))

    for door in DOORS:
        door(kit, {**EVENT, "value": numbers, "data": {"in": [numbers]}})

    assert [0, 1, 2] == list(numbers)


def test_the_callers_objects_are_not_changed() -> None:
    nested = {"password": "hunter2", "list": [1, {"a": {2}}], "text": "nul\x00", "big": 2**70}
    before = copy.deepcopy(nested)
    kit = Kit()

    for door in DOORS:
        door(kit, {**EVENT, "value": nested, "data": nested})

    assert before == nested


def test_the_callers_objects_are_not_kept_alive() -> None:
    kit = Kit()
    point = Point()
    gone = weakref.ref(point)

    for door in DOORS:
        door(kit, {**EVENT, "value": point, "data": {"in": [point]}, "actor_id": point})
    del point
    gc.collect()

    assert gone() is None


def test_what_is_stored_is_what_was_true_at_the_call() -> None:
    """The caller goes on with its dicts and lists while the record waits."""
    for door in DOORS:
        kit = Kit()
        inner: dict[str, Any] = {"state": "before"}
        items: list[Any] = [1, inner]
        point, blob = Point(1, inner), bytearray(b"before")
        spread: dict[str, Any] = {"spread": "before"}
        target = {"type": "invoice", "id": "7"}

        door(
            kit,
            {
                "event": "paid",
                "verb": "invoice.paid",
                "object": target,
                "inner": inner,
                "items_": items,
                "point": point,
                "blob": blob,
                "pair": Pair(1, inner),
                "data": spread,
            },
        )
        inner["state"] = "after"
        items.append("after")
        point.x = "after"  # type: ignore[assignment]
        blob[:] = b"after!"
        spread["spread"] = "after"
        target["id"] = "8"

        assert ("invoice", "7") == kit.only.object
        assert "after" not in json.dumps(kit.only.data)
        assert {"state": "before"} == kit.only.data["inner"]
        assert [1, {"state": "before"}] == kit.only.data["items_"]
        assert {"x": 1, "y": {"state": "before"}} == kit.only.data["point"]


def test_a_flat_event_that_is_changed_afterwards_stays_what_it_was() -> None:
    for door in DOORS:
        kit = Kit()
        event = {**EVENT, "amount": 5}

        door(kit, event)
        event["amount"], event["object"] = 6, "invoice:8"

        assert (5, ("invoice", "7")) == (kit.only.data["amount"], kit.only.object)


def test_a_dict_that_another_thread_changes_all_the_time_does_no_harm() -> None:
    kit = Kit()
    shared: dict[str, Any] = dict.fromkeys(map(str, range(50)), 0)
    stop = threading.Event()

    def change() -> None:
        number = 0
        while not stop.is_set():
            shared[f"k{number % 500}"] = number
            shared.pop(f"k{(number + 250) % 500}", None)
            number += 1

    thread = threading.Thread(target=change, daemon=True)
    thread.start()
    try:
        for _ in range(300):
            kit.process(**EVENT, value=shared, data=shared)
    finally:
        stop.set()
        thread.join()

    assert {} == kit.tape.rejected
    assert 300 == len(kit.records)


SECRET = "hunter2-do-not-store-me"
SECRET_KEYS = """
    password PASSWORD passwd user_password passphrase secret client_secret api_key apiKey X-Api-Key
    access_key private_key authorization Authorization proxy-authorization access_token
    refresh_token id_token auth_token session_token token jwt bearer cookie Set-Cookie csrf_token
    credentials credential sid session_id sessionid pwd pin otp cvv card_number credit_card ssn
    connection_string database_url signing_key encryption_key recovery_code dsn
""".split()


@pytest.mark.parametrize("key", SECRET_KEYS)
def test_a_secret_under_a_secret_key_is_nowhere_in_the_record(
    key: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """At any depth, in any container, at any door (I6)."""
    shapes: list[dict[str, Any]] = [
        {key: SECRET},
        {key: [SECRET]},
        {key: {"in": SECRET}},
        {key: SECRET.encode()},
        {"nested": {"more": [{key: SECRET}]}},
        {"data": {key: SECRET}},
        {"data": {"in": {key: SECRET}}},
        {"headers": [(key, SECRET), [key, SECRET]]},
        {"headers": [(key.encode(), SECRET.encode())]},
        {"extra": Point(1, {key: SECRET})},
    ]
    for door in DOORS:
        for shape in shapes:
            kit = Kit()
            door(kit, {**EVENT, **copy.deepcopy(shape)})

            stored = repr(kit.tape.rows)
            assert "invoice.paid" in stored
            assert SECRET not in stored
            assert "do-not-store" not in stored
            assert "aHVudGVyMi1kby1ub3Qtc3RvcmUtbWU" not in stored  # base64

    with structlog.contextvars.bound_contextvars(**{key: SECRET}):
        kit = Kit()
        kit.logger(structlog.contextvars.merge_contextvars).info("paid", verb="a.b", object="a:1")
        kit.stdlib().info("paid", extra={"verb": "a.b", "object": "a:1"})
        assert 2 == len(kit.records)
        assert SECRET not in repr(kit.tape.rows)
    out, err = capfd.readouterr()
    assert SECRET not in out + err


@pytest.mark.parametrize("door", DOORS)
def test_a_secret_in_a_rejected_call_is_in_no_message(door: Door) -> None:
    kit = Kit()

    door(kit, {"event": "x", "verb": "a.b", "password": SECRET, "data": {"token": SECRET}})
    door(kit, {"event": "x", "verb": "a.b", "object": {"password": SECRET}})
    door(kit, {"event": "x", "verb": ["a.b", SECRET], "object": "a:1"})

    assert {"object_type": 1, "object": 1, "verb": 1} == kit.tape.rejected
    assert SECRET not in repr(kit.tape.details)


def test_names_as_hostile_as_values_do_no_harm() -> None:
    names = [
        "", " ", "\x00", "a\x00b", "\ud800", "k" * 1_000_000, "€" * 300_000, "_raw", "<cut>",
        "event#2", "__class__", "a.b.c", "'; --", "{}", "%s", "data", "error",
    ]  # fmt: skip
    for door in DOORS:
        kit = Kit()

        for name in names:
            assert LIMIT > cost(lambda: door(kit, {**EVENT, name: "x"}))  # noqa: B023

        assert {} == kit.tape.rejected
        for row in kit.tape.rows:
            check(row)


def test_an_event_of_very_many_keys_is_cut() -> None:
    for door in DOORS:
        kit = Kit()

        door(kit, {**EVENT, **{f"key{number}": number for number in range(5_000)}})

        assert len(kit.only.data) < 1_000
        assert "<cut>" in kit.only.data


class Loud:
    def __activity_object__(self) -> Any:
        raise LookupError("no such thing")


class Lazy:
    def __activity_object__(self) -> Any:
        return self


@pytest.mark.parametrize("target", [Loud(), Lazy(), type("N", (), {"__activity_object__": 5})()])
@pytest.mark.parametrize("door", DOORS)
def test_an_object_that_cannot_describe_itself_is_rejected(door: Door, target: Any) -> None:
    kit = Kit()

    door(kit, {**EVENT, "object": target})

    assert {"object": 1} == kit.tape.rejected


class Logs:
    """An object whose description is itself logged as an activity."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit

    def __activity_object__(self) -> tuple[str, int]:
        self.kit.process(**EVENT, inner=[1])
        return "invoice", 7


@pytest.mark.parametrize("door", DOORS)
def test_a_call_within_a_call_records_both(door: Door) -> None:
    kit = Kit()

    door(kit, {**EVENT, "object": Logs(kit)})

    assert 2 == len(kit.records)


def test_message_arguments_that_fail_do_no_harm() -> None:
    class Failing:
        def __str__(self) -> str:
            raise LookupError

    kit = Kit()
    logger = kit.stdlib()

    for args in ((Failing(),), (1, 2, 3), ("x", Failing())):
        logger.info("%s", *args, extra={"verb": "a.b", "object": "a:1"})

    assert ["%s"] * 3 == [record.data["event"] for record in kit.records]


@pytest.mark.parametrize("door", [by_processor, by_handler, by_wrapped_call])
def test_a_log_call_raises_nothing_even_where_our_own_code_fails(door: Door) -> None:
    """The last line of defence: a row that can't be made for no reason at all."""

    kit = Kit()

    def fail(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError(SECRET)

    kit.recorder._rows = type("Broken", (), {"make": staticmethod(fail)})()
    door(kit, {**EVENT, "more": {1}})

    assert {"event": 1} == kit.tape.rejected
    assert ["event: can't be read (ZeroDivisionError)"] == kit.tape.details
