"""
Rules that give a verb to log calls of packages which know nothing of verbs.
"""

from __future__ import annotations

import fnmatch
import re

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from logging import LogRecord
from typing import Any, Final, TypeAlias
from uuid import UUID

from .faults import count_fault
from .keys import EVENT, ActivityKeys
from .logrecord import message_of


Pattern: TypeAlias = "Callable[[str], Any]"

_PLACEHOLDER = re.compile(r"\{([\w.-]+)\}", re.ASCII)
_TEXTS: Final = (str, int, UUID)
_MOST_NAMES: Final = 4096
_LONGEST: Final = 8_192  # characters of a text that is looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingRule:
    """
    Say which log calls without a verb are an activity, and which one.

    A rule fits a call if all its patterns do. Patterns are those of file names:
    ``*`` is any text, ``?`` any character, ``[...]`` one of those; case counts.
    *object* and *fields* may name keys of the call in braces,
    ``"task:{task_id}"``; the arguments of a stdlib message count too, by name or
    by number.

    Attributes:

        verb: What was done.

        object: To what, ``"type:id"``. A rule whose braces name a key that the
            call does not have does not fit.

        logger: Pattern of the logger's name.

        event: Pattern of the text of the call, for the standard library with
            its arguments put in.

        keys: Patterns of values by key; numbers are compared as text.

        fields: Further keys to set where the call does not have them, for
            example ``{"channel": "auth", "actor_id": "{username}"}``.

    Raises:

        ValueError: There is no pattern at all, or something is no text.

    .. versionadded:: 0.1.0
    """

    verb: str
    object: str
    logger: str | None = None
    event: str | None = None
    keys: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.logger is None and self.event is None and not self.keys:
            raise ValueError(f"MappingRule({self.verb!r}): say logger=, event= or keys=")
        texts = (self.verb, self.object, *self.keys.values(), *self.fields.values())
        for text in (*texts, *(t for t in (self.logger, self.event) if t is not None)):
            if not isinstance(text, str) or not text.strip():
                raise ValueError(f"MappingRule({self.verb!r}): {text!r}: text is needed")


class ActivityMapper:
    """
    Give calls without a verb the one that a rule says; the first rule that fits counts.

    It is a structlog processor, to stand just before `ActivityLog.processor`,
    and a `logging` filter, for the handler: `ActivityLog.configure` puts it in
    both places. Calls that have a verb pass untouched.

    Args:

        rules: `MappingRule`, or mappings with their attributes, as
            configuration files have them.

        keys: Those of the log, which say under which keys verb and object are
            set, and which calls have a verb; default are those of `ActivityKeys`.

    Raises:

        ValueError: A rule makes no sense.

        TypeError: A rule has an attribute that there is not.

    .. versionadded:: 0.1.0
    """

    def __init__(
        self,
        rules: Iterable[MappingRule | Mapping[str, Any]],
        *,
        keys: ActivityKeys | None = None,
    ) -> None:
        keys = keys or ActivityKeys()
        made = [rule if isinstance(rule, MappingRule) else MappingRule(**rule) for rule in rules]
        self._rules = tuple(_Compiled(rule, keys) for rule in made)
        self._verbs = keys.verb
        self._by_logger: dict[str, tuple[_Compiled, ...]] = {}

    def __call__(self, logger: Any, method_name: str, event_dict: Any) -> Any:
        """Return *event_dict*, with a verb if a rule fits it."""
        try:
            if type(event_dict) is dict and not self._has_verb(event_dict):
                name = getattr(logger, "name", None) or event_dict.get("logger")
                rules = self._rules_of(name)
                if rules:
                    event_dict.update(_found(rules, event_dict))
        except Exception as error:  # noqa: BLE001  A rule must not break a log call.
            _failed(error)
        return event_dict

    def filter(self, record: LogRecord) -> bool:
        """Give *record* a verb if a rule fits it; let everything pass."""
        try:
            rules = () if self._has_verb(record.__dict__) else self._rules_of(record.name)
            if rules:
                event = _event_of(record)
                if not self._has_verb(event):
                    record.__dict__.update(_found(rules, event))
        except Exception as error:  # noqa: BLE001  As above.
            _failed(error)
        return True

    def _has_verb(self, event: Mapping[Any, Any]) -> bool:
        return any(verb in event for verb in self._verbs)

    def _rules_of(self, name: Any) -> tuple[_Compiled, ...]:
        name = name if type(name) is str else ""
        rules = self._by_logger.get(name)
        if rules is None:
            rules = tuple(rule for rule in self._rules if rule.fits_logger(name))
            if len(self._by_logger) < _MOST_NAMES:
                self._by_logger[name] = rules
        return rules


class _Compiled:
    """A rule with its patterns compiled."""

    __slots__ = (
        "_event", "_fields", "_keys", "_logger", "_object", "_object_key", "_verb", "_verb_key",
    )  # fmt: skip

    def __init__(self, rule: MappingRule, keys: ActivityKeys) -> None:
        self._verb_key, self._object_key = keys.verb[0], keys.object[0]
        self._verb = rule.verb
        self._object = rule.object
        self._logger = _pattern(rule.logger)
        self._event = _pattern(rule.event)
        self._keys = {key: _pattern(value) for key, value in rule.keys.items()}
        self._fields = dict(rule.fields)

    def fits_logger(self, name: str) -> bool:
        return self._logger is None or self._logger(name) is not None

    def apply(self, event: Mapping[Any, Any]) -> dict[str, str] | None:
        """Return what is to be set; `None` if the rule does not fit."""
        if not _fits(self._event, event.get(EVENT)):
            return None
        if not all(_fits(pattern, event.get(key)) for key, pattern in self._keys.items()):
            return None
        object_ = _filled(self._object, event)
        if object_ is None:
            return None
        more = {
            key: text
            for key, template in self._fields.items()
            if key not in event and (text := _filled(template, event)) is not None
        }
        return {**more, self._verb_key: self._verb, self._object_key: object_}


def _found(rules: Iterable[_Compiled], event: Mapping[Any, Any]) -> dict[str, str]:
    """Return what the first rule that fits sets."""
    for rule in rules:
        found = rule.apply(event)
        if found is not None:
            return found
    return {}


def _pattern(text: str | None) -> Pattern | None:
    return None if text is None else re.compile(fnmatch.translate(text)).match


def _fits(pattern: Pattern | None, value: Any) -> bool:
    if pattern is None:
        return True
    text = _text(value)
    return text is not None and pattern(text) is not None


def _text(value: Any) -> str | None:
    """Return a value as text if that runs no code of its own."""
    return str(value)[:_LONGEST] if type(value) in _TEXTS else None


def _filled(template: str, event: Mapping[Any, Any]) -> str | None:
    """Return *template* with its keys put in; `None` if one of them is not there."""
    values = {key: _text(event.get(key)) for key in _PLACEHOLDER.findall(template)}
    if None in values.values():
        return None
    return _PLACEHOLDER.sub(lambda match: values[match[1]] or "", template)


def _event_of(record: LogRecord) -> Mapping[Any, Any]:
    """Return what a LogRecord tells as an event, the arguments of its message included."""
    args, message = record.args, record.msg
    if type(message) is dict:
        return {**record.__dict__, **message}
    named: Mapping[Any, Any] = {}
    if type(args) is dict:
        named = args
    elif isinstance(args, Sequence):
        named = {str(number): value for number, value in enumerate(args)}
    return {**record.__dict__, **named, EVENT: message_of(record)}


def _failed(error: Exception) -> None:
    count_fault(
        "mapping", f"a mapping rule failed with {type(error).__name__}: a call is no record"
    )
