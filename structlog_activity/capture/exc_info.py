"""
What a log call tells of an exception, as the data of its record.
"""

from __future__ import annotations

import sys

from itertools import dropwhile
from typing import Any, Final

from ..record.readers import error_message
from ..record.text import type_name


_LONGEST: Final = 1 << 20  # characters that are read of a text, from its end
_HEADER: Final = "Traceback (most recent call last):"


def add_error(event: dict[str, Any], data: dict[Any, Any]) -> None:
    """Add the exception in *event* to the data of its record, if there is one."""
    error = _error_of(event)
    if error is not None:
        data.setdefault("error", error)
        data.setdefault("outcome", "failed")


def _error_of(event: dict[str, Any]) -> dict[str, Any] | None:
    info = event.get("exc_info")
    if info is True or (type(info) is int and info):
        info = sys.exc_info()
    if type(info) is tuple and len(info) == 3:  # noqa: PLR2004
        info = info[1]
    if issubclass(type(info), BaseException):
        return {"type": type_name(info), "message": error_message(info)}  # type: ignore[arg-type]
    return _formatted_error(event.get("exception"))


def _formatted_error(exception: Any) -> dict[str, Any] | None:
    """Read what format_exc_info or dict_tracebacks made of an exception."""
    if type(exception) is list and exception and type(exception[0]) is dict:
        kind, message = (exception[0].get(key) for key in ("exc_type", "exc_value"))
        return {"type": kind, "message": message}
    if type(exception) is not str or not exception.strip():
        return None
    lines = exception[-_LONGEST:].strip().rpartition(_HEADER)[2].strip("\n").split("\n")
    # Frames are indented; the rest is the error, whose message may have many lines.
    rest = "\n".join(dropwhile(lambda line: line[:1] == " ", lines))
    kind, _, message = rest.partition(": ")
    return {"type": kind, "message": message}
