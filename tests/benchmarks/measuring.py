"""
Interleaved measurements: whatever slows the machine slows all that is compared.
"""

from __future__ import annotations

import time

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import TypeAlias

from .results import Result


@dataclass(frozen=True, slots=True)
class Sizes:
    """
    How much is measured.

    Attributes:

        runs: How often everything is measured; the figure is the median.

        rounds: So many slices of each case in a run of single calls.

        calls: So many calls in a slice.

        records: So many records in a run that goes to the database.

        seconds: So long a run takes that watches something.

        many: So many records go through one process to see its memory.
    """

    runs: int = 5
    rounds: int = 200
    calls: int = 50
    records: int = 10_000
    seconds: float = 5.0
    many: int = 1_000_000


TINY = Sizes(runs=1, rounds=2, calls=5, records=600, seconds=0.2, many=2_000)
"""Enough to see that a benchmark works."""

_WARMING = 5

Call: TypeAlias = Callable[[], object]


def nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class Case:
    """
    Something to be measured.

    Attributes:

        call: What.

        settle: Called after each slice, outside the time, so that no case pays for
            what another left to do.
    """

    call: Call
    settle: Call = nothing


def compare(cases: Mapping[str, Case], sizes: Sizes) -> dict[str, list[float]]:
    """
    Return for each case its cost as a ratio to the first one's, one figure per run.

    The cost is the calling thread's CPU time. Slices of all cases follow each
    other in rotating order; the figure of a run is the median of the ratios of
    its rounds.

    Args:

        cases: By name; the others are compared to the first one.

        sizes: How much.
    """
    found: dict[str, list[float]] = {name: [] for name in cases}
    names = list(cases)
    for _ in range(sizes.runs):
        ratios: dict[str, list[float]] = {name: [] for name in cases}
        for turn in range(sizes.rounds):
            costs = {}
            for place in range(len(names)):
                name = names[(place + turn) % len(names)]
                costs[name] = _cost(cases[name], sizes.calls)
            for name, cost in costs.items():
                ratios[name].append(cost / costs[names[0]])
        for name, values in ratios.items():
            found[name].append(median(values))
    return found


def _cost(case: Case, calls: int) -> float:
    call = case.call
    for _ in range(_WARMING):  # Else the case pays that comes after a change of threads.
        call()
    start = time.thread_time_ns()
    for _ in range(calls):
        call()
    cost = time.thread_time_ns() - start
    case.settle()
    return max(cost, 1) / calls


def result(
    what: str,
    found: Mapping[str, list[float]],
    *,
    ours: str = "ours",
    again: str | None = "bare again",
    goal: float | None = None,
    at_least: bool = False,
    unit: str = "x",
) -> Result:
    """
    Return the row of the table for the figures of `compare`, or the like.

    Args:

        what: What was measured.

        found: The figures by name.

        ours: The name of ours.

        again: The name of what is compared to itself.

        goal: The figure to reach.

        at_least: Whether more is better.

        unit: What stands behind a figure.
    """
    mine = found[ours]
    return Result(
        what,
        median(mine),
        (min(mine), max(mine)),
        goal,
        at_least,
        None if again is None else median(found[again]),
        {name: median(v) for name, v in found.items() if name not in ("bare", again, ours)},
        unit,
    )
