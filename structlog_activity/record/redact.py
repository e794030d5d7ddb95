"""
What must not be stored: known by the name of its key, or by its looks within a text.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import unicodedata

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias, TypeVar

from .secrets import LOOKS, OPTIONAL, SHORTEST, Look, may_hold_secret, without, without_pairs


REDACTED: Final = "[redacted]"
"""Stands where a secret stood."""

FAILED: Final = "[redaction failed]"
"""Stands where a function of the host's was to say what does, and failed."""

MASK: Final = "mask"
DROP: Final = "drop"
HASH: Final = "hash"
KEEP: Final = "keep"

Mode: TypeAlias = "str | Callable[[str, Any], Any]"
"""What becomes of a secret: one of the words above, or what a function returns."""

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
_LEAST_KEY = 16  # characters of a key that may be a secret itself
_HASH_SIZE = 8  # bytes
_SHORTEST_HASH_KEY = 16
_CARD: Final = "card"
_KNOWN: Final = {**LOOKS, **OPTIONAL}
_T = TypeVar("_T")


class Dropped:
    """The type of `DROPPED`."""


DROPPED: Final = Dropped()
"""Stands for a value that is left out together with its key."""


class Redactor:
    """
    Replace what must not be stored.

    Values are known by their keys' names, which are compared in NFKC, folded,
    and without anything but letters and digits: ``X-Api-Key``, ``xApiKey`` and
    ``x_api_key`` are the same. Within texts secrets are known by their looks:
    private keys, passwords in URLs, JSON Web Tokens, ``Bearer`` and ``Basic``
    credentials, keys of AWS, GitHub, Slack, Stripe and Google, card numbers, and
    values that the text itself gives to a secret name (``token=...``,
    ``"password": "..."``).

    What becomes of a secret is its mode: ``"mask"`` puts ``[redacted]`` in its
    place (the end of a card number stays: ``[pan *1111]``), ``"drop"`` leaves it
    out, ``"hash"`` puts a keyed hash there, by which equal values can still be
    found (`hashed`), ``"keep"`` stores it, and a function of key and plain
    value returns what is stored. If that fails, ``[redaction failed]`` is
    stored, and `failures` counts it.

    Args:

        stems: Parts of names that are redacted wherever they occur, for example
            ``"secret"``.

        words: Whole names that are redacted, for example ``"pin"``.

        parts: As *stems*, but for those so short that they also arise where two
            parts of a name meet.

        mode: What becomes of the values of all these.

        keys: Modes of further names, or of exceptions from the rules above:
            ``{"email": "hash", "session": "keep"}``.

        values: Modes of secrets within texts by the name of their looks (the
            keys of `LOOKS` and `OPTIONAL`), beside the defaults: ``{"card":
            "drop", "email": "hash", "url": "keep"}``; `False` looks into no
            text.

        patterns: Further looks: regular expressions by name, whose matches are
            secrets. They have to be linear; nothing bounds what they cost.

        allow: Which keys of ``data`` are stored, by verb (``"settings.*"`` and
            ``"*"`` match several; the longest counts); ``["*"]`` allows all. Of
            a verb that none matches nothing is stored. What is allowed is still
            redacted.

        hash_key: Secret of the hashes, 16 bytes or more.

    Attributes:

        may_hold: Tells whether a text is worth a closer look; one with such a text in
            it is, too.

        failures: How often a function of the host's failed.

    Raises:

        ValueError: A mode or a look is unknown, or one needs a *hash_key*.

    .. versionadded:: 0.1.0
    """

    __slots__ = (
        "_allow", "_hash_key", "_known", "_looks", "_mode", "_modes", "_names", "_parts", "_stems",
        "_words", "failures", "may_hold",
    )  # fmt: skip

    def __init__(
        self,
        *,
        stems: Iterable[str] = STEMS,
        words: Iterable[str] = WORDS,
        parts: Iterable[str] = PARTS,
        mode: Mode = MASK,
        keys: Mapping[str, Mode] | None = None,
        values: Mapping[str, Mode] | bool = True,
        patterns: Mapping[str, re.Pattern[str] | str] | None = None,
        allow: Mapping[str, Iterable[str]] | None = None,
        hash_key: bytes = b"",
    ) -> None:
        self._stems = tuple(_folded(stem) for stem in stems)
        self._words = frozenset(_folded(word) for word in words)
        self._parts = tuple(_folded(part) for part in parts)
        self._hash_key = _checked_key(hash_key)
        self._mode = self._checked("mode", mode)
        self._modes = {
            _folded(k): self._checked(f"keys[{k!r}]", m) for k, m in (keys or {}).items()
        }
        self._looks = self._chosen(values, patterns or {})
        self.may_hold = _first_look(self._looks)
        self._allow = None if allow is None else {v: frozenset(k) for v, k in allow.items()}
        self._known: dict[str, bool] = {}
        self._names: dict[str, str] = {}
        self.failures = 0

    def _chosen(
        self,
        values: Mapping[str, Mode] | bool,  # noqa: FBT001  As the option.
        patterns: Mapping[str, re.Pattern[str] | str],
    ) -> tuple[tuple[str, Look, Mode], ...]:
        modes: dict[str, Mode] = {}
        if values is not False:
            modes = {**dict.fromkeys(LOOKS, MASK), **({} if values is True else values)}
        looks = dict(_KNOWN)
        for name, pattern in patterns.items():
            made = re.compile(pattern)
            looks[name] = Look((), re.compile(f"(?P<secret>{made.pattern})", made.flags))
            modes.setdefault(name, MASK)
        for name in modes.keys() - looks.keys():
            raise ValueError(f"values[{name!r}]: is no look; use one of {', '.join(_KNOWN)}")
        chosen = [(name, self._checked(f"values[{name!r}]", modes[name])) for name in modes]
        return tuple((name, looks[name], mode) for name, mode in chosen if mode != KEEP)

    def _checked(self, name: str, mode: _T) -> _T:
        if not callable(mode) and mode not in (MASK, DROP, HASH, KEEP):
            raise ValueError(f"{name}={mode!r}: use mask, drop, hash, keep or a function")
        if mode == HASH and not self._hash_key:
            raise ValueError(f"{name}={mode!r}: needs hash_key=, a secret of 16 bytes or more")
        return mode

    # -- by key -------------------------------------------------------------

    def hides(self, key: str) -> bool:
        """Tell whether the value under *key* is to be redacted."""
        hidden = self._known.get(key)
        return self._look(key) if hidden is None else hidden

    def hidden(self, key: str, value: Any) -> Any:
        """
        Return what is stored instead of a value whose key hides it.

        Args:

            key: The key, which `hides` its value.

            value: The value, in types that JSON knows.

        Returns:

            That, or `DROPPED` where nothing is.
        """
        return self._instead(self._mode_of(key), key, value)

    def masks(self, key: str) -> bool:
        """Tell whether `REDACTED` stands for a value that *key* hides, whatever it is."""
        return self._mode_of(key) == MASK

    def _mode_of(self, key: str) -> Mode:
        if not self._modes or len(key) > _LONGEST_KEY:
            return self._mode
        return self._modes.get(_folded(key), self._mode)

    @property
    def allows_all(self) -> bool:
        """Whether every verb may have any key."""
        return self._allow is None

    def allowed(self, verb: str) -> frozenset[str] | None:
        """Return which keys of ``data`` may be stored with a verb; `None`: all."""
        if self._allow is None:
            return None
        fits = [p for p in self._allow if p == verb or (p[-1:] == "*" and verb.startswith(p[:-1]))]
        best = max(fits, key=lambda pattern: (pattern == verb, len(pattern)), default=None)
        keys = frozenset() if best is None else self._allow[best]
        return None if "*" in keys else keys

    def hashed(self, value: Any) -> str:
        """
        Return what stands for a value under the mode ``"hash"``, to search for it.

        Raises:

            ValueError: There is no *hash_key*.
        """
        if not self._hash_key:
            raise ValueError("hash_key: is needed, a secret of 16 bytes or more")
        text = value if type(value) is str else json.dumps(value, sort_keys=True)
        digest = hmac.digest(self._hash_key, text.encode("utf-8", "replace"), hashlib.sha256)
        return f"[hmac {digest[:_HASH_SIZE].hex()}]"

    # -- by looks -----------------------------------------------------------

    def cleaned(self, key: str, text: str) -> str:
        """
        Return a text without the secrets in it.

        Args:

            key: The key that it is found under, for a number under the name of
                an id is no card's.

            text: The text.
        """
        if len(text) < SHORTEST or not self.may_hold(text):
            return text
        is_id = text.isdecimal() and _is_id(key)
        for name, look, mode in self._looks:
            if not (is_id and name == _CARD):
                text = without(look, name, text, lambda n, secret, m=mode: self._text(m, n, secret))  # type: ignore[misc]
        return without_pairs(text, self.hides, self._value)

    def cleaned_key(self, key: str) -> str:
        """Return a key without the secrets in it."""
        if len(key) < _LEAST_KEY:
            return key
        found = self._names.get(key)
        if found is None:
            found = self.cleaned("", key)
            if len(self._names) < _CACHE_SIZE and len(key) <= _LONGEST_KEY:
                self._names[key] = found
        return found

    def _value(self, name: str, secret: str) -> str:
        """Return what stands for a value that a text gives to a secret name."""
        return self._text(self._mode_of(name), name, secret)

    def _text(self, mode: Mode, name: str, secret: str) -> str:
        if mode == MASK:
            return f"[pan *{secret[-4:]}]" if name == _CARD else REDACTED
        found = self._instead(mode, name, secret)
        if found is DROPPED:
            return ""
        return found if type(found) is str else self._failed()

    # -----------------------------------------------------------------------

    def _instead(self, mode: Mode, key: str, value: Any) -> Any:
        try:
            if callable(mode):
                return mode(key, value)
            if mode == HASH:
                return self.hashed(value)
        except Exception:  # noqa: BLE001  A function of the host's, and it may not cost the record.
            return self._failed()
        return DROPPED if mode == DROP else REDACTED

    def _failed(self) -> str:
        self.failures += 1
        return FAILED

    def _look(self, key: str) -> bool:
        # Keys come from users too: a cache without a bound is a leak, and a
        # name too long to be folded in no time hides its value unread.
        if len(key) > _LONGEST_KEY:
            return True
        name = _folded(key)
        mode = self._modes.get(name)
        if mode is None:
            hidden = self._mode != KEEP and (self._is_secret(name) or self._has_secret_part(key))
        else:
            hidden = mode != KEEP
        if len(self._known) < _CACHE_SIZE:
            self._known[key] = hidden
        return hidden

    def _is_secret(self, name: str) -> bool:
        return name in self._words or any(stem in name for stem in self._stems)

    def _has_secret_part(self, key: str) -> bool:
        found = _BOUNDARY.split(unicodedata.normalize("NFKC", key))
        return any(short in _folded(part) for part in found for short in self._parts)


def _first_look(looks: tuple[tuple[str, Look, Mode], ...]) -> Callable[[str], bool]:
    """Return what is asked about every record's texts, where these looks are looked for."""
    if any(LOOKS.get(name) is not look for name, look, _ in looks):
        return bool  # Optional ones, and the host's own, have no marks.
    return may_hold_secret if looks else _never


def _never(_text: str) -> bool:
    return False


def _folded(key: str) -> str:
    text = unicodedata.normalize("NFKC", key).casefold()
    return "".join(filter(str.isalnum, text))


def redactor_of(redact: bool | Redactor) -> Redactor | None:  # noqa: FBT001  As the option.
    """
    Return the redactor that an option names, `None` for the word `False`.

    Raises:

        ValueError: It names none.
    """
    if isinstance(redact, Redactor):
        return redact
    if not isinstance(redact, bool):  # An empty setting must not switch it off.
        raise ValueError(f"redact={redact!r}: use True, False or a Redactor")  # noqa: TRY004
    return Redactor() if redact else None


def _is_id(key: str) -> bool:
    name = key.rstrip("s")
    return (
        name[-2:] in ("Id", "ID")
        or name.casefold() in ("id", "uid", "uuid")
        or (name[-3:].casefold() in ("_id", "-id", ".id"))
    )


def _checked_key(key: Any) -> bytes:
    if not isinstance(key, bytes) or 0 < len(key) < _SHORTEST_HASH_KEY:
        raise ValueError("hash_key: 16 bytes or more are needed")
    return key


class Unsafe:
    """
    Wrap a value of ``data`` that is to be stored as it is.

    For what only looks like a secret: ``log.info("...", token=unsafe("page-2"))``.
    What prints the log line sees the value itself.

    Args:

        value: The value.

    .. versionadded:: 0.1.0
    """

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return repr(self.value)

    def __str__(self) -> str:
        return str(self.value)

    def __structlog__(self) -> Any:
        """Return the value, for structlog's renderers."""
        return self.value


unsafe: Final = Unsafe
"""Mark a value to be stored without redaction."""
