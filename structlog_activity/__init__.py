"""
Turn structlog and logging calls into an activity and audit log.

Only what a log call needs is loaded with the package. SQLAlchemy and psycopg
follow with the first name that needs them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final


if TYPE_CHECKING:
    from .capture.context import acting_as, carry, export_context, import_context
    from .capture.handler import ActivityAdapter
    from .capture.keys import ActivityKeys
    from .capture.lazy import lazy
    from .capture.mapping import ActivityMapper, MappingRule
    from .capture.middleware import ActivityMiddleware, WSGIActivityMiddleware
    from .capture.processor import ActivityProcessor
    from .errors import (
        AccessDeniedError,
        ActivityError,
        BrokenChainError,
        InvalidCursorError,
        InvalidFilterError,
        InvalidRecordError,
        RepositoryError,
        SchemaError,
    )
    from .findings import Finding
    from .log import ActivityLog
    from .read.counts.stats import stats
    from .read.feeds.feed import feed
    from .read.filter import ActivityFilter
    from .read.page import ActivityPage, ActivityStats
    from .read.policy import AccessPolicy
    from .read.tenants import ALL_TENANTS
    from .record.actor import ActorContext
    from .record.builders import build_record_from_actor, build_record_from_uuid
    from .record.ids import NIL, to_uuid
    from .record.objects import register_object
    from .record.record import ActivityRecord
    from .record.redact import Redactor, unsafe
    from .shared import ActivityHandler, configure
    from .store.maintenance.report import MaintenanceReport
    from .store.seals.recordseal import RecordSeal
    from .write.buffer import BufferedRepository

__version__ = "0.1.0.dev0"

__all__ = [
    "ALL_TENANTS",
    "NIL",
    "AccessDeniedError",
    "AccessPolicy",
    "ActivityAdapter",
    "ActivityError",
    "ActivityFilter",
    "ActivityHandler",
    "ActivityKeys",
    "ActivityLog",
    "ActivityMapper",
    "ActivityMiddleware",
    "ActivityPage",
    "ActivityProcessor",
    "ActivityRecord",
    "ActivityStats",
    "ActorContext",
    "BrokenChainError",
    "BufferedRepository",
    "Finding",
    "InvalidCursorError",
    "InvalidFilterError",
    "InvalidRecordError",
    "MaintenanceReport",
    "MappingRule",
    "RecordSeal",
    "Redactor",
    "RepositoryError",
    "SchemaError",
    "WSGIActivityMiddleware",
    "acting_as",
    "build_record_from_actor",
    "build_record_from_uuid",
    "carry",
    "configure",
    "export_context",
    "feed",
    "import_context",
    "lazy",
    "register_object",
    "stats",
    "to_uuid",
    "unsafe",
]

_MODULES: Final = {
    "capture.context": ("acting_as", "carry", "export_context", "import_context"),
    "capture.handler": ("ActivityAdapter",),
    "capture.keys": ("ActivityKeys",),
    "capture.lazy": ("lazy",),
    "capture.mapping": ("ActivityMapper", "MappingRule"),
    "capture.middleware": ("ActivityMiddleware", "WSGIActivityMiddleware"),
    "capture.processor": ("ActivityProcessor",),
    "errors": (
        "AccessDeniedError",
        "ActivityError",
        "BrokenChainError",
        "InvalidCursorError",
        "InvalidFilterError",
        "InvalidRecordError",
        "RepositoryError",
        "SchemaError",
    ),
    "findings": ("Finding",),
    "log": ("ActivityLog",),
    "read.counts.stats": ("stats",),
    "read.feeds.feed": ("feed",),
    "read.filter": ("ActivityFilter",),
    "read.page": ("ActivityPage", "ActivityStats"),
    "read.policy": ("AccessPolicy",),
    "read.tenants": ("ALL_TENANTS",),
    "record.actor": ("ActorContext",),
    "record.builders": ("build_record_from_actor", "build_record_from_uuid"),
    "record.ids": ("NIL", "to_uuid"),
    "record.objects": ("register_object",),
    "record.record": ("ActivityRecord",),
    "record.redact": ("Redactor", "unsafe"),
    "shared": ("ActivityHandler", "configure"),
    "store.seals.recordseal": ("RecordSeal",),
    "store.maintenance.report": ("MaintenanceReport",),
    "write.buffer": ("BufferedRepository",),
}
_HOME: Final = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    module = _HOME.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{module}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
