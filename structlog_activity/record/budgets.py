"""
What one record may hold.
"""

from __future__ import annotations

from typing import Final


MAX_DEPTH: Final = 8
MAX_ITEMS: Final = 256
MAX_NODES: Final = 2_000
MAX_STRING: Final = 8_192
MAX_TOTAL: Final = 65_536
MAX_KEY: Final = 256
MAX_BYTES: Final = 3_072

INT64: Final = 1 << 63
"""Ints from minus this up to this, exclusive, are stored as ints."""

EXACT: Final = 1e16
"""Floats between minus this and this are stored as floats; beyond, jsonb has ints."""
