"""
Which values are SQLAlchemy sessions, in whose transaction a record is to be written.
"""

from __future__ import annotations

import sys

from collections.abc import Iterator, MutableMapping
from typing import Any, Final

from ..record.introspection import mro


KEY: Final = "session"
"""The key of a log call that may hold a session; anything else under it is data."""

_KINDS: Final = (
    ("sqlalchemy.orm.session", "Session"),
    ("sqlalchemy.ext.asyncio.session", "AsyncSession"),
    ("sqlalchemy.orm.scoping", "scoped_session"),
    ("sqlalchemy.ext.asyncio.scoping", "async_scoped_session"),
)


def is_session(value: Any) -> bool:
    """
    Tell whether *value* is a session of SQLAlchemy, plain, async or scoped.

    Looks at the classes themselves: where SQLAlchemy's are not loaded nothing
    can be one of them, and no code of *value* is run.
    """
    bases = mro(type(value))
    return any(base is kind for kind in _loaded_kinds() for base in bases)


def take_session(event: MutableMapping[str, Any]) -> Any:
    """
    Return the session in *event* and take it out, lest a renderer prints it; else `None`.

    What is no session stays where it is.
    """
    found = event.get(KEY)
    if found is None or not is_session(found):
        return None
    del event[KEY]
    return found


def plain_session(session: Any) -> Any:
    """Return the plain `Session` that does the work of a session of any kind."""
    if callable(session):  # A scoped one, which gives that of its scope.
        session = session()
    return getattr(session, "sync_session", session)


def _loaded_kinds() -> Iterator[type]:
    for module, name in _KINDS:
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None:
            yield kind
