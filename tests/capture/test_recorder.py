"""From an event to a record: fields, precedence, errors, and what is refused."""

from __future__ import annotations

import logging
import sys

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import structlog

from structlog_activity import NIL, ActivityLog, InvalidRecordError, register_object, to_uuid
from structlog_activity.capture.diversion import all_diverted
from structlog_activity.record.record import ActivityRecord
from structlog_activity.record.row import Row

from .conftest import Kit, Tape


NOW_NS = 1_750_000_000_123_456_789
NOW = datetime(2025, 6, 15, 15, 6, 40, 123456, tzinfo=UTC)
EVENT = {"event": "paid", "verb": "invoice.paid", "object": "invoice:7"}


class Invoice:
    def __init__(self, number: int) -> None:
        self.number = number

    def __activity_object__(self) -> tuple[str, int]:
        return "invoice", self.number


class Plain:
    number = 7


register_object(Plain, lambda plain: ("invoice", plain.number))


def test_a_flat_event_waits_for_the_writer() -> None:
    """It is set aside by a copy, and made a row later."""
    kit = Kit()

    kit.process(**EVENT, amount=5)

    assert Row is not type(kit.tape.pending[0])


@pytest.mark.parametrize("verb", ["activity.erased", " activity.pruned "])
def test_what_a_check_of_the_seals_believes_is_the_log_s_own_to_say(verb: str) -> None:
    kit = Kit()

    line = kit.process(**{**EVENT, "verb": verb})
    assert "is for what erase and prune write" in line["activity_error"]
    with pytest.raises(InvalidRecordError, match="erase and prune"):
        kit.recorder.record({**EVENT, "verb": verb})
    with pytest.raises(InvalidRecordError, match="erase and prune"):
        kit.recorder.log(ActivityRecord(verb=verb, object_type="activity"))

    assert [] == kit.tape.rows


@pytest.mark.parametrize("value", [{"a": [{"b": (1,)}]}, [1], (1, [2]), {}])
def test_an_event_of_plain_containers_waits_with_copies_of_them(value: Any) -> None:
    kit = Kit()

    kit.process(**EVENT, value=value)
    snapshot: Any = kit.tape.pending[0]

    assert Row is not type(snapshot)
    assert value == snapshot[3]["value"]
    assert not mutable_parts(value) & mutable_parts(snapshot[3]["value"])


def mutable_parts(value: Any) -> set[int]:
    """The identities of all dicts and lists within *value*."""
    if not isinstance(value, dict | list | tuple):
        return set()
    inner = value.values() if isinstance(value, dict) else value
    own = set() if isinstance(value, tuple) else {id(value)}
    return own.union(*map(mutable_parts, inner))


@pytest.mark.parametrize(
    "value", [{1}, b"x", object(), [[1, {2}]], {"a": object()}, {1: 2}, [1] * 3000]
)
def test_an_event_with_anything_else_that_could_change_is_made_a_row_at_once(value: Any) -> None:
    kit = Kit()

    kit.process(**EVENT, value=value)

    assert Row is type(kit.tape.pending[0])


def test_record_time_and_id_are_those_of_the_call(make_kit: Any) -> None:
    kit = make_kit(clock=lambda: NOW_NS)

    out = kit.process(**EVENT)

    assert NOW == kit.only.occurred_at
    assert out["activity_id"] == str(kit.only.id)


@pytest.mark.parametrize("nested", [{}, {"more": {"a": 1}}])
@pytest.mark.parametrize(
    "given",
    [
        datetime(2020, 2, 3, 4, 5, 6, 7, tzinfo=UTC),
        datetime(2020, 2, 3, 4, 5, 6, 7),
        "2020-02-03T04:05:06.000007Z",
        "2020-02-03T06:05:06.000007+02:00",
    ],
)
def test_a_told_time_is_the_records_time(kit: Kit, given: Any, nested: dict[str, Any]) -> None:
    kit.process(**EVENT, occurred_at=given, **nested)

    assert datetime(2020, 2, 3, 4, 5, 6, 7, tzinfo=UTC) == kit.only.occurred_at


def test_an_id_is_made_from_the_told_time(kit: Kit) -> None:
    """So the record is found by tenant and id alone; log line and row still agree."""
    at = datetime(2020, 2, 3, 4, 5, 6, tzinfo=UTC)

    out = kit.process(**EVENT, occurred_at=at)

    assert kit.only.id.int >> 80 == int(at.timestamp() * 1000)
    assert str(kit.only.id) == out["activity_id"]


def test_a_time_in_the_far_future_is_kept_as_raw_only(make_kit: Any) -> None:
    kit = make_kit(clock=lambda: NOW_NS)

    kit.process(**EVENT, occurred_at="9999-01-01T00:00:00Z")

    assert NOW == kit.only.occurred_at
    assert {"occurred_at": "9999-01-01T00:00:00Z"} == kit.only.data["_raw"]


def test_ids_grow_from_call_to_call(kit: Kit) -> None:
    for number in range(50):
        kit.process(**EVENT, number=number, **({} if number % 2 else {"more": [number]}))

    ids = [record.id for record in kit.records]
    assert sorted(ids) == ids
    assert 50 == len(set(ids))


@pytest.mark.parametrize(
    "form",
    [
        "invoice:7",
        ("invoice", "7"),
        ("invoice", 7),
        ["invoice", 7],
        {"type": "invoice", "id": 7},
        Invoice(7),
        Plain(),
    ],
)
def test_the_object_may_have_any_form(kit: Kit, form: Any) -> None:
    kit.process(event="paid", verb="invoice.paid", object=form)

    assert ("invoice", "7") == kit.only.object


@pytest.mark.parametrize("form", ["invoice", ("invoice", None), ("invoice", ""), "invoice:"])
def test_an_object_may_have_a_type_only(kit: Kit, form: Any) -> None:
    kit.process(event="paid", verb="invoice.paid", object=form)

    assert ("invoice", "") == kit.only.object


def test_type_and_id_may_be_said_apart(kit: Kit) -> None:
    kit.process(event="paid", verb="invoice.paid", object_type="invoice", object_id=UUID(int=7))

    assert ("invoice", str(UUID(int=7))) == kit.only.object


def test_an_object_id_may_hold_colons(kit: Kit) -> None:
    kit.process(event="x", verb="page.read", object="page:a:b:c")

    assert ("page", "a:b:c") == kit.only.object


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"verb": "a.b"}, "object_type"),
        ({"verb": "a.b", "object": ""}, "object_type"),
        ({"verb": "a.b", "object": "  :7"}, "object_type"),
        ({"verb": "a.b", "object": ":7"}, "object_type"),
        ({"verb": "a.b", "object": (None, 7)}, "object_type"),
        ({"verb": "a.b", "object": (5, 7)}, "object_type"),
        ({"verb": "a.b", "object_type": "   "}, "object_type"),
        ({"verb": "a.b", "object_type": 5}, "object_type"),
        ({"verb": "a.b", "object": 5}, "object"),
        ({"verb": "a.b", "object": ("a", "b", "c")}, "object"),
        ({"verb": "a.b", "object": {"id": 5}}, "object"),
        ({"verb": "", "object": "a:1"}, "verb"),
        ({"verb": "  ", "object": "a:1"}, "verb"),
        ({"verb": None, "object": "a:1"}, "verb"),
        ({"verb": 5, "object": "a:1"}, "verb"),
        ({"verb": ["a.b"], "object": "a:1"}, "verb"),
        ({"verb": "a\nb", "object": "a:1"}, "verb"),
        ({"verb": "a\x00b", "object": "a:1"}, "verb"),
        ({"verb": "a\x9bb", "object": "a:1"}, "verb"),
    ],
)
def test_what_makes_no_record_is_counted_by_reason_at_all_doors(
    event: dict[str, Any], reason: str, activity: ActivityLog
) -> None:
    """The log line goes on with ``activity_error``; `record` raises."""
    kit = Kit()

    out = kit.process(event="x", **event)
    seen: list[Any] = []
    logger = kit.stdlib()
    logger.addFilter(lambda record: seen.append(record) or True)  # type: ignore[func-returns-value]
    logger.info("x", extra=event)

    assert [] == kit.tape.pending
    assert {reason: 2} == kit.tape.rejected
    assert out["activity_error"].startswith(f"{reason}: ")
    assert out["activity_error"] == seen[0].activity_error
    assert "activity_id" not in out
    fields = dict(event)
    tape = Tape()
    with activity._recorder.diverted(tape), pytest.raises(InvalidRecordError) as caught:
        activity.record(fields.pop("verb"), **fields)
    assert reason == caught.value.field
    assert {reason: 1} == tape.rejected
    assert [] == tape.pending


def test_missing_actor_and_tenant_are_stored_as_nil(kit: Kit) -> None:
    kit.process(**EVENT)

    record = kit.only
    assert (NIL, NIL, NIL, NIL) == (
        record.actor_id,
        record.tenant_id,
        record.user_id,
        record.org_id,
    )


def test_everything_unreserved_becomes_data(kit: Kit) -> None:
    kit.process(**EVENT, path="ui.theme", to="dark", level="info", logger="app", timestamp="now")

    assert {"event": "paid", "path": "ui.theme", "to": "dark"} == kit.only.data


def test_an_id_of_the_callers_own_is_kept_beside_its_uuid(kit: Kit) -> None:
    kit.process(**EVENT, actor_id=42, tenant_id="acme")

    assert (to_uuid(42), to_uuid("acme")) == (kit.only.actor_id, kit.only.tenant_id)
    assert {"actor_id": "42", "tenant_id": "acme"} == kit.only.data["_raw"]


@pytest.mark.parametrize("nested", [{}, {"more": [1]}])
def test_call_wins_over_context_over_defaults(make_kit: Any, nested: dict[str, Any]) -> None:
    """On the short way and the long one alike."""
    kit = make_kit(
        defaults={"actor_id": "d", "tenant_id": "d", "org_id": "d", "channel": "d", "region": "d"}
    )
    log = kit.logger(structlog.contextvars.merge_contextvars)

    with structlog.contextvars.bound_contextvars(actor_id="x", tenant_id="x", region="x"):
        log.info("paid", verb="invoice.paid", object="invoice:7", actor_id="c", **nested)

    record = kit.only
    assert [to_uuid(text) for text in "cxd"] == [record.actor_id, record.tenant_id, record.org_id]
    assert ("d", "x") == (record.channel, record.data["region"])


def test_bound_values_win_over_context_and_lose_to_the_call(kit: Kit) -> None:
    log = kit.logger(structlog.contextvars.merge_contextvars).bind(tenant_id="b", actor_id="b")

    with structlog.contextvars.bound_contextvars(actor_id="x", tenant_id="x", user_id="x"):
        log.info("paid", verb="invoice.paid", object="invoice:7", actor_id="c")

    record = kit.only
    assert [to_uuid(text) for text in "cbx"] == [record.actor_id, record.tenant_id, record.user_id]


def test_record_takes_call_then_context_then_defaults(tmp_path: Any) -> None:
    tape = Tape()
    log = ActivityLog(
        f"sqlite:///{tmp_path}/a.db",
        defaults={"channel": "d", "org_id": "d", "region": "d", "object_type": "d"},
    )

    with (
        log._recorder.diverted(tape),
        structlog.contextvars.bound_contextvars(actor="x", tenant="x", region="x", ip="10.0.0.1"),
    ):
        record = log.record("invoice.paid", "invoice:7", actor_id="c", count=3)

    assert [to_uuid(text) for text in "cxd"] == [record.actor_id, record.tenant_id, record.org_id]
    assert ("d", "10.0.0.1", ("invoice", "7")) == (record.channel, record.ip, record.object)
    assert ("x", 3) == (record.data["region"], record.data["count"])
    assert record == tape.only


def test_record_puts_a_told_time_into_the_id(activity: ActivityLog) -> None:
    at = datetime(1970, 1, 1, tzinfo=UTC)

    with activity._recorder.diverted(Tape()):
        record = activity.record("invoice.paid", "invoice:7", occurred_at=0)

    assert at == record.occurred_at
    assert record.id.int >> 80 == 0


def test_record_refuses_what_a_log_call_would_replace(activity: ActivityLog) -> None:
    tape = Tape()

    with activity._recorder.diverted(tape):
        for name, value in (("ip", "nowhere"), ("actor_id", 1.5), ("occurred_at", "soon")):
            bad: dict[str, Any] = {name: value}
            with pytest.raises(InvalidRecordError, match=name):
                activity.record("invoice.paid", "invoice:7", **bad)

    assert {"ip": 1, "actor_id": 1, "occurred_at": 1} == tape.rejected


def test_log_keeps_an_id_and_fills_a_nil_one(activity: ActivityLog) -> None:
    own = uuid4()
    tape = Tape()

    with activity._recorder.diverted(tape):
        kept = activity.log(ActivityRecord(id=own, verb="a.b", object_type="a"))
        filled = activity.log(ActivityRecord(verb="a.b", object_type="a"))

    assert own == kept.id
    assert NIL != filled.id
    assert timedelta(0) <= datetime.now(UTC) - filled.occurred_at < timedelta(minutes=1)  # type: ignore[operator]
    assert [kept, filled] == tape.records


@pytest.mark.parametrize("bad", [None, 5, object(), {"verb": "a.b"}])
def test_log_refuses_what_is_no_record(activity: ActivityLog, bad: Any) -> None:
    with activity._recorder.diverted(Tape()), pytest.raises(InvalidRecordError):
        activity.log(bad)


def test_a_strict_recorder_refuses_what_it_would_otherwise_replace(make_kit: Any) -> None:
    """In a flat event too, which must not wait for the writer then."""
    kit = make_kit(strict=True)

    with pytest.raises(InvalidRecordError, match="ip"):
        kit.process(**EVENT, ip="nowhere")

    assert {"ip": 1} == kit.tape.rejected


def test_a_lax_recorder_keeps_what_it_cannot_read(kit: Kit) -> None:
    kit.process(**EVENT, ip="nowhere", occurred_at="soon", actor_id=1.5)

    record = kit.only
    assert ("", NIL) == (record.ip, record.actor_id)
    assert {"ip": "nowhere", "occurred_at": "soon", "actor_id": "1.5"} == record.data["_raw"]


class PaymentError(Exception):
    pass


def failure(*args: Any) -> BaseException:
    try:
        raise PaymentError(*args)
    except PaymentError as error:
        return error


ERROR = {"type": f"{__name__}.PaymentError", "message": "no money"}


@pytest.mark.parametrize(
    "form",
    [
        lambda error: error,
        lambda error: (type(error), error, error.__traceback__),
    ],
)
def test_exc_info_tells_what_went_wrong(kit: Kit, form: Any) -> None:
    kit.process(**EVENT, exc_info=form(failure("no money")))

    assert {"event": "paid", "error": ERROR, "outcome": "failed"} == kit.only.data


@pytest.mark.parametrize("truth", [True, 1])
def test_exc_info_of_true_is_the_exception_being_handled(kit: Kit, truth: Any) -> None:
    try:
        raise PaymentError("no money")
    except PaymentError:
        kit.process(**EVENT, exc_info=truth)

    assert ERROR == kit.only.data["error"]


@pytest.mark.parametrize("nothing", [None, False, True, 0, 1, (None, None, None), "text"])
def test_exc_info_without_an_exception_is_no_failure(kit: Kit, nothing: Any) -> None:
    assert sys.exc_info() == (None, None, None)

    kit.process(**EVENT, exc_info=nothing)

    assert {"event": "paid"} == kit.only.data


@pytest.mark.parametrize(
    "message", ["no money", "", "a: b", "first\nsecond: third", "  indented\nlines", "ünïcode"]
)
def test_an_exception_that_is_formatted_already_reads_the_same(kit: Kit, message: str) -> None:
    """format_exc_info stands before us in most chains."""
    error = failure(message)
    formatted = structlog.processors.format_exc_info(None, "info", {**EVENT, "exc_info": error})

    kit.process(**EVENT, exc_info=error)
    kit.process(**formatted)

    raw, text = kit.records
    assert {"type": f"{__name__}.PaymentError", "message": message} == raw.data["error"]
    assert raw.data == text.data


def test_of_chained_tracebacks_the_last_one_counts(kit: Kit) -> None:
    try:
        raise PaymentError("no money") from failure("cause")
    except PaymentError as error:
        event = structlog.processors.format_exc_info(None, "info", {**EVENT, "exc_info": error})

    kit.process(**event)

    assert ERROR == kit.only.data["error"]


def test_dict_tracebacks_are_read_too(kit: Kit) -> None:
    event = structlog.processors.dict_tracebacks(
        None, "info", {**EVENT, "exc_info": failure("no money")}
    )

    kit.process(**event)

    assert {"type": "PaymentError", "message": "no money"} == kit.only.data["error"]
    assert "failed" == kit.only.data["outcome"]


def test_an_outcome_that_the_call_tells_stays(kit: Kit) -> None:
    kit.process(**EVENT, exc_info=failure("no money"), outcome="retried", error="own words")

    assert ("retried", "own words") == (kit.only.data["outcome"], kit.only.data["error"])


def test_record_knows_exc_info_too(activity: ActivityLog) -> None:
    with activity._recorder.diverted(Tape()):
        record = activity.record("invoice.paid", "invoice:7", exc_info=failure("no money"))

    assert {"error": ERROR, "outcome": "failed"} == record.data


@pytest.mark.parametrize(
    "most",
    [
        "snapshots._KNOWN_VERBS",
        "logrecord_snapshots._VERBS",
        "finishing._TEMPLATES",
        "keys._CONTEXTS",
    ],
)
def test_more_kinds_of_calls_than_are_remembered_are_recorded_as_the_others_are(
    make_kit: Any, monkeypatch: pytest.MonkeyPatch, most: str
) -> None:
    monkeypatch.setattr(f"structlog_activity.capture.{most}", 2)
    kit = make_kit()
    logger, kinds = kit.stdlib(), [*range(5), *range(5)]

    for n in kinds:
        with structlog.contextvars.bound_contextvars(**{f"bound{n}": n}):
            call = {"verb": f"a.b{n}", "object": "c:1", f"own{n}": n}
            kit.process(**structlog.contextvars.get_contextvars(), event="x", **call)
            logger.info("x", extra=call)

    twice = [n for n in kinds for _ in range(2)]
    assert [f"a.b{n}" for n in twice] == [record.verb for record in kit.records]
    for n, record in zip(twice, kit.records, strict=True):
        assert (n, n) == (record.data[f"own{n}"], record.data[f"bound{n}"])


def test_diverted_records_go_elsewhere_and_come_back(kit: Kit) -> None:
    other = Tape()

    with kit.recorder.diverted(other):
        kit.process(**EVENT, n=1)
    kit.process(**EVENT, n=2)

    assert ([1], [2]) == (
        [record.data["n"] for record in other.records],
        [record.data["n"] for record in kit.records],
    )


def test_all_recorders_are_diverted_for_a_while_and_those_that_are_made_meanwhile() -> None:
    def told(*tapes: Tape) -> list[list[Any]]:
        return [[record.data["n"] for record in tape.records] for tape in tapes]

    kit, outer, inner = Kit(), Tape(), Tape()

    with all_diverted(outer):
        new = Kit()
        kit.process(**EVENT, n=1)
        with all_diverted(inner):
            new.process(**EVENT, n=2)
        new.process(**EVENT, n=3)
    kit.process(**EVENT, n=4)
    new.process(**EVENT, n=5)

    assert [[4], [5], [1, 3], [2]] == told(kit.tape, new.tape, outer, inner)


EVENT_EXTRA = {"verb": "invoice.paid", "object": "invoice:7"}


def test_what_processor_handler_and_record_do_stands_in_the_database(
    activity: ActivityLog,
) -> None:
    """The whole way, once, with its accounting."""
    logger = logging.getLogger("app")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(activity.handler)
    activity.processor(None, "info", {**EVENT, "tenant_id": "t", "by": "processor"})
    activity.processor(None, "info", {"event": "x", "verb": "a.b"})
    logger.info("paid", extra={**EVENT_EXTRA, "tenant_id": "t", "by": "handler"})
    activity.record("invoice.paid", "invoice:7", tenant_id="t", by="record")

    assert activity.flush(10)
    page = activity.feed(tenant_id="t")
    counters = activity.counters()

    assert ["record", "handler", "processor"] == [record.data["by"] for record in page.records]
    assert (4, 3, 1, 3, 1) == (
        counters["submitted"],
        counters["accepted"],
        counters["rejected"],
        counters["written"],
        counters["rejected.object_type"],
    )


def test_an_object_type_that_is_a_pair_is_refused_at_the_call(kit: Kit) -> None:
    """Not by the writer, where the log line has gone on without an error."""
    out = kit.process(event="paid", verb="invoice.paid", object_type=("invoice", 7))

    assert "object_type" in out["activity_error"]
    assert [] == kit.tape.pending


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("door", ["processor", "handler"])
def test_what_a_signal_handler_raises_within_a_log_call_comes_through(
    door: str, kind: type[BaseException]
) -> None:
    """A program that is told to end has to end, wherever the signal meets it."""

    signals = [kind]

    def clock() -> int:
        while signals:
            raise signals.pop()
        return NOW_NS

    kit = Kit(clock=clock)
    with pytest.raises(kind):
        if door == "processor":
            kit.process(event="saved", verb="file.saved", object="file:1")
        else:
            kit.stdlib().info("saved", extra={"verb": "file.saved", "object": "file:1"})
