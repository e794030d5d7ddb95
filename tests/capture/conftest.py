"""Fixtures for the tests of what catches activities."""

from __future__ import annotations

import logging

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import structlog

from structlog_activity import ActivityLog, shared
from structlog_activity.capture.handler import RecordingHandler
from structlog_activity.capture.keys import ActivityKeys
from structlog_activity.capture.processor import ActivityProcessor
from structlog_activity.capture.recorder import Recorder
from structlog_activity.record.record import ActivityRecord
from structlog_activity.record.redact import Redactor
from structlog_activity.record.row import Row
from structlog_activity.record.rowmaker import RowMaker
from structlog_activity.record.sink import Pending, finished


ROWS, KEYS = RowMaker(Redactor()), ActivityKeys()


class Tape:
    """A sink that keeps what it was given, and finishes it only when asked, as the writer does."""

    def __init__(self) -> None:
        self.pending: list[Pending] = []
        self.rejected: Counter[str] = Counter()
        self.details: list[str] = []

    def put(self, pending: Pending, /) -> bool:
        self.pending.append(pending)
        return True

    def reject(self, reason: str, detail: str = "", /) -> None:
        self.rejected[reason] += 1
        self.details.append(detail)

    @property
    def rows(self) -> list[Row]:
        return [finished(item) for item in self.pending]

    @property
    def records(self) -> list[ActivityRecord]:
        return [row.to_record() for row in self.rows]

    @property
    def only(self) -> ActivityRecord:
        (record,) = self.records
        return record


class TapeHandler(RecordingHandler):
    """The handler of one recorder."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def recorder(self) -> Recorder:
        return self._recorder


class Kit:
    """A recorder onto a tape, with its three doors: processor, handler and `record`."""

    def __init__(
        self,
        *,
        keys: ActivityKeys | None = None,
        defaults: dict[str, Any] | None = None,
        strict: bool = False,
        clock: Callable[[], int] | None = None,
        tape: Tape | None = None,
    ) -> None:
        self.tape = tape or Tape()
        options: dict[str, Any] = {} if clock is None else {"clock": clock}
        self.recorder = Recorder(
            self.tape,
            rows=ROWS,
            keys=keys or KEYS,
            defaults=defaults or {},
            strict=strict,
            **options,
        )
        self.processor = ActivityProcessor(self.recorder)
        self.handler = TapeHandler(self.recorder)

    @property
    def only(self) -> ActivityRecord:
        """The one record that there is."""
        return self.tape.only

    @property
    def records(self) -> list[ActivityRecord]:
        return self.tape.records

    def process(self, **event: Any) -> dict[str, Any]:
        """Run the processor alone over *event*, as structlog would."""
        out: dict[str, Any] = self.processor(None, "info", event)
        return out

    def logger(self, *before: Any, after: Any = ()) -> Any:
        """Return a structlog logger with ours between *before* and *after* and the end."""
        chain = [*before, self.processor, *after, structlog.testing.LogCapture()]
        return structlog.wrap_logger(None, processors=chain, wrapper_class=structlog.BoundLogger)

    def stdlib(self, name: str = "app") -> logging.Logger:
        """Return a stdlib logger that our handler listens to."""
        logger = logging.getLogger(name)
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
        logger.addHandler(self.handler)
        return logger


@pytest.fixture
def kit() -> Kit:
    """A recorder with default keys, and its doors."""
    return Kit()


@pytest.fixture
def make_kit() -> type[Kit]:
    """What makes further kits, with options."""
    return Kit


@pytest.fixture
def activity(tmp_path: Path) -> Iterator[ActivityLog]:
    """A log on a file of its own."""
    with ActivityLog(f"sqlite:///{tmp_path / 'activity.db'}") as log:
        yield log


@pytest.fixture(autouse=True)
def untouched_configuration() -> Iterator[None]:
    """Put structlog, logging and the shared logs back as they were."""
    structlog.contextvars.clear_contextvars()
    before = {logger: _state(logger) for logger in _loggers()}
    factory, logs = logging.getLogRecordFactory(), dict(shared._shared)
    shared._shared.clear()
    yield
    for log in shared._shared.values():
        log.close(5)
    shared._shared.clear()
    shared._shared.update(logs)
    logging.setLogRecordFactory(factory)
    for logger in _loggers():
        _set_state(logger, before.get(logger, (logging.NOTSET, [], [], True, False)))
    logging.getLogger().setLevel(logging.getLogger().level)  # Forget the levels that were cached.
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def _loggers() -> list[logging.Logger]:
    root = logging.getLogger()
    known = root.manager.loggerDict.values()
    return [root, *(logger for logger in known if isinstance(logger, logging.Logger))]


State: TypeAlias = "tuple[int, list[Any], list[Any], bool, bool]"


def _state(logger: logging.Logger) -> State:
    return (
        logger.level,
        list(logger.handlers),
        list(logger.filters),
        logger.propagate,
        logger.disabled,
    )


def _set_state(logger: logging.Logger, state: State) -> None:
    # Not setLevel: it goes through all loggers each time, and some tests make many.
    logger.level, logger.handlers[:], logger.filters[:], logger.propagate, logger.disabled = state
