"""
Which records a command is about: the options that name a tenant and conditions.
"""

from __future__ import annotations

import argparse

from datetime import UTC, datetime
from typing import Any

from ..read.query import parse_moment
from ..read.tenants import ALL_TENANTS
from ..record.ids import NIL
from .query import refuse_blanks, with_query


def tenant_options() -> argparse.ArgumentParser:
    """Return the options that name a tenant."""
    parser = argparse.ArgumentParser(add_help=False)
    _add_tenant(parser.add_argument_group("which records"))
    return parser


def filter_options(*, of_object: bool = True) -> argparse.ArgumentParser:
    """
    Return the options that select records.

    Args:

        of_object: Whether there is one for the object.
    """
    parser = argparse.ArgumentParser(add_help=False)
    group = parser.add_argument_group("which records")
    _add_tenant(group)
    group.add_argument("--org", help="id of the organisation")
    group.add_argument("--actor", help="who acted")
    group.add_argument("--user", help="whose account it concerned")
    group.add_argument("--involving", help="who acted or whose account it concerned")
    group.add_argument("--verb", action="append", help="verb, or its beginning and *; repeatable")
    if of_object:
        group.add_argument("--object", metavar="TYPE[:ID]", help="to what")
    group.add_argument("--channel", action="append", help="channel; repeatable")
    group.add_argument("--not-channel", action="append", metavar="CHANNEL", help="repeatable")
    group.add_argument("--since", help="ISO 8601, or how long ago: 30m, 24h, 7d, 4w")
    group.add_argument("--until", help="likewise; this moment itself is not included")
    group.add_argument("--keyword", help="part of verb, object type or object id")
    return parser


def _add_tenant(group: Any) -> None:
    tenant = group.add_mutually_exclusive_group(required=True)
    tenant.add_argument("--tenant", help="id of the tenant, as it was recorded")
    tenant.add_argument("--no-tenant", action="store_true", help="records without a tenant")
    tenant.add_argument("--all-tenants", action="store_true", help="records of all tenants")


def where_of(options: argparse.Namespace) -> dict[str, Any]:
    """Return the conditions that `filter_options` and the query were given."""
    now = datetime.now(UTC)
    object_type, _, object_id = (getattr(options, "object", None) or "").partition(":")
    where = {
        "tenant_id": tenant_of(options),
        "org_id": options.org,
        "actor_id": options.actor,
        "user_id": options.user,
        "involving": options.involving,
        "verbs": options.verb or (),
        "object_type": object_type,
        "object_id": object_id,
        "channels": options.channel or (),
        "channel_denylist": options.not_channel or (),
        "since": _moment("since", options.since, now),
        "until": _moment("until", options.until, now),
        "keyword": options.keyword,
    }
    refuse_blanks(where, options)
    return with_query(where, " ".join(options.query), now)


def tenant_of(options: argparse.Namespace) -> Any:
    """Return the tenant that `tenant_options` name."""
    if options.all_tenants:
        return ALL_TENANTS
    return NIL if options.no_tenant else options.tenant


def _moment(name: str, text: str | None, now: datetime) -> datetime | str | None:
    return parse_moment(name, text, now) if text else text
