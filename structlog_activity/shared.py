"""
Handlers that are named in a configuration file, and the one log that they share.
"""

from __future__ import annotations

import threading

from collections.abc import Callable, Iterable, Mapping
from inspect import signature
from typing import Any, Final

from .capture.handler import RecordingHandler
from .capture.mapping import MappingRule
from .capture.recorder import Recorder
from .log import ActivityLog, url_or_default


class ActivityHandler(RecordingHandler):
    """
    Record stdlib logging calls; for ``dictConfig`` and the like.

    All handlers of one URL share one log, which lives until the interpreter
    exits: closing a handler closes nothing, for logging closes handlers at odd
    moments, and with its own lock held.

    Args:

        url: As for `ActivityLog`.

        level: Least level to look at.

        options: As for `ActivityLog`; text is taken for numbers and booleans,
            as configuration files have it. They count for the first handler of
            a URL.

    Raises:

        RepositoryError: As for `ActivityLog`.

        ValueError: An option is unknown, or out of its range.

    .. versionadded:: 0.1.0
    """

    def __init__(self, url: str | None = None, level: int | str = 0, **options: Any) -> None:
        super().__init__(level)
        self._log = shared_log(url, options)

    def recorder(self) -> Recorder:
        """Return the recorder of the shared log."""
        return self._log.recorder

    def flush(self) -> None:
        """Do nothing; the log writes by itself, and at exit."""


def configure(
    url: str | None = None,
    *,
    rules: Iterable[MappingRule | Mapping[str, Any]] = (),
    loggers: Iterable[str] = ("",),
    **options: Any,
) -> ActivityLog:
    """
    Set everything up by one call: structlog's live configuration and logging's.

    Call it after structlog and logging were set up: what is live is changed in
    place, so loggers that are cached hear of it. The log that was configured
    last takes the place of another. All that call it with one URL share one log,
    so calling it twice is calling it once::

        activity = structlog_activity.configure("postgresql://app@db/app")

    Args:

        url: As for `ActivityLog`.

        rules: Which calls without a verb are activities, too; see
            `MappingRule`.

        loggers: Names of the loggers that get the handler: ``""`` is the root,
            others are those that don't propagate.

        options: As for `ActivityLog`; text is taken for numbers and booleans.
            They count for the first use of a URL.

    Returns:

        The log; its `ActivityLog.unconfigure` is the way back.

    Raises:

        RepositoryError: As for `ActivityLog`.

        ValueError: An option is unknown, or out of its range.

    .. versionadded:: 0.1.0
    """
    return shared_log(url, options).configure(rules=rules, loggers=loggers)


_shared: Final[dict[str, ActivityLog]] = {}
_making: Final = threading.Lock()  # Guards the making of a log, which only configurations do.
_OPTIONS: Final = {
    name: str(option.annotation).split(" | ")
    for name, option in signature(ActivityLog).parameters.items()
    if name != "url"
}
"""The types of each option, by their names."""

_WORDS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_READ_AS: Final[dict[str, Callable[[str], Any]]] = {
    "bool": lambda text: _WORDS[text.strip().lower()],
    "int": int,
    "float": float,
}


def shared_log(url: str | None, options: Mapping[str, Any]) -> ActivityLog:
    """Return the one log of a URL that all handlers share."""
    name = url_or_default(url)
    typed = {option: _typed(option, value) for option, value in options.items()}
    with _making:
        if name not in _shared:
            _shared[name] = ActivityLog(name, **typed)
        return _shared[name]


def close_shared_logs(timeout: float | None = None) -> bool:
    """
    Write what waits in all shared logs and close them, as the exit of the interpreter does.

    Args:

        timeout: Most seconds for each; default is its *close_timeout*.

    Returns:

        Whether everything was written.
    """
    closed = [log.close(timeout) for log in _shared.values()]
    return all(closed)


def _typed(name: str, value: Any) -> Any:
    if name not in _OPTIONS:
        known = ", ".join(sorted(_OPTIONS))
        raise ValueError(f"{name}=...: no such option; there are {known}")
    if not isinstance(value, str):
        return value
    try:
        read = next((_READ_AS[kind] for kind in _OPTIONS[name] if kind in _READ_AS), str)
        return read(value)
    except (KeyError, ValueError):
        raise ValueError(f"{name}={value!r}: can't be read") from None
