"""How much of an address is kept."""

from __future__ import annotations

from typing import Any

import pytest

from structlog_activity.capture.ipmode import ip_hider

from .conftest import Kit


KEY = b"0123456789abcdef"


@pytest.mark.parametrize(
    ("mode", "address", "kept"),
    [
        ("full", "203.0.113.9", "203.0.113.9"),
        ("full", "2001:db8:1:2::9", "2001:db8:1:2::9"),
        ("truncate", "203.0.113.9", "203.0.113.0"),
        ("truncate", "2001:db8:1:2::9", "2001:db8:1::"),
        ("truncate", "", ""),
        ("off", "203.0.113.9", ""),
        ("full", "", ""),
    ],
)
def test_what_is_kept_of_an_address(mode: str, address: str, kept: str) -> None:
    assert kept == ip_hider(mode)(address)


def test_a_hash_is_the_same_for_the_same_address_and_key_only() -> None:
    hide, other = ip_hider("hash", KEY), ip_hider("hash", KEY[::-1])

    hashed = hide("203.0.113.9")

    assert hashed == hide("203.0.113.9")
    assert 3 == len({hashed, hide("203.0.113.8"), other("203.0.113.9")})
    assert "203" not in hashed.removeprefix("hmac:")[:3]
    assert "" == hide("")


def test_a_hashed_address_is_stored_as_it_is(kit: Kit) -> None:
    hashed = ip_hider("hash", KEY.decode())("203.0.113.9")

    kit.process(verb="a.b", object="a:1", ip=hashed)

    assert hashed == kit.only.ip
    assert "_raw" not in kit.only.data


@pytest.mark.parametrize(
    "bad", ["hmac:", "hmac:" + "g" * 32, "hmac:" + "0" * 33, "md5:" + "0" * 32]
)
def test_other_text_is_no_hashed_address(kit: Kit, bad: str) -> None:
    kit.process(verb="a.b", object="a:1", ip=bad)

    assert ("", bad) == (kit.only.ip, kit.only.data["_raw"]["ip"])


@pytest.mark.parametrize("key", [None, "", b"short", "x" * 15, 5])
def test_a_hash_needs_a_secret(key: Any) -> None:
    with pytest.raises(ValueError, match="ip_key"):
        ip_hider("hash", key)


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="full, truncate, hash, off"):
        ip_hider("sometimes")
