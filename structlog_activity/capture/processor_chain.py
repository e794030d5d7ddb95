"""
What is known of chains of structlog processors: where context is merged, where text is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from structlog.contextvars import merge_contextvars
from structlog.dev import ConsoleRenderer
from structlog.processors import JSONRenderer, KeyValueRenderer, LogfmtRenderer
from structlog.stdlib import (
    ProcessorFormatter,
    render_to_log_args_and_kwargs,
    render_to_log_kwargs,
)

from .processor import ActivityProcessor


_RENDERERS: Final = (JSONRenderer, KeyValueRenderer, LogfmtRenderer, ConsoleRenderer)
TO_LOGGING: Final = (
    ProcessorFormatter.wrap_for_formatter,
    render_to_log_kwargs,
    render_to_log_args_and_kwargs,
)
"""The ends of chains that go on in the standard library's logging."""


def is_renderer(processor: Any) -> bool:
    """Tell whether *processor* turns events into something else; those of structlog are known."""
    return isinstance(processor, _RENDERERS) or processor in TO_LOGGING


def own_index(chain: Sequence[Any]) -> int | None:
    """Return where our processor stands."""
    return _first(chain, lambda processor: isinstance(processor, ActivityProcessor))


def merge_index(chain: Sequence[Any]) -> int | None:
    """Return where the context is merged."""
    return _first(chain, lambda processor: processor is merge_contextvars)


def end_index(chain: Sequence[Any]) -> int:
    """Return where the renderer stands: the first one that is known to be one, else the last."""
    known = _first(chain, is_renderer)
    return max(0, len(chain) - 1) if known is None else known


def right_index(chain: Sequence[Any]) -> int:
    """Return where our processor belongs in a *chain* without it."""
    merge = merge_index(chain)
    return max(end_index(chain), 0 if merge is None else merge + 1)


def name_of(processor: Any) -> str:
    """Return the name of a processor as its users write it."""
    found = getattr(processor, "__name__", None)
    return found if isinstance(found, str) else type(processor).__name__


def _first(chain: Sequence[Any], test: Any) -> int | None:
    return next((index for index, processor in enumerate(chain) if test(processor)), None)
