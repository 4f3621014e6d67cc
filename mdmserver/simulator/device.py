"""One simulated device: enrolls, connects, delivers results, renews, checks out. A fleet of them is `fleet`.

A result counts as delivered only when the server answered it with 2xx. Until then the device keeps it, and at its next
connect it sends that before anything else. NotNow is a result in this. A renewal ends a connection: SCEP, Authenticate
and TokenUpdate follow, and its result goes over a new connection, with the new identity.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Protocol

from mdmserver.protocol import CheckinMessage, CommandUUID, EnrollmentID, Status, encode_checkin
from mdmserver.simulator.applicant import Applicant
from mdmserver.simulator.apps import Manners
from mdmserver.simulator.channel import Channel, Renewal, Result
from mdmserver.simulator.condition import Condition
from mdmserver.simulator.conversation import Conversation, Endpoint, Loss, Reply
from mdmserver.simulator.enrolling import authenticate, check_out, token_update, user_token_update
from mdmserver.simulator.errors import OutOfReach, ReplyLost, ServerRefused
from mdmserver.simulator.facts import DeviceFacts
from mdmserver.simulator.identity import Identity
from mdmserver.simulator.management import Management
from mdmserver.simulator.renewing import Mishap, new_identity
from mdmserver.simulator.task import DONE, Answer
from mdmserver.simulator.transport import Transport

_UNENROLL_CODE = b"com.apple.unrecognized.device"


class Observer(Protocol):
    """Whoever wants to hear what devices do."""

    def delivered(self, status: Status) -> None:
        """The server took the answer to a command."""

    def lost_reply(self) -> None:
        """A reply was lost on purpose."""

    def renewed(self) -> None:
        """A device checked in with a new identity."""

    def mishap(self, mishap: Mishap) -> None:
        """Something goes wrong in a renewal on purpose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How a device behaves throughout: shares are from 0 to 1, `answer_seconds` is what one command takes it.

    To a share `app_rejections` of the apps offered the person says no; so many looks as `app_looks` find an app still
    being installed.
    """

    lost_replies: float = 0
    renewal_mishaps: float = 0
    answer_seconds: float = 0
    app_rejections: float = 0
    app_looks: int = 0
    has_many_applications: bool = False


class SimulatedDevice:
    """A device of one server; `condition` may be set at any time and holds from the next command on.

    `invitation` is the URL by which it enrolls; a device without an identity needs one. `mishap` goes wrong in its
    next renewal; without one it may be drawn by the device's habits. `owes_check_in`: it has a new identity and has
    not checked in with it.
    """

    def __init__(
        self,
        *,
        facts: DeviceFacts,
        topic: str,
        random: Random,
        observer: Observer,
        identity: Identity | None = None,
        applicant: Applicant | None = None,
        habits: Habits = Habits(),
    ) -> None:
        self.facts = facts
        self.identity = identity
        self.management: Management | None = None
        self.topic = topic
        self.condition = Condition()
        self.invitation: str | None = None
        self.mishap: Mishap | None = None
        self.is_enrolled = False
        self.owes_check_in = False
        self._random = random
        self._observer = observer
        self._applicant = applicant
        self._habits = habits
        self._unlock_token: bytes | None = None
        self._delivered = 0
        self.channel = self._new_channel(facts.device_id)
        self.user_channel: Channel | None = None
        if facts.user_id is not None:
            self.user_channel = self._new_channel(facts.user_id)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The device's channel, and the user's where there is one."""
        return (self.channel,) if self.user_channel is None else (self.channel, self.user_channel)

    @property
    def executed(self) -> Mapping[CommandUUID, Status]:
        """The commands carried out on the device's channel, each with how it ended; NotNow is no end."""
        return self.channel.executed

    def take_over(self, identity: Identity, management: Management | None) -> None:
        """Hold this identity, and be managed by this profile, from now on."""
        self.identity = identity
        for channel in self.channels:
            channel.certificate_der = identity.certificate_der
        if management is not None:
            self.management = self.channel.management = management
            self.topic = management.enrollment.mdm.topic
            self.channel.installed.install_profile(management.profile)

    async def enroll(self, transport: Transport) -> None:
        """Accept the invitation if there is one, then Authenticate and TokenUpdate, on a Mac the user's too.

        What an earlier enrollment brought is gone then. Raises EnrollmentRefused, ServerRefused, ServerUnreachable.
        """
        self._forget_management()
        if self._applicant is not None and self.invitation is not None:
            loses_reply = self._draw_loss() is not None
            joined = await self._applicant.accept(
                transport, self.invitation, random=self._random, loses_reply=loses_reply
            )
            self.take_over(*joined)
        self._unlock_token = self._random.randbytes(64)
        async with self._conversation(transport) as conversation:
            await self._check_in(conversation)
            if self.user_channel is not None:
                await self._send(conversation, user_token_update(self.user_channel, self.facts, self.topic))
        self.is_enrolled = True

    async def check_out(self, transport: Transport) -> None:
        """Leave; as devices do, once and whatever comes back. Raises ServerRefused, ServerUnreachable."""
        self.is_enrolled = False
        async with self._conversation(transport) as conversation:
            await self._send(conversation, check_out(self.channel, self.topic))

    async def connect(self, transport: Transport) -> int:
        """Carry out commands until there are none, first the device's, then the user's; how many were delivered.

        Nothing happens while the device is unreachable or not enrolled. Raises ServerRefused, ServerUnreachable
        and CommandUnreadable.
        """
        before = self._delivered
        try:
            while self.is_enrolled and self.condition.is_reachable:
                renewal = await self._visit(transport)
                if renewal is None:
                    break
                await self._renew(transport, renewal)
        except ReplyLost:
            self._observer.lost_reply()
        except OutOfReach:
            pass
        return self._delivered - before

    async def _visit(self, transport: Transport) -> Renewal | None:
        """One connection, used until there are no commands, or until a renewal that has to come first."""
        async with self._conversation(transport) as conversation:
            if self.owes_check_in:
                await self._check_in_renewed(conversation)
            for channel in self.channels:
                renewal = await self._converse(conversation, channel)
                if renewal is not None:
                    return renewal
        return None

    async def _renew(self, transport: Transport, renewal: Renewal) -> None:
        mishap = self._draw_mishap()
        loses_reply = self._draw_loss() is not None
        got = await new_identity(
            self._applicant, transport, renewal, random=self._random, mishap=mishap, loses_reply=loses_reply
        )
        if isinstance(got, Answer):
            self.channel.finish(renewal.uuid, renewal.request_type, got)
            return
        if self.identity is not None:
            transport.forget(self.identity)
        self.take_over(got, renewal.management)
        self.owes_check_in = True
        self.channel.finish(renewal.uuid, renewal.request_type, DONE)
        if mishap is Mishap.SILENT_BEFORE_CHECK_IN:
            raise OutOfReach
        async with self._conversation(transport) as conversation:
            await self._check_in_renewed(conversation)
        if mishap is Mishap.RESULT_FORGOTTEN:
            self.channel.unsent = None
        if mishap is not None:
            raise OutOfReach

    async def _check_in_renewed(self, conversation: Conversation) -> None:
        await self._check_in(conversation)
        self.owes_check_in = False
        self._observer.renewed()

    async def _check_in(self, conversation: Conversation) -> None:
        await self._send(conversation, authenticate(self.channel, self.facts, self.topic))
        update = token_update(self.channel, self.facts, self.topic, unlock_token=self._unlock_token)
        await self._send(conversation, update)

    async def _send(self, conversation: Conversation, message: CheckinMessage) -> None:
        reply = await conversation.send(Endpoint.CHECKIN, encode_checkin(message))
        self._check(reply, type(message).__name__)

    async def _converse(self, conversation: Conversation, channel: Channel) -> Renewal | None:
        if channel.unsent is None:
            reply = await conversation.send(Endpoint.COMMAND, channel.idle, repeats=True)
            self._check(reply, "Idle")
        else:
            reply = await self._deliver(conversation, channel, channel.unsent)
        while reply.body and self.is_enrolled:
            result = channel.execute(reply.body, self.condition)
            if isinstance(result, Renewal):
                return result
            if self._habits.answer_seconds:
                await asyncio.sleep(self._habits.answer_seconds)
            reply = await self._deliver(conversation, channel, result)
        return None

    async def _deliver(self, conversation: Conversation, channel: Channel, result: Result) -> Reply:
        reply = await conversation.send(Endpoint.COMMAND, result.body, loss=self._draw_loss())
        self._check(reply, str(result.status))
        channel.unsent = None
        self._delivered += 1
        self._observer.delivered(result.status)
        if result.status is Status.ACKNOWLEDGED:
            await self._after(conversation, result.request_type)
        return reply

    async def _after(self, conversation: Conversation, request_type: str) -> None:
        """What follows from a command that was carried out: erased, or without its enrollment profile, it is gone."""
        if request_type == "EraseDevice":
            self.is_enrolled = False
            for channel in self.channels:
                channel.installed.erase()
        elif request_type == "RemoveProfile" and self.management is not None:
            enrollment = self.management.enrollment
            self.is_enrolled = enrollment.profile_identifier in self.channel.installed.profiles
            if not self.is_enrolled and enrollment.mdm.check_out_when_removed:
                await self._send(conversation, check_out(self.channel, self.topic))

    def _forget_management(self) -> None:
        for channel in self.channels:
            channel.installed.end_management()
        if self.management is not None:
            self.channel.installed.install_profile(self.management.profile)

    @asynccontextmanager
    async def _conversation(self, transport: Transport) -> AsyncIterator[Conversation]:
        if self.identity is None:
            raise RuntimeError("a device without an identity has nothing to say")
        async with transport.open(self.identity, self.management) as conversation:
            yield conversation

    def _check(self, reply: Reply, name: str) -> None:
        if reply.is_success:
            return
        if reply.status == 401 or (reply.status == 403 and _UNENROLL_CODE in reply.body):
            self.is_enrolled = False  # what a device makes of these
        raise ServerRefused(reply.status, f"{name} of {self.facts.udid}")

    def _draw_loss(self) -> Loss | None:
        if self._random.random() >= self._habits.lost_replies:
            return None
        return self._random.choice(tuple(Loss))

    def _draw_mishap(self) -> Mishap | None:
        """The mishap that was wanted, or one by chance."""
        mishap, self.mishap = self.mishap, None
        if mishap is None and self._random.random() < self._habits.renewal_mishaps:
            mishap = self._random.choice(tuple(Mishap))
        if mishap is not None:
            self._observer.mishap(mishap)
        return mishap

    def _new_channel(self, enrollment_id: EnrollmentID) -> Channel:
        return Channel(
            enrollment_id=enrollment_id,
            facts=self.facts,
            certificate_der=b"" if self.identity is None else self.identity.certificate_der,
            has_many_applications=self._habits.has_many_applications,
            manners=Manners(rejections=self._habits.app_rejections, looks=self._habits.app_looks),
            random=self._random,
        )
