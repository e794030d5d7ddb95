"""
The pytest fixture `activities`, which pytest finds by itself where this package is installed.

No other module imports pytest. ``-p no:structlog_activity`` leaves the fixture out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest


if TYPE_CHECKING:
    from .testing import CapturedActivities


@pytest.fixture
def activities() -> Iterator[CapturedActivities]:
    """
    Collect what is recorded during the test, and keep it from any database.

    As `structlog_activity.testing.capture_activity`; `assert_recorded` looks at it.
    """
    from .testing import capture_activity  # Not at the start of every run of pytest.

    with capture_activity() as seen:
        yield seen
