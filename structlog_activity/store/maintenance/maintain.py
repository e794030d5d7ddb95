"""
Maintenance: what keeps reads fast as the months go by.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from sqlalchemy import Engine

from ..counts import fold_months
from ..engine import SQLITE
from .postgresql import maintain_postgresql
from .report import MaintenanceReport


def maintain(
    engine: Engine,
    *,
    today: date,
    history: bool = False,
    on_progress: Callable[[str], object] | None = None,
) -> MaintenanceReport:
    """
    Do what is due.

    Args:

        engine: Of a database with the tables of this version.

        today: The current date in UTC.

        history: Give partitions to the months of old records that have none.

        on_progress: Called with a few words before each piece of work that may
            take long.

    Raises:

        RepositoryError: The role does not own the tables.
    """
    say = on_progress or _say_nothing
    if engine.dialect.name == SQLITE:
        return _maintain_sqlite(engine, today, say)
    return maintain_postgresql(engine, today, say, history=history)


def _say_nothing(_: str) -> None:
    pass


def _maintain_sqlite(
    engine: Engine, today: date, say: Callable[[str], object]
) -> MaintenanceReport:
    folded = fold_months(engine, today, say)
    with engine.connect() as connection:
        # So that figures for the planner are taken from samples, not from whole indexes.
        for pragma in ("analysis_limit = 1000", "optimize", "wal_checkpoint(TRUNCATE)"):
            connection.exec_driver_sql(f"PRAGMA {pragma}").close()
    return MaintenanceReport(months_folded=tuple(folded), counts_folded=sum(folded.values()))
