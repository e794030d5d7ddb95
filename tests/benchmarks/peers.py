"""
The same activity call by other libraries that take it and write later.
"""

from __future__ import annotations

import contextlib
import logging

from .calls import Ours, bare, bound, by_logging, flat, stdlib
from .measuring import Case, Sizes, compare, result
from .others import OTHERS
from .results import Result


def peers(sizes: Sizes) -> list[Result]:
    """Return what a call costs with us and with others, as ratios to a NullHandler's."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(bound())
        ours = stack.enter_context(contextlib.closing(Ours()))
        null, again = (stdlib(name, logging.NullHandler()) for name in ("null", "again"))
        mine = stdlib("ours", ours.handler)
        cases = {
            "bare": Case(lambda: by_logging(null)),
            "bare again": Case(lambda: by_logging(again)),
            "ours": Case(lambda: by_logging(mine), ours.buffer.flush),
            "structlog to JSON": bare(flat),
            "structlog to JSON, ours": ours.case(flat),
        }
        for name, other in OTHERS.items():
            # Who is not installed has no column.
            with contextlib.suppress(ImportError, AttributeError):
                cases[name] = stack.enter_context(other())
        return [result("activity call by logging, of a NullHandler", compare(cases, sizes))]
