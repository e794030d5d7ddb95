"""
What commands exit with, and how a mistake of whoever typed them is told.
"""

from __future__ import annotations

from typing import Final

from ..errors import ActivityError


OK: Final = 0

FINDINGS: Final = 1
"""Something is wrong with what was looked at, or nothing could be used of what was read."""

USAGE: Final = 2
"""A mistake in the command line or its input, or a question that was not answered with yes."""

UNREACHABLE: Final = 3
"""The database can't be reached, or refuses."""

SCHEMA: Final = 4
"""The tables are missing or of another version."""

INTERRUPTED: Final = 130
"""As of a program that SIGINT ended."""

BROKEN_PIPE: Final = 141
"""As of a program that SIGPIPE ended."""


class UsageError(ActivityError):
    """Say what is wrong with a command line, or with something that it names."""
