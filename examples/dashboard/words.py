"""The words of a search, and how to put one in or take one out."""

from __future__ import annotations

import re

from typing import Final, NamedTuple


# A word, or a condition "key:value", either with its value in quotes.
_WORD: Final = re.compile(r'(-?)(?:([\w.]+):)?(?:"((?:[^"\\]|\\.)*)"|(\S+))')
_ESCAPE: Final = re.compile(r"\\(.)")
_PLAIN: Final = re.compile(r'[^\s"\\]+')


class Word(NamedTuple):
    """
    One word of a search.

    Attributes:

        sign: ``"-"`` where it is excluded, else ``""``.

        key: What comes before the colon; ``""`` for a free word.

        value: What comes after it, without quotes.
    """

    sign: str
    key: str
    value: str

    def __str__(self) -> str:
        value = self.value
        # A free word with a colon would read as a condition.
        if not _PLAIN.fullmatch(value) or (not self.key and (":" in value or value[0] == "-")):
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            value = f'"{escaped}"'
        return f"{self.sign}{self.key}:{value}" if self.key else f"{self.sign}{value}"


def words(text: str) -> list[Word]:
    """Return the words of a search, in their order."""
    found = []
    for sign, key, quoted, bare in _WORD.findall(text):
        value = bare or _ESCAPE.sub(r"\1", quoted)
        if value or key:
            found.append(Word(sign, key, value))
    return found


def with_word(text: str, word: Word) -> str:
    """Return a search with one more word, or the same where it has that word."""
    found = words(text)
    return joined(found if word in found else [*found, word])


def without_word(text: str, word: Word) -> str:
    """Return a search without a word."""
    return joined([one for one in words(text) if one != word])


def joined(found: list[Word]) -> str:
    """Return the search that consists of some words."""
    return " ".join(map(str, found))
