"""
Which keys hold secrets, so that their values never leave the process.
"""

from __future__ import annotations

import re
import unicodedata

from collections.abc import Iterable
from typing import Final


REDACTED: Final = "[redacted]"
"""Stands where a secret stood."""

STEMS: Final = frozenset(
    """
    password passwd passphrase secret apikey accesskey privatekey credential
    authorization accesstoken refreshtoken idtoken authtoken sessiontoken csrf
    xsrf cookie mysqlpwd connectionstring databaseurl cardnumber creditcard cvv
    cvc2 socialsecurity clientsecret signingkey encryptionkey bearer otpcode
    totp pincode recoverycode
    """.split()
)
"""A key that contains one of these is redacted."""

WORDS: Final = frozenset(
    """
    pwd pass token tokens auth jwt sid sessionid session phpsessid connectsid
    pin otp mfa pan cvc ssn dsn xapikey setcookie secretkey signature sig
    """.split()
)
"""A key that is one of these is redacted (as a whole: ``token_count`` is not)."""

PARTS: Final = frozenset({"ssn"})
"""A key that contains one of these within a part is redacted (``userSSN``, not ``class_name``)."""

_BOUNDARY = re.compile(r"[\W_]+|(?<=[a-z0-9])(?=[A-Z])")
_CACHE_SIZE = 4096
_LONGEST_KEY = 256


class Redactor:
    """
    Tell by a key's name whether its value must not be stored.

    Names are compared in NFKC, folded, and without anything but letters and
    digits: ``X-Api-Key``, ``xApiKey`` and ``x_api_key`` are the same.

    Args:

        stems: Parts of names that are redacted wherever they occur, for example
            ``"secret"``.

        words: Whole names that are redacted, for example ``"pin"``.

        parts: As *stems*, but for those so short that they also arise where two
            parts of a name meet.

    .. versionadded:: 0.1.0
    """

    __slots__ = ("_known", "_parts", "_stems", "_words")

    def __init__(
        self,
        *,
        stems: Iterable[str] = STEMS,
        words: Iterable[str] = WORDS,
        parts: Iterable[str] = PARTS,
    ) -> None:
        self._stems = tuple(_folded(stem) for stem in stems)
        self._words = frozenset(_folded(word) for word in words)
        self._parts = tuple(_folded(part) for part in parts)
        self._known: dict[str, bool] = {}

    def hides(self, key: str) -> bool:
        """Tell whether the value under *key* is to be redacted."""
        hidden = self._known.get(key)
        return self._look(key) if hidden is None else hidden

    def _look(self, key: str) -> bool:
        # Keys come from users too: a cache without a bound is a leak, and a
        # name too long to be folded in no time hides its value unread.
        if len(key) > _LONGEST_KEY:
            return True
        hidden = self._is_secret(_folded(key)) or self._has_secret_part(key)
        if len(self._known) < _CACHE_SIZE:
            self._known[key] = hidden
        return hidden

    def _is_secret(self, name: str) -> bool:
        return name in self._words or any(stem in name for stem in self._stems)

    def _has_secret_part(self, key: str) -> bool:
        found = _BOUNDARY.split(unicodedata.normalize("NFKC", key))
        return any(short in _folded(part) for part in found for short in self._parts)


def _folded(key: str) -> str:
    text = unicodedata.normalize("NFKC", key).casefold()
    return "".join(filter(str.isalnum, text))
