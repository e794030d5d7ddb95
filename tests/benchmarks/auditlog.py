"""
The inserts of django-auditlog, in a process of its own: Django is set up once in a process.
"""

from __future__ import annotations

import importlib
import multiprocessing

from concurrent.futures import ProcessPoolExecutor
from typing import Any

from sqlalchemy import make_url


class AuditlogInsert:
    """
    Insert as django-auditlog does for each change of a model: one statement each.

    Args:

        url: A database, whose tables of Django's and of django-auditlog's are made.

    Raises:

        ImportError: Django or django-auditlog is not installed.
    """

    def __init__(self, url: str) -> None:
        importlib.import_module("auditlog")
        importlib.import_module("django")
        self._alone = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        self._alone.submit(_prepare, url).result()

    def write(self, batches: list[list[dict[str, Any]]]) -> None:
        """Commit each batch, as requests that change so many models."""
        self._alone.submit(_write, [[value["data"] for value in one] for one in batches]).result()

    def close(self) -> None:
        """Let go of the database."""
        self._alone.shutdown()


def _prepare(url: str) -> None:
    import django

    from django.conf import settings
    from django.core.management import call_command

    found = make_url(url)
    database = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": found.database,
        "USER": found.username,
        "PASSWORD": found.password or "",
        "HOST": found.host or found.query.get("host"),
        "PORT": found.port or found.query.get("port", ""),
    }
    settings.configure(
        DATABASES={"default": database},
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "auditlog"],
        USE_TZ=True,
    )
    django.setup()
    call_command("migrate", verbosity=0)


def _write(batches: list[list[dict[str, Any]]]) -> None:
    from auditlog.models import LogEntry
    from django.contrib.auth.models import Group
    from django.db import transaction

    changed = Group(pk=7, name="editors")
    for batch in batches:
        with transaction.atomic():
            for data in batch:
                LogEntry.objects.log_create(
                    changed, action=LogEntry.Action.UPDATE, changes=data, remote_addr="192.0.2.1"
                )
