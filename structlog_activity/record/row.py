"""
A record as it is stored: the shape in which the rooms hand records on.
"""

from __future__ import annotations

import json

from typing import Any, NamedTuple
from uuid import UUID

from .record import ActivityRecord
from .times import from_microseconds


class Row(NamedTuple):
    """
    A normalised record in the types that both databases take as they are.

    A `Row` has passed every check: ids are 16 bytes (zeros where not set),
    text is valid UTF-8 without NUL and short enough to be indexed, ``data`` is
    the text of a JSON object, the time lies between 1970 and tomorrow. It is a
    plain tuple in the order of the table's columns, for it is made once per
    record and a frozen dataclass costs four times as much.

    Attributes:

        tenant_id: 16 bytes.

        created_at: When it happened, in microseconds since 1970 (the table
            keeps the name that the column has in go-users).

        id: 16 bytes.

        actor_id: 16 bytes.

        user_id: 16 bytes.

        org_id: 16 bytes.

        verb: Never blank.

        object_type: Never blank.

        object_id: May be empty.

        channel: May be empty.

        ip: May be empty.

        data: JSON text of an object.
    """

    tenant_id: bytes
    created_at: int
    id: bytes
    actor_id: bytes
    user_id: bytes
    org_id: bytes
    verb: str
    object_type: str
    object_id: str
    channel: str
    ip: str
    data: str

    def to_record(self) -> ActivityRecord:
        """Return the record that this row stores."""
        data: dict[str, Any] = json.loads(self.data)
        return ActivityRecord(
            id=UUID(bytes=self.id),
            actor_id=UUID(bytes=self.actor_id),
            user_id=UUID(bytes=self.user_id),
            tenant_id=UUID(bytes=self.tenant_id),
            org_id=UUID(bytes=self.org_id),
            verb=self.verb,
            object_type=self.object_type,
            object_id=self.object_id,
            channel=self.channel,
            ip=self.ip,
            data=data,
            occurred_at=from_microseconds(self.created_at),
        )

    @property
    def key(self) -> tuple[bytes, int, bytes]:
        """The primary key: ``(tenant_id, created_at, id)``."""
        return self[:3]
