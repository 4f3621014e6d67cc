"""Devices by number, and the administrator who sends them commands: how the tests of the core talk to the services."""

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from mdmserver.audit.model import Actor, ActorKind
from mdmserver.commands.enqueue import Enqueued
from mdmserver.commands.model import ItemState, QueueItem, ReportedResult
from mdmserver.commands.request import CommandRequest
from mdmserver.devices.identity import PresentedIdentity, Reenrollment
from mdmserver.devices.model import Enrollment
from mdmserver.protocol import (
    Authenticate,
    CheckOut,
    CommandUUID,
    EnrollmentID,
    EnrollmentType,
    Status,
    TokenUpdate,
    build_command,
    encode_report,
    parse_command,
    parse_report,
)
from mdmserver.web.services import Services

START = datetime(2026, 1, 1, tzinfo=UTC)
TOPIC = "com.apple.mgmt.External.test"
ADMIN = Actor(kind=ActorKind.KEY, name="admin")
LONGEST_QUEUE = 1000


class FakeClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **amount: float) -> None:
        """Move on by a timedelta's arguments."""
        self.now += timedelta(**amount)


def device_id(number: int) -> EnrollmentID:
    """The device channel of a device."""
    return EnrollmentID(EnrollmentType.DEVICE, f"00000000-0000-4000-8000-{number:012d}")


def user_id(number: int, user: int = 1) -> EnrollmentID:
    """A user channel of a device."""
    return EnrollmentID(EnrollmentType.USER, device_id(number).device, f"USER-{user}")


def certificate(number: int, version: int = 1) -> PresentedIdentity:
    """A good certificate of a device, of a CA whose policy is `ask`; each version is another certificate."""
    der = f"certificate {version} of device {number}".encode()
    return PresentedIdentity(
        fingerprint=hashlib.sha256(der).digest(),
        certificate=der,
        authority="test",
        reenrollment=Reenrollment.ASK,
        not_before=START - timedelta(days=1),
        not_after=START + timedelta(days=365),
        is_expired=False,
        by_signature=True,
    )


def allowed(presented: PresentedIdentity) -> PresentedIdentity:
    """The same certificate, of a CA whose policy is `allow`."""
    return replace(presented, reenrollment=Reenrollment.ALLOW)


def expired(presented: PresentedIdentity) -> PresentedIdentity:
    """The same certificate, after its end."""
    return replace(presented, is_expired=True)


def authenticate(id: EnrollmentID) -> Authenticate:
    """What a device sends first."""
    return Authenticate(enrollment_id=id, topic=TOPIC, serial_number=f"C0{id.device[-4:]}", model="Mac15,3")


def token_update(id: EnrollmentID) -> TokenUpdate:
    """What enables a channel."""
    return TokenUpdate(enrollment_id=id, topic=TOPIC, push_magic=f"magic of {id}", token=b"push token")


def plist_command(uuid: str, request_type: str = "ProfileList") -> bytes:
    """A whole command, as another tool would have written it."""
    return build_command(CommandUUID(uuid), {"RequestType": request_type}).body


def uuid_of(body: bytes | None) -> str | None:
    """The uuid of a command's bytes, None for none."""
    return None if body is None else parse_command(body).uuid


@dataclass(frozen=True, slots=True)
class Fleet:
    """Devices by number, and the one administrator who sends them commands."""

    services: Services

    async def authenticate(self, number: int, presented: PresentedIdentity | None = None) -> None:
        """The device begins to enroll."""
        await self.services.checkin.answer(authenticate(device_id(number)), presented or certificate(number))

    async def token_update(self, id: EnrollmentID, presented: PresentedIdentity) -> None:
        """The channel is enabled."""
        await self.services.checkin.answer(token_update(id), presented)

    async def enroll(self, number: int, presented: PresentedIdentity | None = None) -> EnrollmentID:
        """Enroll a device, or enroll it again; its id."""
        await self.authenticate(number, presented)
        await self.token_update(device_id(number), presented or certificate(number))
        return device_id(number)

    async def log_in(self, number: int, user: int = 1) -> EnrollmentID:
        """Enroll a user channel of an enrolled device; its id."""
        await self.token_update(user_id(number, user), certificate(number))
        return user_id(number, user)

    async def check_out(self, id: EnrollmentID, presented: PresentedIdentity) -> None:
        """The enrollment profile is gone."""
        await self.services.checkin.answer(CheckOut(enrollment_id=id, topic=TOPIC), presented)

    async def report(
        self,
        id: EnrollmentID,
        status: Status,
        uuid: str | None = None,
        *,
        presented: PresentedIdentity | None = None,
        response: dict[str, object] | None = None,
    ) -> bytes | None:
        """Send a report as the edge would hand it on; the bytes of the next command."""
        command_uuid = None if uuid is None else CommandUUID(uuid)
        body = encode_report(enrollment_id=id, status=status, command_uuid=command_uuid, response=response)
        has_result = status not in (Status.IDLE, Status.NOT_NOW)
        return await self.services.exchange.report(
            parse_report(body),
            presented or certificate(int(id.device[-12:])),
            ReportedResult(status=status, body=body) if has_result else None,
        )

    async def answer(self, id: EnrollmentID, uuid: str, status: Status = Status.ACKNOWLEDGED) -> str | None:
        """Answer a command; the uuid of the next one."""
        return uuid_of(await self.report(id, status, uuid))

    async def not_now(self, id: EnrollmentID, uuid: str) -> str | None:
        """Put a command off; the uuid of the next one."""
        return await self.answer(id, uuid, Status.NOT_NOW)

    async def idle(self, id: EnrollmentID) -> str | None:
        """Say Idle; the uuid of the next command."""
        return uuid_of(await self.report(id, Status.IDLE))

    async def enqueue(
        self,
        uuid: str,
        *targets: EnrollmentID,
        request_type: str = "ProfileList",
        not_before: datetime | None = None,
        expires_at: datetime | None = None,
        priority: int = 0,
    ) -> Enqueued:
        """Queue a command."""
        request = CommandRequest(
            plist=plist_command(uuid, request_type),
            not_before=not_before,
            expires_at=expires_at,
            priority=priority,
        )
        return await self.services.commands.enqueue(request, [str(target) for target in targets], actor=ADMIN)

    async def cancel(self, uuid: str) -> int:
        """Cancel a command everywhere."""
        return await self.services.commands.cancel(CommandUUID(uuid), None, actor=ADMIN)

    async def enrollment(self, id: EnrollmentID) -> Enrollment:
        """The record of a channel."""
        return await self.services.devices.show(id.key)

    async def items(self, id: EnrollmentID) -> dict[str, QueueItem]:
        """The channel's queue items by uuid, finished ones too."""
        row = await self.services.devices.resolve(id.key)
        page = await self.services.commands.queue_of(row, states=frozenset(), cursor=None, limit=LONGEST_QUEUE)
        return {item.command_uuid: item for item in page.items}

    async def states(self, id: EnrollmentID) -> dict[str, ItemState]:
        """The state of each of them."""
        return {uuid: item.state for uuid, item in (await self.items(id)).items()}

    async def kinds(self, id: EnrollmentID) -> list[str]:
        """What the timeline holds, oldest first."""
        entries = await self.services.devices.timeline(id.key, limit=LONGEST_QUEUE)
        return [entry.kind for entry in reversed(entries)]
