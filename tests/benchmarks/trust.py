"""
What trust costs: redaction, sealing and verifying.

Of redaction: microseconds of a record with the rules and without, and their ratio.

Everything is measured in one interleaved run, in the processor's own time: the
same thing twice tells how much of a difference is noise.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from structlog_activity.record.redact import Redactor
from structlog_activity.record.rowmaker import RowMaker

from . import seals


FIELDS: Final = {"verb": "settings.updated", "object_type": "settings", "object_id": "global"}
DATA: Final[dict[str, dict[str, Any]]] = {
    "6 keys, 120 B": {
        "event": "theme changed", "path": "ui.theme", "from": "light", "to": "dark",
        "request_id": "0192f0c1-7b1a-7c3e-9f6e-1c2d3e4f5a6b", "count": 3,
    },
    "nested, 10 leaves, 250 B": {
        "event": "order paid", "order": {"id": "A-1001", "lines": [{"sku": "x-1", "n": 2}] * 2},
        "customer": {"name": "Ana Example", "city": "Lisbon"}, "note": "leave it at the door",
        "total": "129.90",
    },
    "40 texts of 108 characters": {f"text_{n}": "lorem ipsum " * 9 for n in range(40)},
    "a secret in a text": {"event": "GET /cb?state=1&token=abcdef123456&x=2", "count": 1},
}  # fmt: skip

VARIANTS: Final[dict[str, Redactor | None]] = {
    "off": None,
    "off again": None,
    "keys": Redactor(values=False),
    "keys and texts": Redactor(),
}


def main(argv: Sequence[str] = ()) -> int:
    """
    Measure and print.

    Args:

        argv: ``--rounds N``, ``--json`` (without seals), ``--postgresql``.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks trust", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="how often all is measured")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--postgresql", action="store_true", help="seals there, not in SQLite")
    options = parser.parse_args(argv)
    found = {name: measured(data, options.rounds) for name, data in DATA.items()}
    if options.json:
        print(json.dumps(found, indent=2))
        return 0
    print(f"microseconds per record, median of {options.rounds} interleaved rounds")
    for name, times in found.items():
        print(f"\n{name}")
        for variant, microseconds in times.items():
            ratio = microseconds / times["off"]
            print(f"  {variant:16}{microseconds:9.2f}   x {ratio:.2f}")
    print("\nseals")
    seals.main(on_postgresql=options.postgresql)
    return 0


def measured(data: Mapping[str, Any], rounds: int) -> dict[str, float]:
    """Return the median time of each variant in microseconds."""
    makers = {name: _maker(redactor, data) for name, redactor in VARIANTS.items()}
    number = _often_enough(makers["off"])
    times: dict[str, list[float]] = {name: [] for name in makers}
    gc.disable()
    try:
        for _ in range(rounds):
            for name, make in makers.items():
                times[name].append(_time(make, number))
    finally:
        gc.enable()
    return {name: statistics.median(found) * 1e6 for name, found in times.items()}


def _maker(redactor: Redactor | None, data: Mapping[str, Any]) -> Callable[[], object]:
    rows, values = RowMaker(redactor), dict(data)
    return lambda: rows.make(FIELDS, values)


def _often_enough(make: Callable[[], object]) -> int:
    """Return how many calls take some milliseconds."""
    return max(10, int(0.005 / max(_time(make, 10), 1e-7)))


def _time(make: Callable[[], object], number: int) -> float:
    started = time.thread_time()
    for _ in range(number):
        make()
    return (time.thread_time() - started) / number


if __name__ == "__main__":
    raise SystemExit(main())
