"""
Look at logging's live configuration for what keeps activities from being recorded.
"""

from __future__ import annotations

import logging
import logging.handlers
import sys

from collections.abc import Iterator, Sequence
from typing import Any, Final

import structlog

from ..findings import Finding
from .handler import ActivityAdapter, RecordingHandler
from .install import all_loggers
from .instances import instances_of
from .processor_chain import TO_LOGGING, own_index


_FRAMEWORKS: Final = frozenset(
    """
    aiohttp amqp asyncio celery concurrent django flower gunicorn hypercorn kombu multiprocessing
    py psycopg sqlalchemy structlog_activity urllib3 uvicorn werkzeug
    """.split()
)
"""First names of loggers that carry no verbs, and are set up by their own rules."""

_MOST_NAMES: Final = 5


def has_handler() -> bool:
    """Tell whether a handler of ours listens to any logger, or behind a queue."""
    return any(map(_own_handlers, all_loggers())) or _is_behind_queue()


def check_logging() -> Iterator[Finding]:
    """Yield what is wrong with logging's live configuration."""
    loggers = all_loggers()
    ears = [logger for logger in loggers if _own_handlers(logger)]
    yield from _queues()
    if ears:
        for logger in ears:
            yield from _levels(logger)
        yield from _unheard(loggers)
        yield from _lonely()
    elif not has_handler():
        yield from _missing()
    yield from _disabled(loggers)
    yield from _adapters()


def _own_in(handlers: Sequence[Any]) -> list[RecordingHandler]:
    return [handler for handler in handlers if isinstance(handler, RecordingHandler)]


def _own_handlers(logger: logging.Logger) -> list[RecordingHandler]:
    return _own_in(logger.handlers)


def _shown(loggers: Sequence[logging.Logger]) -> str:
    names = [logger.name for logger in loggers]
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(sorted(names)[:_MOST_NAMES]) + more


def _of_the_host(loggers: Sequence[logging.Logger]) -> list[logging.Logger]:
    return [logger for logger in loggers if logger.name.partition(".")[0] not in _FRAMEWORKS]


def _get(logger: logging.Logger) -> str:
    return f"logging.getLogger({'' if logger is logging.root else repr(logger.name)})"


def _missing() -> Iterator[Finding]:
    # Not a problem where only structlog is used.
    yield Finding(
        "handler.missing",
        "no logger has a handler of ours: calls of the standard library are not recorded",
        "logging.getLogger().addHandler(activity.handler)  # or call activity.configure()",
        is_note=own_index(structlog.get_config()["processors"]) is not None,
    )


def _levels(logger: logging.Logger) -> Iterator[Finding]:
    if logger.getEffectiveLevel() > logging.INFO:
        name = logging.getLevelName(logger.getEffectiveLevel())
        yield Finding(
            "level.logger",
            f"the logger {logger.name} lets nothing below {name} through: an activity that is "
            "logged by info() does not exist",
            f"{_get(logger)}.setLevel(logging.INFO)",
        )
    for handler in _own_handlers(logger):
        if handler.level > logging.INFO:
            name = logging.getLevelName(handler.level)
            yield Finding(
                "level.handler",
                f"the handler of ours at {logger.name} lets nothing below {name} through",
                'handler.setLevel(logging.INFO)  # in dictConfig: "level": "INFO"',
            )


def _unheard(loggers: Sequence[logging.Logger]) -> Iterator[Finding]:
    deaf = [logger for logger in _of_the_host(loggers) if not _is_heard(logger)]
    if deaf:
        yield Finding(
            "propagate.off",
            f"what is logged to {_shown(deaf)} does not reach a handler of ours: propagate is off",
            f"{_get(deaf[0])}.propagate = True  # or activity.configure(loggers=...)",
        )
    quiet = [
        logger
        for logger in _of_the_host(loggers)
        if logger.level > logging.INFO and logger not in deaf and not _own_handlers(logger)
    ]
    if quiet:
        yield Finding(
            "level.logger",
            f"levels above INFO are set for {_shown(quiet)}: their activities at info() do not "
            "exist",
            f"{_get(quiet[0])}.setLevel(logging.INFO)",
            is_note=True,
        )


def _is_heard(logger: logging.Logger) -> bool:
    found: logging.Logger | None = logger
    while found is not None:
        if _own_handlers(found):
            return True
        if not found.propagate:
            return False
        found = found.parent
    return True  # It propagates to a root without us: told elsewhere.


def _lonely() -> Iterator[Finding]:
    handlers = logging.root.handlers
    if handlers and len(_own_in(handlers)) == len(handlers):
        yield Finding(
            "handler.alone",
            "the root logger has no handler but ours, which prints nothing: warnings are not seen",
            "logging.basicConfig(level=logging.INFO)  # before the handler of ours is added",
            is_note=True,
        )


def _disabled(loggers: Sequence[logging.Logger]) -> Iterator[Finding]:
    disabled = [logger for logger in _of_the_host(loggers) if logger.disabled]
    if disabled:
        yield Finding(
            "loggers.disabled",
            f"{_shown(disabled)} are disabled: dictConfig and fileConfig do that to loggers that "
            "existed before",
            'dictConfig({"disable_existing_loggers": False, ...})',
        )
    if logging.root.manager.disable >= logging.INFO:
        name = logging.getLevelName(logging.root.manager.disable)
        yield Finding(
            "level.disabled",
            f"logging.disable({name}) is in force: nothing up to that level exists",
            "logging.disable(logging.NOTSET)",
        )


def _is_behind_queue() -> bool:
    listeners = instances_of(logging.handlers.QueueListener)
    return any(_own_in(listener.handlers) for listener in listeners)


def _queues() -> Iterator[Finding]:
    if not _is_behind_queue():
        return
    chain = structlog.get_config()["processors"]
    lost = "what is bound in structlog.contextvars"
    if chain and chain[-1] in TO_LOGGING and own_index(chain) is None:
        lost = "every verb that is logged through structlog, and what is bound"
    yield Finding(
        "handler.behind_queue",
        f"a handler of ours stands behind a QueueListener: in its thread {lost} is lost",
        "logging.getLogger().addHandler(activity.handler)  # beside the QueueHandler",
    )


def _adapters() -> Iterator[Finding]:
    if sys.version_info >= (3, 13):
        return
    adapters: list[Any] = instances_of(logging.LoggerAdapter)
    found = [adapter for adapter in adapters if not isinstance(adapter, ActivityAdapter)]
    if found:
        yield Finding(
            "loggers.adapted",
            f"{len(found)} LoggerAdapters: before Python 3.13 they replace the extra= of a call, "
            "and the verb with it",
            "structlog_activity.ActivityAdapter(logger, {...})",
            is_note=True,
        )
