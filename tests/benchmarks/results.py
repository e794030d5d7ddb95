"""
What a benchmark found, and how it is printed.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Result:
    """
    One row of the table.

    Attributes:

        what: What was measured.

        value: Our figure, the median over the runs.

        spread: Least and greatest figure of a run.

        goal: The figure to reach; `None` where there is none.

        at_least: Whether more is better.

        noise: What the same measurement gives for a thing against itself.

        others: The figures of others, from the same runs.

        unit: What stands behind a figure.
    """

    what: str
    value: float
    spread: tuple[float, float]
    goal: float | None = None
    at_least: bool = False
    noise: float | None = None
    others: dict[str, float] = field(default_factory=dict)
    unit: str = "x"

    @property
    def is_reached(self) -> bool:
        """Whether the goal, if any, is reached."""
        if self.goal is None:
            return True
        return self.value >= self.goal if self.at_least else self.value <= self.goal


def table(results: list[Result]) -> str:
    """Return *results* as a table in Markdown."""
    rows = [["what", "goal", "ours", "runs", "noise", "others"], ["---"] * 6]
    for result in results:
        sign = "≥" if result.at_least else "≤"
        rows.append(
            [
                result.what,
                "-" if result.goal is None else f"{sign} {result.goal:g} {result.unit}",
                f"{result.value:.3g} {result.unit}{'' if result.is_reached else ' (missed)'}",
                f"{result.spread[0]:.3g} to {result.spread[1]:.3g}",
                "-" if result.noise is None else f"{result.noise:.3g}",
                ", ".join(f"{name} {value:.3g}" for name, value in result.others.items()) or "-",
            ]
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
