"""What becomes of devices that acknowledged an erase: gone after a day, or, seen meanwhile, not erased after all."""

from datetime import datetime, timedelta
from functools import partial

from mdmserver.audit.model import Actor, ActorKind
from mdmserver.audit.store import AuditStore
from mdmserver.clock import Clock
from mdmserver.commands.store import CommandStore
from mdmserver.devices.identity import IdentityState
from mdmserver.devices.model import EnrollmentRow, EventKind
from mdmserver.devices.store import DeviceStore, ErasedDevice
from mdmserver.transaction import Storage, Transaction

GONE_AFTER = timedelta(hours=24)
STILL_ERASING = timedelta(minutes=10)
"""A device that begins to erase itself may yet say a word; later than this it has not done it."""

_CHUNK = 500
_ACTOR = Actor(kind=ActorKind.BACKGROUND, name="erased devices")


class ErasedDevices:
    """The sweep over them."""

    def __init__(
        self, *, storage: Storage, devices: DeviceStore, commands: CommandStore, audit: AuditStore, clock: Clock
    ) -> None:
        self._storage = storage
        self._devices = devices
        self._commands = commands
        self._audit = audit
        self._clock = clock

    async def sweep(self) -> int:
        """End those that were silent for a day, their certificates revoked, and enable those that were seen; how many.

        Each is one transaction with one audit record.
        """
        decided = 0
        after: EnrollmentRow | None = None
        while found := await self._storage.read(partial(self._devices.erased_devices, after=after, limit=_CHUNK)):
            for erased in found:
                decided += await self._storage.run(partial(self._decide, device=erased.device))
            after = found[-1].device
        return decided

    async def _decide(self, tx: Transaction, *, device: EnrollmentRow) -> bool:
        # Looked at again: since the list was read it may have enrolled or ended.
        known = await self._devices.erased_devices(tx, after=EnrollmentRow(device - 1), limit=1)
        if not known or known[0].device != device:
            return False
        erased, at = known[0], self._clock()
        if erased.last_seen_at is not None and erased.last_seen_at > erased.erased_at + STILL_ERASING:
            await self._devices.unmark_erased(tx, device)
            await self._noted(tx, erased, EventKind.ERASE_NOT_DONE, "device.erase_not_done", at)
            return True
        if at < erased.erased_at + GONE_AFTER:
            return False
        await self._commands.clear_queue(tx, device, users=True, reason="the device was erased", at=at)
        await self._devices.end_life(tx, device, at=at)
        await self._devices.set_identity_state(tx, device, IdentityState.REVOKED, at=at)
        await self._noted(tx, erased, EventKind.ERASED, "device.erased", at)
        return True

    async def _noted(self, tx: Transaction, erased: ErasedDevice, kind: EventKind, action: str, at: datetime) -> None:
        acknowledged = f"acknowledged at {erased.erased_at.isoformat(timespec='seconds')}"
        await self._devices.add_event(tx, erased.device, kind, detail=acknowledged, life=erased.life, at=at)
        await self._audit.append(tx, at=at, actor=_ACTOR, action=action, subject=str(erased.id), detail={})
