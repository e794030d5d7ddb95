"""
The ``object=`` of a log call, in all its forms, as (type, id).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from ..errors import InvalidRecordError
from .plain import vars_of


ObjectPair: TypeAlias = "tuple[Any, Any]"
"""Type and id, both as the caller gave them."""

_FORMS = '"type:id", "type", ("type", id), {"type": ..., "id": ...}'
_PAIR = 2
_registered: dict[type, Callable[[Any], Any]] = {}


def register_object(kind: type, describe: Callable[[Any], Any]) -> None:
    """
    Say how instances of a class are named as the object of an activity.

    Afterwards ``log.info("paid", verb="invoice.paid", object=invoice)`` works
    for *kind* and its subclasses.

    Args:

        kind: The class.

        describe: Takes an instance, returns any other form of ``object=``, for
            example ``("invoice", 42)``. It runs in the thread of the log call.

    Raises:

        TypeError: *kind* is no class, or *describe* can't be called.

    .. versionadded:: 0.1.0
    """
    if not isinstance(kind, type):
        raise TypeError(f"register_object needs a class, not {type(kind).__name__}")
    if not callable(describe):
        raise TypeError(f"register_object needs a callable, not {type(describe).__name__}")
    _registered[kind] = describe


def split_object(value: Any) -> ObjectPair:
    """
    Return type and id of an object in any of its forms.

    Raises:

        InvalidRecordError: It has none of the forms, or its describing function
            failed.
    """
    pair = _plain_form(value) or _plain_form(_described(value))
    if pair is None:
        raise InvalidRecordError("object", f"{_FORMS} or a registered class is needed")
    return pair


def _plain_form(value: Any) -> ObjectPair | None:
    kind = type(value)
    if issubclass(kind, str):
        type_, _, id_ = str.__str__(value).partition(":")
        return type_, id_
    if issubclass(kind, tuple | list):
        return tuple(value) if len(value) == _PAIR else None
    if kind is dict:
        return (value.get("type"), value.get("id")) if value.get("type") else None
    return None


def _described(value: Any) -> Any:
    kind = type(value)
    try:
        for base in kind.__mro__:
            if base in _registered:
                return _registered[base](value)
        if getattr(kind, "__activity_object__", None) is not None:
            return kind.__activity_object__(value)
        if getattr(kind, "__mapper__", None) is not None:
            return _mapped(kind, value)
    except Exception as error:
        raise InvalidRecordError("object", f"{kind.__name__} can't be described") from error
    return None


def _mapped(kind: Any, value: Any) -> ObjectPair:
    """Read table and primary key of a SQLAlchemy instance without loading anything."""
    mapper = kind.__mapper__
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


def object_fields(value: Any) -> Mapping[str, Any]:
    """Return ``object_type`` and ``object_id`` of ``object=``; empty where it is `None`."""
    if value is None:
        return {}
    type_, id_ = split_object(value)
    return {"object_type": type_, "object_id": id_}
