"""Certificates that enrolled nothing within a day are revoked (S2): somebody got one and did not come."""

from mdmserver.audit.model import Actor, ActorKind
from mdmserver.audit.store import AuditStore
from mdmserver.clock import Clock
from mdmserver.issuance.model import UNUSED_CERTIFICATE_LIFETIME
from mdmserver.issuance.store import IssuanceStore
from mdmserver.transaction import Storage, Transaction

_ACTOR = Actor(kind=ActorKind.BACKGROUND, name="unused certificates")


class UnusedCertificates:
    """The sweep that revokes them."""

    def __init__(self, *, storage: Storage, issuance: IssuanceStore, audit: AuditStore, clock: Clock) -> None:
        self._storage = storage
        self._issuance = issuance
        self._audit = audit
        self._clock = clock

    async def revoke(self) -> int:
        """Revoke what is a day old and unused; how many."""

        async def body(tx: Transaction) -> int:
            at = self._clock()
            number = await self._issuance.revoke_unused(tx, recorded_before=at - UNUSED_CERTIFICATE_LIFETIME, at=at)
            if number:
                await self._audit.append(
                    tx, at=at, actor=_ACTOR, action="certificates.revoke_unused", subject="", detail={"number": number}
                )
            return number

        return await self._storage.run(body)
