"""
Records and numbers as text that is safe to print.
"""

from __future__ import annotations

import codecs
import json
import shutil
import sys

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from ..findings import Finding
from ..record.ids import NIL
from ..record.record import RAW, ActivityRecord
from .width import cut, padded, width_of


_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
_BIDI = {
    code: f"\\u{code:04x}"
    for code in (0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
}
# What JSON itself leaves as it is, and a terminal would obey.
_JSON_ESCAPES = {code: f"\\u{code:04x}" for code in range(127, 160)} | _BIDI
_LEAST_CELL = 19  # as wide as a time
_WIDTHS = (19, 20, 24, 24, 10, 0)  # of the cells of a record that is printed alone
_HEADINGS = ("when (UTC)", "who", "verb", "object", "channel", "details")


def printable(text: str) -> str:
    """Return *text* with control characters spelt out: they could rewrite a terminal."""
    return text.translate(_CONTROLS).translate(_BIDI)


def object_text(type_: str, id_: str) -> str:
    """Return an object as log calls write it."""
    return f"{type_}:{id_}" if id_ else type_


def originals(record: ActivityRecord) -> dict[str, Any]:
    """Return the caller's own words for the ids, which is what a reader knows them by."""
    raw = record.data.get(RAW)
    return raw if isinstance(raw, dict) else {}


def print_json(value: Any) -> None:
    """Print *value* as one line of JSON."""
    print(json_line(value, sys.stdout))


def json_line(value: Any, output: TextIO) -> str:
    """Return *value* as JSON that is safe to print, all ASCII if *output* takes no UTF-8."""
    ascii_only = _encoding(output) != "utf-8"
    return json.dumps(value, ensure_ascii=ascii_only, default=str).translate(_JSON_ESCAPES)


def print_records(records: Iterable[ActivityRecord]) -> None:
    """Print records as a table, cut to the terminal's width."""
    print_table(_HEADINGS, [_cells(record) for record in records])


def print_record(record: ActivityRecord) -> None:
    """Print a record on a line of its own, in cells as wide as most need."""
    cells = [printable(cell) for cell in _cells(record)]
    _print(_joined(cells, _WIDTHS), _columns())


def print_counts(title: str, counts: Mapping[Any, int]) -> None:
    """Print a table of counts under a title."""
    print(f"\n{title}")
    width = max((len(f"{n:,}") for n in counts.values()), default=1)
    for key, n in counts.items():
        _print(f"  {n:>{width},}  {printable(str(key)) or '(none)'}")


def print_fields(fields: Mapping[str, Any]) -> None:
    """Print a line for each field: its name and what it holds."""
    names = [printable(name) for name in fields]
    width = max(map(width_of, names))
    for name, value in zip(names, fields.values(), strict=True):
        _print(f"{padded(name, width)}  {printable(_short(value))}")


def print_findings(findings: Iterable[Finding]) -> None:
    """Print what is wrong, each with the line to change."""
    for finding in findings:
        mark = "note" if finding.is_note else "problem"
        _print(printable(f"{mark}: {finding.problem} [{finding.check}]"))
        _print(printable(f"    {finding.remedy}"))


def print_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], *, is_cut: bool = True
) -> None:
    """
    Print *rows* in columns under *headings*.

    Args:

        headings: One for each column.

        rows: Their cells.

        is_cut: Whether lines are cut to the width of a terminal.
    """
    limit = _columns() if is_cut else 0
    widest = max(_LEAST_CELL, limit // len(headings)) if limit else 0
    lines = [_cut_cells(line, widest) for line in (headings, *rows)]
    widths = [max(map(width_of, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        _print(_joined(line, widths), limit)


def _cut_cells(line: Sequence[str], widest: int) -> list[str]:
    """Return cells that are safe to print, all but the last no wider than that."""
    *cells, last = map(printable, line)
    return [*(cut(cell, widest) for cell in cells), last]


def _joined(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded_ = [padded(cell, width) for cell, width in zip(cells, widths, strict=True)]
    return "  ".join(padded_).rstrip()


def _columns() -> int:
    """Return the width of the terminal; 0 where stdout is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0


def _print(text: str, limit: int = 0) -> None:
    print(_encodable(cut(text, limit)))


def _encodable(text: str) -> str:
    encoding = _encoding(sys.stdout)
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _encoding(output: TextIO) -> str:
    return codecs.lookup(output.encoding or "utf-8").name


def _cells(record: ActivityRecord) -> list[str]:
    when = f"{record.occurred_at:%Y-%m-%d %H:%M:%S}" if record.occurred_at else ""
    who = originals(record).get("actor_id")
    details = {key: value for key, value in record.data.items() if key != RAW}
    return [
        when,
        str(who or (record.actor_id if record.actor_id != NIL else "")),
        record.verb,
        object_text(*record.object),
        record.channel,
        " ".join(f"{key}={_short(value)}" for key, value in details.items()),
    ]


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
