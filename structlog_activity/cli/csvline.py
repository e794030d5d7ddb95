"""
Records as lines of CSV that a spreadsheet takes for text, and nothing else.
"""

from __future__ import annotations

import codecs
import json
import re

from typing import Final, TextIO

from ..record.record import ActivityRecord
from .output import printable


_FIELDS: Final = (
    "occurred_at", "id", "tenant_id", "org_id", "actor_id", "user_id", "verb", "object_type",
    "object_id", "channel", "ip", "data",
)  # fmt: skip
# White space with a tab or the end of a line in it counts, too, and so does full width.
_FORMULA: Final = re.compile(r"[\s\ufeff]*(?:[=+\-@＝＋－＠]|(?<=[\t\r]))")  # noqa: RUF001

CSV_HEADING: Final = ",".join(f'"{name}"' for name in _FIELDS)
"""The names of the columns, as a line."""


def csv_line(record: ActivityRecord, output: TextIO, *, is_raw: bool = False) -> str:
    """
    Return a record as a line of CSV, all fields quoted.

    What begins like a formula gets a ``'`` before it, and line ends within a
    field become single ones. On a terminal control characters are spelt out.

    Args:

        record: The record; its data are JSON.

        output: Where the line goes.

        is_raw: Leave formulas as they are.
    """
    values = record.to_dict()
    values["data"] = json.dumps(values["data"], ensure_ascii=False, default=str)
    texts = (str(values[name] or "") for name in _FIELDS)
    if not is_raw:
        texts = (_harmless(text) for text in texts)
    line = ",".join(f'"{_one_kind_of_end(text)}"' for text in texts)
    if output.isatty():
        line = printable(line)
    encoding = codecs.lookup(output.encoding or "utf-8").name
    return line.encode(encoding, "backslashreplace").decode(encoding)


def _harmless(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) else text


def _one_kind_of_end(text: str) -> str:
    return text.replace("\r\n", "\n").replace('"', '""')
