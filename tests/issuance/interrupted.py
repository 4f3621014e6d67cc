"""A storage that lets something happen between two transactions of a service: a crash, or another request."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from certs import CertificateRequest, create_csr, parse_csr
from mdmserver.errors import Unavailable
from mdmserver.issuance.issuing import Issuing
from mdmserver.transaction import Body, Storage
from tests.certs.scep_parties import rsa_key
from tests.enrollment.world import World

T = TypeVar("T")


class Interrupted:
    """A Storage; `between` is awaited before the second transaction."""

    def __init__(self, storage: Storage, between: Callable[[], Awaitable[object]]) -> None:
        self._storage = storage
        self._between = between
        self._runs = 0

    async def run(self, body: Body[T]) -> T:
        """Run a body."""
        self._runs += 1
        if self._runs == 2:
            await self._between()
        return await self._storage.run(body)

    async def read(self, body: Body[T]) -> T:
        """Run a body that reads."""
        return await self._storage.read(body)


async def crash() -> None:
    """The server ends here, for all that the caller learns."""
    raise Unavailable("the server stopped")


def issuing_of(world: World, storage: Storage | None = None, *, days: float = 365) -> Issuing:
    """The service that issues, over another storage or with another lifetime."""
    return Issuing(
        storage=storage or world.storage,
        issuance=world.issuance,
        devices=world.devices,
        authorities=world.services.own_authorities,
        clock=world.clock,
        lifetime=timedelta(days=days),
    )


def request_of(key: str = "phone") -> CertificateRequest:
    """A CSR with a key made before the tests."""
    return parse_csr(create_csr(rsa_key(key), common_name="anything", challenge_password=None))
