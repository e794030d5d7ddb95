"""
``python -m tests.benchmarks [hot|drain|lag|memory|peers|steps] ...``: measure, and print a table.

``read`` and ``trust`` come alone, and have options of their own: ``read --help``.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys

from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Final

from .measuring import TINY, Sizes
from .picture import draw
from .registry import BENCHMARKS, run
from .results import Result, table


PROGRAMS: Final = {"read": "tests.benchmarks.read", "trust": "tests.benchmarks.trust"}


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for, or everything; return 1 where a goal is missed."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] and arguments[0] in PROGRAMS:
        code: int = import_module(PROGRAMS[arguments[0]]).main(arguments[1:])
        return code
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("what", nargs="*", metavar="WHAT", help=", ".join(BENCHMARKS))
    parser.add_argument("--tiny", action="store_true", help="just see that it works")
    parser.add_argument("--runs", type=int, default=5, help="how often; the median counts")
    parser.add_argument("--picture", type=Path, help="file to draw the result into")
    given = parser.parse_args(arguments)
    unknown = [what for what in given.what if what not in BENCHMARKS]
    if unknown:
        parser.error(
            f"no benchmark {unknown[0]!r}: there are {', '.join([*BENCHMARKS, *PROGRAMS])}"
        )
    sizes = TINY if given.tiny else Sizes(runs=given.runs)
    results: list[Result] = []
    for what in given.what or BENCHMARKS:
        # In a process of its own: some of the others leave threads behind that work on.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
            found = alone.submit(run, what, sizes).result()
        print(f"\n{what}\n\n{table(found)}", flush=True)
        results += found
    if given.picture:
        draw(results, given.picture)
    return 0 if all(one.is_reached for one in results) else 1


if __name__ == "__main__":
    sys.exit(main())
