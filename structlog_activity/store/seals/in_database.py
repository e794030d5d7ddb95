"""
The rows of PostgreSQL held against their seals by PostgreSQL itself.

What is computed there is what `store.seals.seal` describes. It only picks out the
batches that need a look; what is wrong with them is found as everywhere.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from sqlalchemy import Connection

from ...record.traces import ERASED


class Suspects(NamedTuple):
    """
    What the database thinks of its own rows.

    Attributes:

        rows: How many were looked at.

        batches: The numbers of the batches that are not plainly as sealed.
    """

    rows: int
    batches: list[int]


def _text(column: str) -> str:
    return f"int4send(octet_length({column})) || convert_to({column}, 'UTF8')"


_AT: Final = (
    "int8send(CASE WHEN isfinite(created_at) "
    "THEN (extract(epoch FROM created_at) * 1000000)::bigint ELSE -1 END)"
)
_HEADER: Final = (
    f"'\\x0001'::bytea || uuid_send(id) || {_AT} || uuid_send(tenant_id) || uuid_send(org_id) || "
    f"{_text('verb')} || {_text('object_type')} || {_text('channel')}"
)
_PERSONAL: Final = (
    f"'\\x03'::bytea || commitment || uuid_send(actor_id) || uuid_send(user_id) || "
    f"{_text('object_id')} || {_text('ip')} || {_text('data::text')}"
)
# An erased row, and a record of erasures, are for the client to judge.
_SQL: Final = f"""
    WITH found AS (
        SELECT batch_id, count(*) AS n, count(DISTINCT batch_ix) AS places,
            min(batch_ix) AS first, max(batch_ix) AS last,
            bool_and(octet_length(commitment) = 16 AND verb <> '{ERASED}') AS is_plain,
            sha256('\\x04'::bytea || string_agg(
                sha256({_HEADER} || sha256({_PERSONAL})), ''::bytea ORDER BY batch_ix)) AS root
        FROM user_activity WHERE batch_id >= {{since}} GROUP BY batch_id
    ), sealed AS (
        SELECT batch_id, count(*) AS lines, min(n) AS n, (array_agg(root))[1] AS root,
            bool_or(dropped IS NOT NULL) AS is_dropped
        FROM user_activity_batch GROUP BY batch_id
    )
    SELECT f.n, f.batch_id, coalesce(
        f.is_plain AND f.first = 0 AND f.last = f.n - 1 AND f.places = f.n AND f.n = s.n
            AND f.root = s.root AND s.lines = 1 AND NOT s.is_dropped, false)
    FROM found f LEFT JOIN sealed s USING (batch_id)
"""  # noqa: S608  Constants of ours, and an integer.


def suspects(connection: Connection, since: int) -> Suspects:
    """
    Return the batches whose rows the database does not find as they were sealed.

    Args:

        connection: To PostgreSQL.

        since: Batches with a lesser number are left out.
    """
    rows = 0
    batches = []
    options = {"stream_results": True}
    sql = _SQL.format(since=int(since))
    with connection.exec_driver_sql(sql, execution_options=options) as found:
        for n, batch_id, is_sealed in found:
            rows += n
            if not is_sealed:
                batches.append(batch_id)
    return Suspects(rows, batches)
