"""
What an activity is: who did what to which object, when, from where.
"""

from __future__ import annotations

import json

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from ..errors import InvalidRecordError
from .ids import NIL, field_uuid
from .text import type_name
from .times import iso, to_datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityRecord:
    """
    One activity, as a value.

    Nothing is checked or changed here: the builders and ``activity.log`` do
    that. Unset ids are `NIL`, unset text is ``""``, an unset time is `None`
    and filled with now when the record is logged.

    Attributes:

        id: UUIDv7 of the record; `NIL` asks for a new one.

        actor_id: Who did it.

        user_id: Whose account it concerns, where that is not the actor.

        tenant_id: The isolation scope.

        org_id: A part of the tenant.

        verb: What was done: dotted, lower case, past tense
            (``"settings.updated"``).

        object_type: Kind of the thing it was done to (``"settings"``).

        object_id: Which one (``"global"``).

        channel: Module name for dashboards (``"settings"``).

        ip: Address of the client.

        data: Everything else, a JSON object.

        occurred_at: When it happened: aware, UTC, microseconds.

    .. versionadded:: 0.1.0
    """

    id: UUID = NIL
    actor_id: UUID = NIL
    user_id: UUID = NIL
    tenant_id: UUID = NIL
    org_id: UUID = NIL
    verb: str = ""
    object_type: str = ""
    object_id: str = ""
    channel: str = ""
    ip: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    occurred_at: datetime | None = None

    @property
    def object(self) -> tuple[str, str]:
        """The pair ``(object_type, object_id)``."""
        return self.object_type, self.object_id

    def to_dict(self) -> dict[str, Any]:
        """
        Return the twelve fields as JSON knows them.

        Ids are text; ``occurred_at`` is ISO 8601 in UTC with microseconds and
        a ``Z``, or `None` where it is not set.
        """
        out = {name: getattr(self, name) for name in FIELDS}
        for name in ID_FIELDS:
            out[name] = str(out[name])
        if self.occurred_at is not None:
            out["occurred_at"] = iso(self.occurred_at)
        return out

    def to_json(self) -> str:
        """Return `to_dict` as one line of JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ActivityRecord:
        """
        Return the record that `to_dict` or `to_json` described.

        Missing fields and those that are `None` are "not set". Ids may have any
        form that `to_uuid` reads; ``occurred_at`` may be a datetime (a naive one
        is UTC), ISO 8601 text, or seconds since 1970.

        Raises:

            InvalidRecordError: A field is unknown, or an id, the time or the data
                can't be read.
        """
        unknown = sorted(str(name) for name in values if name not in FIELDS)
        if unknown:
            raise InvalidRecordError(unknown[0], "no such field in an ActivityRecord")
        out = {name: value for name, value in values.items() if value is not None}
        for name in ID_FIELDS:
            out[name] = field_uuid(name, out.get(name))
        if "occurred_at" in out:
            out["occurred_at"] = to_datetime(out["occurred_at"])
        data = out.get("data", {})
        if not isinstance(data, Mapping):
            raise InvalidRecordError("data", f"a mapping is needed, not {type_name(data)}")
        out["data"] = dict(data)
        return cls(**out)


ID_FIELDS = ("id", "actor_id", "user_id", "tenant_id", "org_id")
"""The fields that hold a UUID."""

FIELDS = tuple(f.name for f in fields(ActivityRecord))
"""All twelve fields."""


RAW: Final = "_raw"
"""Key in ``data`` under which originals are kept that had to be changed."""
