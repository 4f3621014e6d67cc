"""A fleet through ten years of renewals, two days at a time: who connects, what goes wrong, what is seen.

Days in which nothing is to be done for a phone cost nothing, since only phones with an open renewal speak. What a phone
does is real (checkin, exchange, issuing, rendered and signed profiles); left out are its key, taken from a small pool,
and the SCEP envelope around its request. Certificates live for three years, not one: a third of the time for the test.
"""

import asyncio
import base64
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from random import Random

from certs import CertificateRequest, dump_public_key, load_device_certificate
from mdmserver.commands.model import ReportedResult
from mdmserver.devices.identity import PresentedIdentity, Reenrollment
from mdmserver.devices.model import EnrollmentRow
from mdmserver.issuance.issuing import Issuing
from mdmserver.protocol import CommandReport, CommandUUID, EnrollmentID, Status, parse_command
from mdmserver.transaction import Transaction
from tests.certs.scep_parties import rsa_key
from tests.enrollment.world import World, give_authority
from tests.fleet import authenticate, device_id, token_update

LIFETIME = timedelta(days=1095)
STEP = timedelta(days=2)
STEPS = 1826
LAST_STEPS = 30
KEYS = 4
LONGEST_PERIOD = 3
"""In steps: even the laziest phone that is never away connects within a week."""

# What a phone makes of a renewal, in percent; the rest is done as it should be.
ACCIDENTS = {"not_now": 8, "error": 5, "format_error": 1, "no_answer": 4, "nothing_issued": 2, "reply_lost": 3}
_CHALLENGE = re.compile(rb"<key>Challenge</key>\s*<string>([^<]+)</string>")
_PAYLOAD = re.compile(rb"<key>Payload</key>\s*<data>([^<]+)</data>")


class Habit(StrEnum):
    """How faithful a phone is."""

    WEEKLY = "weekly"
    """Never away."""
    WANDERER = "wanderer"
    """Away for up to eight weeks when a renewal waits for it, again and again."""
    SLEEPER = "sleeper"
    """In a drawer for up to two years."""


CHANCE_OF_ABSENCE = {Habit.WEEKLY: 0, Habit.WANDERER: 0.1, Habit.SLEEPER: 0.2}
LONGEST_ABSENCE = {Habit.WEEKLY: 0, Habit.WANDERER: 56, Habit.SLEEPER: 700}


@dataclass(slots=True, kw_only=True)
class Member:
    """One phone of the fleet."""

    number: int
    random: Random
    habit: Habit
    is_faithful: bool
    """It was never away."""
    identity: PresentedIdentity | None = None
    away_until: datetime | None = None

    @property
    def id(self) -> EnrollmentID:
        """Its device channel."""
        return device_id(self.number)

    def connects(self, step: int, now: datetime) -> bool:
        """Whether it speaks in this step."""
        if self.away_until is not None and now < self.away_until:
            return False
        if self.random.random() < CHANCE_OF_ABSENCE[self.habit]:
            self.away_until = now + self.random.uniform(0.2, 1) * timedelta(days=LONGEST_ABSENCE[self.habit])
            return False
        return (step + self.number) % (1 + self.number % LONGEST_PERIOD) == 0


@dataclass(slots=True, kw_only=True)
class Decade:
    """The fleet, the server, and what was seen on the way."""

    world: World
    issuing: Issuing
    fleet: list[Member]
    begun: list[int] = field(default_factory=list)
    """Renewals begun, step by step."""
    accidents: Counter[str] = field(default_factory=Counter)
    certificates: list[bytes] = field(default_factory=list)
    expired: Counter[bool] = field(default_factory=Counter)
    """How often an expired certificate was shown, by whether the phone was faithful."""
    shortest_left: timedelta = LIFETIME
    """The least that a certificate of a faithful phone had left when it was shown."""
    _by_row: dict[EnrollmentRow, Member] = field(default_factory=dict)

    async def enroll(self) -> None:
        """All on one day: the worst beginning for what comes after."""
        _, token = await self.world.invite(uses=len(self.fleet))
        invitation = await self.world.services.invitations.look_up(token)
        for group in range(0, len(self.fleet), 100):
            members = self.fleet[group : group + 100]
            challenges = await asyncio.gather(*(self.world.services.invitations.challenge(invitation) for _ in members))
            await asyncio.gather(
                *(self._enroll(member, secret.reveal()) for member, secret in zip(members, challenges, strict=True))
            )

    async def _enroll(self, member: Member, challenge: str) -> None:
        member.identity = await self._issued(member, challenge)
        await self._introduce(member)

    async def live(self) -> None:
        """Ten years; in the middle of them the CA is rolled over, and at last everybody comes home."""
        self._by_row = {await self.world.row(member.id): member for member in self.fleet}
        for step in range(STEPS):
            if step == STEPS // 2:
                await give_authority(self.world, "Next CA")
            if step == STEPS - LAST_STEPS:
                for member in self.fleet:
                    member.habit, member.away_until = Habit.WEEKLY, None
            await self._step(step)
            self.world.clock.now += STEP

    async def _step(self, step: int) -> None:
        self.begun.append(await self._sweep())
        waiting = await self.world.storage.read(_with_open_items)
        now = self.world.clock()
        members = [self._by_row[row] for row in waiting]
        await asyncio.gather(*(self._connect(member) for member in members if member.connects(step, now)))

    async def _sweep(self) -> int:
        total = 0
        due = partial(self.world.devices.due_for_renewal, at=self.world.clock(), limit=1)
        while await self.world.storage.read(due):
            total += await self.world.renewal.sweep()
        return total

    async def _connect(self, member: Member) -> None:
        identity = self._aged(member)
        body = await self._report(member, identity, Status.IDLE, None)
        if body is None:
            return
        uuid = parse_command(body).uuid
        accident = self._accident(member)
        self.accidents[accident] += 1
        match accident:
            case "no_answer":
                return
            case "not_now":
                await self._report(member, identity, Status.NOT_NOW, uuid)
            case "error" | "format_error":
                status = Status.ERROR if accident == "error" else Status.COMMAND_FORMAT_ERROR
                await self._report(member, identity, status, uuid)
            case "nothing_issued":
                await self._report(member, identity, Status.ACKNOWLEDGED, uuid)
            case "reply_lost":
                await self._issued(member, _challenge_in(body))
                await self._report(member, identity, Status.ERROR, uuid)
            case _:
                member.identity = await self._issued(member, _challenge_in(body))
                await self._introduce(member)
                await self._report(member, member.identity, Status.ACKNOWLEDGED, uuid)

    def _aged(self, member: Member) -> PresentedIdentity:
        """Its identity as the edge sees it today."""
        assert member.identity is not None
        left = member.identity.not_after - self.world.clock()
        if member.is_faithful:
            self.shortest_left = min(self.shortest_left, left)
        if left >= timedelta(0):
            return member.identity
        self.expired[member.is_faithful] += 1
        return replace(member.identity, is_expired=True)

    def _accident(self, member: Member) -> str:
        drawn = member.random.uniform(0, 100)
        for name, share in ACCIDENTS.items():
            drawn -= share
            if drawn < 0:
                return name
        return "renewed"

    async def _issued(self, member: Member, challenge: str) -> PresentedIdentity:
        certificate = await self.issuing.for_challenge(
            challenge, f"{member.number}-{len(self.certificates)}", _request(member.number % KEYS)
        )
        self.certificates.append(certificate)
        parsed = load_device_certificate(certificate)
        return PresentedIdentity(
            fingerprint=parsed.fingerprint,
            certificate=certificate,
            authority=self.world.services.own_authorities.issuing.trust_name,
            reenrollment=Reenrollment.INVITED,
            not_before=parsed.not_before,
            not_after=parsed.not_after,
            is_expired=False,
            by_signature=True,
        )

    async def _introduce(self, member: Member) -> None:
        assert member.identity is not None
        await self.world.services.checkin.answer(authenticate(member.id), member.identity)
        await self.world.services.checkin.answer(token_update(member.id), member.identity)

    async def _report(
        self, member: Member, identity: PresentedIdentity, status: Status, uuid: CommandUUID | None
    ) -> bytes | None:
        has_result = status not in (Status.IDLE, Status.NOT_NOW)
        return await self.world.services.exchange.report(
            CommandReport(enrollment_id=member.id, status=status, command_uuid=uuid),
            identity,
            ReportedResult(status=status, body=b"<plist/>") if has_result else None,
        )


def decade_of(world: World, size: int) -> Decade:
    """A fleet of this size before it enrolls; of twenty phones five are wanderers and one is a sleeper."""
    habits = {0: Habit.SLEEPER} | dict.fromkeys(range(1, 6), Habit.WANDERER)
    return Decade(
        world=world,
        issuing=Issuing(
            storage=world.storage,
            issuance=world.issuance,
            devices=world.devices,
            authorities=world.services.own_authorities,
            clock=world.clock,
            lifetime=LIFETIME,
        ),
        fleet=[
            Member(number=number, random=Random(number), habit=habit, is_faithful=habit is Habit.WEEKLY)
            for number in range(1, size + 1)
            for habit in [habits.get(number % 20, Habit.WEEKLY)]
        ],
    )


def _challenge_in(body: bytes) -> str:
    payload = _PAYLOAD.search(body)
    assert payload is not None
    challenge = _CHALLENGE.search(base64.b64decode(payload[1]))
    assert challenge is not None
    return challenge[1].decode()


def _request(key: int) -> CertificateRequest:
    public_key = rsa_key(f"member {key}").public_key()
    return CertificateRequest(
        public_key=public_key,
        public_key_der=dump_public_key(public_key),
        subject="",
        subject_der=b"",
        requested_dns_names=(),
        challenge_password=None,
        request_info=b"",
    )


async def _with_open_items(tx: Transaction) -> list[EnrollmentRow]:
    rows = await tx.fetch_all("SELECT DISTINCT enrollment_id FROM queue_item WHERE finished_at IS NULL")
    return [EnrollmentRow(row[0]) for row in rows]
