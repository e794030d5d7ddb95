"""
The command ``migrate``.
"""

from __future__ import annotations

import argparse

from typing import Any

from ..log import ActivityLog
from .codes import FINDINGS, OK, UsageError
from .database import require_file, without_writer
from .output import print_json, print_table


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add ``migrate``."""
    parser = commands.add_parser(
        "migrate",
        parents=[common],
        help="create the tables or bring them up to date",
        description="Create the tables or bring them up to date. Any number of these may run at "
        "once; one works, the others wait for it.",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--status", action="store_true", help="only show which steps were taken")
    what.add_argument("--sql", action="store_true", help="only print the SQL")
    what.add_argument("--to", type=int, metavar="VERSION", help="stop after this version")
    what.add_argument(
        "--down", type=int, metavar="VERSION", help="go back to this version; 0 removes all tables"
    )
    what.add_argument(
        "--roles",
        action="store_true",
        help="PostgreSQL: print the SQL that makes an insert-only writer, a reader of one tenant "
        "and an auditor; with --apply run it",
    )
    parser.add_argument("--apply", action="store_true", help="really make the --roles")
    parser.add_argument("--yes", action="store_true", help="really go --down: records are lost")
    parser.set_defaults(run=migrate)


def migrate(options: argparse.Namespace) -> int:
    """Run ``migrate``."""
    with without_writer(ActivityLog(options.url, migrate=False)) as activity:
        _check(options, activity.engine.dialect.name)
        if options.roles:
            return _roles(activity, apply=options.apply)
        if options.sql:
            return _print_sql(activity.engine.dialect.name)
        if options.status or options.down is not None:
            require_file(activity)
        return _migrate(activity, options)


def _check(options: argparse.Namespace, dialect: str) -> None:
    """
    Refuse what doesn't go together.

    Raises:

        UsageError: Something doesn't.
    """
    from ..store.engine import POSTGRESQL
    from ..store.schema import migrations

    if options.roles and dialect != POSTGRESQL:
        raise UsageError("--roles: SQLite has no roles; who may read the file may change it")
    if options.apply and not options.roles:
        raise UsageError("--apply goes with --roles only")
    last = migrations(dialect)[-1].version
    version = options.to if options.down is None else options.down
    if version is not None and not 0 <= version <= last:
        raise UsageError(
            f"there is no version {version}: the newest is {last}, 0 is before the first"
        )
    if options.down is not None and not options.yes:
        raise UsageError(
            f"--down {version} drops tables and the records in them; add --yes if you mean it"
        )


def _migrate(activity: ActivityLog, options: argparse.Namespace) -> int:
    from ..store.reaching import reached
    from ..store.schema import Schema

    with reached(activity.engine.url):
        schema = Schema(activity.engine)
        if options.status:
            return _print_status(schema, options)
        if options.down is not None:
            return _print_steps(schema.downgrade(options.down), "undone", options)
        return _print_steps(schema.migrate(options.to), "applied", options)


def _roles(activity: ActivityLog, *, apply: bool) -> int:
    from ..store.postgresql.roles import apply_roles, roles_sql

    if not apply:
        print(roles_sql())
        return OK
    apply_roles(activity.engine)
    print("made the roles activity_writer, activity_reader and activity_auditor")
    return OK


def _print_sql(dialect: str) -> int:
    from ..store.schema import migrations

    for step in migrations(dialect):
        print(f"-- {step.version:04} {step.name}\n{step.up}")
    return OK


def _print_status(schema: Any, options: argparse.Namespace) -> int:
    steps = schema.status()
    if options.json:
        for step in steps:
            print_json({"version": step.version, "name": step.name, "state": step.state})
    else:
        rows = [
            [
                str(s.version),
                s.name,
                s.state,
                f"{s.applied_at:%Y-%m-%d %H:%M}" if s.applied_at else "",
            ]
            for s in steps
        ]
        print_table(["version", "name", "state", "applied (UTC)"], rows)
    return OK if all(step.state == "applied" for step in steps) else FINDINGS


def _print_steps(steps: Any, done: str, options: argparse.Namespace) -> int:
    if options.json:
        for step in steps:
            print_json({"version": step.version, "name": step.name, "state": done})
        return OK
    for step in steps:
        print(f"{done} {step.version:04} {step.name}")
    if not steps:
        print("nothing to do")
    return OK
