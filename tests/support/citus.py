"""
The scripts for Citus, and what they say of each table.
"""

from __future__ import annotations

import re

from pathlib import Path
from typing import Final


VARIABLE: Final = "STRUCTLOG_ACTIVITY_TEST_CITUS_URL"
"""Names an empty database of a coordinator, with the extension and two workers, for a superuser."""

_FOLDER: Final = Path(__file__).parents[2] / "migrations" / "citus"
DISTRIBUTE: Final = (_FOLDER / "distribute.sql").read_text()
READERS: Final = (_FOLDER / "readers.sql").read_text()

DISTRIBUTED: Final = dict(re.findall(r"create_distributed_table\(\s*'(\w+)', '(\w+)'", DISTRIBUTE))
"""The tables that are spread, each by a column."""

REFERENCED: Final = set(re.findall(r"create_reference_table\('(\w+)'", DISTRIBUTE))
"""The tables that every node has."""

LOCAL: Final = set(re.findall(r"citus_add_local_table_to_metadata\('(\w+)'", DISTRIBUTE))
"""The tables that the coordinator alone has."""
