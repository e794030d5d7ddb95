"""
A query on the command line, beside the options that say the same.
"""

from __future__ import annotations

import argparse

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from ..errors import InvalidFilterError
from ..read.filter import ActivityFilter
from ..read.query import NOTHING, parse_query
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


def refuse_blanks(where: Mapping[str, Any], options: argparse.Namespace) -> None:
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


def with_query(where: Mapping[str, Any], query: str, now: datetime) -> dict[str, Any]:
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
