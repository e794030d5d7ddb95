"""
Where a request really comes from, as far as the proxies on its way can be trusted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias


Address: TypeAlias = "IPv4Address | IPv6Address"

UNIX: Final = "unix"
"""Among trusted proxies: whoever connects by a unix socket."""

_LONGEST = 64  # characters; longer text is no address
_MOST_HOPS = 64


class TrustedProxies:
    """
    The proxies whose word on the client's address is taken.

    Args:

        proxies: Addresses or networks (``"10.0.0.0/8"``), or ``"unix"`` for
            peers on a unix socket.

    Raises:

        ValueError: One of them can't be read.
    """

    def __init__(self, proxies: Iterable[str]) -> None:
        names = [proxies] if isinstance(proxies, str) else list(proxies)
        self._trusts_unix = UNIX in names
        try:
            self._networks = [ip_network(name) for name in names if name != UNIX]
        except ValueError as error:
            raise ValueError(f"trusted_proxies: {error}") from None

    def client_ip(self, peer: str, forwarded: Sequence[str]) -> str:
        """
        Return the address of the client; ``""`` if there is none.

        Starts at the peer of the socket and goes one hop back through the
        header, from its right end, only as long as the hop before is trusted.
        What a client itself writes into the header is never reached.

        Args:

            peer: Address of the other end of the socket; ``""`` on a unix
                socket.

            forwarded: The values of all X-Forwarded-For headers, in order.
        """
        address = _parsed(peer)
        if address is None and not self._trusts_unix:
            return ""
        for hop in reversed(",".join(forwarded).rsplit(",", _MOST_HOPS)):
            if address is not None and not self._trusts(address):
                break
            before = _parsed(hop)
            if before is None:
                break
            address = before
        return "" if address is None else str(address)

    def _trusts(self, address: Address) -> bool:
        return any(
            address in network
            for network in self._networks
            if isinstance(network, IPv6Network) == isinstance(address, IPv6Address)
        )


def _parsed(text: str) -> Address | None:
    """Read an address with or without port and brackets."""
    text = text.strip()
    if not text or len(text) > _LONGEST:
        return None
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
