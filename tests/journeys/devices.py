"""Devices that say exactly what a test tells them to, over HTTP, with a real signature under every body."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiohttp

from certs import PrivateKey, create_authority, generate_ec, sign_device_message
from certs.pem import encode_certificate
from mdmserver.clock import utc_now
from mdmserver.protocol import (
    Authenticate,
    CheckOut,
    CommandUUID,
    EnrollmentID,
    EnrollmentType,
    ErrorItem,
    Status,
    TokenUpdate,
    encode_checkin,
    encode_report,
    parse_command_payload,
)
from mdmserver.simulator.identity import Identity, IdentityIssuer, own_keys

TOPIC = "com.apple.mgmt.External.tests"
CHECKIN = "application/x-apple-aspen-mdm-checkin"
COMMAND = "application/x-apple-aspen-mdm"

Signer = Callable[[bytes], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the server answered."""

    status: int
    body: bytes

    @property
    def command_uuid(self) -> str | None:
        """The CommandUUID of the command in it; None where there is none."""
        return parse_command_payload(self.body)[0] if self.body else None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFactory:
    """A device CA and the certificates it issues."""

    authority_der: bytes
    authority_key: PrivateKey

    @classmethod
    def with_new_authority(cls) -> "DeviceFactory":
        """A CA made for the test."""
        key, now = generate_ec(), utc_now()
        der = create_authority(
            common_name="Device CA of the tests",
            key=key,
            not_before=now - timedelta(days=1),
            not_after=now + timedelta(days=30),
            serial_number=secrets.randbits(100) + 1,
        )
        return cls(authority_der=der, authority_key=key)

    @property
    def authority_pem(self) -> bytes:
        """The CA's certificate."""
        return encode_certificate(self.authority_der)

    @property
    def issuer(self) -> IdentityIssuer:
        """Issues certificates for keys of their own."""
        return self._issuer_for(own_keys(generate_ec))

    def identity(self, name: str = "device", key: PrivateKey | None = None) -> Identity:
        """A certificate, with a key of its own unless one is given."""
        return self._issuer_for(iter([key or generate_ec()])).issue(name)

    def _issuer_for(self, keys: Iterator[PrivateKey]) -> IdentityIssuer:
        return IdentityIssuer(
            authority_der=self.authority_der,
            authority_key=self.authority_key,
            keys=keys,
            clock=utc_now,
            new_serial_number=lambda: secrets.randbits(100) + 1,
        )


def signed_by(identity: Identity) -> Signer:
    """Signs bodies as a device with this certificate does."""
    return lambda body: sign_device_message(body, identity.certificate_der, identity.key)


class Device:
    """One channel of a device: what is sent stands in the test, signing and sending is done here."""

    def __init__(self, session: aiohttp.ClientSession, url: str, id: EnrollmentID, sign: Signer) -> None:
        self.id = id
        self.sign = sign
        self.topic = TOPIC
        self._session = session
        self._url = f"{url}/mdm"

    @property
    def reference(self) -> str:
        """The id by which the API knows it."""
        return str(self.id)

    def user(self, user_id: str) -> "Device":
        """A user's channel of the same device, with the same certificate."""
        return Device(
            self._session,
            self._url.removesuffix("/mdm"),
            EnrollmentID(EnrollmentType.USER, self.id.device, user_id),
            self.sign,
        )

    async def send(self, body: bytes, content_type: str | None = None) -> Reply:
        """The answer to exactly these bytes. Without a Content-Type the body says what it is."""
        headers = {"Mdm-Signature": self.sign(body)}
        skipped = ["Content-Type"] if content_type is None else []
        if content_type is not None:
            headers["Content-Type"] = content_type
        async with self._session.put(self._url, data=body, headers=headers, skip_auto_headers=skipped) as response:
            return Reply(status=response.status, body=await response.read())

    async def authenticate(self, serial_number: str | None = None) -> Reply:
        message = Authenticate(enrollment_id=self.id, topic=self.topic, serial_number=serial_number)
        return await self.send(encode_checkin(message), CHECKIN)

    async def token_update(self, token: bytes = b"t" * 32, unlock_token: bytes | None = None) -> Reply:
        message = TokenUpdate(
            enrollment_id=self.id, topic=self.topic, push_magic="magic", token=token, unlock_token=unlock_token
        )
        return await self.send(encode_checkin(message), CHECKIN)

    async def check_out(self) -> Reply:
        return await self.send(encode_checkin(CheckOut(enrollment_id=self.id, topic=self.topic)), CHECKIN)

    async def enroll(self) -> None:
        """Authenticate and TokenUpdate, both accepted."""
        for reply in (await self.authenticate(), await self.token_update()):
            assert (reply.status, reply.body) == (200, b"")

    async def report(self, status: Status, uuid: str | None = None, *errors: ErrorItem, **response: Any) -> Reply:
        """A report; `response` is what is particular to the command."""
        body = encode_report(
            enrollment_id=self.id,
            status=status,
            command_uuid=None if uuid is None else CommandUUID(uuid),
            error_chain=errors,
            response=response,
        )
        return await self.send(body, COMMAND)

    async def idle(self) -> Reply:
        return await self.report(Status.IDLE)

    async def acknowledge(self, uuid: str | None, **response: Any) -> Reply:
        return await self.report(Status.ACKNOWLEDGED, uuid, **response)

    async def not_now(self, uuid: str | None) -> Reply:
        return await self.report(Status.NOT_NOW, uuid)
