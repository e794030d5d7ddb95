"""
Records for tests: one by hand, many at random.
"""

from __future__ import annotations

import random

from datetime import UTC, datetime, timedelta
from typing import Any

from structlog_activity import NIL, ActivityRecord, to_uuid
from structlog_activity.record.ids import uuid7
from structlog_activity.record.times import to_microseconds


NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)

VERBS = ("settings.updated", "settings.reset", "export.completed", "user.created", "Odd_%verb")
TYPES = ("settings", "export.job", "user", "media_asset")
CHANNELS = ("", "settings", "exports", "Über")
ACTORS = tuple(to_uuid(f"actor-{n}") for n in range(4))
ORGS = (NIL, to_uuid("org-1"), to_uuid("org-2"))
DATA: tuple[dict[str, Any], ...] = (
    {},
    {"count": 1},
    {"count": 1.5},
    {"ok": True},
    {"ok": None, "path": "ui.theme"},
    {"path": "ui.theme", "we\"ird.k'ey": "x", "nested": {"a": [1, 2]}},
)


def record(**fields: Any) -> ActivityRecord:
    """A valid record of the tenant "acme" at noon, but for what is given."""
    values: dict[str, Any] = {
        "tenant_id": to_uuid("acme"),
        "verb": "settings.updated",
        "object_type": "settings",
        "object_id": "global",
        "occurred_at": NOON,
    } | fields
    if "id" not in values:
        values["id"] = uuid7(to_microseconds(values["occurred_at"]) * 1000)
    return ActivityRecord(**values)


def random_records(seed: int, count: int, *, tenants: int = 2) -> list[ActivityRecord]:
    """Records of a few tenants over some days, with many ties in time."""
    choose = random.Random(seed)
    moments = [
        NOON + timedelta(days=choose.randrange(-40, 3), microseconds=choose.randrange(3))
        for _ in range(max(1, count // 3))
    ]
    # The very beginnings and ends of days, where edges go wrong.
    midnight = NOON.replace(hour=0)
    moments += [midnight, midnight - timedelta(microseconds=1), midnight + timedelta(days=1)]
    return [
        record(
            tenant_id=to_uuid(f"tenant-{choose.randrange(tenants)}"),
            actor_id=choose.choice(ACTORS),
            user_id=choose.choice((NIL, *ACTORS)),
            org_id=choose.choice(ORGS),
            verb=choose.choice(VERBS),
            object_type=choose.choice(TYPES),
            object_id=choose.choice(("", "1", "50%_off", "a:b")),
            channel=choose.choice(CHANNELS),
            data=dict(choose.choice(DATA)),
            occurred_at=choose.choice(moments),
        )
        for _ in range(count)
    ]
