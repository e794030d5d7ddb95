"""The words of a search, taken apart and put together again."""

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


def joined(found: list[Word]) -> str:
    """Return the search that consists of some words."""
    return " ".join(map(str, found))
