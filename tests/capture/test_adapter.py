"""`ActivityAdapter`: bound values beside a call's own ``extra``."""

from __future__ import annotations

import logging

from typing import Any

import pytest

from structlog_activity import ActivityAdapter, to_uuid

from .conftest import Kit


EXTRA = {"verb": "invoice.paid", "object": "invoice:7"}


def test_a_call_keeps_its_own_extra(kit: Kit) -> None:
    """The stdlib's adapter replaces it before Python 3.13, and the verb is lost."""
    adapter = ActivityAdapter(kit.stdlib(), {"actor_id": "u1"})

    adapter.info("paid", extra={**EXTRA, "count": 1})

    assert to_uuid("u1") == kit.only.actor_id
    assert {"event": "paid", "count": 1, "_raw": {"actor_id": "u1"}} == kit.only.data


def test_the_call_wins_over_what_is_bound(kit: Kit) -> None:
    adapter = ActivityAdapter(kit.stdlib(), {"actor_id": "u1", "region": "eu"})

    adapter.info("paid", extra={**EXTRA, "actor_id": "u2", "region": "us"})

    assert (to_uuid("u2"), "us") == (kit.only.actor_id, kit.only.data["region"])


def test_bind_adds_to_what_is_bound_in_a_new_adapter(kit: Kit) -> None:
    adapter = ActivityAdapter(kit.stdlib(), {"actor_id": "u1", "region": "eu"})
    bound = adapter.bind(region="us", tenant_id="t1")

    bound.info("paid", extra={**EXTRA, "n": 1})
    adapter.info("paid", extra={**EXTRA, "n": 2})

    first, second = kit.records
    assert (to_uuid("u1"), to_uuid("t1"), "us") == (
        first.actor_id,
        first.tenant_id,
        first.data["region"],
    )
    assert (to_uuid(None), "eu") == (second.tenant_id, second.data["region"])


def test_everything_may_be_bound(kit: Kit) -> None:
    ActivityAdapter(kit.stdlib(), {}).bind(**EXTRA).warning("paid")

    assert ("invoice.paid", ("invoice", "7")) == (kit.only.verb, kit.only.object)


@pytest.mark.parametrize("extra", [None, {}])
def test_without_anything_bound_it_is_the_logger(kit: Kit, extra: dict[str, Any] | None) -> None:
    adapter = ActivityAdapter(kit.stdlib(), extra)

    adapter.info("paid", extra=EXTRA)
    adapter.info("not an activity")

    assert "invoice.paid" == kit.only.verb


def test_neither_the_calls_extra_nor_the_bound_one_is_changed(kit: Kit) -> None:
    bound, extra = {"actor_id": "u1"}, dict(EXTRA)

    ActivityAdapter(kit.stdlib(), bound).bind(region="eu").info("paid", extra=extra)

    assert ({"actor_id": "u1"}, EXTRA) == (bound, extra)


def test_exception_and_arguments_work_as_ever(kit: Kit) -> None:
    adapter = ActivityAdapter(kit.stdlib(), {"actor_id": "u1"})
    try:
        raise LookupError("nothing there")
    except LookupError:
        adapter.exception("not %s", "paid", extra=EXTRA)

    assert "not paid" == kit.only.data["event"]
    assert {"type": "LookupError", "message": "nothing there"} == kit.only.data["error"]


def test_adapters_stack(kit: Kit) -> None:
    inner = ActivityAdapter(kit.stdlib(), {"actor_id": "inner", "region": "inner"})
    outer: logging.LoggerAdapter[Any] = ActivityAdapter(inner, {"region": "outer"})

    outer.info("paid", extra=EXTRA)

    assert (to_uuid("inner"), "outer") == (kit.only.actor_id, kit.only.data["region"])
