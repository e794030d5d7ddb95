"""
The errors of this package, in one tree.

::

    ActivityError
    ├── InvalidRecordError (ValueError)      a record lacks or breaks a field
    ├── InvalidFilterError (ValueError)      a read asks for something that makes no sense
    │   └── InvalidCursorError               a cursor of another feed, or a damaged one
    ├── AccessDeniedError (PermissionError)  a read asks for what its policy does not grant
    ├── RepositoryError                      the database said no, or nothing at all
    │   └── SchemaError                      tables are missing or of another version
    └── BrokenChainError                     the stored log is not what was written

No message holds a password or a value of a record, except the one value that
is being complained about.
"""

from __future__ import annotations

from typing import Any


class ActivityError(Exception):
    """
    Catch every error that this package raises.

    .. versionadded:: 0.1.0
    """


class InvalidRecordError(ActivityError, ValueError):
    """
    Say which field of a record is missing or wrong.

    Attributes:

        field: Name of the offending field, for example ``"verb"``; an activity that
            is not recorded for it is counted as ``rejected.verb``.

        problem: What is wrong with it.

    .. versionadded:: 0.1.0
    """

    def __init__(self, field: str, problem: str) -> None:
        self.field = field
        self.problem = problem
        super().__init__(f"{field}: {problem}")


class InvalidFilterError(ActivityError, ValueError):
    """
    Say which part of a filter can't be read, and the value that was given.

    A filter that can't be understood is refused, it never widens a result.

    Attributes:

        field: Name of the offending argument, for example ``"since"``.

        value: What was given for it.

        problem: What is wrong with it.

    .. versionadded:: 0.1.0
    """

    def __init__(self, field: str, value: Any, problem: str) -> None:
        self.field = field
        self.value = value
        self.problem = problem
        super().__init__(f"{field}={_shown(value):.200}: {problem}")


def _shown(value: Any) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001  An int of more than 4,300 digits, or anybody's code.
        return f"<{type(value).__name__}>"


class InvalidCursorError(InvalidFilterError):
    """
    Refuse a cursor that is damaged or belongs to another filter or tenant.

    .. versionadded:: 0.1.0
    """


class AccessDeniedError(ActivityError, PermissionError):
    """
    Say which part of a read its access policy does not grant.

    The text names no value: who asks for something that isn't theirs learns
    nothing from the answer.

    Attributes:

        field: Name of the offending argument, for example ``"tenant_id"``.

    .. versionadded:: 0.1.0
    """

    def __init__(self, field: str, problem: str) -> None:
        self.field = field
        super().__init__(f"{field}: {problem}")


class RepositoryError(ActivityError):
    """
    The database can't be reached, or it refuses to work.

    The text names the kind of trouble and what to do, never a password or a
    row's values.

    Attributes:

        sqlstate: PostgreSQL's five letters or SQLite's error name, ``""``
            where the driver gave none.

    .. versionadded:: 0.1.0
    """

    def __init__(self, message: str, *, sqlstate: str = "") -> None:
        self.sqlstate = sqlstate
        super().__init__(message)


class SchemaError(RepositoryError):
    """
    The tables are missing, older or newer than this version expects.

    The text names the command that mends it.

    .. versionadded:: 0.1.0
    """


class BrokenChainError(ActivityError):
    """
    The stored records are not those that were sealed.

    Raised by ``raise_if_broken()`` of what `ActivityLog.verify` returns; the text
    names the first finding.

    .. versionadded:: 0.1.0
    """
