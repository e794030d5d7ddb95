"""Whose address it is: what a client writes itself is never believed."""

from __future__ import annotations

import pytest

from structlog_activity.capture.clientip import TrustedProxies


INSIDE = ["10.0.0.0/8", "2001:db8::/32"]

CASES = {
    "no proxy trusted": ([], "192.0.2.1", ["203.0.113.9"], "192.0.2.1"),
    "peer not trusted": (INSIDE, "192.0.2.1", ["203.0.113.9"], "192.0.2.1"),
    "one proxy": (INSIDE, "10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
    "spoofed left end": (INSIDE, "10.0.0.1", ["1.1.1.1, 203.0.113.9"], "203.0.113.9"),
    "spoofed own header": (INSIDE, "10.0.0.1", ["1.1.1.1", "203.0.113.9"], "203.0.113.9"),
    "spoofed trusted address": (INSIDE, "10.0.0.1", ["10.9.9.9, 203.0.113.9"], "203.0.113.9"),
    "two proxies": (INSIDE, "10.0.0.1", ["203.0.113.9, 10.0.0.2"], "203.0.113.9"),
    "all trusted": (INSIDE, "10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
    "junk": (INSIDE, "10.0.0.1", ["203.0.113.9, unknown"], "10.0.0.1"),
    "junk behind a proxy": (INSIDE, "10.0.0.1", ["junk, 10.0.0.2"], "10.0.0.2"),
    "no header": (INSIDE, "10.0.0.1", [], "10.0.0.1"),
    "empty header": (INSIDE, "10.0.0.1", [""], "10.0.0.1"),
    "port": (INSIDE, "10.0.0.1", ["203.0.113.9:8080"], "203.0.113.9"),
    "brackets": (INSIDE, "2001:db8::1", ["[2001:4860::8]:443"], "2001:4860::8"),
    "mapped": (INSIDE, "::ffff:10.0.0.1", ["::ffff:203.0.113.9"], "203.0.113.9"),
    "zone": ([], "fe80::1%eth0", [], "fe80::1"),
    "octal": (INSIDE, "10.0.0.1", ["010.1.1.1"], "10.0.0.1"),
    "huge": (INSIDE, "10.0.0.1", ["1" * 100_000], "10.0.0.1"),
    "many hops": (INSIDE, "10.0.0.1", ["1.1.1.1, " * 50_000 + "203.0.113.9"], "203.0.113.9"),
    "unix socket": (INSIDE, "", ["203.0.113.9"], ""),
    "trusted unix socket": ([*INSIDE, "unix"], "", ["1.1.1.1, 203.0.113.9"], "203.0.113.9"),
    "one address": (["10.0.0.1"], "10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
}


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "expected"), CASES.values(), ids=CASES.keys()
)
def test_the_client_is_the_first_hop_that_is_not_trusted(
    trusted: list[str], peer: str, forwarded: list[str], expected: str
) -> None:
    assert expected == TrustedProxies(trusted).client_ip(peer, forwarded)


def test_a_proxy_that_can_not_be_read_is_refused() -> None:
    with pytest.raises(ValueError, match="trusted_proxies"):
        TrustedProxies(["10.0.0.0/99"])


def test_one_proxy_may_be_given_as_text() -> None:
    assert "203.0.113.9" == TrustedProxies("10.0.0.1").client_ip("10.0.0.1", ["203.0.113.9"])
