"""
Claims tell who acts, under the names that tokens use.
"""

from __future__ import annotations

from itertools import pairwise
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest

from structlog_activity.record.actor import ActorContext


SOME = UUID("0199c8a2-7d3f-7b1a-9c4e-1f2a3b4c5d6e")

FAMILIES = {
    "actor_id": ("actor_id", "user_id", "uid", "id", "sub", "subject"),
    "tenant_id": ("tenant_id", "tenant", "default_tenant", "default_tenant_id"),
    "org_id": ("organization_id", "org_id", "org"),
    "impersonator_id": ("impersonator_id", "impersonation_actor_id"),
}
KEYS = [(name, key) for name, keys in FAMILIES.items() for key in keys]
PAIRS = [
    (name, first, second) for name, keys in FAMILIES.items() for first, second in pairwise(keys)
]
SCOPES = [pair for pair in KEYS if pair[0] != "actor_id"]


def test_an_empty_context_has_nothing_set() -> None:
    actual = ActorContext()

    assert actual == ActorContext(
        actor_id="",
        subject="",
        role="",
        resource_roles={},
        tenant_id="",
        org_id="",
        metadata={},
        impersonator_id="",
        is_impersonated=False,
    )


def test_a_context_can_not_be_changed() -> None:
    with pytest.raises(AttributeError):
        ActorContext().role = "admin"  # type: ignore[misc]


def test_empty_claims_are_an_empty_context() -> None:
    assert ActorContext.from_claims({}) == ActorContext()


@pytest.mark.parametrize(("name", "key"), KEYS)
def test_every_key_of_a_family_is_read(name: str, key: str) -> None:
    actual = ActorContext.from_claims({key: " some "})

    assert getattr(actual, name) == "some"


@pytest.mark.parametrize(("name", "first", "second"), PAIRS)
def test_the_first_key_of_a_family_counts(name: str, first: str, second: str) -> None:
    actual = ActorContext.from_claims({second: "second", first: "first"})

    assert getattr(actual, name) == "first"


@pytest.mark.parametrize(("name", "first", "second"), PAIRS)
@pytest.mark.parametrize(
    "value",
    ["", "  ", None, True, 1.5, [], {}, b"x"],
    ids=["empty", "blank", "none", "bool", "float", "list", "dict", "bytes"],
)
def test_a_value_that_is_no_id_is_skipped(name: str, first: str, second: str, value: Any) -> None:
    actual = ActorContext.from_claims({first: value, second: "second"})

    assert getattr(actual, name) == "second"


@pytest.mark.parametrize("value", [7, 0, SOME], ids=["int", "nought", "UUID"])
def test_ids_may_be_numbers_and_uuids(value: Any) -> None:
    actual = ActorContext.from_claims({"user_id": value, "tenant": value})

    assert (actual.actor_id, actual.tenant_id) == (value, value)


@pytest.mark.parametrize(("name", "key"), SCOPES)
def test_scope_and_impersonation_are_read_from_metadata(name: str, key: str) -> None:
    actual = ActorContext.from_claims({"sub": "ada", "metadata": {key: "inner"}})

    assert getattr(actual, name) == "inner"


@pytest.mark.parametrize(("name", "key"), SCOPES)
def test_metadata_goes_before_the_claims_themselves(name: str, key: str) -> None:
    actual = ActorContext.from_claims({key: "outer", "metadata": {key: "inner"}})

    assert getattr(actual, name) == "inner"


def test_the_actor_is_not_read_from_metadata() -> None:
    assert ActorContext.from_claims({"metadata": {"user_id": "ada"}}).actor_id == ""


def test_subject_role_and_roles_are_kept() -> None:
    claims = {"sub": "auth|7", "user_id": "7", "role": " admin ", "resource_roles": {"a": "owner"}}

    actual = ActorContext.from_claims(claims)

    assert (actual.actor_id, actual.subject, actual.role) == ("7", "auth|7", "admin")
    assert actual.resource_roles == {"a": "owner"}


def test_a_subject_is_text() -> None:
    assert ActorContext.from_claims({"sub": 7}).subject == "7"


def test_metadata_and_roles_are_copied() -> None:
    metadata, roles = {"plan": "pro"}, {"a": "owner"}
    actual = ActorContext.from_claims({"metadata": metadata, "resource_roles": roles})
    metadata["plan"] = roles["a"] = "changed"

    assert (actual.metadata, actual.resource_roles) == ({"plan": "pro"}, {"a": "owner"})


@pytest.mark.parametrize("value", [None, "text", 5, ["a"]], ids=["none", "text", "int", "list"])
def test_what_is_no_mapping_is_left_out(value: Any) -> None:
    actual = ActorContext.from_claims({"metadata": value, "resource_roles": value, "role": [value]})

    assert actual == ActorContext()


def test_claims_may_be_any_mapping() -> None:
    claims = MappingProxyType({"sub": "ada", "metadata": MappingProxyType({"org": "acme"})})

    actual = ActorContext.from_claims(claims)

    assert (actual.actor_id, actual.org_id) == ("ada", "acme")


TRUE: tuple[Any, ...] = (True, 1, 2.5, -1, "1", "true", " YES ", "y", "On")
FALSE: tuple[Any, ...] = (False, 0, 0.0, "0", "false", "No", "n", "off")
NEITHER: tuple[Any, ...] = (None, "", "maybe", [], {})


@pytest.mark.parametrize("key", ["impersonated", "is_impersonated"])
@pytest.mark.parametrize(
    ("expected", "value"),
    [(True, value) for value in TRUE] + [(False, value) for value in (*FALSE, *NEITHER)],
    ids=repr,
)
def test_impersonation_is_a_truth_in_many_words(expected: bool, value: Any, key: str) -> None:
    assert ActorContext.from_claims({key: value}).is_impersonated is expected


def test_the_first_truth_that_can_be_read_decides() -> None:
    claims = {"impersonated": "maybe", "is_impersonated": "yes"}
    assert ActorContext.from_claims(claims).is_impersonated

    claims = {"impersonated": "no", "is_impersonated": "yes"}
    assert not ActorContext.from_claims(claims).is_impersonated


def test_who_has_an_impersonator_is_impersonated() -> None:
    assert ActorContext.from_claims({"impersonator_id": "eve"}).is_impersonated
    assert ActorContext.from_claims({"impersonator_id": 0}).is_impersonated
