"""
What commands ask of a database before they use it.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import RepositoryError
from ..log import ActivityLog


def require_file(activity: ActivityLog) -> None:
    """
    Make sure that the file of a SQLite log is there.

    SQLite would make an empty one, which is not what a reader wants.

    Raises:

        RepositoryError: It isn't.
    """
    database = activity.engine.url.database
    if activity.engine.dialect.name != "sqlite" or not database or database.startswith("file:"):
        return
    if not Path(database).exists():
        raise RepositoryError(
            f"there is no file {database}: is --url right, or $STRUCTLOG_ACTIVITY_URL, "
            "or the current folder?"
        )
