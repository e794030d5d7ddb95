"""
The form in which ``data`` is written and sealed: what PostgreSQL prints for ``jsonb``.

Keys go by their length in UTF-8 and then by its bytes, a blank follows each comma
and colon, numbers have no exponent. Text that is written like this from the first
needs nobody who reads it again before it is sealed.
"""

from __future__ import annotations

import json
import re

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

from .jsontext import encode_text, json_encoder


class Canonical(str):
    """JSON text of which whoever made it knows that it has this form."""

    __slots__ = ()


encode_spaced: Final = json_encoder(", ", ": ")
"""Write plain values as JSON in this form, but for the order of keys and small numbers."""

_CONTAINERS: Final = frozenset({dict, list})
_SMALL: Final = re.compile(r"[ \[]-?\d(?:\.\d+)?e-\d")


def canonical_of(value: dict[str, Any]) -> Canonical:
    """
    Return the text of an object.

    Args:

        value: Plain: text without NUL and lone surrogates, integers of 64 bits,
            floats below 1e16, and lists and dicts of them.

    Raises:

        ValueError: A float is not finite.
    """
    return Canonical(text_of(_ordered(value)))


def canonical(data: str) -> str:
    """
    Return the text of an object in this form; text that is marked as such as it is.

    Args:

        data: JSON text by the rules of a `Row`: finite numbers, integers of 64
            bits, no NUL, no lone surrogate.

    Raises:

        ValueError: It is no JSON, or an object has a key twice.
    """
    if type(data) is Canonical:
        return data
    return text_of(_decode(data))


def text_of(ordered: Any) -> str:
    """Return the text of a plain value whose objects have their keys in order."""
    text = encode_spaced(ordered)
    # The encoder writes numbers below 0.0001 with an exponent, and there is no other way.
    return _printed(ordered) if "e-" in text and _SMALL.search(text) else text


def in_order(keys: Iterable[str]) -> list[str]:
    """Return the keys of an object as they follow one another."""
    # UTF-8 sorts as its code points do.
    found = sorted(keys)
    found.sort(key=len if "".join(found).isascii() else _size)
    return found


def number_text(value: float) -> str:
    """Return a finite number below 1e16 without an exponent."""
    # repr() is the shortest text that reads back as the same number.
    text = float.__repr__(value)
    return format(Decimal(text), "f") if "e" in text else text


def _size(key: str) -> int:
    return len(key.encode())


def _ordered(value: Any) -> Any:
    if type(value) is dict:
        return {key: _within(value[key]) for key in in_order(value)}
    return [_within(item) for item in value]


def _within(value: Any) -> Any:
    return _ordered(value) if type(value) in _CONTAINERS else value


def _from_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return {key: found[key] for key in in_order(found)}


_decode: Final = json.JSONDecoder(object_pairs_hook=_from_pairs).decode


def _printed(value: Any) -> str:
    if type(value) is float:
        return number_text(value)
    if type(value) is dict:
        return "{" + ", ".join(f"{encode_text(k)}: {_printed(v)}" for k, v in value.items()) + "}"
    if type(value) is list:
        return "[" + ", ".join(map(_printed, value)) + "]"
    return encode_spaced(value)
