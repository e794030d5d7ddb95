"""What callers call those of whom an id is known."""

from __future__ import annotations

import json

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from structlog_activity import NIL, build_record_from_uuid, to_uuid
from structlog_activity.read.feeds.originals import originals
from structlog_activity.record.rowmaker import RowMaker
from structlog_activity.store.batch import Batch
from tests.support.sent import sent_by
from tests.support.stores import Store


NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)
GIVEN = uuid4()


def write(store: Store, *records: Any) -> None:
    rows = [RowMaker().make_from(record) for record in records]
    store.repository.write(Batch(uuid4(), 1, 1, rows))


def test_ids_are_told_as_the_newest_record_of_the_tenant_has_them(shared: Store) -> None:
    def by(actor: Any, days: int, tenant: Any = "acme", **data: Any) -> Any:
        at = NOON - timedelta(days=days)
        return build_record_from_uuid(
            actor, "a.b", "c", data=data, tenant_id=tenant, occurred_at=at, user_id="his"
        )

    engine = shared.engine
    assert engine is not None
    ann, odd, nobody = to_uuid("ann"), to_uuid("odd"), uuid4()
    write(
        shared,
        by(" ann", 1), by("ann", 40), by("ann", 400), by(GIVEN, 1), by(NIL, 1),
        by(odd, 1, _raw="a text"), by("odd", 2),
        by("hers", 1, tenant="other"), by("nobodys", 1, tenant=None),
    )  # fmt: skip
    asked = [ann, GIVEN, odd, nobody, NIL, to_uuid("hers")]

    assert {ann: "ann"} == originals(engine, to_uuid("acme"), "actor_id", asked)
    his = {to_uuid("his"): "his"}
    assert his == originals(engine, to_uuid("acme"), "user_id", [*his, ann])
    assert {} == originals(engine, to_uuid("acme"), "actor_id", [NIL])
    of_nobody = {to_uuid("nobodys"): "nobodys"}
    assert of_nobody == originals(engine, NIL, "actor_id", [*of_nobody])


def test_many_are_looked_up_by_one_step_each_in_their_index(shared: Store) -> None:
    engine = shared.engine
    assert engine is not None
    ids = [uuid4() for _ in range(200)]

    ((statement, values),) = sent_by(
        engine, lambda: originals(engine, to_uuid("acme"), "actor_id", ids)
    )

    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
            plan = "\n".join(str(row[3]) for row in rows)
            assert "USING INDEX user_activity_actor_idx (tenant_id=? AND actor_id=?)" in plan
        else:
            connection.exec_driver_sql("SET enable_seqscan = off")  # The tables are empty.
            found = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", values)
            plan = json.dumps(found.scalar_one())
            assert '"Sort"' not in plan
            assert "_tenant_id_actor_id_" in plan
    assert "TEMP B-TREE FOR ORDER" not in plan
