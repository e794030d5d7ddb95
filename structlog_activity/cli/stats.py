"""
The commands that count: ``stats``, ``timeline`` and ``top``.
"""

from __future__ import annotations

import argparse

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from ..read.arguments import TOP_FIELDS
from ..read.counts.buckets import BUCKETS
from ..read.filter import ActivityFilter
from ..record.ids import NIL
from .codes import OK
from .database import opened
from .numbers import positive
from .output import object_text, print_counts, print_json, print_table
from .progress import say
from .selection import add_query, filter_options, tenant_of, where_of


if TYPE_CHECKING:
    from ..log import ActivityLog

_BAR: Final = 30
_FORMS: Final = {"hour": "%Y-%m-%d %H:%M %z", "month": "%Y-%m"}
_DAY: Final = "%Y-%m-%d"


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add ``stats``, ``timeline`` and ``top``."""
    parents = [common, filter_options()]
    stats_ = commands.add_parser(
        "stats",
        parents=parents,
        help="count records by kind",
        description="Count records by verb, channel, object type and day. Whole days come from "
        "counts that are kept; they always equal counting the rows.",
    )
    add_query(stats_)
    stats_.set_defaults(run=stats)
    timeline_ = commands.add_parser(
        "timeline",
        parents=parents,
        help="count records by hour, day, week or month",
        description="Count records by hour, day, week or month, empty ones too.",
    )
    timeline_.add_argument("--bucket", choices=BUCKETS, default="day", help="default is day")
    timeline_.add_argument(
        "--tz", metavar="ZONE", default="UTC", help="such as Europe/Berlin; default is UTC"
    )
    add_query(timeline_)
    timeline_.set_defaults(run=timeline)
    top_ = commands.add_parser(
        "top",
        parents=parents,
        help="show who, or what, has most records",
        description="Show who, or what, has most records.",
    )
    top_.add_argument("--by", choices=TOP_FIELDS, required=True, help="what to count by")
    top_.add_argument("--limit", type=positive, default=10, help="most lines (default 10)")
    add_query(top_)
    top_.set_defaults(run=top)


def stats(options: argparse.Namespace) -> int:
    """Run ``stats``."""
    with opened(options) as activity:
        found = activity.stats(**where_of(options))
    if options.json:
        print_json(found.to_dict())
        return OK
    print(f"{found.total:,} records")
    print_counts("by verb", found.by_verb)
    print_counts("by channel", found.by_channel)
    print_counts("by object type", found.by_object_type)
    print_counts("by day (UTC)", found.by_day)
    return OK


def timeline(options: argparse.Namespace) -> int:
    """Run ``timeline``."""
    with opened(options) as activity:
        line = activity.timeline(bucket=options.bucket, tz=options.tz, **where_of(options))
    if options.json:
        for start, count in line:
            print_json({"start": start.isoformat(), "count": count})
    elif line:
        form = _FORMS.get(options.bucket, _DAY)
        counts = [count for _, count in line]
        rows = zip((f"{start:{form}}" for start, _ in line), _numbers(counts), _bars(counts),
                   strict=True)  # fmt: skip
        print_table((f"{options.bucket} ({options.tz})", "records", ""), list(rows))
        say(f"{sum(counts):,} records")
    else:
        say("no records")
    return OK


def top(options: argparse.Namespace) -> int:
    """Run ``top``."""
    with opened(options) as activity:
        found = activity.top(by=options.by, limit=options.limit, **where_of(options))
        names = {} if options.json else _names(activity, options, [key for key, _ in found])
    if options.json:
        for key, count in found:
            print_json({"key": key, "count": count})
    elif found:
        numbers = _numbers([count for _, count in found])
        keys = [_key(key) + names.get(key, "") for key, _ in found]
        rows = list(zip(numbers, keys, strict=True))
        print_table(("records", options.by), rows)
    else:
        say("no records")
    return OK


def _names(activity: ActivityLog, options: argparse.Namespace, keys: list[Any]) -> dict[Any, str]:
    """Return the callers' words for the ids *keys*."""
    from ..read.feeds.originals import NAMED, originals

    tenant = ActivityFilter(tenant_id=tenant_of(options)).tenant_id
    if options.by not in NAMED or not isinstance(tenant, UUID):
        return {}
    found = originals(activity.engine, tenant, options.by, keys)
    return {key: f" ({text})" for key, text in found.items()}


def _numbers(counts: list[int]) -> list[str]:
    """Return *counts* as text of one width, so that they stand right in a column."""
    width = max(len("records"), *(len(f"{count:,}") for count in counts))
    return [f"{count:>{width},}" for count in counts]


def _bars(counts: list[int]) -> list[str]:
    most = max(*counts, 1)
    return ["#" * -(-_BAR * count // most) for count in counts]


def _key(key: Any) -> str:
    if isinstance(key, tuple):
        return object_text(*key)
    return "(none)" if key in {"", NIL} else str(key)
