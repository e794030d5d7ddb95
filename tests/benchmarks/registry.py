"""
All benchmarks, by the word that runs them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from .drain import drain
from .hot import hot
from .lag import lag
from .measuring import Sizes
from .memory import memory
from .peers import peers
from .results import Result
from .steps import steps


Benchmark: TypeAlias = Callable[[Sizes], list[Result]]

BENCHMARKS: Final[dict[str, Benchmark]] = {
    "hot": hot,
    "drain": drain,
    "lag": lag,
    "memory": memory,
    "peers": peers,
    "steps": steps,
}
"""Add one here and ``python -m tests.benchmarks WORD`` runs it, and the smoke test, too."""


def run(what: str, sizes: Sizes) -> list[Result]:
    """Return what one benchmark finds."""
    return BENCHMARKS[what](sizes)
