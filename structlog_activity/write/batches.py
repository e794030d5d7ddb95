"""
How rows are cut into batches.
"""

from __future__ import annotations

from typing import Final

from ..record.row import Row


BATCH_BYTES: Final = 1 << 20
"""A batch holds no more than this, roughly, whatever its number of rows."""

_ROW_BYTES = 200  # a row without its data, roughly


def batches_of(rows: list[Row]) -> list[list[Row]]:
    """Cut rows into batches of at most `BATCH_BYTES`, nearly always one."""
    if sum(len(row.data) for row in rows) + len(rows) * _ROW_BYTES <= BATCH_BYTES:
        return [rows]
    batches: list[list[Row]] = [[]]
    size = 0
    for row in rows:
        size += len(row.data) + _ROW_BYTES
        if size > BATCH_BYTES and batches[-1]:
            batches.append([])
            size = len(row.data) + _ROW_BYTES
        batches[-1].append(row)
    return batches
