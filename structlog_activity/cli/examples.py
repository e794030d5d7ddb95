"""
What the help of each command says beside its options.
"""

from __future__ import annotations

import argparse
import textwrap

from collections.abc import Iterator
from typing import Final


_WIDTH: Final = 80  # columns of a description
_PROGRAM: Final = "structlog-activity"

# Of each command its description, where it has none of its own, and command lines.
_HELP: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "migrate": (
        "",
        (
            "--url postgresql://owner@db/app migrate",
            "migrate --status",
            "migrate --sql > tables.sql",
        ),
    ),
    "maintain": ("", ("maintain", "maintain --history", "maintain --json")),
    "feed": (
        (
            "Show records, newest first. The query's words and the options must all hold. What is "
            "left is on the next page, whose cursor is told on stderr."
        ),
        (
            "feed --tenant acme",
            "feed --tenant acme 'verb:settings.* -channel:system since:7d'",
            "feed --tenant acme --actor user-7 --limit 20 --json",
            "feed --no-tenant",
        ),
    ),
    "stats": (
        (
            "Count records by verb, channel, object type and day. Whole days come from counts that "
            "are kept; they always equal counting the rows."
        ),
        (
            "stats --tenant acme --since 2026-01-01",
            "stats --all-tenants --json",
            "stats --tenant acme 'verb:export.* since:30d'",
        ),
    ),
    "export": (
        (
            "Write all records as JSON lines, newest first, with progress on stderr. With "
            "--since-last only what was committed since the last time, oldest first: nothing is "
            "left out where an export is interrupted; what was not remembered comes again."
        ),
        (
            "export --tenant acme -o acme.jsonl",
            "export --all-tenants 'verb:invoice.* since:90d' | gzip > invoices.jsonl.gz",
            "export --tenant acme --since-last acme.position >> acme.jsonl",
        ),
    ),
    "tail": (
        "",
        ("tail --tenant acme", "tail -n 100 --all-tenants", "tail -f --tenant acme 'verb:user.*'"),
    ),
    "history": (
        "Show what was done to an object, newest first.",
        ("history settings:ui.theme --tenant acme", "history order:9 --tenant acme since:7d"),
    ),
    "get": (
        (
            "Show one record with all its fields, and with --seal whether it is as it was written. "
            "Exits with 1 where there is none of that id, or it is not."
        ),
        (
            "get --tenant acme 019cec37-b9e8-72c3-a10b-4c53fa1bd4b4",
            "get --tenant acme 019cec37-b9e8-72c3-a10b-4c53fa1bd4b4 --seal --key-file activity.key",
        ),
    ),
    "timeline": (
        "Count records by hour, day, week or month, empty ones too.",
        (
            "timeline --tenant acme --since 30d",
            "timeline --tenant acme --bucket week --tz Europe/Berlin 'verb:login.* since:90d'",
        ),
    ),
    "top": (
        "Show who, or what, has most records.",
        (
            "top --tenant acme --by actor_id --since 30d",
            "top --tenant acme --by object 'verb:file.*' --limit 20",
        ),
    ),
    "ingest": (
        "",
        ("ingest app.log.jsonl.gz", "ingest - < app.log.jsonl", "ingest app.log.jsonl --json"),
    ),
    "verify": (
        "",
        (
            "verify",
            "verify --key-file activity.key --json",
            "verify --checkpoint checkpoints.jsonl --since-checkpoint",
        ),
    ),
    "checkpoint": ("", ("checkpoint checkpoints.jsonl", "checkpoint -")),
    "prune": (
        "",
        (
            "prune --older-than 104w --dry-run",
            "prune --older-than 104w --floor 52w --yes",
            "prune --older-than 2025-01-01 --tenant acme --channel system",
        ),
    ),
    "erase": (
        "",
        (
            "erase --actor user-7 --all-tenants --reason 'request 311' --dry-run",
            "erase --involving user-7 --tenant acme --reason 'request 311' --spool-dir spool --yes",
        ),
    ),
    "dead list": (
        "List the records that were set aside.",
        ("dead list --spool-dir spool", "dead list --json"),
    ),
    "dead show": ("Print a record that was set aside, as JSON.", ("dead show ID",)),
    "dead retry": (
        (
            "Write records that were set aside, now that it may work. Each is removed once it is "
            "stored; an interrupted run loses none. Exits with 1 where some are refused again."
        ),
        ("dead retry", "dead retry ID"),
    ),
    "dead purge": (
        "Delete records that were set aside, for good.",
        ("dead purge ID", "dead purge --all"),
    ),
    "doctor": (
        "",
        ("doctor", "doctor shop.settings", "doctor 'shop.main:create_app()' --json"),
    ),
    "catalog": (
        "",
        (
            "catalog src",
            "catalog src --registry verbs.toml",
            "--url sqlite:///activity.db catalog src --silent-after 14 --json",
        ),
    ),
    "demo": ("", ("demo", "demo --commits 50", "--url sqlite:///demo.db demo")),
}


def commands_of(
    parser: argparse.ArgumentParser, before: str = ""
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield the name and parser of every command below *parser* that can be run."""
    found = vars(parser).get("_subparsers")  # argparse has no other way to tell.
    if found is None:
        yield before, parser
        return
    for action in vars(found)["_group_actions"]:
        for name, inner in action.choices.items():
            yield from commands_of(inner, f"{before} {name}".strip())


def add_examples(parser: argparse.ArgumentParser) -> None:
    """Give every command below *parser* its description, and examples under its help."""
    for name, command in commands_of(parser):
        description, examples = _HELP.get(name, ("", ()))
        text = " ".join((description or command.description or "").split())
        command.description = textwrap.fill(text, _WIDTH)
        command.formatter_class = argparse.RawDescriptionHelpFormatter
        if examples:
            lines = "\n".join(f"  {_PROGRAM} {example}" for example in examples)
            command.epilog = f"examples:\n{lines}"
