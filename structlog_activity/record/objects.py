"""
The ``object=`` of a log call, in all its forms, as (type, id).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from ..errors import InvalidRecordError
from .introspection import class_attribute, mro, vars_of
from .text import type_name


ObjectPair: TypeAlias = "tuple[Any, Any]"
"""Type and id, both as the caller gave them."""

_FORMS = '"type:id", "type", ("type", id), {"type": ..., "id": ...}'
_PAIR = 2
_ONE_TOO_MANY = slice(_PAIR + 1)
# By the id of the class: to look a class up by itself would call its metaclass.
_registered: dict[int, tuple[type, Callable[[Any], Any]]] = {}


def register_object(kind: type, describe: Callable[[Any], Any]) -> None:
    """
    Say how instances of a class are named as the object of an activity.

    Afterwards ``log.info("paid", verb="invoice.paid", object=invoice)`` works
    for *kind* and its subclasses.

    Args:

        kind: The class.

        describe: Takes an instance, returns text, a pair or a mapping, for
            example ``("invoice", 42)``. It runs in the thread of the log call.

    Raises:

        TypeError: *kind* is no class, or *describe* can't be called.

    .. versionadded:: 0.1.0
    """
    if not isinstance(kind, type):
        raise TypeError(f"register_object needs a class, not {type(kind).__name__}")
    if not callable(describe):
        raise TypeError(f"register_object needs a callable, not {type(describe).__name__}")
    _registered[id(kind)] = (kind, describe)


def split_object(value: Any) -> ObjectPair:
    """
    Return type and id of an object in any of its forms.

    Raises:

        InvalidRecordError: It has none of the forms, or its describing function
            failed.
    """
    pair = _plain_form(_described(value))
    if pair is None:
        raise InvalidRecordError(
            "object", f"{_FORMS} or a registered class is needed, not {type_name(value)}"
        )
    return pair


def _plain_form(value: Any) -> ObjectPair | None:
    kind = type(value)
    if issubclass(kind, str):
        type_, _, id_ = str.__str__(value).partition(":")
        return type_, id_
    if issubclass(kind, dict):
        given = dict.get(value, "type")
        return None if given is None else (given, dict.get(value, "id"))
    items: Any = ()
    if issubclass(kind, tuple):
        items = tuple.__getitem__(value, _ONE_TOO_MANY)
    elif issubclass(kind, list):
        items = list.__getitem__(value, _ONE_TOO_MANY)
    return (items[0], items[1]) if len(items) == _PAIR else None


def _described(value: Any) -> Any:
    """Return what is said of *value* by its class; without that, *value*."""
    kind = type(value)
    if kind is str or kind is tuple:
        return value
    try:
        describe = _describer(kind)
        return value if describe is None else describe(value)
    except Exception as error:
        raise InvalidRecordError("object", f"{type_name(value)} can't be described") from error


def _describer(kind: Any) -> Callable[[Any], Any] | None:
    for base in mro(kind):
        if id(base) in _registered:
            return _registered[id(base)][1]
    if class_attribute(kind, "__activity_object__") is not None:
        return kind.__activity_object__  # type: ignore[no-any-return]
    mapper = class_attribute(kind, "__mapper__")
    return None if mapper is None else partial(_mapped, mapper)


def _mapped(mapper: Any, value: Any) -> ObjectPair:
    """Read table and primary key of a SQLAlchemy instance without loading anything."""
    inside = vars_of(value)
    identity = getattr(inside.get("_sa_instance_state"), "key", None)
    if identity is not None:
        keys = list(identity[1])
    else:
        columns = mapper.primary_key
        keys = [inside.get(mapper.get_property_by_column(column).key) for column in columns]
    if len(keys) == 1:
        return mapper.local_table.name, keys[0]
    return mapper.local_table.name, ",".join(str(key) for key in keys if key is not None)
