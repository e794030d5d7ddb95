"""
Events without secrets, for the processors that come after ours.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Final

from ..record.plain import Plainer
from ..record.redact import DROPPED, FAILED, Redactor, Unsafe


_OTHERS: Final = frozenset({"_record", "_from_structlog", "exc_info", "stack_info"})
"""What structlog's own processors look for."""


class EventRedactor:
    """
    Redact an event in place, as its record is redacted.

    Only what holds a secret is replaced. Where that is a dict, a list or an
    object, its place is taken by what is stored of it.

    Args:

        redactor: Replaces what must not be seen.
    """

    __slots__ = ("_bare", "_plainer", "_redactor")

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._plainer = Plainer(redactor)
        self._bare = Plainer(None)

    def redact(self, event: MutableMapping[Any, Any]) -> None:
        """Replace the secrets of *event*."""
        for key, value in list(event.items()):
            if value is None or (type(key) is str and key in _OTHERS):
                continue
            try:
                found = self._found(key, value)
            except Exception:  # noqa: BLE001  Never a secret for an error of ours, nor an error.
                found = FAILED
            if found is DROPPED:
                del event[key]
            elif found is not value:
                event[key] = found

    def _found(self, key: Any, value: Any) -> Any:
        """Return what takes the place of *value*; itself if it holds no secret."""
        kind = type(value)
        if kind is Unsafe:
            return value.value
        name = key if type(key) is str else ""
        if not self._redactor.hides(name):
            if kind is str:
                found = self._redactor.cleaned(name, value)
                return value if found == value else found
            if kind is int or kind is float or kind is bool:
                return value
        clean, bare = self._plainer.mapping({key: value}), self._bare.mapping({key: value})
        return value if clean == bare else next(iter(clean.values()), DROPPED)
