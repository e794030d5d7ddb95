"""
A picture of the figures.
"""

from __future__ import annotations

import importlib

from pathlib import Path
from typing import Any

from .results import Result


def draw(results: list[Result], path: Path) -> None:
    """
    Draw how far each figure with a goal is from it, into a file.

    Args:

        results: The figures.

        path: The file; its ending says the format.
    """
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    pyplot.rcParams["svg.fonttype"] = "none"  # Text that can be read aloud, and a smaller file.
    with_goal = [one for one in results if one.goal]
    figure, axes = pyplot.subplots(figsize=(9, 0.55 * len(with_goal) + 1.2))
    for place, one in enumerate(reversed(with_goal)):
        assert one.goal is not None
        colour = "#2a7f62" if one.is_reached else "#b5523b"
        axes.barh(place, one.value / one.goal, color=colour, height=0.6, zorder=2)
        sign = "≥" if one.at_least else "≤"
        text = f"{one.value:.3g} {one.unit}, goal {sign} {one.goal:g}"
        axes.annotate(
            text, (one.value / one.goal, place), (4, 0), textcoords="offset points", va="center",
            fontsize=8, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )  # fmt: skip
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(range(len(with_goal)), [one.what for one in reversed(with_goal)], fontsize=8)
    axes.set_xlabel("of the goal", fontsize=8)
    axes.set_xlim(0, max([one.value / one.goal for one in with_goal if one.goal] + [1]) * 1.5)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)
