"""How an administrator ends an enrollment: tell the device to go, retire it on our side, or forget it."""

from datetime import datetime

from mdmserver.audit.model import Actor
from mdmserver.audit.store import AuditStore
from mdmserver.clock import Clock
from mdmserver.commands.store import CommandStore
from mdmserver.devices.identity import IdentityState
from mdmserver.devices.model import Enrollment, EnrollmentRow, EventKind
from mdmserver.devices.store import DeviceStore
from mdmserver.errors import Conflict, NotFound
from mdmserver.transaction import Storage, Transaction


class Leaving:
    """Ends enrollments. All raise NotFound for an unknown row and Conflict for what is no device."""

    def __init__(
        self, *, storage: Storage, devices: DeviceStore, commands: CommandStore, audit: AuditStore, clock: Clock
    ) -> None:
        self._storage = storage
        self._devices = devices
        self._commands = commands
        self._audit = audit
        self._clock = clock

    async def unenroll(self, device: EnrollmentRow, *, actor: Actor) -> Enrollment:
        """At its next message the device is told to remove its enrollment; until it checks out, at every message.

        Its queue ends now. Raises Conflict if the enrollment has ended.
        """

        async def body(tx: Transaction) -> Enrollment:
            at = self._clock()
            enrollment = await self._device(tx, device)
            if enrollment.ended_at is not None:
                raise Conflict(f"{enrollment.id} is not enrolled any more", code="enrollment_ended")
            await self._commands.clear_queue(tx, device, users=True, reason="the device is to unenroll", at=at)
            await self._devices.request_unenroll(tx, device, at=at)
            await self._note(tx, enrollment, EventKind.UNENROLL_REQUESTED, actor, at)
            await self._audited(tx, enrollment, "device.unenroll", actor, at)
            return enrollment

        return await self._storage.run(body)

    async def retire(self, device: EnrollmentRow, *, actor: Actor) -> Enrollment:
        """End the enrollment on our side: queue ended, certificates revoked. The device is not told, only refused."""

        async def body(tx: Transaction) -> Enrollment:
            at = self._clock()
            enrollment = await self._device(tx, device)
            if enrollment.ended_at is not None:
                raise Conflict(f"{enrollment.id} is not enrolled any more", code="enrollment_ended")
            await self._end(tx, device, at)
            await self._note(tx, enrollment, EventKind.RETIRED, actor, at)
            await self._audited(tx, enrollment, "device.retire", actor, at)
            return enrollment

        return await self._storage.run(body)

    async def delete(self, device: EnrollmentRow, *, actor: Actor) -> Enrollment:
        """Retire the device if it is not, and forget what is known of it. It can enroll again as a new one."""

        async def body(tx: Transaction) -> Enrollment:
            at = self._clock()
            enrollment = await self._device(tx, device)
            if enrollment.ended_at is None:
                await self._end(tx, device, at)
            await self._devices.forget(tx, device, at=at)
            await self._audited(tx, enrollment, "device.delete", actor, at)
            return enrollment

        return await self._storage.run(body)

    async def _device(self, tx: Transaction, device: EnrollmentRow) -> Enrollment:
        enrollment = await self._devices.enrollment(tx, device)
        if enrollment is None:
            raise NotFound("there is no such enrollment", code="enrollment_not_found")
        if enrollment.id.is_user_channel:
            raise Conflict(f"{enrollment.id} is a user channel; name its device", code="not_a_device")
        return enrollment

    async def _end(self, tx: Transaction, device: EnrollmentRow, at: datetime) -> None:
        await self._commands.clear_queue(tx, device, users=True, reason="the device was retired", at=at)
        await self._devices.end_life(tx, device, at=at)
        await self._devices.set_identity_state(tx, device, IdentityState.REVOKED, at=at)

    async def _note(self, tx: Transaction, enrollment: Enrollment, kind: EventKind, actor: Actor, at: datetime) -> None:
        await self._devices.add_event(tx, enrollment.row, kind, detail=f"by {actor.name}", life=enrollment.life, at=at)

    async def _audited(self, tx: Transaction, enrollment: Enrollment, action: str, actor: Actor, at: datetime) -> None:
        await self._audit.append(tx, at=at, actor=actor, action=action, subject=str(enrollment.id), detail={})
