"""One simulated device: enrolls, connects, delivers results, checks out. A fleet of them is `fleet`.

A result counts as delivered only when the server answered it with 2xx. Until then the device keeps it, and at its next
connect it sends that before anything else. NotNow is a result in this.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Protocol

from mdmserver.protocol import CheckinMessage, CommandUUID, EnrollmentID, EnrollmentType, Status, encode_checkin
from mdmserver.simulator.channel import Channel, Result
from mdmserver.simulator.condition import Condition
from mdmserver.simulator.conversation import Conversation, Endpoint, Loss, Reply
from mdmserver.simulator.enrolling import authenticate, check_out, token_update, user_token_update
from mdmserver.simulator.errors import ReplyLost, ServerRefused
from mdmserver.simulator.facts import DeviceFacts
from mdmserver.simulator.identity import Identity
from mdmserver.simulator.transport import Transport

_UNENROLL_CODE = b"com.apple.unrecognized.device"


class Observer(Protocol):
    """Whoever wants to hear what devices do."""

    def delivered(self, status: Status) -> None:
        """The server took the answer to a command."""

    def lost_reply(self) -> None:
        """A reply was lost on purpose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How a device behaves throughout: shares are from 0 to 1, `answer_seconds` is what one command takes it."""

    lost_replies: float = 0
    answer_seconds: float = 0
    has_many_applications: bool = False


class SimulatedDevice:
    """A device of one server; its `condition` may be set at any time and holds from the next command on."""

    def __init__(
        self,
        *,
        facts: DeviceFacts,
        identity: Identity,
        topic: str,
        random: Random,
        observer: Observer,
        habits: Habits = Habits(),
    ) -> None:
        self.facts = facts
        self.identity = identity
        self.topic = topic
        self.condition = Condition()
        self.is_enrolled = False
        self._random = random
        self._observer = observer
        self._habits = habits
        self.channel = self._new_channel(EnrollmentID(EnrollmentType.DEVICE, facts.udid))
        self.user_channel: Channel | None = None
        if facts.user is not None:
            self.user_channel = self._new_channel(EnrollmentID(EnrollmentType.USER, facts.udid, facts.user.user_id))

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The device's channel, and the user's where there is one."""
        return (self.channel,) if self.user_channel is None else (self.channel, self.user_channel)

    @property
    def executed(self) -> Mapping[CommandUUID, Status]:
        """The commands carried out on the device's channel, each with how it ended; NotNow is no end."""
        return self.channel.executed

    async def enroll(self, transport: Transport) -> None:
        """Authenticate and TokenUpdate, then the user's on a Mac. Raises ServerRefused, ServerUnreachable."""
        unlock_token = self._random.randbytes(64)
        messages: list[CheckinMessage] = [
            authenticate(self.channel, self.facts, self.topic),
            token_update(self.channel, self.facts, self.topic, unlock_token=unlock_token),
        ]
        if self.user_channel is not None:
            messages.append(user_token_update(self.user_channel, self.facts, self.topic))
        async with transport.open(self.identity) as conversation:
            for message in messages:
                reply = await conversation.send(Endpoint.CHECKIN, encode_checkin(message))
                self._check(reply, type(message).__name__)
        self.is_enrolled = True

    async def check_out(self, transport: Transport) -> None:
        """Leave; as devices do, once and whatever comes back. Raises ServerRefused, ServerUnreachable."""
        self.is_enrolled = False
        async with transport.open(self.identity) as conversation:
            message = check_out(self.channel, self.topic)
            self._check(await conversation.send(Endpoint.CHECKIN, encode_checkin(message)), "CheckOut")

    async def connect(self, transport: Transport) -> int:
        """Carry out commands until there are none, first the device's, then the user's; how many were delivered.

        Nothing happens while the device is unreachable or not enrolled. Raises ServerRefused, ServerUnreachable
        and CommandUnreadable.
        """
        delivered = 0
        if not self.is_enrolled or not self.condition.is_reachable:
            return delivered
        try:
            async with transport.open(self.identity) as conversation:
                for channel in self.channels:
                    delivered += await self._converse(conversation, channel)
        except ReplyLost:
            self._observer.lost_reply()
        return delivered

    async def _converse(self, conversation: Conversation, channel: Channel) -> int:
        delivered = 0
        if channel.unsent is None:
            reply = await conversation.send(Endpoint.COMMAND, channel.idle, repeats=True)
            self._check(reply, "Idle")
        else:
            reply = await self._deliver(conversation, channel, channel.unsent)
            delivered += 1
        while reply.body and self.is_enrolled:
            result = channel.execute(reply.body, self.condition)
            if self._habits.answer_seconds:
                await asyncio.sleep(self._habits.answer_seconds)
            reply = await self._deliver(conversation, channel, result)
            delivered += 1
        return delivered

    async def _deliver(self, conversation: Conversation, channel: Channel, result: Result) -> Reply:
        reply = await conversation.send(Endpoint.COMMAND, result.body, loss=self._draw_loss())
        self._check(reply, str(result.status))
        channel.unsent = None
        self._observer.delivered(result.status)
        if result.request_type == "EraseDevice" and result.status is Status.ACKNOWLEDGED:
            self.is_enrolled = False
        return reply

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

    def _new_channel(self, enrollment_id: EnrollmentID) -> Channel:
        return Channel(
            enrollment_id=enrollment_id,
            facts=self.facts,
            certificate_der=self.identity.certificate_der,
            has_many_applications=self._habits.has_many_applications,
            random=self._random,
        )
