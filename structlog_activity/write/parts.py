"""
How much goes into one batch.
"""

from __future__ import annotations

from typing import Final

from ..record.row import Row


BATCH_BYTES: Final = 1 << 20
"""A batch holds no more than this, roughly, whatever its number of rows."""

_ROW_BYTES = 200  # a row without its data, roughly


def parts_of(rows: list[Row]) -> list[list[Row]]:
    """Cut rows into batches of at most 1 MiB, nearly always one."""
    if sum(len(row.data) for row in rows) + len(rows) * _ROW_BYTES <= BATCH_BYTES:
        return [rows]
    parts: list[list[Row]] = [[]]
    size = 0
    for row in rows:
        size += len(row.data) + _ROW_BYTES
        if size > BATCH_BYTES and parts[-1]:
            parts.append([])
            size = len(row.data) + _ROW_BYTES
        parts[-1].append(row)
    return parts
