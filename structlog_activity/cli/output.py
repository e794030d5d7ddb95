"""
Records and numbers as text that is safe to print.
"""

from __future__ import annotations

import json
import shutil
import sys

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..record.ids import NIL
from ..record.record import ActivityRecord


_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
_BIDI = {code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}
_WIDE = 200
_HEADINGS = ("when (UTC)", "who", "verb", "object", "channel", "details")


def printable(text: str) -> str:
    """Return *text* with control characters spelt out: they could rewrite a terminal."""
    return text.translate(_CONTROLS).translate(_BIDI)


def print_json(value: Any) -> None:
    """Print *value* as one line of JSON."""
    print(json.dumps(value, ensure_ascii=False, default=str))


def print_records(records: Iterable[ActivityRecord]) -> None:
    """Print records as a table, cut to the terminal's width."""
    print_table(_HEADINGS, [_cells(record) for record in records])


def print_counts(title: str, counts: Mapping[Any, int]) -> None:
    """Print a table of counts under a title."""
    print(f"\n{title}")
    width = max((len(f"{n:,}") for n in counts.values()), default=1)
    for key, n in counts.items():
        print(f"  {n:>{width},}  {printable(str(key)) or '(none)'}")


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print *rows* in columns under *headings*."""
    lines = [headings, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    limit = shutil.get_terminal_size((_WIDE, 24)).columns if sys.stdout.isatty() else _WIDE
    for line in lines:
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print(text.rstrip()[:limit])


def _cells(record: ActivityRecord) -> list[str]:
    when = f"{record.occurred_at:%Y-%m-%d %H:%M:%S}" if record.occurred_at else ""
    raw = record.data.get("_raw")
    who = raw.get("actor_id") if isinstance(raw, dict) else None
    object_ = f"{record.object_type}:{record.object_id}" if record.object_id else record.object_type
    details = {key: value for key, value in record.data.items() if key != "_raw"}
    cells = [
        when,
        str(who or (record.actor_id if record.actor_id != NIL else "")),
        record.verb,
        object_,
        record.channel,
        " ".join(f"{key}={_short(value)}" for key, value in details.items()),
    ]
    return [printable(cell) for cell in cells]


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
