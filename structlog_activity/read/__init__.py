"""
How records are seen: filters, feeds in pages, statistics, the tail.

Besides the methods of `ActivityLog` each read is a function for an engine, a
connection or a session of your own: `feed`, `get`, `history`, `stats`,
`timeline` and `top`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final


if TYPE_CHECKING:
    from .counts.stats import stats
    from .counts.timeline import timeline
    from .counts.top import top
    from .feeds.feed import feed
    from .feeds.get import get
    from .feeds.history import history

__all__ = ["feed", "get", "history", "stats", "timeline", "top"]

_HOME: Final = {
    "feed": "feeds.feed",
    "get": "feeds.get",
    "history": "feeds.history",
    "stats": "counts.stats",
    "timeline": "counts.timeline",
    "top": "counts.top",
}


def __getattr__(name: str) -> Any:
    # Late, for these load SQLAlchemy, and filters are wanted without it.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
