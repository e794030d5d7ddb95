"""
Maintenance as a method of whatever has a database, and its twin for coroutines.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ...twins import in_thread


if TYPE_CHECKING:
    from sqlalchemy import Engine

    from .report import MaintenanceReport


class MaintenanceMethods:
    """What keeps a database in shape."""

    def _at_coordinator(self) -> Engine:
        """Return the engine, after one look at the schema; refuse a worker of a cluster."""
        raise NotImplementedError

    def maintain(
        self, *, history: bool = False, on_progress: Callable[[str], object] | None = None
    ) -> MaintenanceReport:
        """
        Keep reads fast as the months go by; to be called once a day or so.

        The daily counts of closed days are folded into monthly ones. On
        PostgreSQL partitions are made three months ahead, the indexes of each
        closed month are rebuilt once, and the planner's figures renewed; records
        that have no month of their own are reported. On SQLite the planner's
        figures are renewed and the write-ahead log is emptied.

        Any number of processes may call it at once. On PostgreSQL one works, the
        others say that it does; on SQLite each does what is still due.

        Args:

            history: Give months of their own to records that are older than the
                first one, up to 25 years back. Writers wait meanwhile.

            on_progress: Called with a few words before each piece of work that
                may take long; by `amaintain` in its thread.

        Returns:

            What was done. Its ``findings`` say what wants a decision, with the
            command for it; its ``ok`` whether there are none.

        Raises:

            SchemaError: The tables are missing or of another version.

            RepositoryError: The database can't be reached, or the role does not
                own the tables.
        """
        from ..reaching import reached
        from .maintain import maintain

        engine = self._at_coordinator()
        with reached(engine.url):
            today = datetime.now(UTC).date()
            return maintain(engine, today=today, history=history, on_progress=on_progress)

    amaintain = in_thread(maintain)
