"""structlog's own ways to log: bound loggers, nested context, coroutines; and jobs in a row."""

from __future__ import annotations

import asyncio
import threading

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import structlog

from structlog.contextvars import bind_contextvars, bound_contextvars, merge_contextvars

from structlog_activity import NIL, acting_as, export_context, import_context, to_uuid

from .conftest import Kit


EXTRA = {"verb": "invoice.paid", "object": "invoice:7"}


def actors(kit: Kit) -> list[Any]:
    return [record.actor_id for record in kit.records]


def test_a_bound_logger_comes_before_the_context_and_the_call_before_both(kit: Kit) -> None:
    log = kit.logger(merge_contextvars)
    bound = log.bind(actor_id="bound", tenant_id="bound", channel="bound")

    with bound_contextvars(actor_id="context", tenant_id="context", org_id="context"):
        bound.info("paid", **EXTRA, actor_id="call")

    record = kit.only
    assert (to_uuid("call"), to_uuid("bound"), to_uuid("context"), "bound") == (
        record.actor_id,
        record.tenant_id,
        record.org_id,
        record.channel,
    )


def test_new_and_unbind_forget_what_was_bound(kit: Kit) -> None:
    log = kit.logger(merge_contextvars).bind(actor_id="ana", **EXTRA)

    log.info("paid")
    log.unbind("actor_id").info("paid")
    log.new(**EXTRA).info("paid")

    assert [to_uuid("ana"), NIL, NIL] == actors(kit)


def test_nested_contexts_restore_each_other(kit: Kit) -> None:
    log = kit.logger(merge_contextvars)
    with bound_contextvars(actor_id="a"):
        with bound_contextvars(actor_id="b"):
            with bound_contextvars(actor_id="c"):
                log.info("paid", **EXTRA)
            log.info("paid", **EXTRA)
        log.info("paid", **EXTRA)
    log.info("paid", **EXTRA)

    assert [*map(to_uuid, "cba"), NIL] == actors(kit)


def test_a_cancelled_coroutine_has_recorded_all_the_same(kit: Kit) -> None:
    """structlog runs the chain in a thread, which nobody can cancel."""
    inside, go_on = threading.Event(), threading.Event()

    def slow(_: Any, __: str, event: Any) -> Any:
        inside.set()
        assert go_on.wait(10)
        return event

    log = structlog.wrap_logger(
        structlog.ReturnLogger(),
        processors=[merge_contextvars, slow, kit.processor, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(0),
    )

    async def main() -> None:
        with acting_as("ana"):
            task = asyncio.create_task(log.ainfo("paid", **EXTRA))
        await asyncio.to_thread(inside.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()

    asyncio.run(main())

    assert [to_uuid("ana")] == actors(kit)


def test_no_job_sees_the_actor_of_the_one_before(kit: Kit) -> None:
    """One thread for all of them; some fail, some bind more, some were queued by nobody."""

    def job(context: dict[str, Any], number: int) -> None:
        with import_context(context):
            kit.logger(merge_contextvars).info("done", **EXTRA, number=number)
            bind_contextvars(actor_id="left over", user_id="left over")
            if number % 3 == 0:
                raise LookupError

    def context_of(number: int) -> dict[str, Any]:
        if number % 4 == 0:
            return export_context()
        with acting_as(f"user-{number}", tenant_id="t"):
            return export_context()

    with ThreadPoolExecutor(1) as pool:
        futures = [pool.submit(job, context_of(number), number) for number in range(60)]
    failed = [number for number, future in enumerate(futures) if future.exception()]

    assert list(range(0, 60, 3)) == failed
    assert [to_uuid(f"user-{n}") if n % 4 else NIL for n in range(60)] == actors(kit)
    assert {NIL} == {record.user_id for record in kit.records}
