"""Results over the byte cap (S18): refused, and counted, so that their command ends when it happens again and again.

The device is known by its connection, or by a signature over the whole body, which is hashed as it passes.
"""

from typing import Protocol

from aiohttp import web

from mdmserver.config import KIB, Limits
from mdmserver.devices.identity import PresentedIdentity
from mdmserver.protocol import CommandUUID, EnrollmentID, ProtocolError, enrollment_id_of, scan_root_strings
from mdmserver.web.body import BodyReader, BodyTooLarge
from mdmserver.web.device.identity import Claim, IdentityProver

BEGINNING = 64 * KIB
"""How much of a result is searched for what it belongs to."""
_MOST_TIMES_THE_CAP = 4


class OversizedTaker(Protocol):
    """Counts results that were too large; `Exchange`."""

    async def refuse_oversized(self, id: EnrollmentID, uuid: CommandUUID, presented: PresentedIdentity) -> None:
        """One more for this command; raises IdentityRefused."""
        ...


class OversizedResults:
    """Finds out whose result it was that could not be taken."""

    def __init__(self, limits: Limits, *, bodies: BodyReader, prover: IdentityProver, taker: OversizedTaker) -> None:
        self._longest = _MOST_TIMES_THE_CAP * limits.result_bytes
        self._bodies = bodies
        self._prover = prover
        self._taker = taker

    async def count(self, request: web.BaseRequest, error: BodyTooLarge, claim: Claim) -> None:
        """Count it, if its beginning names a command. Raises as reading and proving do, BodyTooLarge for a signed
        body that is too long even to be hashed."""
        named = _command_named_in(error.received[:BEGINNING])
        if named is None:
            return
        hashed = self._prover.hash_for(claim)
        if claim.signature is not None:
            hashed.update(error.received)
            await self._bodies.pass_on(request, hashed.update, at_most=self._longest - len(error.received))
        presented = self._prover.prove_by_hash(claim, hashed)
        await self._taker.refuse_oversized(*named, presented)


def _command_named_in(beginning: bytes) -> tuple[EnrollmentID, CommandUUID] | None:
    strings = scan_root_strings(beginning)
    uuid = strings.get("CommandUUID")
    if not uuid or "MessageType" in strings:
        return None
    try:
        return enrollment_id_of(strings), CommandUUID(uuid)
    except ProtocolError:
        return None
