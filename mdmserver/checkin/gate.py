"""Who speaks, in the same transaction as what they say (S1, S4): every message but Authenticate passes here.

The usual way is one look into storage. Three things happen rarely: a renewed certificate is used for the first time,
which ends the one before it; a certificate of ours is not in the records, because they were restored from a backup
older than it; and a device is being told to unenroll.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from mdmserver.checkin.recognition import Recognition
from mdmserver.devices.identity import ExpiredIdentity, PresentedIdentity, Verdict, judge
from mdmserver.devices.model import EventKind
from mdmserver.devices.store import Channel, DeviceStore
from mdmserver.errors import IdentityRefused
from mdmserver.protocol import EnrollmentID
from mdmserver.transaction import Transaction


class UnenrollDevice(IdentityRefused):
    """The device was told to go: it gets the error document on which it removes its enrollment."""

    code = "unenroll"


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A device that may speak; `channel` is None for a user channel that is not known."""

    device: Channel
    channel: Channel | None
    is_renewal_only: bool


class Turned(Enum):
    """Why a message was turned away."""

    REFUSED = auto()
    TO_UNENROLL = auto()


class Gate:
    """Lets messages in. `admit` writes what it has to and never raises for a refusal, which would undo that."""

    def __init__(self, *, devices: DeviceStore, recognition: Recognition, expired_identity: ExpiredIdentity) -> None:
        self._devices = devices
        self._recognition = recognition
        self._expired_identity = expired_identity

    async def admit(
        self,
        tx: Transaction,
        id: EnrollmentID,
        presented: PresentedIdentity,
        at: datetime,
        *,
        lets_go: bool = False,
    ) -> Admitted | Turned:
        """The device behind a message, or why it was turned away; `lets_go` takes one that is to unenroll."""
        known = await self._recognition.identify(tx, id, presented, at)
        device = known.device
        verdict = judge(
            known.identity,
            device.row if device is not None else None,
            presented=presented,
            expired=self._expired_identity,
            at=at,
        )
        if device is None or verdict is Verdict.REFUSED:
            return Turned.REFUSED
        if device.is_to_unenroll and not lets_go:
            return Turned.TO_UNENROLL
        if known.identity is not None and known.identity.is_first_use and verdict is Verdict.WELCOME:
            await self._devices.confirm_identity(tx, device.row, at=at)
            await self._devices.add_event(
                tx, device.row, EventKind.RENEWED, detail=presented.description, life=device.life, at=at
            )
        return Admitted(device=device, channel=known.channel, is_renewal_only=verdict is Verdict.RENEWAL_ONLY)


def turned_away(why: Turned, id: EnrollmentID) -> IdentityRefused:
    """The error to raise, once the transaction is done, for a message that was turned away."""
    if why is Turned.TO_UNENROLL:
        return UnenrollDevice(f"{id} is to unenroll")
    return IdentityRefused(f"the certificate presented does not speak for {id}")
