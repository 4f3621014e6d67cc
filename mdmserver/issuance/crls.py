"""Revocation lists as they are published: signed anew at most every few minutes, however often they are fetched."""

import asyncio
from datetime import datetime, timedelta

from mdmserver.clock import Clock
from mdmserver.issuance.authorities import Authorities
from mdmserver.issuance.model import AuthorityRow

FRESH_SECONDS = 300


class PublishedCRLs:
    """The latest CRL of each CA of ours."""

    def __init__(self, *, authorities: Authorities, clock: Clock) -> None:
        self._authorities = authorities
        self._clock = clock
        self._published: dict[AuthorityRow, tuple[datetime, bytes]] = {}
        # A flood of first requests is one signature.
        self._signing = asyncio.Lock()

    async def published(self, row: AuthorityRow | None) -> bytes:
        """The CRL (DER) of this CA, by default of the issuing one. Raises Invalid for an unknown CA, Unavailable."""
        row = self._authorities.issuing.row if row is None else row
        async with self._signing:
            at, crl = self._published.get(row, (None, b""))
            now = self._clock()
            if at is None or not at <= now < at + timedelta(seconds=FRESH_SECONDS):
                crl = await self._authorities.crl(row)
                self._published[row] = (now, crl)
            return crl
