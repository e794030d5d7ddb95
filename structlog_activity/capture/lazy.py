"""
Values that are not known yet when they are bound, such as the user of a request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import get_ident
from typing import Any, Final

from .faults import count_fault


class _Nothing:
    """The type of `NOTHING`."""


NOTHING: Final = _Nothing()
"""What a lazy value is as long as its function returns `None`."""


class LazyValue:
    """
    A value that is worked out when it is first needed, and then kept.

    Needed it is by a record, and by a renderer that prints it: both in the
    thread of the log call, never in the writer's. The function is asked again
    as long as it returns `None` or fails: who asks may be known later than the
    first log line. What it raises is counted, and never reaches the log call.

    Args:

        function: Returns the value, or `None` as long as there is none.
    """

    __slots__ = ("_asking", "_function", "_value")

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self._value: Any = NOTHING
        self._asking: set[int] = set()

    def resolve(self, name: str = "value") -> Any:
        """
        Return the value; `NOTHING` if there is none yet, `None` if that can't be told.

        Args:

            name: The key it is bound to, for the count of faults.
        """
        value = self._value
        if value is NOTHING:
            value = self._asked(name)
            if value is not None:
                self._value = value
        return value

    def _asked(self, name: str) -> Any:
        me = get_ident()
        if me in self._asking:  # The function logs; its own value it can't have yet.
            return None
        self._asking.add(me)
        try:
            value = self._function()
        except Exception as error:  # noqa: BLE001  No actor rather than no log line.
            kind = type(error).__name__
            count_fault(name, f"the lazy {name} failed with {kind}: a record goes without it")
            return None
        finally:
            self._asking.discard(me)
        return NOTHING if value is None else value

    def __structlog__(self) -> Any:
        """Return the value for structlog's JSON renderer."""
        value = self.resolve()
        return None if value is NOTHING else value

    def __repr__(self) -> str:
        return repr(self.__structlog__())

    def __str__(self) -> str:
        return str(self.__structlog__())


def lazy(function: Callable[[], Any], /) -> Any:
    """
    Return a value for ``bind_contextvars`` that is worked out when it is needed.

    The first record or printed line that needs it asks *function*, in its own
    thread; the answer is kept for everything that is logged in this context. As
    long as the answer is `None`, it is asked again. Errors are counted (under
    ``faults.`` in `ActivityLog.counters`) and leave the record without the
    value. `acting_as` and the middlewares do the same for any function they
    are given as a value::

        bind_contextvars(actor_id=lazy(lambda: request.user.pk))

    Args:

        function: Takes nothing, returns the value, or `None` as long as there is
            none.

    Returns:

        What is bound in the value's place; structlog's renderers print the
        value.

    .. versionadded:: 0.1.0
    """
    return LazyValue(function)


def made_lazy(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return *values* with every function among them made a lazy value."""
    return {
        key: LazyValue(value) if callable(value) and type(value) is not LazyValue else value
        for key, value in values.items()
    }


def has_lazy(values: Mapping[Any, Any]) -> bool:
    """Tell whether there is a lazy value among *values*."""
    return any(type(value) is LazyValue for value in values.values())


def resolved(values: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return *values* with the lazy ones worked out, and those without a value left out."""
    found = {
        key: value.resolve(str(key)) if type(value) is LazyValue else value
        for key, value in values.items()
    }
    return {key: value for key, value in found.items() if value is not NOTHING}
