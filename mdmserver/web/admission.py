"""Which connections are let in (S21): a cap on all, and one per address on those that have proved nothing yet.

An office is one address, so a connection stops counting against its address with its first authenticated request.
"""

from collections import Counter
from dataclasses import dataclass

from mdmserver.web.peers import PeerName, TrustedProxies, counted_as


@dataclass(slots=True, eq=False)
class Seat:
    """A place taken by one connection; `address` is None once it no longer counts against one."""

    address: str | None
    is_trusted_proxy: bool


class Admission:
    """The connections of several listeners, counted together."""

    def __init__(self, *, connections: int, unproven_per_address: int, proxies: TrustedProxies) -> None:
        self._free = connections
        self._unproven_per_address = unproven_per_address
        self._proxies = proxies
        self._unproven: Counter[str] = Counter()

    def enter(self, peer: PeerName) -> Seat | None:
        """A seat for a new connection; None when it is one too many."""
        if self._free <= 0:
            return None
        if self._proxies.include(peer):
            self._free -= 1
            return Seat(address=None, is_trusted_proxy=True)
        address = counted_as(peer)
        if self._unproven[address] >= self._unproven_per_address:
            return None
        self._unproven[address] += 1
        self._free -= 1
        return Seat(address=address, is_trusted_proxy=False)

    def prove(self, seat: Seat) -> None:
        """The connection carried an authenticated request: it counts against its address no more."""
        if (address := seat.address) is not None:
            seat.address = None
            self._unproven[address] -= 1
            if not self._unproven[address]:
                del self._unproven[address]

    def leave(self, seat: Seat) -> None:
        """The connection is gone; its seat is not used again."""
        self.prove(seat)
        self._free += 1
