"""
Command lines that the help of each command shows.
"""

from __future__ import annotations

import argparse
import textwrap

from collections.abc import Iterator
from typing import Final


_WIDTH: Final = 80  # columns of a description
_PROGRAM: Final = "structlog-activity"

_EXAMPLES: Final[dict[str, tuple[str, ...]]] = {
    "migrate": (
        "--url postgresql://owner@db/app migrate",
        "migrate --status",
        "migrate --sql > tables.sql",
    ),
    "maintain": ("maintain", "maintain --history", "maintain --json"),
    "feed": (
        "feed --tenant acme",
        "feed --tenant acme 'verb:settings.* -channel:system since:7d'",
        "feed --tenant acme --actor user-7 --limit 20 --json",
        "feed --no-tenant",
    ),
    "stats": (
        "stats --tenant acme --since 2026-01-01",
        "stats --all-tenants --json",
        "stats --tenant acme 'verb:export.* since:30d'",
    ),
    "export": (
        "export --tenant acme -o acme.jsonl",
        "export --all-tenants 'verb:invoice.* since:90d' | gzip > invoices.jsonl.gz",
        "export --tenant acme --since-last acme.position >> acme.jsonl",
    ),
    "tail": (
        "tail --tenant acme",
        "tail -n 100 --all-tenants",
        "tail -f --tenant acme 'verb:user.*'",
    ),
    "history": (
        "history settings:ui.theme --tenant acme",
        "history order:9 --tenant acme since:7d",
    ),
    "get": (
        "get --tenant acme 019cec37-b9e8-72c3-a10b-4c53fa1bd4b4",
        "get --tenant acme 019cec37-b9e8-72c3-a10b-4c53fa1bd4b4 --seal --key-file activity.key",
    ),
    "timeline": (
        "timeline --tenant acme --since 30d",
        "timeline --tenant acme --bucket week --tz Europe/Berlin 'verb:login.* since:90d'",
    ),
    "top": (
        "top --tenant acme --by actor_id --since 30d",
        "top --tenant acme --by object 'verb:file.*' --limit 20",
    ),
    "ingest": (
        "ingest app.log.jsonl.gz",
        "ingest - < app.log.jsonl",
        "ingest app.log.jsonl --json",
    ),
    "verify": (
        "verify",
        "verify --key-file activity.key --json",
        "verify --checkpoint checkpoints.jsonl --since-checkpoint",
    ),
    "checkpoint": ("checkpoint checkpoints.jsonl", "checkpoint -"),
    "prune": (
        "prune --older-than 104w --dry-run",
        "prune --older-than 104w --floor 52w --yes",
        "prune --older-than 2025-01-01 --tenant acme --channel system",
    ),
    "erase": (
        "erase --actor user-7 --all-tenants --reason 'request 311' --dry-run",
        "erase --involving user-7 --tenant acme --reason 'request 311' --spool-dir spool --yes",
    ),
    "dead list": ("dead list --spool-dir spool", "dead list --json"),
    "dead show": ("dead show ID",),
    "dead retry": ("dead retry", "dead retry ID"),
    "dead purge": ("dead purge ID", "dead purge --all"),
    "doctor": ("doctor", "doctor shop.settings", "doctor 'shop.main:create_app()' --json"),
    "catalog": (
        "catalog src",
        "catalog src --registry verbs.toml",
        "--url sqlite:///activity.db catalog src --silent-after 14 --json",
    ),
    "demo": ("demo", "demo --commits 50", "--url sqlite:///demo.db demo"),
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
    """Give the help of every command below *parser* its examples."""
    for name, command in commands_of(parser):
        # Else argparse would fill the examples; so the description is filled here.
        command.formatter_class = argparse.RawDescriptionHelpFormatter
        command.description = textwrap.fill(" ".join((command.description or "").split()), _WIDTH)
        if examples := _EXAMPLES.get(name):
            lines = "\n".join(f"  {_PROGRAM} {example}" for example in examples)
            command.epilog = f"examples:\n{lines}"
