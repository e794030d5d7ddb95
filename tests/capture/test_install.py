"""One call sets everything up, in place, once; another undoes it."""

from __future__ import annotations

import logging

from pathlib import Path
from typing import Any

import pytest
import structlog

from structlog.contextvars import bound_contextvars, merge_contextvars
from structlog.processors import EventRenamer, JSONRenderer, TimeStamper, add_log_level
from structlog.stdlib import ProcessorFormatter, render_to_log_kwargs

from structlog_activity import (
    ActivityHandler,
    ActivityLog,
    ActivityMapper,
    ActivityProcessor,
    configure,
    shared,
    to_uuid,
)


EXTRA = {"verb": "invoice.paid", "object": "invoice:7"}


def bare_root() -> logging.Logger:
    """Return the root logger without the handlers that pytest gives it for each test."""
    root = logging.getLogger()
    root.handlers.clear()
    return root


def chain() -> list[Any]:
    return list(structlog.get_config()["processors"])


def place(*processors: Any, activity: ActivityLog) -> int:
    structlog.configure(processors=list(processors))
    activity.configure()
    return chain().index(activity.processor)


def test_the_processor_goes_before_the_renderer(activity: ActivityLog) -> None:
    first = [merge_contextvars, add_log_level, TimeStamper()]

    for end in (
        [JSONRenderer()],
        [structlog.dev.ConsoleRenderer()],
        [render_to_log_kwargs],
        [ProcessorFormatter.wrap_for_formatter],
        [EventRenamer("message"), lambda *_: "text"],
        [JSONRenderer(), lambda *_: "after the renderer"],
    ):
        index = place(*first, *end, activity=activity)
        assert chain()[index + 1] is (end[0] if len(end) == 1 or index == 3 else end[1])


def test_it_never_goes_before_the_context(activity: ActivityLog) -> None:
    assert 1 == place(merge_contextvars, activity=activity)


def test_an_empty_chain_gets_it_too(activity: ActivityLog) -> None:
    assert 0 == place(activity=activity)


def test_structlog_as_it_comes_is_set_up(activity: ActivityLog) -> None:
    structlog.reset_defaults()
    activity.configure()

    with bound_contextvars(actor_id="ana", tenant_id="t"):
        structlog.get_logger().info("paid", **EXTRA)

    assert activity.flush(10)
    assert [to_uuid("ana")] == [r.actor_id for r in activity.feed(tenant_id="t").records]


def test_cached_loggers_hear_of_it(activity: ActivityLog) -> None:
    structlog.configure(processors=[structlog.testing.LogCapture()], cache_logger_on_first_use=True)
    log = structlog.get_logger()
    log.info("cached now")
    bound = log.bind(x=1)

    activity.configure()
    log.info("paid", **EXTRA)
    bound.info("paid", **EXTRA)

    assert 2 == activity.counters()["accepted"]


def test_a_tuple_of_processors_is_replaced(activity: ActivityLog) -> None:
    structlog.configure(processors=(merge_contextvars, structlog.testing.LogCapture()))

    activity.configure()

    assert activity.processor is chain()[1]


def test_twice_is_once(activity: ActivityLog) -> None:
    structlog.configure(processors=[merge_contextvars, structlog.testing.LogCapture()])
    live = structlog.get_config()["processors"]

    for _ in range(3):
        assert activity is activity.configure()

    assert live is structlog.get_config()["processors"]
    assert 1 == chain().count(activity.processor)
    assert 1 == logging.getLogger().handlers.count(activity.handler)


def test_a_misplaced_processor_is_moved(activity: ActivityLog) -> None:
    structlog.configure(processors=[activity.processor, merge_contextvars, JSONRenderer()])

    activity.configure()

    assert [1] == [i for i, p in enumerate(chain()) if isinstance(p, ActivityProcessor)]


def test_the_log_configured_last_gets_the_calls(activity: ActivityLog, tmp_path: Path) -> None:
    structlog.configure(processors=[merge_contextvars, structlog.testing.LogCapture()])
    logging.getLogger().setLevel(logging.INFO)
    activity.configure()
    with ActivityLog(f"sqlite:///{tmp_path / 'other.db'}") as other:
        other.configure()
        structlog.get_logger().info("paid", **EXTRA)
        logging.getLogger("app").info("paid", extra=EXTRA)

        assert (0, 2) == (activity.counters()["accepted"], other.counters()["accepted"])


def test_undone_everything_is_as_before(activity: ActivityLog) -> None:
    structlog.configure(processors=[merge_contextvars, JSONRenderer()])
    processors, handlers = chain(), bare_root().handlers[:]

    activity.configure(rules=[{"verb": "a.b", "object": "a", "event": "x"}])
    assert any(isinstance(processor, ActivityMapper) for processor in chain())
    activity.unconfigure()
    activity.unconfigure()

    assert (processors, handlers) == (chain(), logging.getLogger().handlers)
    assert [] == activity.handler.filters


def test_warnings_of_an_unconfigured_program_are_still_seen(
    activity: ActivityLog, capsys: pytest.CaptureFixture[str]
) -> None:
    bare_root()
    activity.configure()

    logging.getLogger("app").warning("seen")

    assert "seen\n" == capsys.readouterr().err


def test_other_handlers_stay_alone(activity: ActivityLog) -> None:
    root, console = bare_root(), logging.StreamHandler()
    root.addHandler(console)

    activity.configure()

    assert [console, activity.handler] == root.handlers


def test_loggers_that_do_not_propagate_can_be_named(activity: ActivityLog) -> None:
    logger = logging.getLogger("alone")
    logger.propagate = False
    logger.setLevel(logging.INFO)

    activity.configure(loggers=["", "alone"])
    logger.info("paid", extra=EXTRA)

    assert 1 == activity.counters()["accepted"]
    activity.unconfigure()
    assert [] == logger.handlers


def test_the_one_call_shares_its_log_with_handlers_of_the_url(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'activity.db'}"
    root = bare_root()
    root.addHandler(handler := ActivityHandler(url))

    log = configure(url, batch_size="10")

    assert (log, [handler]) == (shared._shared[url], root.handlers)
    assert log is configure(url)
    assert log.processor in chain()


def test_the_one_call_refuses_unknown_options(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="batchsize"):
        configure(f"sqlite:///{tmp_path / 'activity.db'}", batchsize=1)
    assert not any(isinstance(processor, ActivityProcessor) for processor in chain())
