"""
Who acts, bound where structlog binds it: in `structlog.contextvars`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeVar
from uuid import UUID

from structlog.contextvars import (
    bind_contextvars,
    bound_contextvars,
    clear_contextvars,
    get_contextvars,
)

from ..errors import InvalidRecordError
from ..record.actor import ActorContext
from .block import Block
from .lazy import made_lazy, resolved


_F = TypeVar("_F", bound=Callable[..., Any])

EXPORTED: Final = (
    "actor_id",
    "user_id",
    "tenant_id",
    "org_id",
    "channel",
    "ip",
    "impersonator_id",
    "request_id",
    "correlation_id",
)
"""What `export_context` hands on; anything else that is bound stays here."""

_OF_ACTOR: Final = ("actor_id", "tenant_id", "org_id", "impersonator_id", "role")


def acting_as(actor_id: Any, /, **context: Any) -> Block:
    """
    Bind who acts, for log lines and records alike, until the block ends.

    Outer values that are not given stay bound; all of them are back afterwards.
    Works as a decorator too, of functions and coroutine functions.

    Args:

        actor_id: Anything that `to_uuid` reads, a function that returns it when
            it is needed, or an `ActorContext`, whose tenant, organisation, role
            and impersonator are bound as well.

        context: Anything else to bind: ``tenant_id``, ``user_id``, ``org_id``,
            ``impersonator_id``, ``ip``, ``channel``, ``request_id``, ...

    Raises:

        InvalidRecordError: *actor_id* is `None` or empty: a block that acts as
            nobody would pass for the outer actor's.

        TypeError: It decorates a generator function, whose caller would act
            likewise between two values.

    .. versionadded:: 0.1.0
    """
    return Block(lambda: _acting_as(actor_id, context))


@contextmanager
def _acting_as(actor_id: Any, context: Mapping[str, Any]) -> Iterator[None]:
    who = bindable(actor_id if isinstance(actor_id, ActorContext) else {"actor_id": actor_id})
    if who.get("actor_id", "") == "":
        raise InvalidRecordError("actor_id", "acting_as needs one")
    with bound_contextvars(**{**who, **made_lazy(context)}):
        yield


def bindable(who: Mapping[str, Any] | ActorContext | None) -> dict[str, Any]:
    """Return what is to be bound of what somebody said about who acts."""
    if isinstance(who, ActorContext):
        values = {key: getattr(who, key) for key in _OF_ACTOR}
        return {key: value for key, value in values.items() if value not in (None, "")}
    return made_lazy({key: value for key, value in (who or {}).items() if value is not None})


def resolve_bound() -> None:
    """Work out every lazy value that is bound now, where that is allowed later no more."""
    resolved(get_contextvars())


def carry(function: _F, /) -> _F:
    """
    Return *function* such that it runs in the context that is bound now.

    For thread pools and threads, which start with an empty context:
    ``pool.submit(carry(work), item)``. What is bound by `lazy` is worked out
    now; what *function* binds is gone when it returns.

    Args:

        function: Any function or coroutine function; tasks of one's own loop have
            the context already.

    Raises:

        TypeError: It is a generator function, whose caller would run in the
            context between two values.

    .. versionadded:: 0.1.0
    """
    values = resolved(get_contextvars())  # The request may be over when it runs.
    return Block(lambda: only_context(values))(function)


def export_context() -> dict[str, Any]:
    """
    Return who acts as a small dict of texts and ints, to be sent along with a job.

    It holds ``actor_id``, ``user_id``, ``tenant_id``, ``org_id``, ``channel``,
    ``ip``, ``impersonator_id``, ``request_id`` and ``correlation_id`` as far
    as they are bound, and nothing else: bound secrets don't travel.

    .. versionadded:: 0.1.0
    """
    bound = resolved(get_contextvars())
    return {
        key: str(value) if isinstance(value, UUID) else value
        for key in EXPORTED
        if isinstance(value := bound.get(key), str | int | UUID)
    }


@contextmanager
def import_context(context: Mapping[str, Any], /) -> Iterator[None]:
    """
    Run a job in the context that `export_context` gave, and in nothing else.

    Whatever was bound before, say by the job before this one, is hidden within
    the block and back after it. Keys that `export_context` doesn't hand on are
    ignored.

    Args:

        context: What it returned, in the process that sent the job.

    .. versionadded:: 0.1.0
    """
    with only_context({key: context[key] for key in EXPORTED if key in context}):
        yield


@contextmanager
def only_context(values: Mapping[str, Any]) -> Iterator[None]:
    """Bind *values* and nothing else until the block ends, then what was bound before."""
    before = get_contextvars()
    replace_context(values)
    try:
        yield
    finally:
        replace_context(before)


def replace_context(values: Mapping[str, Any]) -> None:
    """Bind *values*, and nothing of what was bound before."""
    clear_contextvars()
    bind_contextvars(**values)
