"""
How many records there are hour by hour, or by day, week or month.
"""

from __future__ import annotations

from datetime import datetime

from ..conditions import selection
from ..connect import Bind, on_any_bind
from ..filter import ActivityFilter
from ..policy import AccessPolicy
from ..shortcut import reader
from .buckets import calendar, filled
from .pieces import counts_of, ends_of


@on_any_bind
def timeline(
    bind: Bind,
    where: ActivityFilter,
    *,
    bucket: str = "day",
    tz: str = "UTC",
    policy: AccessPolicy | None = None,
) -> list[tuple[datetime, int]]:
    """
    Count the records that a filter selects per hour, day, week or month.

    Buckets without a record are there too, with 0. The first is that of
    *since*, or of the first record; the last is that of the moment before
    *until*, or of the last record. On the day on which clocks are set back an
    hour comes twice. Days, weeks and months that are whole days in UTC are read
    from the daily counts, where the filter names nothing but tenant, verbs,
    channels, object type and time.

    Args:

        bind: Engine, connection or session of the database.

        where: What to count; its paging is not looked at.

        bucket: ``"hour"``, ``"day"``, ``"week"`` (from Monday) or ``"month"``.

        tz: Time zone whose clocks tell where a bucket begins, such as
            ``"Europe/Berlin"``.

        policy: What the reader may see; `None`: everything.

    Returns:

        Pairs of the bucket's first moment, in that zone, and its count, in order.

    Raises:

        AccessDeniedError: *policy* does not grant it.

        InvalidFilterError: Bucket or zone is unknown, or there would be more
            than 100,000 buckets.

        RepositoryError: The database can't be read.

    .. versionadded:: 0.1.0
    """
    wanted = calendar(bucket, tz)
    where = where if policy is None else policy.applied(where)
    with reader(bind) as connection:
        asked = selection(where, connection.dialect)
        ends = ends_of(connection, asked)
        if ends is None:
            return []
        pieces = wanted.pieces(*ends)
        counts = counts_of(connection, asked, pieces)
    return filled(pieces, counts, where, wanted.zone)
