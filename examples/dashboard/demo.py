"""Activity that was never done, to look at."""

from __future__ import annotations

import contextlib
import random
import secrets
import threading

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from structlog_activity import ActivityLog


_PEOPLE: Final = (
    "Ana Costa", "Bob Fischer", "Chidi Okafor", "Dana Levi", "Emil Nowak", "Fatima Zahra",
    "Grace Lin", "Hugo Martin", "Ines Duarte", "Jonas Berg", "Kira Tanaka", "Liam Byrne",
)  # fmt: skip
_KINDS: Final = (
    # Weight, verb, object type, ids, channel, text, data.
    (22, "invoice.paid", "invoice", 900, "billing", "invoice settled", "amount"),
    (14, "invoice.created", "invoice", 900, "billing", "invoice drafted", "amount"),
    (12, "user.signed_in", "session", 400, "auth", "signed in", ""),
    (10, "document.viewed", "document", 120, "content", "document opened", ""),
    (9, "document.updated", "document", 120, "content", "document saved", "title"),
    (7, "settings.updated", "settings", 0, "settings", "setting changed", "setting"),
    (6, "export.completed", "export.job", 300, "billing", "export finished", "rows"),
    (4, "member.invited", "member", 60, "team", "invitation sent", "email"),
    (3, "member.role_changed", "member", 60, "team", "role changed", "role"),
    (3, "api_key.rotated", "api_key", 9, "auth", "key rotated", ""),
    (2, "document.deleted", "document", 120, "content", "document removed", ""),
)
_SETTINGS: Final = (("ui.theme", "light", "dark"), ("mail.digest", "daily", "weekly"),
                    ("security.mfa", "optional", "required"))  # fmt: skip
_DAYS: Final = 30
_COUNT: Final = 6_000
_PAUSE: Final = 4.0  # seconds between records that go on coming


@contextlib.contextmanager
def lively(url: str, *, count: int = _COUNT, pause: float = _PAUSE) -> Iterator[ActivityLog]:
    """
    Give a log with a month of activity, to which more comes.

    Args:

        url: Of an empty database.

        count: How many records there are at first.

        pause: Seconds between those that come; 0 has none come.
    """
    dice = random.Random(7)  # noqa: S311  The same picture each time.
    with ActivityLog(url, key=secrets.token_bytes(32), linger=0.01) as activity:
        fill(activity, dice, datetime.now(UTC), count)
        over = threading.Event()
        comes = threading.Thread(target=_go_on, args=(activity, dice, over, pause), daemon=True)
        if pause:
            comes.start()
        try:
            yield activity
        finally:
            over.set()
            if pause:
                comes.join()


def fill(activity: ActivityLog, dice: random.Random, now: datetime, count: int) -> None:
    """Record the activity of a month until now."""
    moments = sorted(_moment(dice, now) for _ in range(count))
    for moment in moments:
        _record(activity, dice, moment)
    activity.flush(60)


def _go_on(activity: ActivityLog, dice: random.Random, over: threading.Event, pause: float) -> None:
    while not over.wait(pause):
        _record(activity, dice, datetime.now(UTC))


def _moment(dice: random.Random, now: datetime) -> datetime:
    """Return a moment of the month, more likely late, by day and on a weekday."""
    while True:
        found = now - timedelta(days=_DAYS * dice.random() ** 1.35)
        busy = (0.12, 0.35, 1.0, 0.85, 1.0, 0.5)[found.hour // 4]
        if dice.random() < busy * (0.3 if found.weekday() > 4 else 1.0):  # noqa: PLR2004
            return found


def _record(activity: ActivityLog, dice: random.Random, moment: datetime) -> None:
    weights = [kind[0] for kind in _KINDS]
    _, verb, type_, ids, channel, text, extra = dice.choices(_KINDS, weights)[0]
    actor = int(len(_PEOPLE) * dice.random() ** 1.6)
    data: dict[str, Any] = {"event": text, "request_id": UUID(int=dice.getrandbits(128)).hex[:16]}
    data |= _extra(extra, dice)
    if dice.random() < 0.04:  # noqa: PLR2004
        data |= {"outcome": "failed", "error": {"type": "Timeout", "message": "upstream is slow"}}
    fields: dict[str, Any] = {"actor_id": f"user-{actor}", "actor_name": _PEOPLE[actor]}
    if dice.random() < 0.05:  # noqa: PLR2004
        fields = {}
    activity.record(
        verb,
        (type_, str(dice.randrange(1, ids)) if ids else "global"),
        tenant_id="acme",
        channel=channel,
        ip=f"203.0.113.{dice.randrange(1, 40)}",
        occurred_at=moment,
        **fields,
        **data,
    )


def _extra(name: str, dice: random.Random) -> dict[str, Any]:
    if name == "setting":
        path, before, after = dice.choice(_SETTINGS)
        return {"path": path, "from": before, "to": after}
    found: dict[str, dict[str, Any]] = {
        "amount": {"amount": dice.randrange(2_000, 90_000) / 100, "currency": "EUR"},
        "title": {"changes": {"title": {"from": "Draft", "to": "Plan for the spring"}}},
        "rows": {"rows": dice.randrange(40, 9_000)},
        "email": {"email": f"guest{dice.randrange(90)}@example.com"},
        "role": {"from": "viewer", "to": dice.choice(("editor", "admin"))},
    }
    return found.get(name, {})
