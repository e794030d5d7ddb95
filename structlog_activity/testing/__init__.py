"""
For tests of your own: see what was recorded, without a database.
"""

from __future__ import annotations

from ..read.memory import matches
from .assertions import assert_recorded
from .capturing import CapturedActivities, capture_activity
from .memory import MemoryRepository


__all__ = [
    "CapturedActivities",
    "MemoryRepository",
    "assert_recorded",
    "capture_activity",
    "matches",
]
