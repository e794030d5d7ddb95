"""
Look at structlog's live configuration for what keeps activities from being recorded.
"""

from __future__ import annotations

import logging

from collections.abc import Iterator, Sequence
from typing import Any, Final

import structlog

from ..findings import Finding
from .instances import instances_of
from .processor import ActivityProcessor
from .processor_chain import TO_LOGGING, end_index, is_renderer, merge_index, name_of, own_index


_LEVELS: Final = ("debug", "info", "warning", "error", "critical")


def check_structlog(*, has_handler: bool) -> Iterator[Finding]:
    """
    Yield what is wrong with structlog's live configuration.

    Args:

        has_handler: A handler of ours listens to the standard library's
            logging.
    """
    config = structlog.get_config()
    chain: list[Any] = list(config["processors"])
    own = own_index(chain)
    if own is None:
        yield from _missing(chain, has_handler=has_handler)
    else:
        yield from _order(chain, own)
        yield from _filtered(chain[:own])
        yield from _cached()
    level = _least_level(config["wrapper_class"])
    if level not in ("debug", "info"):
        yield _swallowed(level)
    if own is not None and level is not None:
        yield from _probe(config, chain[:own], level)


def _missing(chain: Sequence[Any], *, has_handler: bool) -> Iterator[Finding]:
    goes_on = bool(chain) and chain[-1] in TO_LOGGING
    if has_handler and goes_on:  # The handler reads structlog's calls, too.
        return
    yield Finding(
        "processor.missing",
        "structlog's processors have none of ours: structlog calls are not recorded",
        f"structlog.configure(processors=[..., activity.processor, {_end(chain)}])"
        "  # or call activity.configure()",
        is_note=has_handler and not structlog.is_configured(),
    )


def _order(chain: Sequence[Any], own: int) -> Iterator[Finding]:
    end, merge = end_index(chain), merge_index(chain)
    if own > end and is_renderer(chain[end]):
        yield Finding(
            "processor.after_renderer",
            f"activity.processor stands after {name_of(chain[end])}, which leaves nothing but "
            "text: structlog calls are not recorded",
            f"structlog.configure(processors=[..., activity.processor, {_end(chain)}])",
        )
    if merge is None:
        yield Finding(
            "context.not_merged",
            "merge_contextvars is missing: of what is bound, only who acts is recorded",
            "structlog.configure(processors=[structlog.contextvars.merge_contextvars, ...])",
        )
    elif own < merge:
        yield Finding(
            "processor.before_context",
            "activity.processor stands before merge_contextvars: of what is bound, only who acts "
            "is recorded",
            "structlog.configure(processors=[structlog.contextvars.merge_contextvars, ..., "
            f"activity.processor, {_end(chain)}])",
        )


def _filtered(before: Sequence[Any]) -> Iterator[Finding]:
    level = logging.getLogger().getEffectiveLevel()
    if structlog.stdlib.filter_by_level in before and level > logging.INFO:
        yield Finding(
            "level.filter_by_level",
            "filter_by_level stands before activity.processor, and the root logger lets nothing "
            f"below {logging.getLevelName(level)} through",
            "logging.getLogger().setLevel(logging.INFO)  # or move filter_by_level behind it",
        )


def _end(chain: Sequence[Any]) -> str:
    return name_of(chain[end_index(chain)]) if chain else "JSONRenderer()"


# -- loggers that never hear of the configuration -----------------------------


def _cached() -> Iterator[Finding]:
    live = structlog.get_config()["processors"]
    deaf = [logger for logger in instances_of(structlog.BoundLoggerBase) if _is_deaf(logger, live)]
    if deaf:
        yield Finding(
            "loggers.cached",
            f"{len(deaf)} loggers hold on to processors without ours: they were made, or cached at "
            "their first use, before structlog was configured; their calls are not recorded",
            "call structlog.configure(...) before the first log call, or change the list that is "
            "live: activity.configure()",
        )


def _is_deaf(logger: Any, live: Any) -> bool:
    chain = getattr(logger, "_processors", None)
    if chain is live or not isinstance(chain, list | tuple):
        return False
    return not any(isinstance(processor, ActivityProcessor) for processor in chain)


# -- levels -------------------------------------------------------------------


def _least_level(wrapper: Any) -> str | None:
    """Return the least level whose calls get anywhere."""
    for level in _LEVELS:
        method = getattr(wrapper, level, None)
        if method is None or getattr(method, "__name__", "") != "_nop":
            return level
    return None


def _swallowed(level: str | None) -> Finding:
    return Finding(
        "level.filtering_bound_logger",
        f"the wrapper class lets nothing below {level or 'its level'} through: an activity that is "
        "logged by info() does not exist",
        "structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))"
        "  # or activity.record(...), which no level silences",
    )


# -- a call, as far as our processor ------------------------------------------


class _Silent:
    """A logger that prints nothing, whose level lets everything pass."""

    name = "structlog_activity.doctor"
    level = 0
    disabled = False
    handlers: Final = ()

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  As the standard library has it.
        return True

    def getEffectiveLevel(self) -> int:  # noqa: N802  As above.
        return 0

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


def _probe(config: dict[str, Any], before: list[Any], level: str) -> Iterator[Finding]:
    """Send a call through what stands before our processor, and see what arrives."""
    heard: list[Any] = []

    def ear(_: Any, __: str, event: Any) -> Any:
        heard.append(event)
        raise structlog.DropEvent

    try:
        logger = config["wrapper_class"](
            _Silent(), processors=[*before, ear], context=config["context_class"]()
        )
        getattr(logger, level)("a look at the set-up", verb="doctor.looked", object="doctor")
    except Exception as error:  # noqa: BLE001  Anybody's code.
        yield _stopped(f"raised {type(error).__name__}")
        return
    if not heard:
        yield _stopped("dropped a call with a verb")
    elif "verb" not in heard[0]:
        yield _stopped("took the verb out of a call")


def _stopped(what: str) -> Finding:
    return Finding(
        "chain.stops",
        f"the wrapper class, or a processor before activity.processor, {what}",
        "move activity.processor before that processor (samplers and filters stand after it), or "
        "use structlog.stdlib.BoundLogger as wrapper_class",
    )
