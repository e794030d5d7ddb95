"""One call makes one record, however structlog and logging are wired together."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import logging.handlers
import queue

from collections.abc import Callable
from typing import Any

import pytest
import structlog

from structlog.contextvars import bound_contextvars, merge_contextvars
from structlog.processors import EventRenamer, JSONRenderer
from structlog.stdlib import ExtraAdder, ProcessorFormatter, render_to_log_kwargs

from structlog_activity import NIL, to_uuid

from .conftest import Kit


EXTRA = {"verb": "invoice.paid", "object": "invoice:7"}
Foreign = Callable[[logging.Logger], None]


def structlog_over_stdlib(*processors: Any, name: str = "app", **options: Any) -> Any:
    structlog.configure(
        processors=list(processors),
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        **options,
    )
    return structlog.get_logger(name)


def stdlib(*handlers: logging.Handler, name: str = "app") -> logging.Logger:
    logger = logging.getLogger(name)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.handlers[:] = handlers
    return logger


def stream(formatter: logging.Formatter | None = None) -> logging.StreamHandler[io.StringIO]:
    handler = logging.StreamHandler(io.StringIO())
    if formatter is not None:
        handler.setFormatter(formatter)
    return handler


def lines(handler: logging.StreamHandler[io.StringIO]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in handler.stream.getvalue().splitlines()]


def test_after_merge_contextvars_everything_that_is_bound_is_recorded(kit: Kit) -> None:
    with bound_contextvars(actor_id="u", request_id="r"):
        kit.logger(merge_contextvars).info("x", **EXTRA)

    assert (to_uuid("u"), "r") == (kit.only.actor_id, kit.only.data["request_id"])


def test_before_merge_contextvars_at_least_who_acts_is(kit: Kit) -> None:
    with bound_contextvars(actor_id="u", tenant_id="t"):
        kit.logger(after=[merge_contextvars]).info("x", **EXTRA)

    assert (to_uuid("u"), to_uuid("t")) == (kit.only.actor_id, kit.only.tenant_id)


def test_after_an_event_renamer_the_text_is_still_the_event(kit: Kit) -> None:
    kit.logger(EventRenamer("message")).info("paid", **EXTRA)
    kit.logger(EventRenamer("message", "_event")).info("paid", **EXTRA, _event="inner")

    assert [{"event": "paid"}, {"event": "inner", "message": "paid"}] == [
        record.data for record in kit.records
    ]


@pytest.mark.parametrize(
    "renderer",
    [
        JSONRenderer(),
        JSONRenderer(serializer=lambda value, **_: json.dumps(value).encode()),
        structlog.processors.KeyValueRenderer(),
        structlog.processors.LogfmtRenderer(),
        structlog.dev.ConsoleRenderer(colors=False),
    ],
)
def test_after_a_renderer_nothing_is_recorded_and_nothing_breaks(kit: Kit, renderer: Any) -> None:
    log = structlog.wrap_logger(
        (bare := structlog.testing.CapturingLogger()), processors=[renderer, kit.processor]
    )

    log.info("paid", **EXTRA)

    assert "invoice.paid" in str(bare.calls[0].args[0])
    assert [] == kit.records


def test_after_render_to_log_args_and_kwargs_nothing_breaks(kit: Kit) -> None:
    for renderer in (structlog.stdlib.render_to_log_args_and_kwargs, render_to_log_kwargs):
        logger = stdlib(logging.NullHandler())
        structlog.wrap_logger(logger, processors=[renderer, kit.processor]).info("x", **EXTRA)

    assert [] == kit.records


def test_a_level_filter_before_the_chain_swallows_activities(kit: Kit) -> None:
    """No processor can save them; `ActivityLog.record` is there for that."""
    log = structlog.wrap_logger(
        structlog.testing.CapturingLogger(),
        processors=[kit.processor],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
    )

    log.info("paid", **EXTRA)

    assert [] == kit.records


@pytest.mark.parametrize(("ours_first", "count"), [(True, 1), (False, 0)])
def test_a_dropped_event_is_recorded_only_where_we_stand_before_the_drop(
    kit: Kit, ours_first: bool, count: int
) -> None:
    def drop(*_: Any) -> Any:
        raise structlog.DropEvent

    log = kit.logger(after=[drop]) if ours_first else kit.logger(drop)
    log.info("paid", **EXTRA)

    assert count == len(kit.records)


@pytest.mark.parametrize(("ours_first", "count"), [(True, 1), (False, 0)])
def test_filter_by_level_counts_as_a_drop(kit: Kit, ours_first: bool, count: int) -> None:
    filter_by_level = structlog.stdlib.filter_by_level
    chain: list[Any] = [filter_by_level, JSONRenderer()]
    chain.insert(0 if ours_first else 1, kit.processor)
    logger = stdlib(logging.NullHandler())
    logger.setLevel(logging.WARNING)

    structlog.wrap_logger(logger, processors=chain).info("paid", **EXTRA)

    assert count == len(kit.records)


def test_capture_logs_records_with_our_processor_among_its_own(kit: Kit) -> None:
    structlog.configure(processors=[kit.processor, JSONRenderer()])

    with structlog.testing.capture_logs() as plain:
        structlog.get_logger().info("paid", **EXTRA)
    with structlog.testing.capture_logs(processors=[kit.processor]) as logs:
        structlog.get_logger().info("paid", **EXTRA)

    assert "activity_id" not in plain[0]
    assert str(kit.only.id) == logs[0]["activity_id"]


def test_a_cached_logger_sees_what_is_inserted_in_place(kit: Kit) -> None:
    structlog.configure(processors=[structlog.testing.LogCapture()], cache_logger_on_first_use=True)
    log = structlog.get_logger()
    log.info("paid", **EXTRA, n=1)

    structlog.get_config()["processors"].insert(0, kit.processor)
    log.info("paid", **EXTRA, n=2)

    assert 2 == kit.only.data["n"]


def test_a_cached_logger_does_not_see_a_new_list(kit: Kit) -> None:
    structlog.configure(processors=[structlog.testing.LogCapture()], cache_logger_on_first_use=True)
    log = structlog.get_logger()
    log.info("paid", **EXTRA)

    structlog.configure(processors=[kit.processor, structlog.testing.LogCapture()])
    log.info("paid", **EXTRA)

    assert [] == kit.records


def foreign(logger: logging.Logger) -> None:
    logger.info("paid", extra={**EXTRA, "actor_id": "u"})


def native(logger: logging.Logger) -> None:
    log = structlog_over_stdlib(ProcessorFormatter.wrap_for_formatter, name=logger.name)
    log.info("paid", **EXTRA, actor_id="u")


CALLS = pytest.mark.parametrize("call", [foreign, native])


@CALLS
@pytest.mark.parametrize("repeated", [1, 3])
def test_a_processor_formatter_with_two_outputs_records_once(
    kit: Kit, call: Foreign, repeated: int
) -> None:
    """Each output works on a copy of the LogRecord, so a mark on one does not reach the other."""
    formatters = [
        ProcessorFormatter(
            processors=[
                ExtraAdder(),
                kit.processor,
                ProcessorFormatter.remove_processors_meta,
                JSONRenderer(default=str),
            ]
        )
        for _ in range(2)
    ]
    logger = stdlib(*map(stream, formatters))

    for _ in range(repeated):
        call(logger)

    assert repeated == len(kit.records)
    assert [to_uuid("u")] * repeated == [record.actor_id for record in kit.records]
    assert [{"event": "paid", "_raw": {"actor_id": "u"}}] * repeated == [
        record.data for record in kit.records
    ]


@CALLS
def test_a_bad_call_to_two_outputs_is_counted_once(kit: Kit, call: Foreign) -> None:
    def spoil(_: Any, __: str, event: Any) -> Any:
        event["object"] = 5
        return event

    def formatter() -> ProcessorFormatter:
        return ProcessorFormatter(
            processors=[ExtraAdder(), spoil, kit.processor, structlog.dev.ConsoleRenderer()]
        )

    call(stdlib(stream(formatter()), stream(formatter())))

    assert {"object": 1} == kit.tape.rejected


@CALLS
@pytest.mark.parametrize("handler_first", [True, False])
def test_processor_formatter_and_handler_record_once(
    kit: Kit, call: Foreign, handler_first: bool
) -> None:
    formatter = ProcessorFormatter(
        processors=[ExtraAdder(), kit.processor, JSONRenderer(default=str)]
    )
    handlers = [kit.handler, stream(formatter)]

    call(stdlib(*(handlers if handler_first else reversed(handlers))))

    assert "paid" == kit.only.data["event"]


def test_a_foreign_pre_chain_with_extra_adder_records_once_for_two_outputs(kit: Kit) -> None:
    def formatter() -> ProcessorFormatter:
        return ProcessorFormatter(
            foreign_pre_chain=[merge_contextvars, ExtraAdder(), kit.processor],
            processors=[ProcessorFormatter.remove_processors_meta, JSONRenderer()],
        )

    logger = stdlib(first := stream(formatter()), stream(formatter()))
    with bound_contextvars(tenant_id="t"):
        foreign(logger)

    assert (to_uuid("u"), to_uuid("t")) == (kit.only.actor_id, kit.only.tenant_id)
    assert str(kit.only.id) == lines(first)[0]["activity_id"]


def test_a_foreign_pre_chain_without_extra_adder_sees_no_verb(kit: Kit) -> None:
    """The handler is there for that."""
    formatter = ProcessorFormatter(
        foreign_pre_chain=[kit.processor], processors=[JSONRenderer(default=str)]
    )

    foreign(stdlib(stream(formatter)))
    assert [] == kit.records

    foreign(stdlib(kit.handler, stream(formatter)))
    assert to_uuid("u") == kit.only.actor_id


def test_for_foreign_calls_the_context_says_who_acts_there_too(kit: Kit) -> None:
    """Processor and handler must not disagree about the same stdlib call."""
    formatter = ProcessorFormatter(
        foreign_pre_chain=[merge_contextvars, ExtraAdder(), kit.processor],
        processors=[JSONRenderer(default=str)],
    )

    with bound_contextvars(actor="context", region="context"):
        stdlib(stream(formatter)).info("x", extra={**EXTRA, "actor_id": "e", "region": "e"})

    assert (to_uuid("context"), "e") == (kit.only.actor_id, kit.only.data["region"])


@pytest.mark.parametrize("last", [render_to_log_kwargs, ProcessorFormatter.wrap_for_formatter])
def test_processor_and_handler_together_record_once(kit: Kit, last: Any) -> None:
    logger = stdlib(kit.handler)

    structlog_over_stdlib(kit.processor, last, name=logger.name).info("paid", **EXTRA)

    assert "paid" == kit.only.data["event"]


def test_processor_and_handler_after_a_json_renderer_record_once(kit: Kit) -> None:
    stdlib(kit.handler)

    structlog_over_stdlib(kit.processor, JSONRenderer()).info("paid", **EXTRA)

    assert "paid" == kit.only.data["event"]


def test_a_bad_call_through_processor_and_handler_is_counted_once(kit: Kit) -> None:
    stdlib(kit.handler)

    for last in (render_to_log_kwargs, ProcessorFormatter.wrap_for_formatter):
        structlog_over_stdlib(kit.processor, last).info("paid", verb="invoice.paid")

    assert {"object_type": 2} == kit.tape.rejected


@pytest.mark.parametrize("last", [render_to_log_kwargs, ProcessorFormatter.wrap_for_formatter])
def test_the_handler_alone_reads_what_structlog_hands_to_logging(kit: Kit, last: Any) -> None:
    stdlib(kit.handler)
    log = structlog_over_stdlib(merge_contextvars, structlog.stdlib.add_log_level, last)

    with bound_contextvars(actor_id="u", request_id="r"):
        log.info("paid", **EXTRA, count=3)

    record = kit.only
    assert (to_uuid("u"), ("invoice", "7")) == (record.actor_id, record.object)
    assert {
        "event": "paid",
        "count": 3,
        "request_id": "r",
        "_raw": {"actor_id": "u"},
    } == record.data


@pytest.mark.parametrize("chain", [[], [merge_contextvars]])
def test_a_wrapped_structlog_call_says_who_acts_before_the_context_does(
    kit: Kit, chain: list[Any]
) -> None:
    stdlib(kit.handler)
    log = structlog_over_stdlib(*chain, ProcessorFormatter.wrap_for_formatter)

    with bound_contextvars(actor_id="context", tenant_id="context"):
        log.info("paid", **EXTRA, actor_id="call")

    assert (to_uuid("call"), to_uuid("context")) == (kit.only.actor_id, kit.only.tenant_id)


@pytest.mark.parametrize("last", [render_to_log_kwargs, ProcessorFormatter.wrap_for_formatter])
def test_exceptions_reach_the_handler_through_structlog(kit: Kit, last: Any) -> None:
    stdlib(kit.handler)
    log = structlog_over_stdlib(last)
    try:
        raise LookupError("nothing there")
    except LookupError:
        log.exception("paid", **EXTRA)

    assert {"type": "LookupError", "message": "nothing there"} == kit.only.data["error"]


def test_handlers_on_root_and_on_a_named_logger_record_once(kit: Kit) -> None:
    other = Kit()
    root = logging.getLogger()
    root.addHandler(other.handler)
    logger = stdlib(kit.handler)
    logger.propagate = True

    foreign(logger)

    assert (1, 0) == (len(kit.records), len(other.records))


@pytest.mark.parametrize("call", [foreign, native])
def test_two_handlers_record_once(kit: Kit, call: Foreign) -> None:
    other = Kit()

    call(stdlib(kit.handler, other.handler))

    assert (1, 0) == (len(kit.records), len(other.records))


def test_the_same_handler_twice_records_once(kit: Kit) -> None:
    root = logging.getLogger()
    root.addHandler(kit.handler)
    logger = stdlib(kit.handler)
    logger.propagate = True

    foreign(logger)

    assert 1 == len(kit.records)


def test_later_formatters_see_the_id(kit: Kit) -> None:
    out = stream(logging.Formatter('{"id": "%(activity_id)s"}'))

    foreign(stdlib(kit.handler, out))

    assert [{"id": str(kit.only.id)}] == lines(out)


def test_behind_a_queue_listener_extra_survives(kit: Kit) -> None:
    """The listener's thread has no context; what ``extra`` says of who acts counts."""
    waiting: queue.Queue[Any] = queue.Queue()
    listener = logging.handlers.QueueListener(waiting, kit.handler)
    logger = stdlib(logging.handlers.QueueHandler(waiting))

    listener.start()
    with bound_contextvars(actor_id="not here"):
        logger.info("paid %d", 5, extra={**EXTRA, "actor_id": "u", "items": [1, 2]})
        logger.info("bare", extra=EXTRA)
    listener.stop()

    first, second = kit.records
    assert (to_uuid("u"), NIL) == (first.actor_id, second.actor_id)
    assert {"event": "paid 5", "items": [1, 2], "_raw": {"actor_id": "u"}} == first.data


def test_a_handler_before_and_one_behind_a_queue_record_once(kit: Kit) -> None:
    waiting: queue.Queue[Any] = queue.Queue()
    listener = logging.handlers.QueueListener(waiting, kit.handler)
    before = stdlib(kit.handler, logging.handlers.QueueHandler(waiting))
    after = stdlib(logging.handlers.QueueHandler(waiting), kit.handler, name="app.after")

    listener.start()
    foreign(before)
    foreign(after)
    listener.stop()

    assert 2 == len(kit.records)


def test_a_structlog_call_behind_a_queue_is_recorded_by_the_processor(kit: Kit) -> None:
    """QueueHandler makes text of structlog's dict; the handler behind it finds no verb."""
    waiting: queue.Queue[Any] = queue.Queue()
    listener = logging.handlers.QueueListener(waiting, kit.handler)
    stdlib(logging.handlers.QueueHandler(waiting))
    log = structlog_over_stdlib(kit.processor, ProcessorFormatter.wrap_for_formatter)

    listener.start()
    log.info("paid", **EXTRA)
    listener.stop()

    assert "paid" == kit.only.data["event"]


def test_ainfo_records_in_its_thread_with_the_bound_context(kit: Kit) -> None:
    stdlib(logging.NullHandler())
    log = structlog_over_stdlib(merge_contextvars, kit.processor, JSONRenderer())

    async def request(number: int) -> None:
        with bound_contextvars(actor_id=number):
            await log.ainfo("paid", **EXTRA, n=number)

    async def main() -> None:
        await asyncio.gather(*(request(number) for number in range(20)))

    asyncio.run(main())

    assert list(range(20)) == sorted(record.data["n"] for record in kit.records)
    assert [to_uuid(record.data["n"]) for record in kit.records] == [
        record.actor_id for record in kit.records
    ]


def test_ainfo_knows_the_exception_of_its_caller(kit: Kit) -> None:
    stdlib(logging.NullHandler())
    log = structlog_over_stdlib(kit.processor, JSONRenderer(default=str))

    async def main() -> None:
        try:
            raise LookupError("nothing there")
        except LookupError:
            await log.aexception("paid", **EXTRA)

    asyncio.run(main())

    assert {"type": "LookupError", "message": "nothing there"} == kit.only.data["error"]


def test_the_usual_chain_with_filtering_bound_logger(kit: Kit) -> None:
    bare = structlog.testing.CapturingLogger()
    log = structlog.wrap_logger(
        bare,
        processors=[
            merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            structlog.processors.TimeStamper(fmt="iso"),
            kit.processor,
            JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )

    log.info("paid", **EXTRA, stack_info=True)

    assert {"event": "paid"} == kit.only.data
    assert str(kit.only.id) == json.loads(bare.calls[0].args[0])["activity_id"]


def test_one_call_to_everything_at_once_records_once(kit: Kit) -> None:
    """Processor in the chain, in two formatters, and a handler on both loggers."""

    def formatter() -> ProcessorFormatter:
        return ProcessorFormatter(
            foreign_pre_chain=[ExtraAdder(), kit.processor],
            processors=[kit.processor, JSONRenderer(default=str)],
        )

    root = logging.getLogger()
    root.addHandler(kit.handler)
    logger = stdlib(kit.handler, stream(formatter()), stream(formatter()))
    logger.propagate = True

    structlog_over_stdlib(kit.processor, ProcessorFormatter.wrap_for_formatter).info("x", **EXTRA)
    foreign(logger)

    assert 2 == len(kit.records)


def test_log_records_of_a_stopped_clock_are_different_calls(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests freeze time; every call is one of its own all the same."""
    formatter = ProcessorFormatter(
        processors=[ExtraAdder(), kit.processor, JSONRenderer(default=str)]
    )
    logger = stdlib(stream(formatter), stream(formatter))
    moment = 1_750_000_000.0
    monkeypatch.setattr("time.time", lambda: moment)
    monkeypatch.setattr("time.time_ns", lambda: int(moment) * 10**9)

    for _ in range(5):
        foreign(logger)

    assert 5 == len(kit.records)
