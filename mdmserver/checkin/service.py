"""One method per check-in message. Composes the steps of the other slices; nothing imports it but the edges.

Every message is checked against the certificate in the same transaction that it changes (S1): a refusal changes
nothing, except that a re-enrollment that must wait is remembered.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import assert_never

from mdmserver.checkin.enrolling import Enrolling
from mdmserver.checkin.gate import Admitted, Gate, Turned, turned_away
from mdmserver.checkin.model import EMPTY, Answer, Reply, UserAuthentication
from mdmserver.checkin.ports import DeclarativePort, TokenProvider
from mdmserver.clock import Clock
from mdmserver.devices.identity import PresentedIdentity
from mdmserver.devices.model import EnrollmentRow, EventKind
from mdmserver.devices.presence import Presence
from mdmserver.devices.store import Channel, DeviceStore
from mdmserver.errors import IdentityRefused
from mdmserver.protocol import (
    Authenticate,
    CheckinMessage,
    CheckOut,
    DeclarativeManagement,
    EnrollmentID,
    GetBootstrapToken,
    GetToken,
    MessageMalformed,
    ReturnToService,
    SetBootstrapToken,
    TokenUpdate,
    UserAuthenticate,
    encode_bootstrap_token,
    encode_digest_challenge,
    encode_return_to_service,
    encode_token_data,
)
from mdmserver.secret import Secret
from mdmserver.transaction import Storage, Transaction

BOOTSTRAP_TOKENS_PER_HOUR = 60
Step = Callable[[Transaction, Admitted, datetime], Awaitable[Reply]]


class CheckinService:
    """Answers check-in messages."""

    def __init__(
        self,
        *,
        storage: Storage,
        devices: DeviceStore,
        enrolling: Enrolling,
        presence: Presence,
        clock: Clock,
        gate: Gate,
        user_authentication: UserAuthentication,
        declarative: DeclarativePort,
        token_providers: Mapping[str, TokenProvider],
    ) -> None:
        self._storage = storage
        self._devices = devices
        self._enrolling = enrolling
        self._presence = presence
        self._clock = clock
        self._gate = gate
        self._user_authentication = user_authentication
        self._declarative = declarative
        self._token_providers = token_providers

    async def answer(self, message: CheckinMessage, presented: PresentedIdentity) -> Reply:
        """The reply to a message. Raises IdentityRefused, and MessageMalformed for a message on the wrong channel."""
        match message:
            case Authenticate():
                return await self.authenticate(message, presented)
            case TokenUpdate():
                return await self.token_update(message, presented)
            case CheckOut():
                return await self.check_out(message, presented)
            case UserAuthenticate():
                return await self.user_authenticate(message, presented)
            case SetBootstrapToken():
                return await self.set_bootstrap_token(message, presented)
            case GetBootstrapToken():
                return await self.get_bootstrap_token(message, presented)
            case DeclarativeManagement():
                return await self.declarative_management(message, presented)
            case GetToken():
                return await self.get_token(message, presented)
            case ReturnToService():
                return await self.return_to_service(message, presented)
            case _:
                assert_never(message)

    async def authenticate(self, message: Authenticate, presented: PresentedIdentity) -> Reply:
        """Begin an enrollment or a new life of one, as S2 decides."""
        _device_channel_only(message.enrollment_id)
        at = self._clock()
        if presented.is_expired:
            raise IdentityRefused(f"{message.enrollment_id} presented an expired certificate")

        async def body(tx: Transaction) -> EnrollmentRow | Turned:
            return await self._enrolling.authenticate(tx, message, presented, at)

        done = await self._storage.run(body)
        if isinstance(done, Turned):
            raise turned_away(done, message.enrollment_id)
        return EMPTY

    async def token_update(self, message: TokenUpdate, presented: PresentedIdentity) -> Reply:
        """Keep the push token and enable the channel."""

        async def step(tx: Transaction, admitted: Admitted, at: datetime) -> Reply:
            await self._enrolling.token_update(tx, message, admitted.device, admitted.channel, at)
            return EMPTY

        return await self._step(message.enrollment_id, presented, step)

    async def check_out(self, message: CheckOut, presented: PresentedIdentity) -> Reply:
        """End the channel's life; that of a user channel which is not there is ended already."""

        async def step(tx: Transaction, admitted: Admitted, at: datetime) -> Reply:
            if admitted.channel is not None and admitted.channel.is_live:
                await self._enrolling.check_out(tx, admitted.device, admitted.channel, at)
            return EMPTY

        return await self._step(message.enrollment_id, presented, step, lets_go=True)

    async def user_authenticate(self, message: UserAuthenticate, presented: PresentedIdentity) -> Reply:
        """Decline the user for this login session, or let them in without a digest, as configured."""

        async def step(tx: Transaction, admitted: Admitted, at: datetime) -> Reply:
            if self._user_authentication is UserAuthentication.DECLINE:
                return Reply(answer=Answer.USER_DECLINED)
            if message.digest_response is not None:
                return EMPTY
            return Reply(answer=Answer.PLIST, body=encode_digest_challenge(""))

        return await self._step(message.enrollment_id, presented, step)

    async def set_bootstrap_token(self, message: SetBootstrapToken, presented: PresentedIdentity) -> Reply:
        """Keep the device's bootstrap token; an empty one deletes it."""

        async def step(tx: Transaction, admitted: Admitted, at: datetime) -> Reply:
            token = Secret(message.bootstrap_token) if message.bootstrap_token else None
            await self._devices.set_bootstrap_token(tx, message.enrollment_id.parent, token)
            kind = EventKind.BOOTSTRAP_TOKEN_STORED if token else EventKind.BOOTSTRAP_TOKEN_DELETED
            await self._devices.add_event(tx, admitted.device.row, kind, detail="", life=admitted.device.life, at=at)
            return EMPTY

        return await self._step(message.enrollment_id, presented, step)

    async def get_bootstrap_token(self, message: GetBootstrapToken, presented: PresentedIdentity) -> Reply:
        """Give the bootstrap token back: with none stored an empty answer, more than 60 times an hour a later (S25)."""

        async def step(tx: Transaction, admitted: Admitted, at: datetime) -> Reply:
            token = await self._devices.bootstrap_token(tx, message.enrollment_id.parent)
            if token is None:
                return EMPTY
            returned = EventKind.BOOTSTRAP_TOKEN_RETURNED
            recent = await self._devices.events_since(tx, admitted.device.row, returned, since=at - timedelta(hours=1))
            if recent >= BOOTSTRAP_TOKENS_PER_HOUR:
                return Reply(answer=Answer.LATER)
            await self._devices.add_event(
                tx, admitted.device.row, returned, detail="", life=admitted.device.life, at=at
            )
            return Reply(answer=Answer.PLIST, body=encode_bootstrap_token(token.reveal()))

        return await self._step(message.enrollment_id, presented, step)

    async def declarative_management(self, message: DeclarativeManagement, presented: PresentedIdentity) -> Reply:
        """Whatever the declarative port says."""
        await self._step(message.enrollment_id, presented, _nothing_more)
        return await self._declarative.answer(message)

    async def get_token(self, message: GetToken, presented: PresentedIdentity) -> Reply:
        """A token from the provider registered for the service; an unknown service is a bad request."""
        await self._step(message.enrollment_id, presented, _nothing_more)
        provider = self._token_providers.get(message.token_service_type)
        if provider is None:
            return Reply(answer=Answer.BAD_REQUEST)
        token_data = await provider.token_data(message.enrollment_id, message)
        return Reply(answer=Answer.PLIST, body=encode_token_data(token_data))

    async def return_to_service(self, message: ReturnToService, presented: PresentedIdentity) -> Reply:
        """Not configured: the device is told that it is not enabled."""
        _device_channel_only(message.enrollment_id)
        await self._step(message.enrollment_id, presented, _nothing_more)
        return Reply(answer=Answer.PLIST, body=encode_return_to_service())

    async def _step(
        self, id: EnrollmentID, presented: PresentedIdentity, step: Step, *, lets_go: bool = False
    ) -> Reply:
        """Run a step in one transaction, if the certificate speaks for the device."""
        at = self._clock()

        async def body(tx: Transaction) -> tuple[Reply, Channel | None] | Turned:
            admitted = await self._gate.admit(tx, id, presented, at, lets_go=lets_go)
            if isinstance(admitted, Turned):
                return admitted
            if admitted.is_renewal_only:
                return Turned.REFUSED
            return await step(tx, admitted, at), admitted.channel

        done = await self._storage.run(body)
        if isinstance(done, Turned):
            raise turned_away(done, id)
        reply, channel = done
        if channel is not None:
            self._presence.saw(channel.row, at)
        return reply


async def _nothing_more(tx: Transaction, admitted: Admitted, at: datetime) -> Reply:
    return EMPTY


def _device_channel_only(id: EnrollmentID) -> None:
    if id.is_user_channel:
        raise MessageMalformed(f"{id} is a user channel, and this message belongs to the device channel")
