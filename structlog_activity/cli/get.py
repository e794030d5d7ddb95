"""
The command ``get``.
"""

from __future__ import annotations

import argparse

from typing import TYPE_CHECKING, Any

from ..record.ids import NIL
from ..record.record import ID_FIELDS, RAW, ActivityRecord
from .codes import FINDINGS, OK, UsageError
from .database import key_options, opened_with_keys
from .output import originals, print_fields, print_json
from .progress import say
from .selection import tenant_of, tenant_options


if TYPE_CHECKING:
    from ..store.seals.recordseal import RecordSeal


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add ``get``."""
    parser = commands.add_parser(
        "get",
        parents=[common, tenant_options(), key_options()],
        help="show one record",
        description="Show one record with all its fields, and with --seal whether it is as it was "
        "written. Exits with 1 where there is none of that id, or it is not.",
    )
    parser.add_argument("id", metavar="ID", help="id of the record")
    parser.add_argument(
        "--seal", action="store_true", help="say whether it is as it was written, too"
    )
    parser.set_defaults(run=get)


def get(options: argparse.Namespace) -> int:
    """Run ``get``."""
    if options.key_file and not options.seal:
        raise UsageError("--key-file is for --seal")
    with opened_with_keys(options) as activity:
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
