"""
What a log call pays: with us in the chain, as a ratio to the same call without us.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .calls import Ours, bare, bound, by_logging, flat, nested, plain, stdlib
from .measuring import Case, Sizes, compare, result
from .results import Result


def hot(sizes: Sizes) -> list[Result]:
    """Return what calls without a verb, flat, nested, spooled and by stdlib logging cost."""
    with tempfile.TemporaryDirectory() as folder, bound():
        results = [
            _call("call without verb", plain, sizes, 1.02),
            _call("activity call, flat data", flat, sizes, 1.15),
            _call("activity call, nested data", nested, sizes, 1.5),
            _call("activity call, wal", flat, sizes, 1.6, Path(folder)),
            _handler("handler, activity call, three names bound", sizes),
        ]
    return [*results, _handler("handler, activity call", sizes, 1.25)]


def _call(
    what: str,
    call: Callable[[Any], None],
    sizes: Sizes,
    goal: float,
    folder: Path | None = None,
) -> Result:
    with contextlib.closing(Ours(folder)) as ours:
        cases = {"bare": bare(call), "bare again": bare(call), "ours": ours.case(call)}
        return result(what, compare(cases, sizes), goal=goal)


def _handler(what: str, sizes: Sizes, goal: float | None = None) -> Result:
    with contextlib.closing(Ours()) as ours:
        null, again = (stdlib(name, logging.NullHandler()) for name in ("null", "again"))
        mine = stdlib("ours", ours.handler)
        cases = {
            "bare": Case(lambda: by_logging(null)),
            "bare again": Case(lambda: by_logging(again)),
            "ours": Case(lambda: by_logging(mine), ours.buffer.flush),
        }
        return result(what, compare(cases, sizes), goal=goal)
