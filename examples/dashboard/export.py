"""What is filtered, as a file."""

from __future__ import annotations

import csv
import io
import json

from collections.abc import Iterator
from typing import Any, Final

from structlog_activity import ActivityLog, ActivityRecord, InvalidFilterError

from .overview import bounded
from .view import View


COLUMNS: Final = tuple(ActivityRecord.__dataclass_fields__)
_AT_ONCE: Final = 200
# What a spreadsheet takes for the beginning of a formula, in either width.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")  # noqa: RUF001
_SKIPPED: Final = " \n\v\f\u00a0\u200b\ufeff"


def export(
    activity: ActivityLog, view: View, kind: str, *, most_rows: int, most: int
) -> Iterator[str]:
    """
    Return the text of a file, piece by piece.

    Args:

        activity: The log.

        view: Which records; all pages of its feed.

        kind: ``"csv"`` or ``"jsonl"``.

        most_rows: Most rows that are read for a number.

        most: Most records of a file.

    Raises:

        InvalidFilterError: There are more. Half a file would look like a whole one.
    """
    bounded(activity, view, most_rows)
    total = activity.stats(**view.where).total
    if total > most:
        problem = (
            f"a file holds {most:,} records at most: choose a shorter period, or use "
            f"structlog-activity export, which has no limit"
        )
        raise InvalidFilterError("export", total, problem)
    return _csv(activity, view) if kind == "csv" else _lines(activity, view)


def _lines(activity: ActivityLog, view: View) -> Iterator[str]:
    for records in _pages(activity, view):
        yield "".join(f"{record.to_json()}\n" for record in records)


def _csv(activity: ActivityLog, view: View) -> Iterator[str]:
    yield _rows([list(COLUMNS)])
    for records in _pages(activity, view):
        yield _rows([[cell(record.to_dict()[name]) for name in COLUMNS] for record in records])


def _pages(activity: ActivityLog, view: View) -> Iterator[list[ActivityRecord]]:
    cursor = None
    while True:
        page = activity.feed(**view.where, after=cursor, limit=_AT_ONCE, total="none")
        yield page.records
        cursor = page.next_cursor
        if cursor is None:
            return


def _rows(rows: list[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows(rows)
    return text.getvalue()


def cell(value: Any) -> str:
    """
    Return a value as a cell that no spreadsheet computes.

    Text that would be a formula gets an apostrophe before it, and control characters are
    spelled out. `jsonl` has everything as it is.
    """
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    is_formula = text.lstrip(_SKIPPED).startswith(_FORMULA)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = "".join(
        letter
        if letter in "\n\t" or (letter >= " " and letter != "\x7f")
        else f"\\x{ord(letter):02x}"
        for letter in text
    )
    return f"'{text}" if is_formula else text
