"""
Where the time of an activity call goes: processors that each do one thing more.
"""

from __future__ import annotations

import contextlib
import time

from collections import deque
from collections.abc import Callable
from typing import Any

from structlog_activity.capture.marks import ID
from structlog_activity.record.ids import new_ids
from structlog_activity.record.plain import SCALARS

from .calls import WHO, Ours, bare, bound, flat, logger
from .measuring import Case, Sizes, compare, result
from .results import Result


_waiting: deque[Any] = deque()
_are_scalars = SCALARS.issuperset


def steps(sizes: Sizes) -> list[Result]:
    """Return what a flat activity call costs, one step after the other."""
    with bound(), contextlib.closing(Ours()) as ours:
        cases = {
            "bare": bare(flat),
            "bare again": bare(flat),
            "a processor": _case(_nothing),
            "+ a key in the line": _case(_key),
            "+ a new id there": _case(_id),
            "+ a copy kept": _case(_copy),
            "+ a look at its types": _case(_types),
            "+ verb, object, actor": _case(_snapshot(ours.recorder.snapshot_of)),
            "ours": ours.case(flat),
        }
        return [result("activity call, flat data, step by step", compare(cases, sizes))]


def _case(step: Callable[[Any, str, dict[str, Any]], dict[str, Any]]) -> Case:
    log = logger(step)
    return Case(lambda: flat(log), _waiting.clear)


def _nothing(_logger: Any, _name: str, event: dict[str, Any]) -> dict[str, Any]:
    return event


def _key(_logger: Any, _name: str, event: dict[str, Any]) -> dict[str, Any]:
    event[ID] = WHO["actor_id"]
    return event


def _id(_logger: Any, _name: str, event: dict[str, Any]) -> dict[str, Any]:
    event[ID] = new_ids.next_text(time.time_ns())
    return event


def _copy(_logger: Any, _name: str, event: dict[str, Any]) -> dict[str, Any]:
    ns = time.time_ns()
    id_ = new_ids.next_text(ns)
    _waiting.append((None, id_, ns, event.copy()))
    event[ID] = id_
    return event


def _types(_logger: Any, _name: str, event: dict[str, Any]) -> dict[str, Any]:
    ns = time.time_ns()
    id_ = new_ids.next_text(ns)
    copy = event.copy()
    if _are_scalars(map(type, copy.values())):
        _waiting.append((None, id_, ns, copy))
    event[ID] = id_
    return event


def _snapshot(take: Callable[[dict[str, Any]], Any]) -> Callable[..., dict[str, Any]]:
    def step(_logger: Any, _name: str, event: dict[str, Any]) -> dict[str, Any]:
        snapshot = take(event.copy())
        _waiting.append(snapshot)
        event[ID] = snapshot[1]
        return event

    return step
