"""
Who acts, as an authentication layer knows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID


_ACTOR_KEYS: Final = ("actor_id", "user_id", "uid", "id", "sub", "subject")
_SUBJECT_KEYS: Final = ("subject", "sub")
_TENANT_KEYS: Final = ("tenant_id", "tenant", "default_tenant", "default_tenant_id")
_ORG_KEYS: Final = ("organization_id", "org_id", "org")
_IMPERSONATOR_KEYS: Final = ("impersonator_id", "impersonation_actor_id")
_IMPERSONATED_KEYS: Final = ("impersonated", "is_impersonated")
_TRUE_WORDS: Final = frozenset({"1", "true", "yes", "y", "on"})
_FALSE_WORDS: Final = frozenset({"0", "false", "no", "n", "off"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorContext:
    """
    The actor of a request or a job, with the scope it acts in.

    Ids may be anything that `to_uuid` reads; ``""`` is not set.

    Attributes:

        actor_id: Who acts.

        subject: Name of the principal as the token says it.

        role: Role of the actor, for example ``"tenant_admin"``.

        resource_roles: Roles per resource.

        tenant_id: The actor's tenant.

        org_id: The actor's organisation within the tenant.

        metadata: Further claims.

        impersonator_id: Who acts in the actor's name, if anybody does.

        is_impersonated: Whether somebody acts in the actor's name.

    .. versionadded:: 0.1.0
    """

    actor_id: Any = ""
    subject: str = ""
    role: str = ""
    resource_roles: Mapping[str, str] = field(default_factory=dict)
    tenant_id: Any = ""
    org_id: Any = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    impersonator_id: Any = ""
    is_impersonated: bool = False

    @classmethod
    def from_claims(cls, claims: Mapping[str, Any]) -> ActorContext:
        """
        Return the actor that the claims of a token describe.

        The actor is the first id among ``actor_id``, ``user_id``, ``uid``,
        ``id``, ``sub`` and ``subject``. Scope and impersonation are looked for in
        ``claims["metadata"]`` first, then in the claims themselves: tenant
        under ``tenant_id``, ``tenant``, ``default_tenant``,
        ``default_tenant_id``; organisation under ``organization_id``,
        ``org_id``, ``org``; impersonator under ``impersonator_id``,
        ``impersonation_actor_id``; ``impersonated`` or ``is_impersonated`` may
        be a boolean, a number or a word such as ``"yes"``. A value that can't
        be an id is skipped, and the next key is tried.

        Args:

            claims: Claims of a JWT or anything alike.
        """
        metadata = claims.get("metadata")
        metadata = dict(metadata) if isinstance(metadata, Mapping) else {}
        places = (metadata, claims)
        impersonator = _first_id(places, _IMPERSONATOR_KEYS)
        roles = claims.get("resource_roles")
        return cls(
            actor_id=_first_id((claims,), _ACTOR_KEYS),
            subject=str(_first_id((claims,), _SUBJECT_KEYS)),
            role=_text(claims.get("role")),
            resource_roles=dict(roles) if isinstance(roles, Mapping) else {},
            tenant_id=_first_id(places, _TENANT_KEYS),
            org_id=_first_id(places, _ORG_KEYS),
            metadata=metadata,
            impersonator_id=impersonator,
            is_impersonated=impersonator != "" or _first_truth(places, _IMPERSONATED_KEYS),
        )


def _first_id(places: Iterable[Mapping[str, Any]], keys: Iterable[str]) -> Any:
    keys = tuple(keys)
    for place in places:
        for key in keys:
            value = place.get(key)
            if isinstance(value, str) and value.strip():
                return value.strip()
            if isinstance(value, int | UUID) and not isinstance(value, bool):
                return value
    return ""


def _first_truth(places: Iterable[Mapping[str, Any]], keys: Iterable[str]) -> bool:
    keys = tuple(keys)
    for place in places:
        for key in keys:
            truth = _truth(place.get(key))
            if truth is not None:
                return truth
    return False


def _truth(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value != 0
    word = value.strip().lower() if isinstance(value, str) else ""
    return True if word in _TRUE_WORDS else False if word in _FALSE_WORDS else None


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""
