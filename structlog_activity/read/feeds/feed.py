"""
The feed: records newest first, a page at a time.
"""

from __future__ import annotations

from typing import Final

from ...errors import InvalidCursorError
from ..connect import Bind, on_any_bind
from ..cursor import Place, decode_cursor, encode_cursor, place_of
from ..filter import ActivityFilter
from ..page import ActivityPage
from ..policy import AccessPolicy
from ..shortcut import reader
from ..statements import to_record
from .search import Rows, found_rows, search
from .totals import total


_LATEST: Final = 253_402_300_799_999_999  # 9999-12-31, in microseconds since 1970


@on_any_bind
def feed(
    bind: Bind, where: ActivityFilter, *, key: bytes = b"", policy: AccessPolicy | None = None
) -> ActivityPage:
    """
    Return a page of the records that a filter selects, newest first.

    Pages that follow each other by cursor hold every record once, however many
    arrive meanwhile; each costs the same, however deep it lies.

    Args:

        bind: Engine, connection or session of the database.

        where: What to read.

        key: Secret that signs the cursors.

        policy: What the reader may see; `None`: everything.

    Raises:

        AccessDeniedError: *policy* does not grant it.

        InvalidCursorError: ``where.after`` or ``where.before`` is no cursor of
            this feed.

        RepositoryError: The database can't be read.

    .. versionadded:: 0.1.0
    """
    where = where if policy is None else policy.applied(where)
    digest = where.digest() if policy is None else policy.digest(where.digest())
    place = _place(where, digest, key)
    with reader(bind) as connection:
        asked = search(connection, where, place, wanted=where.limit + 1)
        rows = found_rows(connection, asked)
        counted = total(connection, asked, len(rows))
    page = _page(rows, where, counted, digest=digest, key=key)
    return page if policy is None else policy.sanitized_page(page)


def _place(where: ActivityFilter, digest: bytes, key: bytes) -> Place | None:
    for name in ("after", "before"):
        text = getattr(where, name)
        if text:
            place = decode_cursor(name, text, digest, key)
            if not 0 <= place.created_at <= _LATEST:  # Only a forged one.
                raise InvalidCursorError(name, text, "is no cursor of this feed")
            return place
    return None


def _page(
    rows: Rows,
    where: ActivityFilter,
    counted: tuple[int | None, bool],
    *,
    digest: bytes,
    key: bytes,
) -> ActivityPage:
    beyond = len(rows) > where.limit
    records = [to_record(row) for row in rows[: where.limit]]
    older, newer = beyond, bool(where.after or where.offset)
    if where.before:  # Read upwards: what lies beyond is newer, and the cursor's own record older.
        records.reverse()
        older, newer = bool(records), beyond
    cursors = (
        [
            encode_cursor(place_of(record), digest, key) if there else None
            for record, there in ((records[-1], older), (records[0], newer))
        ]
        if records
        else [None, None]
    )
    return ActivityPage(
        records=records,
        has_more=older,
        next_cursor=cursors[0],
        prev_cursor=cursors[1],
        next_offset=where.offset + where.limit,
        total=counted[0],
        total_is_exact=counted[1],
    )
