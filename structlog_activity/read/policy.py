"""
What a reader may see, by role: which records, and what of them.
"""

from __future__ import annotations

import hashlib

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, Self
from uuid import UUID

from ..errors import AccessDeniedError, InvalidFilterError
from ..record.actor import ActorContext
from ..record.ids import NIL
from ..record.plain import Plainer
from ..record.record import RAW, ActivityRecord
from ..record.redact import Redactor
from .filter import ACTOR, ACTOR_TYPES, MACHINE_KEYS, MACHINE_TYPES, ActivityFilter, channels_of
from .page import ActivityPage


SUPERADMINS: Final = frozenset({"system_admin", "superadmin"})
ADMINS: Final = frozenset({"tenant_admin", "admin", "org_admin"})
ORG_ADMIN: Final = "org_admin"
SUPPORT: Final = "support"

_EXPOSURES: Final = ("none", "masked", "all")
_ADDRESSES: Final = frozenset(
    "ip ip_address client_ip remote_addr remote_ip x_forwarded_for x_real_ip forwarded".split()
)
_HIDDEN: Final = "is hidden by the access policy, so it can't be searched for"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessPolicy:
    """
    Hold reads to what a reader may see.

    A read that is given a policy selects, counts and shows nothing beyond it:
    records are left out by the query itself, so pages stay full and totals are
    those of what may be seen. What asks for more is refused.

    A reader with one of *admin_roles* reads a tenant, one with any other role
    (also none) only what he or she did, or what was done to his or her account.
    Only a reader with one of *superadmin_roles*, where *any_tenant* says so,
    reads other tenants.

    Attributes:

        role: The reader's. Case and blanks around it do not matter.

        actor_id: Who reads; needed unless the role is an admin's.

        tenant_id: The reader's tenant, needed unless *any_tenant* counts; `NIL`
            for records without one.

        org_id: A part of the tenant; nothing else of it is read. Needed for the
            role ``"org_admin"``.

        any_tenant: Let a superadmin read any tenant, and `ALL_TENANTS`.

        superadmin_roles: Roles of superadmins, who are admins too.

        admin_roles: Roles of admins.

        channels: The only channels that are read; empty: all. Case counts.

        channel_denylist: Channels that are not read.

        machine_activity: `False` hides from all but superadmins what no person
            did; see `ActivityFilter`.

        machine_types: As in `ActivityFilter`.

        machine_keys: As in `ActivityFilter`.

        data: What is shown of ``data``: ``"none"``, ``"masked"`` (without what
            *redactor* hides, or what *sanitizer* makes of it) or ``"all"``.
            `None`: ``"none"`` for the role ``"support"``, else ``"masked"``.

        show_ip: Whether addresses are shown. `None`: to superadmins only.

        redactor: Hides what looks like a secret; default is `Redactor`'s own
            rules.

        sanitizer: Called with a copy of each record; returns the ``data`` that
            is shown. If it fails, none is.

    Raises:

        InvalidFilterError: A value can't be read, or one is missing that the
            role needs.

    .. versionadded:: 0.1.0
    """

    role: str = ""
    actor_id: Any = None
    tenant_id: Any = None
    org_id: Any = None
    any_tenant: bool = False
    superadmin_roles: Collection[str] = SUPERADMINS
    admin_roles: Collection[str] = ADMINS
    channels: str | Sequence[str] = ()
    channel_denylist: str | Sequence[str] = ()
    machine_activity: bool = True
    machine_types: str | Sequence[str] = MACHINE_TYPES
    machine_keys: str | Sequence[str] = MACHINE_KEYS
    data: Literal["none", "masked", "all"] | None = None
    show_ip: bool | None = None
    redactor: Redactor = field(default_factory=Redactor)
    sanitizer: Callable[[ActivityRecord], Mapping[str, Any]] | None = None

    def __post_init__(self) -> None:
        self._set("role", _role(self.role))
        for name in ("superadmin_roles", "admin_roles"):
            self._set(name, frozenset(map(_role, getattr(self, name))))
        crosses = self._crosses_tenants
        # What a filter makes of these values is what records have.
        read = ActivityFilter(
            tenant_id=NIL if crosses and self.tenant_id is None else self.tenant_id,
            **{name: getattr(self, name) for name in _AS_FILTER},
        )
        for name in _AS_FILTER:
            self._set(name, getattr(read, name))
        self._set("tenant_id", read.tenant_id)
        if not crosses and not isinstance(self.tenant_id, UUID):
            raise InvalidFilterError(
                "tenant_id", self.tenant_id, "only a superadmin crosses tenants"
            )
        self._check()

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _check(self) -> None:
        if not self.is_admin and self.actor_id is None:
            raise InvalidFilterError("actor_id", None, f"is needed for the role {self.role!r}")
        if self.role == ORG_ADMIN and self.is_admin and self.org_id is None:
            raise InvalidFilterError("org_id", None, f"is needed for the role {self.role!r}")
        if self.data is None:
            self._set("data", "none" if self.role == SUPPORT else "masked")
        if self.data not in _EXPOSURES:
            raise InvalidFilterError("data", self.data, f"use one of {', '.join(_EXPOSURES)}")
        if self.show_ip is None:
            self._set("show_ip", self.is_superadmin)

    @classmethod
    def of(cls, actor: ActorContext, **options: Any) -> Self:
        """
        Return the policy of somebody who is known from a request.

        Args:

            actor: Who reads; without a role the subject counts as one.

            options: Other attributes.

        Raises:

            InvalidFilterError: As the class itself.
        """
        who = {
            "role": actor.role or actor.subject,
            "actor_id": actor.actor_id,
            "tenant_id": actor.tenant_id or None,
            "org_id": actor.org_id or None,
        }
        return cls(**{**who, **options})

    @property
    def is_superadmin(self) -> bool:
        """Whether the role is a superadmin's."""
        return self.role in self.superadmin_roles

    @property
    def is_admin(self) -> bool:
        """Whether the role is an admin's or a superadmin's."""
        return self.is_superadmin or self.role in self.admin_roles

    @property
    def _crosses_tenants(self) -> bool:
        return self.is_superadmin and self.any_tenant is True

    # -- which records ------------------------------------------------------

    def applied(self, where: ActivityFilter) -> ActivityFilter:
        """
        Return a filter that selects those records of *where* that may be seen.

        Raises:

            AccessDeniedError: It asks for another tenant, org or person, for
                channels none of which may be read, or for what is hidden.
        """
        changes: dict[str, Any] = {}
        if not self._crosses_tenants:
            if where.tenant_id != self.tenant_id:
                raise AccessDeniedError("tenant_id", "is not the reader's")
            if self.org_id is not None:
                changes["org_id"] = self._own("org_id", where.org_id, self.org_id)
        if not self.is_admin:
            changes["involving"] = self._own("involving", where.involving, self.actor_id)
        if not self.machine_activity and not self.is_superadmin:
            changes |= self._people_only(where)
        self._check_searched(where)
        return where.narrowed(**changes, **self._in_channels(where))

    def _own(self, name: str, asked: Any, own: Any) -> Any:
        if asked is not None and asked != own:
            raise AccessDeniedError(name, "is not the reader's own")
        return own

    def _people_only(self, where: ActivityFilter) -> dict[str, Any]:
        asked = () if where.machine_activity else (where.machine_types, where.machine_keys)
        types, keys = asked or ((), ())
        return {
            "machine_activity": False,
            "machine_types": tuple(dict.fromkeys((*self.machine_types, *types))),
            "machine_keys": tuple(dict.fromkeys((*self.machine_keys, *keys))),
        }

    def _in_channels(self, where: ActivityFilter) -> dict[str, Any]:
        if not self.channels and not self.channel_denylist:
            return {}
        asked = channels_of(where) or self.channels
        granted = tuple(channel for channel in asked if self._grants(channel))
        if asked and not granted:
            raise AccessDeniedError("channel", "may not be read")
        denied = dict.fromkeys((*where.channel_denylist, *self.channel_denylist))
        return {"channel": None, "channels": granted, "channel_denylist": tuple(denied)}

    def _grants(self, channel: str) -> bool:
        is_allowed = not self.channels or channel in self.channels
        return is_allowed and channel not in self.channel_denylist

    def _check_searched(self, where: ActivityFilter) -> None:
        # Who may not see a value could otherwise guess it, question by question.
        if any(map(self._hides, where.data or ())):
            raise AccessDeniedError("data", _HIDDEN)
        if where.machine_activity:
            return
        # The usual signs of a machine tell nothing else.
        keys = {*where.machine_keys} - {*MACHINE_KEYS, *self.machine_keys}
        if any(map(self._hides, keys)):
            raise AccessDeniedError("machine_keys", _HIDDEN)
        types = {*where.machine_types} - {*MACHINE_TYPES, *self.machine_types}
        if types and any(map(self._hides, (*ACTOR_TYPES, ACTOR))):
            raise AccessDeniedError("machine_types", _HIDDEN)

    def _hides(self, key: str) -> bool:
        """Tell whether what ``data`` has under *key* is not shown as it is."""
        if self.data == "none" or (not self.show_ip and _is_address(key)):
            return True
        is_masked = self.sanitizer is not None or self.redactor.hides(key)
        return self.data == "masked" and is_masked

    def check_counted(self, by: str) -> None:
        """
        See whether records may be counted by a field.

        Raises:

            AccessDeniedError: The policy hides it.
        """
        if by == "ip" and not self.show_ip:
            raise AccessDeniedError("by", "addresses are hidden by the access policy")

    # -- what of them -------------------------------------------------------

    def sanitized(self, record: ActivityRecord) -> ActivityRecord:
        """Return what may be seen of a record."""
        data = self._data(record)
        if self.show_ip:
            return replace(record, data=data)
        shown = {key: value for key, value in data.items() if not _is_address(key)}
        raw = shown.get(RAW)
        if isinstance(raw, dict):
            shown[RAW] = {key: value for key, value in raw.items() if not _is_address(key)}
        return replace(record, ip="", data=shown)

    def sanitized_page(self, page: ActivityPage) -> ActivityPage:
        """Return a page of what may be seen of its records."""
        return replace(page, records=[self.sanitized(record) for record in page.records])

    def _data(self, record: ActivityRecord) -> dict[str, Any]:
        if self.data == "all":
            return dict(record.data)
        if self.data == "none":
            return {}
        if self.sanitizer is None:
            return Plainer(self.redactor).mapping(record.data, record.verb)
        try:
            return dict(self.sanitizer(replace(record, data=dict(record.data))))
        except Exception:  # noqa: BLE001  A function of the host's: what fails shows nothing.
            return {}

    def digest(self, digest: bytes) -> bytes:
        """Return what binds a feed's cursors to this policy beside the feed's own *digest*."""
        who = (self.role, self.actor_id, self.tenant_id, self.org_id, self.data, self.show_ip)
        return hashlib.sha256(digest + repr(who).encode()).digest()[: len(digest)]


_AS_FILTER: Final = (
    "actor_id",
    "org_id",
    "channels",
    "channel_denylist",
    "machine_activity",
    "machine_types",
    "machine_keys",
)


def _role(role: Any) -> str:
    if not isinstance(role, str):
        raise InvalidFilterError("role", role, "text is needed")
    return role.strip().lower()


def _is_address(key: str) -> bool:
    return key.casefold().replace("-", "_") in _ADDRESSES
