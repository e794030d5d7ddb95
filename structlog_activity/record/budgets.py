"""
What one record may hold.
"""

from __future__ import annotations

from typing import Final


# Fields, in characters.
MAX_VERB: Final = 200
MAX_OBJECT_TYPE: Final = 200
MAX_OBJECT_ID: Final = 400
MAX_CHANNEL: Final = 100
MAX_IP: Final = 64
MAX_RAW: Final = 256  # of what is kept of a field that had to be changed

# Data: levels, items of one level, values in all, and characters of text, in all, of keys.
MAX_DEPTH: Final = 8
MAX_ITEMS: Final = 256
MAX_NODES: Final = 2_000
MAX_STRING: Final = 8_192
MAX_TOTAL: Final = 65_536
MAX_KEY: Final = 256
MAX_BYTES: Final = 3_072  # of one value, before they are made text

INT64: Final = 1 << 63
"""Ints from minus this up to this, exclusive, are stored as ints."""

EXACT: Final = 1e16
"""Floats between minus this and this are stored as floats; beyond, jsonb has ints."""
