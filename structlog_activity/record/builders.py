"""
Records by hand: from an actor's context, or from a bare actor id.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from ..errors import InvalidRecordError
from .actor import ActorContext
from .ids import NIL, field_uuid, int_text, raw_id
from .record import ActivityRecord
from .rowmaker import keep_raw
from .text import type_name
from .times import to_datetime


def build_record_from_actor(
    actor: ActorContext | Mapping[str, Any] | None,
    verb: str,
    object_type: str,
    object_id: Any = "",
    data: Mapping[str, Any] | None = None,
    *,
    channel: str = "",
    tenant_id: Any = None,
    org_id: Any = None,
    user_id: Any = None,
    ip: str = "",
    occurred_at: datetime | None = None,
) -> ActivityRecord:
    """
    Return a record of what the actor of a context did.

    The actor's role and impersonator are kept in ``data`` as ``role`` and
    ``impersonator_id``, unless *data* has these keys.

    Args:

        actor: The actor; a mapping is read by `ActorContext.from_claims`.

        verb: What was done; white space around it is dropped, as around
            *object_type*, *object_id* and *channel*.

        object_type: Kind of the thing it was done to.

        object_id: Which one; may be empty.

        data: Everything else; copied one level deep.

        channel: Module name for dashboards.

        tenant_id: Overrides the actor's tenant; `NIL` takes it away.

        org_id: Overrides the actor's organisation; `NIL` takes it away.

        user_id: Whose account it concerns, where that is not the actor.

        ip: Address of the client.

        occurred_at: When it happened; `None` is filled with now when the
            record is logged.

    Raises:

        InvalidRecordError: The actor is missing, verb or object type are blank,
            or an id can't be read.

    .. versionadded:: 0.1.0
    """
    context = _context(actor)
    kept = _copied(data)
    if context.role:
        kept.setdefault("role", context.role)
    impersonator = context.impersonator_id
    if field_uuid("impersonator_id", impersonator) != NIL:
        kept.setdefault(
            "impersonator_id", str(impersonator) if type(impersonator) is UUID else impersonator
        )
    elif context.is_impersonated:
        kept.setdefault("is_impersonated", True)
    return _build(
        {
            "actor_id": context.actor_id,
            "user_id": user_id,
            "tenant_id": context.tenant_id if tenant_id is None else tenant_id,
            "org_id": context.org_id if org_id is None else org_id,
        },
        {"verb": verb, "object_type": object_type, "object_id": object_id},
        {"channel": channel, "ip": ip},
        kept,
        occurred_at,
    )


def build_record_from_uuid(
    actor_id: Any,
    verb: str,
    object_type: str,
    object_id: Any = "",
    data: Mapping[str, Any] | None = None,
    *,
    channel: str = "",
    tenant_id: Any = None,
    org_id: Any = None,
    user_id: Any = None,
    ip: str = "",
    occurred_at: datetime | None = None,
) -> ActivityRecord:
    """
    Return a record of what an actor did of whom only the id is known.

    Args:

        actor_id: Anything that `to_uuid` reads; `NIL` for "nobody known".

        verb: As in `build_record_from_actor`, like all that follow.

        object_type: Kind of the thing it was done to.

        object_id: Which one; may be empty.

        data: Everything else; copied one level deep.

        channel: Module name for dashboards.

        tenant_id: The isolation scope.

        org_id: A part of the tenant.

        user_id: Whose account it concerns, where that is not the actor.

        ip: Address of the client.

        occurred_at: When it happened; default now.

    Raises:

        InvalidRecordError: Verb or object type are blank, or an id can't be
            read.

    .. versionadded:: 0.1.0
    """
    return _build(
        {"actor_id": actor_id, "user_id": user_id, "tenant_id": tenant_id, "org_id": org_id},
        {"verb": verb, "object_type": object_type, "object_id": object_id},
        {"channel": channel, "ip": ip},
        _copied(data),
        datetime.now(UTC) if occurred_at is None else occurred_at,
    )


def _context(actor: ActorContext | Mapping[str, Any] | None) -> ActorContext:
    if isinstance(actor, Mapping):
        actor = ActorContext.from_claims(actor)
    if not isinstance(actor, ActorContext):
        raise InvalidRecordError("actor", "an ActorContext or a mapping of claims is needed")
    if field_uuid("actor_id", actor.actor_id) == NIL:
        raise InvalidRecordError("actor_id", "the actor's context has none")
    return actor


def _build(
    who: dict[str, Any],
    what: dict[str, Any],
    where: dict[str, str],
    data: dict[str, Any],
    occurred_at: datetime | None,
) -> ActivityRecord:
    texts = {name: _trimmed(name, value) for name, value in (what | where).items()}
    for name in ("verb", "object_type"):
        if not texts[name]:
            raise InvalidRecordError(name, "must not be blank")
    ids = {name: field_uuid(name, value) for name, value in who.items()}
    raw = {name: text for name, value in who.items() if (text := raw_id(value))}
    keep_raw(data, raw)
    moment = None if occurred_at is None else to_datetime(occurred_at)
    values: dict[str, Any] = {**ids, **texts}
    return ActivityRecord(**values, data=data, occurred_at=moment)


def _copied(data: Any) -> dict[str, Any]:
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise InvalidRecordError("data", f"a mapping is needed, not {type_name(data)}")
    return dict(data)


def _trimmed(name: str, value: Any) -> str:
    kind = type(value)
    if value is None:
        return ""
    if issubclass(kind, str):
        return str.__str__(value).strip()
    if name == "object_id" and kind is UUID:
        return str(value)
    if name == "object_id" and issubclass(kind, int) and kind is not bool:
        return _digits(value)
    raise InvalidRecordError(name, f"text is needed, not {type_name(value)}")


def _digits(value: int) -> str:
    try:
        return int_text(value)
    except InvalidRecordError as error:
        raise InvalidRecordError("object_id", error.problem) from None
