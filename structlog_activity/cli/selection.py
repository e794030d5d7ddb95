"""
Which records a command is about: the tenant, the conditions, and the query that says them shortly.
"""

from __future__ import annotations

import argparse

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from ..errors import InvalidFilterError
from ..read.filter import ActivityFilter
from ..read.query import KEYS, NOTHING, parse_moment, parse_query
from ..read.tenants import ALL_TENANTS
from ..record.ids import NIL


class _Option(NamedTuple):
    """
    An option that sets a condition.

    Attributes:

        condition: Which one of a filter.

        name: What it is called on the command line.

        help: What it says of itself.

        metavar: What stands for its value; `None`: its own name.

        several: Whether it may be given several times.
    """

    condition: str
    name: str
    help: str
    metavar: str | None = None
    several: bool = False

    def given(self, options: argparse.Namespace) -> Any:
        """Return what was given; `None` where it was not, or the command has no such option."""
        return getattr(options, self.name.removeprefix("--").replace("-", "_"), None)


_WITHOUT: Final = "-channel:"
_OBJECT: Final = _Option("object_type", "--object", "to what", metavar="TYPE[:ID]")
# In the order of the help.
_OPTIONS: Final = (
    _Option("org_id", "--org", "id of the organisation"),
    _Option("actor_id", "--actor", "who acted"),
    _Option("user_id", "--user", "whose account it concerned"),
    _Option("involving", "--involving", "who acted or whose account it concerned"),
    _Option("verbs", "--verb", "verb, or its beginning and *; repeatable", several=True),
    _OBJECT,
    _Option("channels", "--channel", "channel; repeatable", several=True),
    _Option("channel_denylist", "--not-channel", "repeatable", metavar="CHANNEL", several=True),
    _Option("since", "--since", "ISO 8601, or how long ago: 30m, 24h, 7d, 4w"),
    _Option("until", "--until", "likewise; this moment itself is not included"),
    _Option("keyword", "--keyword", "part of verb, object type or object id"),
)
_MOMENTS: Final = ("since", "until")


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
    for option in _OPTIONS:
        if option is not _OBJECT or of_object:
            action = "append" if option.several else "store"
            group.add_argument(option.name, action=action, metavar=option.metavar, help=option.help)
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
        f"all of which must hold; the keys are {', '.join(KEYS)} and -channel",
    )


def may_be_words(arguments: Sequence[str]) -> list[str]:
    """Return *arguments* with ``-channel:x`` made recognisable as none of the options."""
    return [f" {text}" if text.startswith(_WITHOUT) else text for text in arguments]


def where_of(options: argparse.Namespace) -> dict[str, Any]:
    """Return the conditions that `filter_options` and the query were given."""
    now = datetime.now(UTC)
    where = {"tenant_id": tenant_of(options), **_told_by(options, now)}
    _refuse_blanks(where, options)
    return _with_query(where, " ".join(options.query), now)


def _told_by(options: argparse.Namespace, now: datetime) -> dict[str, Any]:
    """Return the conditions that options set, and what those are that nobody gave."""
    where: dict[str, Any] = {
        option.condition: (option.given(options) or ()) if option.several else option.given(options)
        for option in _OPTIONS
    }
    object_type, _, object_id = (_OBJECT.given(options) or "").partition(":")
    moments = {name: _moment(name, where[name], now) for name in _MOMENTS}
    return where | moments | {"object_type": object_type, "object_id": object_id}


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
    for option in _OPTIONS:
        given = option.given(options)
        if given is None or option.several:  # Blank ones of several are refused as they are read.
            continue
        names = [option.condition]
        if option is _OBJECT and ":" in given:
            names.append("object_id")
        one = ActivityFilter.of({"tenant_id": NIL, **{name: where[name] for name in names}})
        if not all(getattr(one, name) for name in names):
            raise InvalidFilterError(option.name, given, NOTHING)


def _with_query(where: Mapping[str, Any], query: str, now: datetime) -> dict[str, Any]:
    """
    Return the conditions of options and those of a query, all of which must hold.

    Raises:

        InvalidFilterError: The query can't be understood, or says what an option
            says already.
    """
    found = parse_query(query, now=now)
    denied = (*where["channel_denylist"], *found.pop("channel_denylist", ()))
    for option in _OPTIONS:
        if found.get(option.condition) and where[option.condition]:
            raise InvalidFilterError(
                "query", query, f"{option.name} says that already: say it in one of the two places"
            )
    return {**where, **found, "channel_denylist": denied}
