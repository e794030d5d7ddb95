"""
The rest of the work on a snapshot: the writer's part.
"""

from __future__ import annotations

from typing import Any, Final

from ..record.row import Row
from ..record.rowmaker import RowMaker
from ..record.template import Template, template_for
from .exc_info import add_error
from .keys import KeyMap


_TEMPLATES: Final = 1024
_are_text: Final = frozenset({str}).issuperset


class Finisher:
    """
    Make the rows of snapshots.

    Args:

        key_map: Splits events by their keys.

        rows: Makes the rows.
    """

    __slots__ = ("_key_map", "_rows", "_templates")

    def __init__(self, key_map: KeyMap, rows: RowMaker) -> None:
        self._key_map = key_map
        self._rows = rows
        self._templates: dict[tuple[str, ...], Template | None] = {}

    def finish(self, snapshot: Any) -> Row:
        """Return the row of a snapshot ``(finish, id, ns, event)``."""
        _, text, ns, event = snapshot
        id_ = bytes.fromhex(text.replace("-", ""))
        template = self._template(event)
        row = None if template is None else template.row(event, id_, ns // 1000)
        if row is not None:
            return row
        fields, data = self._key_map.split(event)
        add_error(event, data)
        return self._rows.make(fields, data, id=int.from_bytes(id_, "big"), ns=ns)

    def _template(self, event: dict[str, Any]) -> Template | None:
        """Return what is known of events with these keys; `None` if nothing is that helps."""
        keys = tuple(event)
        if not _are_text(map(type, keys)):
            return None
        try:
            return self._templates[keys]
        except KeyError:
            parts = None if "exception" in keys else self._key_map.places(keys)
            template = None if parts is None else template_for(self._rows, *parts)
        if template is not None:
            if len(self._templates) >= _TEMPLATES:
                self._templates.clear()
            self._templates[keys] = template
        return template
