"""
Which records a command is about: the tenant, the conditions, and the query that says them shortly.
"""

from __future__ import annotations

import argparse

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from ..errors import InvalidFilterError
from ..read.filter import ActivityFilter
from ..read.query import NOTHING, parse_moment, parse_query
from ..read.tenants import ALL_TENANTS
from ..record.ids import NIL


_WITHOUT: Final = "-channel:"
# What options call the conditions of a query.
_OPTIONS: Final = {
    "verbs": "--verb",
    "actor_id": "--actor",
    "user_id": "--user",
    "involving": "--involving",
    "org_id": "--org",
    "object_type": "--object",
    "object_id": "--object",
    "channels": "--channel",
    "since": "--since",
    "until": "--until",
    "keyword": "--keyword",
}
_SEVERAL: Final = frozenset({"verbs", "channels"})  # Blank ones are refused as they are read.


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


def add_query(parser: argparse.ArgumentParser) -> None:
    """Add the words of a query, behind all other arguments that have no name."""
    parser.add_argument(
        "query",
        metavar="QUERY",
        nargs="*",
        help="words as in 'verb:settings.* actor:42 -channel:system since:7d data.to:dark theme', "
        "all of which must hold; the keys are verb, actor, user, involving, org, object, channel, "
        "-channel, since, until and data.KEY",
    )


def may_be_words(arguments: Sequence[str]) -> list[str]:
    """Return *arguments* with ``-channel:x`` made recognisable as none of the options."""
    return [f" {text}" if text.startswith(_WITHOUT) else text for text in arguments]


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
    _refuse_blanks(where, options)
    return _with_query(where, " ".join(options.query), now)


def tenant_of(options: argparse.Namespace) -> Any:
    """Return the tenant that `tenant_options` name."""
    if options.all_tenants:
        return ALL_TENANTS
    return NIL if options.no_tenant else options.tenant


def _moment(name: str, text: str | None, now: datetime) -> datetime | str | None:
    return parse_moment(name, text, now) if text else text


def _refuse_blanks(where: Mapping[str, Any], options: argparse.Namespace) -> None:
    """
    Refuse options that set no condition, as ``--actor "$ID"`` where nobody set ID.

    Args:

        where: The conditions that the options were understood as.

        options: As they were given.

    Raises:

        InvalidFilterError: One of them selects everything, or more than it says.
    """
    for name, option in _OPTIONS.items():
        given = getattr(options, option.removeprefix("--"), None)
        if given is None or name in _SEVERAL:
            continue
        if name == "object_id" and ":" not in given:
            continue
        if not getattr(ActivityFilter.of({"tenant_id": NIL, name: where[name]}), name):
            raise InvalidFilterError(option, given, NOTHING)


def _with_query(where: Mapping[str, Any], query: str, now: datetime) -> dict[str, Any]:
    """
    Return the conditions of options and those of a query, all of which must hold.

    Raises:

        InvalidFilterError: The query can't be understood, or says what an option
            says already.
    """
    found = parse_query(query, now=now)
    for name, option in _OPTIONS.items():
        if found.get(name) and where.get(name):
            raise InvalidFilterError(
                "query", query, f"{option} says that already: say it in one of the two places"
            )
    denied = (*where["channel_denylist"], *found.pop("channel_denylist", ()))
    return {**where, **found, "channel_denylist": denied}
