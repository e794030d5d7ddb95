"""What the doctor finds in set-ups that somebody made, one row of known traps after another."""

from __future__ import annotations

import gc
import logging
import logging.config
import logging.handlers
import queue
import sys

from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from structlog.contextvars import merge_contextvars
from structlog.processors import JSONRenderer, KeyValueRenderer
from structlog.stdlib import ProcessorFormatter, filter_by_level

from structlog_activity import ActivityAdapter, ActivityLog, acting_as
from structlog_activity.findings import Finding


INFO_AND_UP = structlog.make_filtering_bound_logger(logging.INFO)


@pytest.fixture(autouse=True)
def only_these_loggers() -> Iterator[None]:
    """No logger of another test may be heard of, nor be among the objects that are alive."""
    manager = logging.root.manager
    before = dict(manager.loggerDict)
    manager.loggerDict.clear()
    gc.freeze()
    yield
    gc.unfreeze()
    manager.loggerDict.clear()
    manager.loggerDict.update(before)


@pytest.fixture
def sound(activity: ActivityLog) -> ActivityLog:
    """A set-up with which nothing is wrong."""
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.addHandler(logging.StreamHandler())
    set_chain(merge_contextvars, JSONRenderer(), wrapper_class=INFO_AND_UP)
    return activity.configure()


def set_chain(*processors: Any, **options: Any) -> None:
    structlog.configure(processors=list(processors), **options)


def found(activity: ActivityLog) -> dict[str, Finding]:
    return {finding.check: finding for finding in activity.doctor()}


def problems(activity: ActivityLog) -> set[str]:
    return {check for check, finding in found(activity).items() if not finding.is_note}


def test_nothing_is_wrong_with_a_sound_set_up(sound: ActivityLog) -> None:
    assert set() == problems(sound)


def test_every_finding_says_the_line_to_change(activity: ActivityLog) -> None:
    set_chain(JSONRenderer(), activity.processor)
    findings = activity.doctor()

    assert findings
    assert all(finding.problem and finding.remedy for finding in findings)
    assert ["check", "problem", "remedy", "is_note"] == list(findings[0].to_dict())


def test_where_nothing_is_set_up_both_doors_are_missed(activity: ActivityLog) -> None:
    set_chain(JSONRenderer())

    assert {"processor.missing", "handler.missing"} <= problems(activity)


def test_a_processor_after_the_renderer_is_found_with_its_place(sound: ActivityLog) -> None:
    set_chain(merge_contextvars, KeyValueRenderer(), sound.processor)

    finding = found(sound)["processor.after_renderer"]
    assert "KeyValueRenderer" in finding.problem
    assert "activity.processor, KeyValueRenderer" in finding.remedy


def test_a_processor_before_the_context_is_found(sound: ActivityLog) -> None:
    set_chain(sound.processor, merge_contextvars, JSONRenderer())

    assert {"processor.before_context"} == problems(sound)


def test_a_context_that_is_not_merged_is_found(sound: ActivityLog) -> None:
    set_chain(sound.processor, JSONRenderer())

    assert {"context.not_merged"} == problems(sound)


def test_a_handler_makes_up_for_a_processor_where_structlog_ends_in_logging(
    sound: ActivityLog,
) -> None:
    set_chain(merge_contextvars, ProcessorFormatter.wrap_for_formatter)
    assert set() == problems(sound)

    set_chain(merge_contextvars, JSONRenderer())
    assert {"processor.missing"} == problems(sound)


@pytest.mark.parametrize("level", [logging.WARNING, logging.CRITICAL])
def test_a_filtering_bound_logger_that_swallows_is_found_with_its_level(
    sound: ActivityLog, level: int
) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(level))

    finding = found(sound)["level.filtering_bound_logger"]
    assert logging.getLevelName(level).lower() in finding.problem
    assert "make_filtering_bound_logger(logging.INFO)" in finding.remedy


def test_a_debug_level_is_nobodys_trouble(sound: ActivityLog) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG))

    assert set() == problems(sound)


def test_a_chain_that_drops_is_found(sound: ActivityLog) -> None:
    def sample(*_: Any) -> Any:
        raise structlog.DropEvent

    set_chain(merge_contextvars, sample, sound.processor, JSONRenderer())

    assert {"chain.stops"} == problems(sound)


def test_a_chain_that_loses_the_verb_is_found(sound: ActivityLog) -> None:
    def rename(_: Any, __: str, event: Any) -> Any:
        event["action"] = event.pop("verb")
        return event

    set_chain(merge_contextvars, rename, sound.processor, JSONRenderer())

    assert "took the verb out" in found(sound)["chain.stops"].problem


def test_a_chain_or_wrapper_class_that_raises_is_found(sound: ActivityLog) -> None:
    def broken(*_: Any) -> Any:
        raise LookupError

    set_chain(merge_contextvars, broken, sound.processor, JSONRenderer())
    assert "LookupError" in found(sound)["chain.stops"].problem

    set_chain(merge_contextvars, sound.processor, JSONRenderer(), wrapper_class=lambda *_, **__: 5)
    assert "chain.stops" in found(sound)


def test_a_wrapper_class_that_swallows_keywords_is_found(sound: ActivityLog) -> None:
    class Wrapper(structlog.BoundLogger):
        def info(self, event: str, **_: Any) -> Any:
            return self._proxy_to_logger("info", event)

        debug = info

    set_chain(merge_contextvars, sound.processor, JSONRenderer(), wrapper_class=Wrapper)

    assert {"chain.stops"} == problems(sound)


def test_the_stdlib_wrapper_class_and_filter_by_level_are_sound(sound: ActivityLog) -> None:
    set_chain(
        filter_by_level,
        merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        sound.processor,
        ProcessorFormatter.wrap_for_formatter,
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )

    assert set() == problems(sound)


def test_filter_by_level_before_ours_takes_the_loggers_level(sound: ActivityLog) -> None:
    set_chain(filter_by_level, merge_contextvars, sound.processor, JSONRenderer())
    logging.getLogger().setLevel(logging.WARNING)

    assert {"level.logger", "level.filter_by_level"} <= problems(sound)


def test_the_look_at_the_chain_records_and_prints_nothing(
    sound: ActivityLog, capsys: pytest.CaptureFixture[str]
) -> None:
    sound.doctor()

    assert 0 == sound.counters()["submitted"]
    assert ("", "") == capsys.readouterr()


def test_cached_loggers_that_never_hear_of_ours_are_counted(sound: ActivityLog) -> None:
    set_chain(JSONRenderer(), cache_logger_on_first_use=True, logger_factory=structlog.ReturnLogger)
    cached = structlog.get_logger()
    cached.info("x")
    assert "1 loggers" in found_after_configure(sound)["loggers.cached"].problem

    del cached
    gc.collect()
    assert "loggers.cached" not in found(sound)


def found_after_configure(activity: ActivityLog) -> dict[str, Finding]:
    set_chain(merge_contextvars, activity.processor, JSONRenderer())
    return found(activity)


def test_proxies_that_answer_for_nobody_do_no_harm(sound: ActivityLog) -> None:
    """Flask's ``request``, outside of one, raises whatever it is asked."""

    class Proxy:
        def __init__(self) -> None:
            self.held: list[Any] = []

        @property  # type: ignore[misc]
        def __class__(self) -> Any:
            raise RuntimeError

    proxy = Proxy()

    assert set() == problems(sound)
    del proxy


# -- logging --------------------------------------------------------------------


def test_a_level_that_swallows_is_found(sound: ActivityLog) -> None:
    logging.getLogger().setLevel(logging.WARNING)

    finding = found(sound)["level.logger"]
    assert not finding.is_note
    assert "logging.getLogger().setLevel(logging.INFO)" == finding.remedy


def test_levels_of_named_loggers_are_worth_a_note(sound: ActivityLog) -> None:
    logging.getLogger("shop").setLevel(logging.ERROR)
    logging.getLogger("sqlalchemy.engine").setLevel(logging.ERROR)

    finding = found(sound)["level.logger"]
    assert finding.is_note
    assert ("shop" in finding.problem, "sqlalchemy" in finding.problem) == (True, False)


def test_a_level_of_the_handler_is_found(sound: ActivityLog) -> None:
    sound.handler.setLevel(logging.ERROR)

    assert {"level.handler"} == problems(sound)


def test_a_logger_that_does_not_propagate_is_found_with_those_below_it(sound: ActivityLog) -> None:
    logging.getLogger("shop.orders")
    logging.getLogger("shop").propagate = False
    logging.getLogger("uvicorn.access").propagate = False

    finding = found(sound)["propagate.off"]
    assert "shop, shop.orders" in finding.problem
    assert "uvicorn" not in finding.problem


def test_a_handler_of_its_own_makes_up_for_it(sound: ActivityLog) -> None:
    logger = logging.getLogger("shop")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    sound.configure(loggers=["", "shop"])

    assert set() == problems(sound)


def test_loggers_that_a_configuration_disabled_are_found(sound: ActivityLog) -> None:
    logging.getLogger("shop")
    handlers = logging.getLogger().handlers[:]
    logging.config.dictConfig({"version": 1})
    logging.getLogger().handlers[:] = handlers

    finding = found(sound)["loggers.disabled"]
    assert "shop" in finding.problem
    assert '"disable_existing_loggers": False' in finding.remedy


def test_logging_that_is_switched_off_is_found(sound: ActivityLog) -> None:
    logging.disable(logging.WARNING)
    try:
        assert "level.disabled" in problems(sound)
    finally:
        logging.disable(logging.NOTSET)


def test_a_handler_behind_a_queue_is_found(sound: ActivityLog) -> None:
    sound.unconfigure()
    set_chain(merge_contextvars, ProcessorFormatter.wrap_for_formatter)
    waiting: queue.Queue[Any] = queue.Queue()
    listener = logging.handlers.QueueListener(waiting, sound.handler)

    finding = found(sound)["handler.behind_queue"]
    assert "every verb" in finding.problem

    sound.configure()
    assert "every verb" not in found(sound)["handler.behind_queue"].problem
    del listener


def test_a_handler_that_is_alone_is_worth_a_note(sound: ActivityLog) -> None:
    logging.getLogger().handlers[:] = [sound.handler]

    assert found(sound)["handler.alone"].is_note


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="it keeps extra by now")
def test_adapters_that_replace_extra_are_worth_a_note(sound: ActivityLog) -> None:
    logger = logging.getLogger("shop")
    ours = ActivityAdapter(logger, {})
    assert "loggers.adapted" not in found(sound)

    adapter = logging.LoggerAdapter(logger, {})
    assert found(sound)["loggers.adapted"].is_note
    del adapter, ours


# -- records so far ---------------------------------------------------------------


def test_what_became_of_records_is_told(sound: ActivityLog) -> None:
    log = structlog.get_logger()
    log.info("x", verb="a.b")
    with acting_as("ana", tenant_id="t"):
        log.info("x", verb="a.b", object="a:1")
    log.info("x", verb="a.b", object="a:1")
    assert sound.flush(10)

    notes = found(sound)
    assert "1 of 3 calls made no record" == notes["log.rejected"].problem
    assert "1 of 3 records have no actor" == notes["log.missing.actor_id"].problem
    assert set() == problems(sound)


def test_what_troubles_the_writer_is_told(sound: ActivityLog) -> None:
    sound.migrate()
    with sound.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE user_activity_batch")
    structlog.get_logger().info("x", verb="a.b", object="a:1", tenant_id="t", actor_id="ana")
    assert not sound.flush(1)

    finding = found(sound)["log.health"]
    assert not finding.is_note
    assert (finding.problem,) == sound.health().reasons
