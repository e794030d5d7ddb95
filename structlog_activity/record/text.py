"""
Text that both databases take and every reader can print.
"""

from __future__ import annotations

import hashlib
import re

from typing import Final


REPLACEMENT: Final = "\ufffd"
"""Stands for what can't be stored: NUL, and surrogates without their partner."""

HASHED_IP: Final = "hmac:"
"""Begins the keyed hash that stands for an address; 32 hex digits follow."""

_HASHED_IP = re.compile(f"{HASHED_IP}[0-9a-f]{{32}}", re.ASCII)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_DIGEST_LENGTH = 16
_LONGEST_NAME = 200
_module_of = type.__dict__["__module__"].__get__
_qualname_of = type.__dict__["__qualname__"].__get__


def storable(text: str) -> str:
    """Return *text* with NUL and lone surrogates replaced, which no database takes."""
    if text.isascii():
        return text.replace("\0", REPLACEMENT) if "\0" in text else text
    return _UNSTORABLE.sub(REPLACEMENT, text)


def is_hashed_ip(text: str) -> bool:
    """Tell whether *text* is the keyed hash of an address."""
    return _HASHED_IP.fullmatch(text) is not None


def shortened(text: str, limit: int) -> str:
    """
    Return *text*, or its beginning, ``~`` and 16 hex digits of its SHA-256.

    For identifiers: two long ones with the same beginning stay different.

    Args:

        text: What may be too long.

        limit: Longest result, in characters.
    """
    if len(text) <= limit:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    return f"{text[: limit - _DIGEST_LENGTH - 1]}~{digest[:_DIGEST_LENGTH]}"


def has_control(text: str) -> bool:
    """Tell whether *text* holds a control character (C0, DEL or C1)."""
    return _CONTROL.search(text) is not None


def type_name(value: object) -> str:
    """Return ``module.Class`` of a value, running none of its code."""
    kind = type(value)
    module, name = _module(kind), str.__str__(_qualname_of(kind))
    return storable(shortened(f"{module}.{name}" if module else name, _LONGEST_NAME))


def _module(kind: type) -> str:
    # Not kind.__module__: a metaclass may answer that with code of its own.
    try:
        module = _module_of(kind)
    except AttributeError:
        return ""
    name = str.__str__(module) if issubclass(type(module), str) else ""
    return "" if name == "builtins" else name
