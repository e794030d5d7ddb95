"""
The commands that read: ``feed``, ``stats``, ``tail`` and ``export``.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import os
import sys

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TextIO, cast

from ..errors import InvalidFilterError
from ..log import ActivityLog
from ..read.filter import ALL_TENANTS, MAX_LIMIT
from ..read.page import ActivityPage
from ..read.query import parse_moment
from ..record.record import ActivityRecord
from .csvline import CSV_HEADING, csv_line
from .database import require_file
from .output import json_line, print_counts, print_json, print_records
from .progress import Progress, say
from .query import add_query, with_query
from .tail import add_command as add_tail
from .tail import records_since, show_tail


# A pipe or a terminal can't be synced.
_NO_DISK: Final = {errno.EINVAL, errno.ENOTSUP, errno.EROFS}
_INTERRUPTED: Final = 130


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add ``feed``, ``stats``, ``tail`` and ``export``."""
    where = filter_options()
    feed_ = commands.add_parser("feed", parents=[common, where], help="show records, newest first")
    add_paging(feed_)
    add_query(feed_)
    feed_.set_defaults(run=feed)
    stats_ = commands.add_parser("stats", parents=[common, where], help="count records by kind")
    add_query(stats_)
    stats_.set_defaults(run=stats)
    export_ = commands.add_parser(
        "export",
        parents=[common, where],
        help="write all records as JSON lines or CSV, newest first",
        description="Write all records that are selected. All that is stored about a person: "
        "--involving ID --all-tenants.",
    )
    export_.add_argument(
        "--format",
        choices=("jsonl", "csv"),
        default="jsonl",
        help="jsonl (the default) loses nothing; csv is safe to open in a spreadsheet",
    )
    export_.add_argument(
        "--raw", action="store_true", help="csv without the ' before what looks like a formula"
    )
    export_.add_argument("-o", "--output", metavar="FILE", help="default is standard output")
    export_.add_argument(
        "--since-last",
        metavar="FILE",
        type=Path,
        help="only what was committed since the last time, in that order; FILE remembers how far "
        "it came, after the output was written; -o is appended to",
    )
    add_query(export_)
    export_.set_defaults(run=export)
    tail_ = add_tail(commands, [common, where])
    add_query(tail_)
    tail_.set_defaults(run=tail)


def feed(options: argparse.Namespace) -> int:
    """Run ``feed``."""
    with opened(options) as activity:
        show_pages(activity.feed, where_of(options), options)
    return 0


def stats(options: argparse.Namespace) -> int:
    """Run ``stats``."""
    with opened(options) as activity:
        found = activity.stats(**where_of(options))
    if options.json:
        print_json(found.to_dict())
        return 0
    print(f"{found.total:,} records")
    print_counts("by verb", found.by_verb)
    print_counts("by channel", found.by_channel)
    print_counts("by object type", found.by_object_type)
    print_counts("by day (UTC)", found.by_day)
    return 0


def export(options: argparse.Namespace) -> int:
    """Run ``export``."""
    progress = Progress("records")
    count = 0
    mode = "a" if options.since_last else "w"
    with opened(options) as activity, _output(options.output, mode) as output:
        line = _line_of(options, output)
        for record in _exported(activity, options, output):
            output.write(line(record) + "\n")
            count += 1
            progress.update(count)
    progress.finish()
    say(f"{count:,} records exported")
    return 0


def tail(options: argparse.Namespace) -> int:
    """Run ``tail``."""
    try:
        with opened(options) as activity:
            return show_tail(activity, where_of(options), options)
    except KeyboardInterrupt:  # The usual way to end it, so nothing is said.
        return _INTERRUPTED


def walk(activity: ActivityLog, where: dict[str, Any]) -> Iterator[ActivityRecord]:
    """Yield every record that a filter selects, newest first, a page at a time."""
    cursor = None
    while True:
        page = activity.feed(**where, after=cursor, limit=MAX_LIMIT, total="none")
        yield from page.records
        cursor = page.next_cursor
        if cursor is None:
            return


def _line_of(options: argparse.Namespace, output: TextIO) -> Callable[[ActivityRecord], str]:
    """Return what makes a line of a record; where columns have names, they are written."""
    if options.format == "jsonl":
        return lambda record: json_line(record.to_dict(), output)
    if not (options.since_last and _has_content(options.output)):
        output.write(CSV_HEADING + "\n")
    return lambda record: csv_line(record, output, is_raw=options.raw)


def _has_content(path: str | None) -> bool:
    return path not in {None, "-"} and Path(str(path)).stat().st_size > 0


def _exported(
    activity: ActivityLog, options: argparse.Namespace, output: TextIO
) -> Iterator[ActivityRecord]:
    where = where_of(options)
    if options.since_last is None:
        return walk(activity, where)
    for name in ("since", "until"):
        if isinstance(where[name], datetime):
            problem = "is another moment each time: with --since-last give a date"
            given = getattr(options, name) or " ".join(options.query)
            raise InvalidFilterError(name, given, problem)
    return records_since(activity, where, options.since_last, lambda: _keep(output))


def _keep(output: TextIO) -> None:
    """Write what was printed out to its file, down to the disk if that is one."""
    output.flush()
    try:
        os.fsync(output.fileno())
    except io.UnsupportedOperation:  # It has no file.
        return
    except OSError as error:
        if error.errno not in _NO_DISK:
            raise


def show_pages(
    read: Callable[..., ActivityPage], where: dict[str, Any], options: argparse.Namespace
) -> None:
    """
    Print as many records as were asked for, which may take several pages.

    Args:

        read: Reads a page.

        where: Its conditions.

        options: Those of `add_paging`, and ``json``.
    """
    records, page = _first(read, where, options)
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


def _first(
    read: Callable[..., ActivityPage], where: dict[str, Any], options: argparse.Namespace
) -> tuple[list[ActivityRecord], ActivityPage]:
    place = {"after": options.after, "before": options.before, "offset": options.offset}
    limit = min(options.limit, MAX_LIMIT)
    page = first = read(**where, **place, limit=limit)
    records = list(page.records)
    while len(records) < options.limit and page.next_cursor and not options.before:
        limit = min(options.limit - len(records), MAX_LIMIT)
        page = read(**where, after=page.next_cursor, limit=limit, total="none")
        records += page.records
    return records, _joined(first, page)


def _joined(first: ActivityPage, last: ActivityPage) -> ActivityPage:
    return ActivityPage(
        records=last.records,
        has_more=last.has_more,
        next_cursor=last.next_cursor,
        prev_cursor=first.prev_cursor,
        next_offset=last.next_offset,
        total=first.total,
        total_is_exact=first.total_is_exact,
    )


def add_paging(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which part of a feed is shown."""
    parser.add_argument("--limit", type=positive, default=50, help="most records (default 50)")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--after", metavar="CURSOR", help="go on where the last page ended")
    place.add_argument("--before", metavar="CURSOR", help="go back to newer records")
    place.add_argument("--offset", type=int, default=0, help="skip so many records")


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
    return with_query(where, " ".join(options.query), now)


def tenant_of(options: argparse.Namespace) -> Any:
    """Return the tenant that `tenant_options` name."""
    from ..record.ids import NIL

    if options.all_tenants:
        return ALL_TENANTS
    return NIL if options.no_tenant else options.tenant


def _moment(name: str, text: str | None, now: datetime) -> datetime | str | None:
    return parse_moment(name, text, now) if text else text


def positive(text: str) -> int:
    """Read the value of an option that is a whole number of 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


@contextlib.contextmanager
def opened(options: argparse.Namespace) -> Iterator[ActivityLog]:
    """Give the log of ``--url``, whose tables are there already."""
    with ActivityLog(options.url, migrate=False) as activity:
        require_file(activity)
        yield activity


@contextlib.contextmanager
def _output(path: str | None, mode: str = "w") -> Iterator[TextIO]:
    if path is None or path == "-":
        yield sys.stdout
        return
    with Path(path).open(mode, encoding="utf-8") as file:
        yield cast("TextIO", file)
