"""
What objects hold, read without running any code of theirs.

Attributes of `type` and `object` are taken from these two themselves: a class can
override ``__dict__`` or ``__getattribute__``, and its metaclass ``__mro__``,
``__hash__`` and ``__eq__``, to do anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any, Final


mro = type.__dict__["__mro__"].__get__
"""Return the classes among which attributes of a class are looked up."""

_namespace = type.__dict__["__dict__"].__get__
_MISSING: Final = object()


def vars_of(value: Any) -> dict[str, Any]:
    """Return the instance dict of *value*; empty if it has none."""
    for base in mro(type(value)):
        descriptor = _namespace(base).get("__dict__")
        if type(descriptor) is GetSetDescriptorType or type(descriptor) is MemberDescriptorType:
            found = descriptor.__get__(value)
            return found if type(found) is dict else {}
    return {}


def class_attribute(kind: type, name: str) -> Any:
    """Return an attribute of a class as it stands in the class; `None` if it has none."""
    for base in mro(kind):
        found = _namespace(base).get(name)
        if found is not None:
            return found
    return None


def stored_fields(kind: type, value: Any) -> dict[str, Any] | None:
    """Return the stored fields of a dataclass, attrs or pydantic object; else `None`."""
    names = _declared_fields(kind)
    if names is None:
        return None
    inside = vars_of(value)
    found = {
        name: inside[name] if name in inside else _slot(kind, name, value)
        for name in names
        if type(name) is str
    }
    return {name: stored for name, stored in found.items() if stored is not _MISSING}


def _declared_fields(kind: type) -> Iterable[Any] | None:
    for marker in ("__dataclass_fields__", "__pydantic_fields__"):
        found = class_attribute(kind, marker)
        if type(found) is dict:
            return list(found)
    attributes = class_attribute(kind, "__attrs_attrs__")
    if attributes is None or not issubclass(type(attributes), tuple):
        return None
    return [_name(attribute) for attribute in tuple.__iter__(attributes)]


def _name(attribute: Any) -> Any:
    inside = vars_of(attribute)
    return inside["name"] if "name" in inside else _slot(type(attribute), "name", attribute)


def _slot(kind: type, name: str, value: Any) -> Any:
    descriptor = class_attribute(kind, name)
    if type(descriptor) is not MemberDescriptorType:
        return _MISSING
    try:
        return descriptor.__get__(value, kind)
    except AttributeError:
        return _MISSING
