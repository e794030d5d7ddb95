"""
The items of ``data`` written as JSON, where their keys are known before their values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final, NamedTuple

from .budgets import EXACT, INT64, MAX_DEPTH, MAX_ITEMS, MAX_KEY
from .canonical import Canonical, in_order, number_text, text_of
from .jsontext import encode_text
from .plain import Plainer
from .record import RAW
from .redact import REDACTED
from .secrets import SHORTEST
from .text import storable


LONGEST: Final = 4_000
"""Most characters of JSON that are written here, well within all budgets of a record."""

_PAIR: Final = 2
_CONTAINERS: Final = frozenset({dict, list, tuple})
_SHAPES: Final = 64
_FEW: Final = 16
_QUOTED: Final = '"%s"'
_REDACTED: Final = encode_text(REDACTED)
_APART: Final = "\x7f"  # JSON writes it as it is, and no secret holds it.

_Write = Callable[[tuple[Any, ...]], str]


class UnusualError(Exception):
    """A value that takes `RowMaker.make`."""


class _Shape(NamedTuple):
    """
    What values of the same types have in common.

    Attributes:

        texts_of: Returns those that are texts and no secrets.

        texts: Where these are.

        ints: Where there are integers that are no secrets.

        others: Where there is anything else.

        writes: Write all, texts between quotes; the second with originals.
    """

    texts_of: Callable[[Any], tuple[Any, ...]]
    texts: list[int]
    ints: list[int]
    others: list[int]
    writes: tuple[_Write, _Write]


class DataTemplate:
    """
    Write the items of events that have the same keys, in the form of `Canonical`.

    The values mostly have the types that they had before, and most texts hold no
    secret and nothing to escape. So all are looked at together, and one call
    writes them.

    Args:

        data: The key of an event under which each item has its value, by name.

        plainer: Redacts, and makes nested values plain.
    """

    __slots__ = (
        "_cleaned", "_hides", "_items", "_may_hold", "_orders", "_plainer", "_raw_at", "_shapes",
        "_values_of", "_writes",
    )  # fmt: skip

    def __init__(self, data: Mapping[str, str], plainer: Plainer) -> None:
        names = {storable(name): name for name in data}
        order = in_order(names)
        self._items = [(names[name], plainer.hides(names[name])) for name in order]
        self._values_of = _getter([data[name] for name, _ in self._items])
        self._raw_at = in_order([*order, RAW]).index(RAW)
        self._writes = self._layouts(["%s"] * len(order))
        self._shapes: dict[tuple[type, ...], _Shape] = {}
        self._orders: dict[tuple[str, ...], list[tuple[str, bool]]] = {}
        self._plainer = plainer
        self._hides = plainer.hides
        self._cleaned = plainer.cleaned
        self._may_hold = plainer.may_hold

    def text(self, event: dict[str, Any], raw: str) -> Canonical:
        """
        Return the JSON text of the items of *event*.

        Args:

            event: Has them all.

            raw: That of the originals, which stand under `RAW`; empty for none.

        Raises:

            UnusualError, ValueError, TypeError: It takes `RowMaker.make`.
        """
        values = self._values_of(event)
        kinds = tuple(map(type, values))
        shape = self._shapes.get(kinds) or self._learn(kinds)
        texts = _APART.join(shape.texts_of(values))
        if len(texts) > LONGEST:
            raise UnusualError
        for ix in shape.ints:
            if not -INT64 <= values[ix] < INT64:
                raise UnusualError
        if shape.others:
            values = self._with_others(values, shape.others)
        writes = shape.writes
        if self._may_hold(texts) or len(encode_text(texts)) != len(texts) + _PAIR:
            values, writes = self._with_texts(values, shape.texts), self._writes
        if not raw:
            return _checked(writes[0](values))
        at = self._raw_at
        return _checked(writes[1]((*values[:at], raw, *values[at:])))

    def _learn(self, kinds: tuple[type, ...]) -> _Shape:
        if len(self._shapes) >= _SHAPES:
            self._shapes.clear()
        texts: list[int] = []
        ints: list[int] = []
        others: list[int] = []
        for ix, (kind, (_, is_secret)) in enumerate(zip(kinds, self._items, strict=True)):
            where = texts if kind is str else ints if kind is int else others
            (others if is_secret else where).append(ix)
        writes = self._layouts([_QUOTED if ix in texts else "%s" for ix in range(len(kinds))])
        shape = self._shapes[kinds] = _Shape(_getter(texts), texts, ints, others, writes)
        return shape

    def _layouts(self, marks: list[str]) -> tuple[_Write, _Write]:
        """Return what writes values in the place of *marks*, without and with originals."""
        names = [encode_text(storable(name)).replace("%", "%%") for name, _ in self._items]
        items = [f"{name}: {mark}" for name, mark in zip(names, marks, strict=True)]
        with_raw = items.copy()
        with_raw.insert(self._raw_at, f'"{RAW}": %s')
        plain, more = (f"{{{', '.join(each)}}}" for each in (items, with_raw))
        return plain.__mod__, more.__mod__

    def _with_texts(self, values: Sequence[Any], places: list[int]) -> tuple[Any, ...]:
        out = list(values)
        for ix in places:
            out[ix] = encode_text(self._cleaned(self._items[ix][0], out[ix]))
        return tuple(out)

    def _with_others(self, values: Sequence[Any], places: list[int]) -> tuple[Any, ...]:
        out = list(values)
        for ix in places:
            out[ix] = self._other(*self._items[ix], out[ix])
        return tuple(out)

    def _other(self, name: str, is_secret: bool, value: Any) -> str:  # noqa: FBT001  Called per value.
        """Return the JSON text of anything but a text or an int."""
        if value is None:
            return "null"
        if is_secret:
            return _REDACTED
        kind = type(value)
        if kind is bool:
            return "true" if value else "false"
        plain = self._plain(kind, value, 1, name)
        return number_text(plain) if kind is float else text_of(plain)

    # -- nested -------------------------------------------------------------

    def _plain(self, kind: type, value: Any, depth: int, name: str) -> Any:
        """Return what stands for anything but a text, a bool or `None`, its keys in order."""
        if kind is int:
            if -INT64 <= value < INT64:
                return value
        elif kind is float:
            if -EXACT < value < EXACT:
                return value + 0.0  # -0.0 becomes 0.0.
        elif kind in _CONTAINERS:
            if depth >= MAX_DEPTH or len(value) > MAX_ITEMS:
                raise UnusualError
            return (
                self._mapping(value, depth) if kind is dict else self._sequence(value, depth, name)
            )
        else:
            return self._plainer.item(value)
        raise UnusualError

    def _mapping(self, values: dict[str, Any], depth: int) -> dict[str, Any]:
        keys = tuple(values)
        out = {}
        for key, is_secret in self._orders.get(keys) or self._order(keys):
            value = values[key]
            kind = type(value)
            if is_secret and value is not None:
                out[key] = self._masked(key)
            elif kind is str:
                # Most are short, so these take no call.
                out[key] = value if len(value) < SHORTEST else self._cleaned(key, value)
            elif kind is bool or value is None:
                out[key] = value
            else:
                out[key] = self._plain(kind, value, depth + 1, key)
        return out

    def _order(self, keys: tuple[str, ...]) -> list[tuple[str, bool]]:
        """Return the keys of a mapping in order, and whether each hides its value."""
        if not all(map(self._is_plain_key, keys)):
            raise UnusualError
        order = [(key, self._hides(key)) for key in in_order(keys)]
        if len(keys) <= _FEW:
            if len(self._orders) >= _SHAPES:
                self._orders.clear()
            self._orders[keys] = order
        return order

    def _is_plain_key(self, key: str) -> bool:
        if type(key) is not str or len(key) > MAX_KEY:
            return False
        return len(key) < SHORTEST or self._plainer.cleaned_key(key) == key

    def _masked(self, key: str) -> str:
        if self._plainer.masks(key):
            return REDACTED
        raise UnusualError

    def _sequence(self, values: Sequence[Any], depth: int, name: str) -> list[Any]:
        if len(values) == _PAIR and self._is_secret(values[0]):
            return [self._cleaned(name, values[0]), self._masked(values[0])]  # A header.
        out = list(values)
        for ix, value in enumerate(values):
            kind = type(value)
            if kind is str:
                if len(value) >= SHORTEST:
                    out[ix] = self._cleaned(name, value)
            elif kind is not bool and value is not None:
                out[ix] = self._plain(kind, value, depth + 1, name)
        return out

    def _is_secret(self, name: Any) -> bool:
        return type(name) is str and len(name) <= MAX_KEY and self._hides(name)


def _checked(text: str) -> Canonical:
    # What a text must not hold is looked for in all of them at once. A surrogate is
    # what UTF-8 can't hold; that is a ValueError.
    if len(text) > LONGEST or "\\u0000" in text or not (text.isascii() or text.encode()):
        raise UnusualError
    return Canonical(text)


def _getter(keys: Sequence[Any]) -> Callable[[Any], tuple[Any, ...]]:
    """Return what returns the values under some keys, always as a tuple."""
    if len(keys) >= _PAIR:
        return itemgetter(*keys)
    return lambda values: tuple([values[key] for key in keys])
