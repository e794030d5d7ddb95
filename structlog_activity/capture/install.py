"""
Put processor and handler into the live configuration of structlog and logging.
"""

from __future__ import annotations

import logging

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import structlog

from .handler import RecordingHandler
from .mapping import ActivityMapper, MappingRule
from .processor import ActivityProcessor
from .processor_chain import right_index


def install(
    processor: ActivityProcessor,
    handler: RecordingHandler,
    *,
    rules: Iterable[MappingRule | Mapping[str, Any]] = (),
    loggers: Iterable[str] = ("",),
) -> None:
    """
    Put *processor* and *handler* in, once, in the place of any other log's.

    Args:

        processor: Goes before the renderer.

        handler: Goes to each of *loggers*, unless one with the same recorder is
            there.

        rules: What maps by them goes before both.

        loggers: Names of loggers; ``""`` is the root.
    """
    rules = list(rules)
    mapper = ActivityMapper(rules, keys=handler.recorder().keys) if rules else None
    ours = [processor] if mapper is None else [mapper, processor]
    put_in(ours, instead_of=(ActivityProcessor, ActivityMapper))
    for name in loggers:
        _attach(logging.getLogger(name), handler, mapper)


def uninstall(processor: ActivityProcessor, handler: RecordingHandler) -> None:
    """Take *processor*, *handler* and what maps for them out of where `install` put them."""
    chain = _processors()
    if processor in chain:
        take_out([processor, *(other for other in chain if isinstance(other, ActivityMapper))])
    for logger in all_loggers():
        if handler in logger.handlers:
            logger.removeHandler(handler)
            if logger.handlers == [logging.lastResort]:
                logger.handlers.clear()
    _set_mapper(handler, None)


def put_in(ours: Sequence[Any], *, instead_of: tuple[type, ...] = ()) -> None:
    """
    Put *ours* where they belong among structlog's live processors.

    Args:

        ours: Processors of this package, in their order.

        instead_of: Classes whose instances are taken out meanwhile.
    """
    chain = _without(_processors(), instead_of)
    index = right_index(chain)
    _set_processors([*chain[:index], *ours, *chain[index:]])


def take_out(ours: Sequence[Any]) -> None:
    """Take *ours* out of structlog's live processors, as far as they are there."""
    _set_processors([other for other in _processors() if other not in ours])


def all_loggers() -> list[logging.Logger]:
    """Return the root logger and all that are known by name."""
    root = logging.getLogger()
    known = list(root.manager.loggerDict.values())
    return [root, *(logger for logger in known if isinstance(logger, logging.Logger))]


def _processors() -> Any:
    return structlog.get_config()["processors"]


def _set_processors(chain: Sequence[Any]) -> None:
    live = _processors()
    if list(live) == chain:
        return
    if isinstance(live, list):  # In place: loggers that are cached hold on to this very list.
        live[:] = chain
    else:
        structlog.configure(processors=chain)


def _without(chain: Iterable[Any], kinds: tuple[type, ...]) -> list[Any]:
    return [processor for processor in chain if not isinstance(processor, kinds)]


def _attach(
    logger: logging.Logger, handler: RecordingHandler, mapper: ActivityMapper | None
) -> None:
    recorder = handler.recorder()
    present = [other for other in logger.handlers if isinstance(other, RecordingHandler)]
    own = next((other for other in present if other.recorder() is recorder), None)
    for other in present:
        if other is not own:
            logger.removeHandler(other)
    if own is None:
        _keep_last_resort(logger)
        logger.addHandler(handler)
    _set_mapper(own or handler, mapper)


def _keep_last_resort(logger: logging.Logger) -> None:
    # Without any handler, logging prints warnings by itself; with ours alone they
    # would be gone.
    if logger is logging.root and not logger.handlers and logging.lastResort:
        logger.addHandler(logging.lastResort)


def _set_mapper(handler: logging.Handler, mapper: ActivityMapper | None) -> None:
    handler.filters[:] = _without(handler.filters, (ActivityMapper,))
    if mapper is not None:
        handler.addFilter(mapper)


class Installable:
    """What has a processor and a handler, to be put into the live configuration."""

    processor: ActivityProcessor

    @property
    def handler(self) -> RecordingHandler:
        """A handler for stdlib logging."""
        raise NotImplementedError

    def configure(
        self,
        *,
        rules: Iterable[MappingRule | Mapping[str, Any]] = (),
        loggers: Iterable[str] = ("",),
    ) -> Self:
        """
        Put processor and handler into structlog's and logging's live configuration.

        See `structlog_activity.configure`, which has the same arguments.

        Returns:

            The log itself.
        """
        install(self.processor, self.handler, rules=rules, loggers=loggers)
        return self

    def unconfigure(self) -> None:
        """Take processor and handler out of structlog's and logging's configuration again."""
        uninstall(self.processor, self.handler)
