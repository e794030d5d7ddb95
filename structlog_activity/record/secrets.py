"""
Secrets within texts, known by their looks.

Every pattern takes time in proportion to the text: none can begin to match at
each character of a run and read on to the run's end, and none repeats what
repeats. Each stands behind a look for a few characters that it can't do
without, for most texts hold no secret.
"""

from __future__ import annotations

import re

from collections.abc import Callable, Container
from typing import Final, NamedTuple


Replace = Callable[[str, str], str]
"""Returns what stands for a secret, of the name of what found it and the secret."""

Hides = Callable[[str], bool]

SHORTEST: Final = 8
"""Texts of fewer characters are not looked at."""

_FLAGS: Final = re.ASCII
_SHORTEST_CARD: Final = 12  # digits, and one more
_LONGEST_NAME: Final = 64  # A longer one is no name, but encoded bytes.
# Written out: a search for a repetition starts slower, and it starts at each character.
_DIGITS: Final = re.compile(r"[0-9][0-9][0-9][0-9][ -]?[0-9]{4}")


_TO_19: Final = range(13, 20)
_LENGTHS: Final[dict[str, Container[int]]] = {
    **dict.fromkeys(("30", "39"), (14,)),
    **dict.fromkeys(("34", "37"), (15,)),
    "35": range(16, 20),
    **dict.fromkeys(("36", "38"), (14, *range(16, 20))),
    **{f"4{digit}": (13, 16, 19) for digit in range(10)},
    **{f"{two}": (16,) for two in range(51, 56)},
    **dict.fromkeys(("50", *map(str, range(56, 70))), _TO_19),
}
"""How many digits the numbers of cards have, by the first two; those with a 2 go by four."""


class Look(NamedTuple):
    """
    How one kind of secret looks.

    Attributes:

        hints: A text without any of these has no such secret; none: any may.

        pattern: Finds it; its group ``secret`` is what is replaced.

        is_secret: Tells whether what was found is one.
    """

    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    is_secret: Callable[[str], bool] = bool


def _is_token(word: str) -> bool:
    """Tell a token from the word that follows "bearer" in a sentence."""
    return len(word) > 15 or not (word.isalpha() and word[1:].islower())  # noqa: PLR2004


def _is_jwt(text: str) -> bool:
    head, _, rest = text.partition(".")
    return len(head) >= 8 and len(rest) >= 4  # noqa: PLR2004


def _is_card(text: str) -> bool:
    digits = re.sub("[ -]", "", text)
    return _is_issued(digits) and _sum_of_luhn(digits) % 10 == 0


def _is_issued(digits: str) -> bool:
    """Tell whether an issuer of cards has numbers that begin so and are so long."""
    if digits[0] == "2":
        return "2221" <= digits[:4] <= "2720" and len(digits) == 16  # noqa: PLR2004
    return len(digits) in _LENGTHS.get(digits[:2], ())


def _sum_of_luhn(digits: str) -> int:
    others = sum(map(int, digits[-1::-2]))
    return others + sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])


def _look(
    hints: str, pattern: str, is_secret: Callable[[str], bool] = bool, flags: int = 0
) -> Look:
    return Look(
        tuple(hints.split("|")) if hints else (), re.compile(pattern, _FLAGS | flags), is_secret
    )


LOOKS: Final[dict[str, Look]] = {
    # Also one that is cut off before its end.
    "pem": _look(
        "-----BEGIN ",
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?P<secret>.*?)"
        r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)",
        flags=re.DOTALL,
    ),
    # The last @ before a slash ends a password, which may hold others; one with a
    # slash in it is not taken for a port and a path.
    "url": _look(
        "://",
        r"://[^\s/?#:\"']*:(?P<secret>[^\s/\"']{1,512}"
        r"|(?!\d{1,5}(?:[/?#\s]|\Z))[^\s\"'@]{1,256}+)@",
    ),
    "jwt": _look("eyJ", r"(?P<secret>eyJ[\w-]*+(?:\.[\w-]*+)*+)", _is_jwt),
    "bearer": _look(
        "",
        r"\b(?:bearer|basic|token|api-?key)[ \t]{1,8}(?P<secret>[\w.~+/=-]{8,})",
        _is_token,
        re.IGNORECASE,
    ),
    "aws": _look("AKIA|ASIA", r"(?P<secret>(?:AKIA|ASIA)[A-Z0-9]{16})"),
    "github": _look(
        "gh|github_pat_",
        r"(?P<secret>gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{16,})",
    ),
    "slack": _look("xox|xapp-", r"(?P<secret>(?:xox[a-z]|xapp)-[A-Za-z0-9-]{8,})"),
    "stripe": _look("k_live_|k_test_", r"(?P<secret>[rs]k_(?:live|test)_[A-Za-z0-9]{8,})"),
    "google": _look("AIza", r"(?P<secret>AIza[\w-]{30,})"),
    # Not within UUIDs and other numbers in hex, decimals, or phone numbers.
    "card": _look(
        "",
        r"(?<![0-9A-Za-z+])(?<!\d\.)(?<![0-9a-fA-F]{4}-)(?P<secret>[2-6]\d{12,18}"
        r"|[2-6]\d{3}([ -])\d{4}\2\d{4}\2\d{4}(?:\2\d{1,3})?"
        r"|3\d{3}([ -])\d{6}\3\d{4,5})(?![0-9A-Za-z])(?!\.\d)(?!-[0-9a-fA-F]{4})",
        _is_card,
    ),
}
"""The secrets that are looked for unless told otherwise, by name."""

OPTIONAL: Final[dict[str, Look]] = {
    "email": _look(
        "@", r"(?<![\w.+-])(?P<secret>[\w.+-]{1,64}+@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+)"
    ),
    "iban": _look("", r"\b(?P<secret>[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?)\b"),
    "ip": _look(".", r"(?<![\d.])(?P<secret>\d{1,3}(?:\.\d{1,3}){3})(?![\d.])"),
    "phone": _look("+", r"(?<!\w)(?P<secret>\+\d{1,3}(?:[ /-]?\d{2,6}){2,5})(?!\w)"),
}
"""Personal data that is looked for only if asked to, by name."""

# Names and values as URLs, connection strings, JSON and Python write them.
_PAIRS: Final = (
    (
        "=",
        re.compile(
            r"(?<![\w.-])(?P<name>[\w.-]++)(?:\]|%5[Dd])?=(?!=)"
            # The first are marks that this module itself has put there.
            r"(?P<secret>\[(?:pan|hmac|redaction) [*\w]+\]"
            r"|\"(?:[^\"\\]|\\.)*+\"?|'(?:[^'\\]|\\.)*+'?|[^\s&;,\"'<>]+)",
            _FLAGS | re.DOTALL,
        ),
    ),
    (
        '"',
        re.compile(
            r"\"(?P<name>[^\"\\\n]{1,64})\"\s{0,8}:\s{0,8}"
            r"(?:\"(?P<secret>(?:[^\"\\]|\\.)*+)|(?P<number>[\d.+-]++))",
            _FLAGS | re.DOTALL,
        ),
    ),
    (
        "'",
        re.compile(
            r"'(?P<name>[^'\\\n]{1,64})'\s{0,8}:\s{0,8}"
            r"(?:b?'(?P<secret>(?:[^'\\]|\\.)*+)|(?P<number>[\d.+-]++))",
            _FLAGS | re.DOTALL,
        ),
    ),
    (
        "\\",
        re.compile(
            r"\\{1,3}(?P<quote>[\"'])(?P<name>[^\"'\\\n]{1,64})\\{1,3}(?P=quote)\s{0,8}:\s{0,8}"
            r"(?:\\{1,3}(?P=quote)(?P<secret>[^\"'\\]*+)|(?P<number>[\d.+-]++))",
            _FLAGS,
        ),
    ),
)


def may_hold_secret(text: str) -> bool:
    """Tell whether a text is worth a closer look; most are not."""
    # All texts of a record come here at once. To ask for one mark after the other takes
    # a third of what a loop over them takes, and less than one pattern for all.
    return (
        "=" in text
        or '"' in text
        or "'" in text
        or "://" in text
        or "-----" in text
        or "eyJ" in text
        or _may_hold_key(text)
        or _may_hold_credentials(text)
        or (len(text) > _SHORTEST_CARD and _DIGITS.search(text) is not None)
    )


def _may_hold_key(text: str) -> bool:
    # Where there is no underscore and no A, which is usual, two looks do for six.
    return (
        ("_" in text and ("gh" in text or "_pat_" in text or "k_" in text))
        or ("A" in text and ("AKIA" in text or "ASIA" in text or "AIza" in text))
        or "xox" in text
        or "xapp-" in text
    )


def _may_hold_credentials(text: str) -> bool:
    if " " not in text and "\t" not in text:
        return False
    lower = text.lower()
    return (
        "earer" in lower
        or "asic" in lower
        or "oken" in lower
        or "pikey" in lower
        or "pi-key" in lower
    )


def without(look: Look, name: str, text: str, replace: Replace) -> str:
    """
    Return *text* with all secrets of one look replaced.

    Args:

        look: How they look.

        name: What the look is called.

        text: Where they may be.

        replace: Returns what stands for each.
    """
    if look.hints and not any(hint in text for hint in look.hints):
        return text
    return look.pattern.sub(lambda found: _replaced(found, look, name, replace), text)


def without_pairs(text: str, hides: Hides, replace: Replace) -> str:
    """Return *text* with the values replaced that it gives to names which *hides* knows."""
    for hint, pattern in _PAIRS:
        if hint in text:
            text = pattern.sub(lambda found: _without_value(found, hides, replace), text)
    return text


def _replaced(found: re.Match[str], look: Look, name: str, replace: Replace) -> str:
    return _put(found, "secret", replace, name) if look.is_secret(found["secret"]) else found[0]


def _without_value(found: re.Match[str], hides: Hides, replace: Replace) -> str:
    group = "secret" if found["secret"] is not None else "number"
    if not found[group] or len(found["name"]) > _LONGEST_NAME or not hides(found["name"]):
        return found[0]
    return _put(found, group, replace, found["name"])


def _put(found: re.Match[str], group: str, replace: Replace, name: str) -> str:
    """Return what was found with one of its groups replaced."""
    begin, text = found.start(), found[0]
    start, end = found.start(group) - begin, found.end(group) - begin
    return text[:start] + replace(name, text[start:end]) + text[end:]
