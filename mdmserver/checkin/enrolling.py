"""How enrollments begin, go on and end: Authenticate, TokenUpdate, CheckOut. Each is one transaction body."""

from dataclasses import replace
from datetime import datetime

from mdmserver.assignments.store import AssignmentStore
from mdmserver.checkin.gate import Turned
from mdmserver.checkin.recognition import Recognition
from mdmserver.commands.store import CommandStore
from mdmserver.devices.identity import (
    Beginning,
    IdentityState,
    KnownEnrollment,
    Newcomer,
    PresentedIdentity,
    Reenrollment,
    decide,
)
from mdmserver.devices.model import DeviceFacts, EnrollmentRow, EventKind, PushInfo
from mdmserver.devices.store import Channel, DeviceStore, Identification
from mdmserver.issuance.issuing import renewal_time
from mdmserver.protocol import Authenticate, TokenUpdate
from mdmserver.secret import Secret
from mdmserver.transaction import Transaction


class Enrolling:
    """The steps that begin and end the life of an enrollment. Identity was judged before, except for Authenticate."""

    def __init__(
        self,
        *,
        devices: DeviceStore,
        commands: CommandStore,
        assignments: AssignmentStore,
        recognition: Recognition,
    ) -> None:
        self._devices = devices
        self._commands = commands
        self._assignments = assignments
        self._recognition = recognition

    async def authenticate(
        self, tx: Transaction, message: Authenticate, presented: PresentedIdentity, at: datetime
    ) -> EnrollmentRow | Turned:
        """The enrollment that began or goes on, or why the certificate was turned away (S2)."""
        known = await self._recognition.identify(tx, message.enrollment_id, presented, at)
        enrollment = await self._known_enrollment(tx, known)
        newcomer = await self._newcomer(tx, message, presented, known)
        match decide(known.identity, enrollment, newcomer=newcomer, reenrollment=presented.reenrollment, at=at):
            case Beginning.NOTHING:
                return Turned.REFUSED
            case Beginning.PENDING:
                await self._note_pending(tx, message, known, presented, at)
                return Turned.REFUSED
            case Beginning.FACTS if known.device is not None and known.device.is_to_unenroll:
                return Turned.TO_UNENROLL
            case Beginning.FACTS:
                return await self._take_news(tx, message, known, presented, at)
            case Beginning.ENROLLMENT:
                row = await self._devices.insert_enrollment(tx, message.enrollment_id, parent=None, life=1, at=at)
                life, kind = 1, EventKind.ENROLLMENT_BEGAN
            case Beginning.LIFE:
                assert known.device is not None
                row, life, kind = known.device.row, known.device.life + 1, EventKind.NEW_LIFE
                await self._begin_life(tx, row, life, at)
        await self._devices.bind_identity(tx, row, presented, renew_at=_renewal_of(presented), at=at)
        if newcomer.uid is not None:
            await self._devices.set_origin(tx, row, uid=newcomer.uid, user_name=newcomer.user_name)
            await self._recognition.bound(tx, newcomer, row, at)
        await self._devices.set_facts(tx, row, facts_of(message), topic=message.topic, at=at)
        await self._devices.add_event(tx, row, kind, detail=presented.description, life=life, at=at)
        return row

    async def token_update(
        self, tx: Transaction, message: TokenUpdate, device: Channel, channel: Channel | None, at: datetime
    ) -> EnrollmentRow:
        """Enable the channel, making a user channel that is new or had ended; its row.

        A device that renewed its certificate and then waits in the Setup Assistant was erased: a new life (S2 c).
        """
        is_device = channel is not None and channel.row == device.row
        if is_device and device.has_reauthenticated and device.enabled and message.awaiting_configuration:
            device = replace(device, life=device.life + 1)
            await self._begin_life(tx, device.row, device.life, at)
            await self._devices.add_event(
                tx, device.row, EventKind.NEW_LIFE, detail="awaits configuration again", life=device.life, at=at
            )
        row, is_new_life = await self._channel_row(tx, message, device, channel, at)
        tally = await self._devices.set_push_info(
            tx,
            message.enrollment_id,
            row,
            PushInfo(
                topic=message.topic,
                token=None if message.token is None else Secret(message.token),
                magic=Secret(message.push_magic),
            ),
            unlock_token=None if message.unlock_token is None else Secret(message.unlock_token),
            awaiting_configuration=message.awaiting_configuration,
            user_short_name=message.user_short_name,
            user_long_name=message.user_long_name,
            at=at,
        )
        if tally == 1 or is_new_life:
            await self._devices.add_event(tx, row, EventKind.ENROLLED, detail="", life=device.life, at=at)
            await self._assignments.ask(tx, [device.row], at=at)
        return row

    async def check_out(self, tx: Transaction, device: Channel, channel: Channel, at: datetime) -> None:
        """End the channel's life; a device's certificates are revoked with it."""
        is_device = channel.row == device.row
        await self._commands.clear_queue(tx, channel.row, users=is_device, reason="the device checked out", at=at)
        await self._devices.end_life(tx, channel.row, at=at)
        if is_device:
            await self._devices.set_identity_state(tx, device.row, IdentityState.REVOKED, at=at)
        await self._devices.add_event(tx, channel.row, EventKind.CHECKED_OUT, detail="", life=channel.life, at=at)

    async def _newcomer(
        self,
        tx: Transaction,
        message: Authenticate,
        presented: PresentedIdentity,
        known: Identification,
    ) -> Newcomer:
        if presented.reenrollment is not Reenrollment.INVITED:
            return Newcomer(may_replace=presented.reenrollment is Reenrollment.ALLOW)
        if known.identity is not None:
            return Newcomer()
        device = None if known.device is None else known.device.row
        return await self._recognition.newcomer(tx, presented, facts_of(message), device)

    async def _take_news(
        self,
        tx: Transaction,
        message: Authenticate,
        known: Identification,
        presented: PresentedIdentity,
        at: datetime,
    ) -> EnrollmentRow:
        """A renewal, or the same Authenticate again: what the device says of itself is noted, nothing is cleared."""
        assert known.device is not None
        assert known.identity is not None
        row = known.device.row
        is_renewal = known.identity.is_first_use
        if is_renewal:
            await self._devices.confirm_identity(tx, row, at=at)
            # Only then: an old Authenticate and an old TokenUpdate replayed must not pass for an erased device (S6).
            await self._devices.note_reauthenticated(tx, row, at=at)
        await self._devices.set_facts(tx, row, facts_of(message), topic=message.topic, at=at)
        kind = EventKind.RENEWED if is_renewal else EventKind.FACTS_UPDATED
        await self._devices.add_event(tx, row, kind, detail=presented.description, life=known.device.life, at=at)
        return row

    async def _begin_life(self, tx: Transaction, row: EnrollmentRow, life: int, at: datetime) -> None:
        await self._commands.clear_queue(tx, row, users=True, reason="the device enrolled again", at=at)
        await self._devices.begin_life(tx, row, life=life, at=at)

    async def _known_enrollment(self, tx: Transaction, known: Identification) -> KnownEnrollment | None:
        if known.device is None:
            return None
        # One that was told to unenroll or erase and comes back with another certificate has done what it was told.
        has_gone = (known.device.is_to_unenroll or known.device.is_erased) and known.identity is None
        return KnownEnrollment(
            row=known.device.row,
            is_live=known.device.is_live and not has_gone,
            is_released=await self._devices.is_released(tx, known.device.row),
        )

    async def _note_pending(
        self,
        tx: Transaction,
        message: Authenticate,
        known: Identification,
        presented: PresentedIdentity,
        at: datetime,
    ) -> None:
        is_first = await self._devices.note_pending(tx, message.enrollment_id, presented, message.serial_number, at)
        if is_first and known.device is not None:
            await self._devices.add_event(
                tx,
                known.device.row,
                EventKind.REENROLLMENT_PENDING,
                detail=presented.description,
                life=known.device.life,
                at=at,
            )

    async def _channel_row(
        self, tx: Transaction, message: TokenUpdate, device: Channel, channel: Channel | None, at: datetime
    ) -> tuple[EnrollmentRow, bool]:
        if channel is None:
            row = await self._devices.insert_enrollment(
                tx, message.enrollment_id, parent=device.row, life=device.life, at=at
            )
            return row, True
        if channel.row != device.row and not channel.is_live:
            await self._devices.begin_user_life(tx, channel.row, life=device.life)
            return channel.row, True
        return channel.row, False


def facts_of(message: Authenticate) -> DeviceFacts:
    """What the device said of itself."""
    return DeviceFacts(
        serial_number=message.serial_number,
        device_name=message.device_name,
        model=message.model,
        model_name=message.model_name,
        product_name=message.product_name,
        os_version=message.os_version,
        build_version=message.build_version,
        imei=message.imei,
        meid=message.meid,
    )


def _renewal_of(presented: PresentedIdentity) -> datetime | None:
    """When a certificate of ours is to be renewed; those of another CA are that CA's business."""
    if presented.reenrollment is not Reenrollment.INVITED:
        return None
    return renewal_time(presented.fingerprint, presented.not_before, presented.not_after)
