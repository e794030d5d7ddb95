"""One record with all that belongs to it."""

from __future__ import annotations

import json

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from structlog_activity import NIL, ActivityLog, ActivityRecord, RecordSeal, RepositoryError
from structlog_activity.read.words import Word

from .phrasing import shown, visible, who
from .view import View


_NEAR: Final = timedelta(hours=1)
_RELATED: Final = 10
_REQUEST: Final = 50


@dataclass(frozen=True, slots=True)
class Related:
    """
    Other records that have something in common with one.

    Attributes:

        title: What they have in common.

        records: Newest first.

        url: Leads to all of them; ``""`` where these are all.
    """

    title: str
    records: list[ActivityRecord]
    url: str


@dataclass(frozen=True, slots=True)
class Detail:
    """
    All that the page of a record shows.

    Attributes:

        record: The one.

        fields: Its fields that are set.

        data: What its data say.

        seal: Whether it is as it was written; `None` where the role may not read the ledger.

        related: What belongs to it.
    """

    record: ActivityRecord
    fields: list[tuple[str, str]]
    data: list[tuple[str, str]]
    seal: RecordSeal | None
    related: list[Related]

    @property
    def json(self) -> str:
        """The record as it is, in ASCII."""
        return json.dumps(self.record.to_dict(), indent=2)


def detail(activity: ActivityLog, view: View, record: ActivityRecord) -> Detail:
    """
    Read what belongs to a record.

    Args:

        activity: The log.

        view: Whose tenant counts.

        record: The one.
    """
    related = [_request(activity, view, record), *_histories(activity, view, record)]
    return Detail(
        record=record,
        fields=_fields(record),
        data=[(visible(key), shown(value)) for key, value in sorted(record.data.items())],
        seal=_seal(activity, record),
        related=[one for one in related if one is not None],
    )


def _seal(activity: ActivityLog, record: ActivityRecord) -> RecordSeal | None:
    try:
        return activity.seal_of(record.tenant_id, record.id)
    except RepositoryError:
        return None


def _fields(record: ActivityRecord) -> list[tuple[str, str]]:
    found = []
    for name, value in record.to_dict().items():
        if name == "data" or value in {"", str(NIL)}:
            continue
        if name in {"actor_id", "user_id"}:
            value = f"{who(record, name).name} ({value})"  # noqa: PLW2901  Name and id.
        found.append((name, visible(value)))
    return found


def _request(activity: ActivityLog, view: View, record: ActivityRecord) -> Related | None:
    """Return what happened in the same request, which takes no longer than an hour."""
    request = record.data.get("request_id")
    if not isinstance(request, str) or not request:
        return None
    assert record.occurred_at is not None  # noqa: S101  Every stored record has its time.
    since, until = record.occurred_at - _NEAR, record.occurred_at + _NEAR
    where: dict[str, Any] = {"since": since, "until": until, "data": {"request_id": request}}
    page = activity.feed(tenant_id=record.tenant_id, **where, limit=_REQUEST, total="none")
    query = str(Word("request", request))
    url = view.url(q=query, range=None, since=since.isoformat(), until=until.isoformat())
    return Related("In the same request", page.records, url)


def _histories(activity: ActivityLog, view: View, record: ActivityRecord) -> list[Related]:
    tenant, found = record.tenant_id, []
    if record.actor_id != NIL:
        actor = who(record)
        page = activity.feed(
            tenant_id=tenant, actor_id=record.actor_id, limit=_RELATED, total="none"
        )
        url = view.url(
            q=str(Word("actor", str(record.actor_id))), range="all", since=None, until=None
        )
        found.append(Related(f"By {actor.name}", page.records, url))
    if record.object_id:
        page = activity.history(record.object, tenant_id=tenant, limit=_RELATED, total="none")
        named = f"{record.object_type}:{record.object_id}"
        url = view.url(q=str(Word("object", named)), range="all", since=None, until=None)
        found.append(Related(f"To {visible(named)}", page.records, url))
    return found
