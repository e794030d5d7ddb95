"""
The commands ``feed`` and ``history``.
"""

from __future__ import annotations

import argparse

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from ..read.filter import MAX_LIMIT
from ..read.page import ActivityPage
from ..record.record import ActivityRecord
from .codes import OK
from .database import opened
from .numbers import positive
from .output import print_json, print_records
from .progress import say
from .selection import add_query, filter_options, where_of


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add ``feed`` and ``history``."""
    feed_ = commands.add_parser(
        "feed",
        parents=[common, filter_options()],
        help="show records, newest first",
        description="Show records, newest first. The query's words and the options must all hold. "
        "What is left is on the next page, whose cursor is told on stderr.",
    )
    _add_paging(feed_)
    add_query(feed_)
    feed_.set_defaults(run=feed)
    history_ = commands.add_parser(
        "history",
        parents=[common, filter_options(of_object=False)],
        help="show what was done to an object, newest first",
        description="Show what was done to an object, newest first.",
    )
    history_.add_argument(
        "thing", metavar="OBJECT", help="TYPE:ID, or TYPE for the object without an id"
    )
    _add_paging(history_)
    add_query(history_)
    history_.set_defaults(run=history)


def _add_paging(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which part of a feed is shown."""
    parser.add_argument("--limit", type=positive, default=50, help="most records (default 50)")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--after", metavar="CURSOR", help="go on where the last page ended")
    place.add_argument("--before", metavar="CURSOR", help="go back to newer records")
    place.add_argument("--offset", type=int, default=0, help="skip so many records")


def feed(options: argparse.Namespace) -> int:
    """Run ``feed``."""
    with opened(options) as activity:
        _show(activity.feed, options)
    return OK


def history(options: argparse.Namespace) -> int:
    """Run ``history``."""
    with opened(options) as activity:
        _show(partial(activity.history, options.thing), options)
    return OK


def _show(read: Callable[..., ActivityPage], options: argparse.Namespace) -> None:
    """Print as many records as were asked for, which may take several pages."""
    records, page = _records(read, where_of(options), options)
    if options.json:
        for record in records:
            print_json(record.to_dict())
    elif records:
        print_records(records)
        more = "" if page.total_is_exact else " or more"
        say(f"{len(records)} of {page.total:,}{more} records")
    else:
        say("no records")
    if page.next_cursor:
        say(f"older records: --after {page.next_cursor}")


def _records(
    read: Callable[..., ActivityPage], where: dict[str, Any], options: argparse.Namespace
) -> tuple[list[ActivityRecord], ActivityPage]:
    """Return the records, and a page with the first one's totals and the last one's cursor."""
    place = {"after": options.after, "before": options.before, "offset": options.offset}
    limit = min(options.limit, MAX_LIMIT)
    page = first = read(**where, **place, limit=limit)
    records = list(page.records)
    while len(records) < options.limit and page.next_cursor and not options.before:
        limit = min(options.limit - len(records), MAX_LIMIT)
        page = read(**where, after=page.next_cursor, limit=limit, total="none")
        records += page.records
    return records, replace(first, next_cursor=page.next_cursor)
