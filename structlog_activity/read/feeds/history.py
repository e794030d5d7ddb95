"""
The history of one object: its feed.
"""

from __future__ import annotations

from typing import Any

from ..connect import Bind, on_any_bind
from ..filter import ActivityFilter
from ..page import ActivityPage
from ..policy import AccessPolicy
from .feed import feed


@on_any_bind
def history(
    bind: Bind,
    object: Any,  # noqa: A002  The word of log calls.
    where: ActivityFilter,
    *,
    key: bytes = b"",
    policy: AccessPolicy | None = None,
) -> ActivityPage:
    """
    Return a page of what was done to an object, newest first.

    Args:

        bind: Engine, connection or session of the database.

        object: The object in any form that log calls take: ``"type:id"``,
            ``("type", id)``, an instance of a registered class. Without an id it
            is the object that has none, not all of its type.

        where: Tenant and further conditions, but for the object's.

        key: Secret that signs the cursors.

        policy: What the reader may see; `None`: everything.

    Raises:

        AccessDeniedError: *policy* does not grant it.

        InvalidFilterError: *object* can't be read, or *where* names one too.

        InvalidCursorError: As `feed`.

        RepositoryError: The database can't be read.

    .. versionadded:: 0.1.0
    """
    return feed(bind, where.of_object(object), key=key, policy=policy)
