"""
What objects hold is read past anything that they override.
"""

from __future__ import annotations

from typing import Any

from structlog_activity.record.introspection import class_attribute, mro, stored_fields, vars_of
from tests.record.hostile import HOSTILE, foreign, hostile_class, lying_instance


class Ordinary:
    shared = "class"

    def __init__(self) -> None:
        self.own = 1


def test_the_instance_dict_is_found() -> None:
    assert vars_of(Ordinary()) == {"own": 1}


def test_a_property_in_its_place_is_passed_over() -> None:
    value = type("Lying", (Ordinary,), {"__dict__": property(foreign)})()

    assert vars_of(value) == {"own": 1}


def test_what_has_no_dict_has_nothing() -> None:
    assert vars_of(object()) == {}
    assert vars_of(Ordinary) == {}


def test_an_attribute_of_a_base_class_is_found() -> None:
    class Child(Ordinary):
        pass

    assert class_attribute(Child, "shared") == "class"
    assert class_attribute(Child, "other") is None


def test_an_attribute_is_not_computed() -> None:
    kind = hostile_class(object, shared=property(foreign))

    assert property is type(class_attribute(kind, "shared"))


def test_a_metaclass_is_not_asked() -> None:
    kind = type(lying_instance())

    assert [id(kind), id(object)] == [id(base) for base in mro(kind)]
    assert class_attribute(kind, "__module__") == "their.code"


def test_an_object_without_declared_fields_has_none() -> None:
    assert stored_fields(Ordinary, Ordinary()) is None


def test_a_mark_that_is_not_what_it_should_be_declares_nothing() -> None:
    for mark in ("__dataclass_fields__", "__pydantic_fields__", "__attrs_attrs__"):
        kind = type("Odd", (Ordinary,), {mark: ["own"]})

        assert stored_fields(kind, kind()) is None


def test_no_hostile_value_is_asked() -> None:
    for make in HOSTILE.values():
        value: Any = make()
        vars_of(value)
        stored_fields(type(value), value)
