"""Who acts: `acting_as`, `carry`, `export_context` and `import_context`."""

from __future__ import annotations

import asyncio
import inspect
import json

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Thread
from typing import Any
from uuid import UUID

import pytest

from structlog.contextvars import (
    bind_contextvars,
    bound_contextvars,
    get_contextvars,
    merge_contextvars,
)

from structlog_activity import (
    NIL,
    InvalidRecordError,
    acting_as,
    carry,
    export_context,
    import_context,
    to_uuid,
)

from .conftest import Kit


def record_who(kit: Kit, **more: Any) -> None:
    kit.logger(merge_contextvars).info("x", verb="a.b", object="a:1", **more)


def test_within_the_block_the_actor_acts(kit: Kit) -> None:
    with acting_as("worker", tenant_id="t", request_id="r"):
        record_who(kit)
    record_who(kit)

    inside, outside = kit.records
    assert (to_uuid("worker"), to_uuid("t"), "r") == (
        inside.actor_id,
        inside.tenant_id,
        inside.data["request_id"],
    )
    assert (NIL, NIL) == (outside.actor_id, outside.tenant_id)


def test_blocks_nest_and_restore() -> None:
    with acting_as("a", tenant_id="t", channel="outer"):
        with acting_as("b", channel="inner", ip="10.0.0.1"):
            assert {
                "actor_id": "b",
                "tenant_id": "t",
                "channel": "inner",
                "ip": "10.0.0.1",
            } == get_contextvars()

        assert {"actor_id": "a", "tenant_id": "t", "channel": "outer"} == get_contextvars()

    assert {} == get_contextvars()


def test_an_exception_restores_too() -> None:
    bind_contextvars(actor_id="before")

    with pytest.raises(LookupError), acting_as("a"):
        raise LookupError

    assert {"actor_id": "before"} == get_contextvars()


def test_it_works_as_a_decorator_each_time(kit: Kit) -> None:
    @acting_as("worker", tenant_id="t")
    def job(number: int) -> int:
        record_who(kit, number=number)
        return number

    assert [1, 2] == [job(1), job(2)]
    assert [to_uuid("worker")] * 2 == [record.actor_id for record in kit.records]
    assert {} == get_contextvars()


def test_as_a_decorator_it_binds_for_all_of_a_coroutine_and_for_nobody_else(kit: Kit) -> None:
    begun = asyncio.Event()

    @acting_as("worker", tenant_id=lambda: "t")
    async def job(number: int) -> int:
        record_who(kit, number=number)
        begun.set()
        await asyncio.sleep(0)
        record_who(kit, number=number)
        return number

    async def other() -> None:
        await begun.wait()
        record_who(kit, number=0)

    async def both() -> None:
        await asyncio.gather(job(1), other(), job(2))
        assert 3 == await job(3)
        assert {} == get_contextvars()

    asyncio.run(both())

    assert inspect.iscoroutinefunction(job)
    who = [(r.data["number"], r.actor_id, r.tenant_id) for r in kit.records]
    expected = (to_uuid("worker"), to_uuid("t"))
    assert sorted(who) == sorted([(0, NIL, NIL), *((n, *expected) for n in (1, 2, 3, 1, 2, 3))])


def test_a_generator_function_is_refused_for_it_runs_in_the_context_of_its_caller() -> None:
    def numbers() -> Iterator[int]:
        yield 1

    async def later() -> AsyncIterator[int]:
        yield 1

    for function in (numbers, later):
        with pytest.raises(TypeError, match=f"{function.__qualname__}: .* with block inside it"):
            acting_as("worker")(function)


@pytest.mark.parametrize("nobody", [None, ""])
def test_acting_as_nobody_is_refused(nobody: Any) -> None:
    with pytest.raises(InvalidRecordError, match="actor_id"), acting_as(nobody):
        pytest.fail("the block must not run")


@pytest.mark.parametrize("actor", ["u", 5, UUID(int=5), 0])
def test_an_actor_may_be_anything_that_is_an_id(kit: Kit, actor: Any) -> None:
    with acting_as(actor):
        record_who(kit)

    assert to_uuid(actor) == kit.only.actor_id


def test_the_handler_sees_the_actor_too(kit: Kit) -> None:
    with acting_as("worker"):
        kit.stdlib().info("x", extra={"verb": "a.b", "object": "a:1", "actor_id": "extra"})

    assert to_uuid("worker") == kit.only.actor_id


def test_tasks_do_not_see_each_others_actor(kit: Kit) -> None:
    """Many tasks that hand over to each other at every step."""

    async def task(number: int) -> None:
        with acting_as(number, tenant_id=number):
            for _ in range(5):
                await asyncio.sleep(0)
                record_who(kit, number=number)
                with acting_as(f"deep{number}"):
                    await asyncio.sleep(0)
                    record_who(kit, number=f"deep{number}")

    async def main() -> None:
        await asyncio.gather(*(task(number) for number in range(20)))
        assert {} == get_contextvars()

    asyncio.run(main())

    assert 200 == len(kit.records)
    assert [to_uuid(record.data["number"]) for record in kit.records] == [
        record.actor_id for record in kit.records
    ]


def test_a_task_that_is_started_within_the_block_keeps_the_actor() -> None:
    async def job() -> Any:
        await asyncio.sleep(0)
        return get_contextvars().get("actor_id")

    async def main() -> Any:
        with acting_as("starter"):
            task = asyncio.create_task(job())
        return await task

    assert "starter" == asyncio.run(main())


def test_another_thread_does_not_see_the_actor() -> None:
    seen: list[dict[str, Any]] = []

    with acting_as("worker"):
        thread = Thread(target=lambda: seen.append(get_contextvars()))
        thread.start()
        thread.join()

    assert [{}] == seen


def test_carry_takes_the_context_into_a_pool(kit: Kit) -> None:
    with ThreadPoolExecutor(4) as pool:
        futures = []
        for number in range(40):
            with acting_as(number, tenant_id="t"):
                futures.append(pool.submit(carry(record_who), kit, number=number))
        for future in futures:
            future.result()

    assert 40 == len(kit.records)
    for record in kit.records:
        assert (to_uuid(record.data["number"]), to_uuid("t")) == (record.actor_id, record.tenant_id)


def test_without_carry_a_pool_records_no_actor_rather_than_a_wrong_one(kit: Kit) -> None:
    """The thread served somebody else just before."""
    with ThreadPoolExecutor(1) as pool:
        with acting_as("alice"):
            pool.submit(carry(record_who), kit).result()
        with acting_as("bob"):
            pool.submit(record_who, kit).result()

    assert [to_uuid("alice"), NIL] == [record.actor_id for record in kit.records]


def test_carry_takes_the_context_into_a_coroutine_of_another_thread(kit: Kit) -> None:
    async def work(number: int) -> None:
        await asyncio.sleep(0)
        record_who(kit, number=number)

    with ThreadPoolExecutor() as pool:
        with acting_as("ann"):
            carried = carry(work)
        pool.submit(lambda: asyncio.run(carried(1))).result()

    assert to_uuid("ann") == kit.only.actor_id


def test_carry_refuses_a_generator_function_however_it_is_wrapped() -> None:
    def numbers(first: int) -> Iterator[int]:
        yield first

    for function in (numbers, partial(numbers, 1)):
        with pytest.raises(TypeError, match="generator"):
            carry(function)


def test_carry_restores_the_threads_own_context() -> None:
    def within() -> tuple[dict[str, Any], dict[str, Any]]:
        bind_contextvars(own="o")
        inside = carried()
        return inside, get_contextvars()

    with acting_as("worker"):
        carried = carry(get_contextvars)
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(within).result()

    assert ({"actor_id": "worker"}, {"own": "o"}) == found


def test_carry_restores_after_an_exception() -> None:
    def fail() -> None:
        bind_contextvars(leaked=True)
        raise LookupError

    with acting_as("worker"):
        carried = carry(fail)
    bind_contextvars(own="o")

    with pytest.raises(LookupError):
        carried()

    assert {"own": "o"} == get_contextvars()


def test_carry_keeps_what_was_bound_when_it_was_called() -> None:
    with acting_as("first"):
        carried = carry(get_contextvars)
    with acting_as("second", channel="c"):
        assert {"actor_id": "first"} == carried()


def test_carry_hands_on_arguments_result_and_name() -> None:
    def work(a: int, *, b: int) -> int:
        """Add."""
        return a + b

    carried = carry(work)

    assert 3 == carried(1, b=2)
    assert ("work", "Add.") == (carried.__name__, carried.__doc__)


def test_export_is_an_allow_list() -> None:
    bound = {
        "actor_id": UUID(int=1),
        "user_id": 5,
        "tenant_id": "t",
        "org_id": "o",
        "channel": "c",
        "ip": "10.0.0.1",
        "impersonator_id": "admin",
        "request_id": "r",
        "correlation_id": "cc",
    }
    secrets = {"password": "hunter2", "session": object(), "region": "eu", "verb": "a.b"}

    with bound_contextvars(**bound, **secrets):
        exported = export_context()

    assert {**bound, "actor_id": str(UUID(int=1))} == exported
    assert exported == json.loads(json.dumps(exported))


def test_export_leaves_out_what_is_not_plain() -> None:
    with bound_contextvars(actor_id=object(), tenant_id=["t"], ip=None, user_id="u"):
        assert {"user_id": "u"} == export_context()


def test_export_of_nothing_is_empty() -> None:
    assert {} == export_context()


def test_import_hides_what_was_bound_and_restores_it() -> None:
    """The job before may have left its own actor behind."""
    bind_contextvars(actor_id="before", tenant_id="before", region="eu")

    with import_context({"actor_id": "u", "request_id": "r"}):
        assert {"actor_id": "u", "request_id": "r"} == get_contextvars()

    assert {"actor_id": "before", "tenant_id": "before", "region": "eu"} == get_contextvars()


def test_import_of_nothing_hides_all() -> None:
    bind_contextvars(actor_id="before")

    with import_context({}):
        assert {} == get_contextvars()


def test_import_ignores_keys_that_export_does_not_hand_on() -> None:
    with import_context({"actor_id": "u", "region": "eu", "verb": "a.b"}):
        assert {"actor_id": "u"} == get_contextvars()


def test_import_restores_after_an_exception() -> None:
    bind_contextvars(actor_id="before")

    with pytest.raises(LookupError), import_context({"actor_id": "u"}):
        bind_contextvars(leaked=True)
        raise LookupError

    assert {"actor_id": "before"} == get_contextvars()


def test_what_is_exported_records_the_same_actor_elsewhere(kit: Kit) -> None:
    with acting_as(UUID(int=1), tenant_id=42, ip="10.0.0.1"):
        record_who(kit)
        sent = json.dumps(export_context())
    with import_context(json.loads(sent)):
        record_who(kit)

    here, there = kit.records
    assert (here.actor_id, here.tenant_id, here.ip) == (there.actor_id, there.tenant_id, there.ip)


def test_no_room_imports_contextvars() -> None:
    """The package owns no ambient state; structlog's API is all it uses."""
    import ast

    from pathlib import Path

    import structlog_activity

    for path in Path(structlog_activity.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            assert "contextvars" not in names, path
