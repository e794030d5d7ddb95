"""
How much of a client's address is kept: all, its network, a keyed hash, or nothing.
"""

from __future__ import annotations

import hmac

from collections.abc import Callable
from ipaddress import ip_network
from typing import Final

from ..record.text import HASHED_IP


FULL, TRUNCATE, HASH, OFF = IP_MODES = ("full", "truncate", "hash", "off")

_LEAST_KEY: Final = 16  # bytes
_DIGITS: Final = 32


def ip_hider(mode: str, key: bytes | str | None = None) -> Callable[[str], str]:
    """
    Return a function that takes an address and returns what is kept of it.

    Args:

        mode: ``"full"`` keeps it, ``"truncate"`` keeps the network of 24 (IPv4)
            or 48 bits (IPv6), ``"hash"`` makes it a text that is the same for
            the same address and *key*, ``"off"`` keeps nothing.

        key: For ``"hash"``: a secret of 16 bytes or more. Without one, all
            IPv4 addresses can be tried within seconds.

    Raises:

        ValueError: There is no such mode, or its key is missing or too short.
    """
    if mode not in IP_MODES:
        raise ValueError(f"ip={mode!r}: use one of {', '.join(IP_MODES)}")
    if mode == HASH:
        return _hasher(key)
    if mode == TRUNCATE:
        return _truncated
    return _nothing if mode == OFF else _all


def _hasher(key: bytes | str | None) -> Callable[[str], str]:
    secret = key.encode() if isinstance(key, str) else key
    if not isinstance(secret, bytes) or len(secret) < _LEAST_KEY:
        raise ValueError(f"ip='hash' needs ip_key=, a secret of {_LEAST_KEY} bytes or more")

    def hashed(address: str) -> str:
        digest = hmac.digest(secret, address.encode(), "sha256").hex()
        return f"{HASHED_IP}{digest[:_DIGITS]}" if address else ""

    return hashed


def _all(address: str) -> str:
    return address


def _nothing(_: str) -> str:
    return ""


def _truncated(address: str) -> str:
    if not address:
        return ""
    bits = 48 if ":" in address else 24
    return str(ip_network(f"{address}/{bits}", strict=False).network_address)
