"""Which peers are trusted proxies (S8), and which address a peer counts as (S21)."""

import ipaddress
from collections.abc import Iterable

from mdmserver.errors import Invalid

PeerName = str | tuple[str, int] | tuple[str, int, int, int] | None
"""What a transport says of its peer: address and port, or text for a unix socket."""

_IPV6_HOST_BITS = 64


class TrustedProxies:
    """The configured addresses and networks; a peer on a unix socket is always one of them.

    Raises Invalid for what is neither address nor network.
    """

    def __init__(self, networks: Iterable[str]) -> None:
        try:
            self._networks = [ipaddress.ip_network(network) for network in networks]
        except ValueError as error:
            raise Invalid(f"configuration: identity.trusted_proxies: {error}", code="invalid_configuration") from error

    def include(self, peer: PeerName) -> bool:
        """Whether what this peer says of the client is believed."""
        if isinstance(peer, str):
            return True
        if peer is None:
            return False
        address = _address(peer[0])
        return address is not None and any(address in network for network in self._networks)


def counted_as(peer: PeerName) -> str:
    """The name under which a peer's connections are counted: an IPv4 address, or the /64 of an IPv6 one."""
    if peer is None or isinstance(peer, str):
        return "local"
    address = _address(peer[0])
    if isinstance(address, ipaddress.IPv6Address):
        # Whoever has one address has its whole /64.
        return str(int(address) >> _IPV6_HOST_BITS)
    return peer[0]


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
