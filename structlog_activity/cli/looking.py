"""
The commands that look closer: ``history``, ``get``, ``timeline`` and ``top``.
"""

from __future__ import annotations

import argparse

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ..read.arguments import TOP_FIELDS
from ..read.counts.buckets import BUCKETS
from ..read.tenants import ALL_TENANTS
from ..record.ids import NIL
from ..record.record import ID_FIELDS, RAW, ActivityRecord
from .codes import FINDINGS, OK, UsageError
from .database import key_options, keyed_log, opened
from .output import object_text, originals, print_fields, print_json, print_table
from .pages import add_paging, positive, show_pages
from .progress import say
from .query import add_query
from .selection import filter_options, tenant_of, tenant_options, where_of


if TYPE_CHECKING:
    from ..log import ActivityLog
    from ..store.recordseal import RecordSeal

_BAR: Final = 30
_NAMED: Final = ("actor_id", "user_id")  # fields of which an index has one record of each id
_FORMS: Final = {"hour": "%Y-%m-%d %H:%M %z", "month": "%Y-%m"}
_DAY: Final = "%Y-%m-%d"


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add ``history``, ``get``, ``timeline`` and ``top``."""
    where = filter_options()
    history_ = commands.add_parser(
        "history",
        parents=[common, filter_options(of_object=False)],
        help="show what was done to an object, newest first",
    )
    history_.add_argument(
        "thing", metavar="OBJECT", help="TYPE:ID, or TYPE for the object without an id"
    )
    add_paging(history_)
    add_query(history_)
    history_.set_defaults(run=history)
    get_ = commands.add_parser(
        "get", parents=[common, tenant_options(), key_options()], help="show one record"
    )
    get_.add_argument("id", metavar="ID", help="id of the record")
    get_.add_argument(
        "--seal", action="store_true", help="say whether it is as it was written, too"
    )
    get_.set_defaults(run=get)
    timeline_ = commands.add_parser(
        "timeline", parents=[common, where], help="count records by hour, day, week or month"
    )
    timeline_.add_argument("--bucket", choices=BUCKETS, default="day", help="default is day")
    timeline_.add_argument(
        "--tz", metavar="ZONE", default="UTC", help="such as Europe/Berlin; default is UTC"
    )
    add_query(timeline_)
    timeline_.set_defaults(run=timeline)
    top_ = commands.add_parser(
        "top", parents=[common, where], help="show who, or what, has most records"
    )
    top_.add_argument("--by", choices=TOP_FIELDS, required=True, help="what to count by")
    top_.add_argument("--limit", type=positive, default=10, help="most lines (default 10)")
    add_query(top_)
    top_.set_defaults(run=top)


def history(options: argparse.Namespace) -> int:
    """Run ``history``."""
    with opened(options) as activity:
        show_pages(partial(activity.history, options.thing), where_of(options), options)
    return OK


def get(options: argparse.Namespace) -> int:
    """Run ``get``."""
    if options.key_file and not options.seal:
        raise UsageError("--key-file is for --seal")
    with keyed_log(options) as activity:
        record = activity.get(tenant_of(options), options.id)
        if record is None:
            say(f"there is no record {options.id} {_whose(options)}")
            return FINDINGS
        seal = activity.seal_of(record.tenant_id, record.id) if options.seal else None
    if options.json:
        print_json(record.to_dict() | ({} if seal is None else {"seal": seal.to_dict()}))
    else:
        print_fields(_told(record) | ({} if seal is None else _sealed(seal)))
    return OK if seal is None or seal.ok else FINDINGS


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


def _told(record: ActivityRecord) -> dict[str, Any]:
    """Return what is set of a record, each key of its data by itself."""
    fields = record.to_dict()
    data = fields.pop("data")
    unset = ("", None, str(NIL))
    found = {name: value for name, value in fields.items() if value not in unset}
    raw = originals(record)
    for name in ID_FIELDS:
        if name in raw and name in found:
            found[name] = f"{found[name]} ({raw[name]})"
    return found | {f"data.{key}": value for key, value in data.items() if key != RAW}


def _names(activity: ActivityLog, options: argparse.Namespace, keys: list[Any]) -> dict[Any, str]:
    """Return the callers' words for the ids *keys*, each of the newest record that has it."""
    tenant = tenant_of(options)
    if options.by not in _NAMED or tenant is ALL_TENANTS:
        return {}
    names = {}
    for key in keys:
        where: Any = {"tenant_id": tenant, options.by: key, "limit": 1, "total": "none"}
        for record in activity.feed(**where).records if key != NIL else ():
            if options.by in originals(record):
                names[key] = f" ({originals(record)[options.by]})"
    return names


def _sealed(seal: RecordSeal) -> dict[str, Any]:
    """Return what is set of a seal, without what the record says itself."""
    fields = seal.to_dict()
    found = {"seal": f"{fields.pop('state')}: {fields.pop('text')}"}
    for name in ("id", "ok"):
        del fields[name]
    return found | {f"seal.{name}": value for name, value in fields.items() if value}


def _whose(options: argparse.Namespace) -> str:
    if options.all_tenants:
        return "of any tenant"
    return "without a tenant" if options.no_tenant else f"of tenant {options.tenant}"


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
