"""
The words of a query, taken apart and put together again.
"""

from __future__ import annotations

import re

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from ..errors import InvalidFilterError


LONGEST_QUERY: Final = 10_000  # characters

_PART: Final = re.compile(
    r"""(?P<space>\s+) | "(?P<quoted>(?:[^"\\]|\\.)*)" | (?P<plain>[^\s"]+) | (?P<open>")""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE: Final = re.compile(r'\\(["\\])')
_SPECIAL: Final = re.compile(r'["\\]')
_PLAIN: Final = re.compile(r'[^\s"]+')


@dataclass(frozen=True, slots=True)
class Word:
    """
    One word of a query; as text it is what people type for it.

    Two words are equal if they say the same, however they are typed.

    Attributes:

        key: What stands before the first colon outside quotes; `None` where
            there is none.

        value: The rest, without quotes.

        is_negated: Whether a hyphen stands before it, which is in neither.

        is_quoted: Whether the value stands in quotes though it needs none: a
            number is text then.

        typed: As it was typed; ``""`` for a word that nobody typed.

    .. versionadded:: 0.1.0
    """

    key: str | None
    value: str
    is_negated: bool = False
    is_quoted: bool = field(default=False, compare=False)
    typed: str = field(default="", compare=False, repr=False)

    def __str__(self) -> str:
        hyphen = "-" if self.is_negated else ""
        if self.key is None:
            is_plain = ":" not in self.value and not self.value.startswith("-")
            return hyphen + _written(self.value, is_plain=is_plain and not self.is_quoted)
        is_plain = ":" not in self.key and not self.key.startswith("-")
        key = _written(self.key, is_plain=is_plain)
        return f"{hyphen}{key}:{_written(self.value, is_plain=not self.is_quoted)}"

    def refuse(self, problem: str) -> NoReturn:
        """
        Say what is wrong with it.

        Raises:

            InvalidFilterError: In any case.
        """
        raise InvalidFilterError("query", self.typed or str(self), problem)


def words_of(text: Any) -> list[Word]:
    """
    Return the words of a query, in their order.

    Raises:

        InvalidFilterError: It is no text, far too long, or has a quote that is
            not closed.

    .. versionadded:: 0.1.0
    """
    if not isinstance(text, str):
        raise InvalidFilterError("query", text, "text is needed")
    if len(text) > LONGEST_QUERY:
        raise InvalidFilterError("query", text, f"at most {LONGEST_QUERY:,} characters")
    found: list[Word] = []
    parts: list[re.Match[str]] = []
    for part in _PART.finditer(text):
        if part["open"]:
            problem = "a quote is not closed: put one behind the text"
            raise InvalidFilterError("query", text[part.start() :], problem)
        if not part["space"]:
            parts.append(part)
        elif parts:
            found.append(_word(parts))
            parts = []
    return [*found, _word(parts)] if parts else found


def query_of(words: Iterable[Word]) -> str:
    """
    Return the query that consists of some words.

    .. versionadded:: 0.1.0
    """
    return " ".join(map(str, words))


def _word(parts: list[re.Match[str]]) -> Word:
    typed = "".join(part[0] for part in parts)
    texts = [_unquoted(part) for part in parts]
    is_negated = (parts[0]["plain"] or "").startswith("-")
    if is_negated:
        texts[0] = texts[0][1:]
    for index, part in enumerate(parts):
        if part["plain"] and ":" in texts[index]:
            before, _, behind = texts[index].partition(":")
            key = "".join((*texts[:index], before))
            value = "".join((behind, *texts[index + 1 :]))
            return Word(key, value, is_negated, _any_quoted(parts[index + 1 :]), typed)
    return Word(None, "".join(texts), is_negated, _any_quoted(parts), typed)


def _unquoted(part: re.Match[str]) -> str:
    return part["plain"] or _ESCAPE.sub(r"\1", part["quoted"])


def _any_quoted(parts: list[re.Match[str]]) -> bool:
    return any(part["quoted"] is not None for part in parts)


def _written(text: str, *, is_plain: bool) -> str:
    if is_plain and _PLAIN.fullmatch(text):
        return text
    return '"' + _SPECIAL.sub(r"\\\g<0>", text) + '"'
