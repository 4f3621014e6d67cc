"""The server below the web over one database, without background work, and phones that enroll with it.

A phone holds a key, a certificate and what it was told; it speaks in the order in which Apple's devices do.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import load_der_x509_certificate

from certs import Authority, CertificateProfile, PKIStatus
from mdmserver.audit.model import Actor, ActorKind, AuditRecord
from mdmserver.believed import BelievedAuthorities
from mdmserver.bootstrap import no_signer
from mdmserver.composition import Composed, Ground, compose
from mdmserver.config import Config
from mdmserver.connectors.mdmcert import MdmcertGateway
from mdmserver.devices.identity import PresentedIdentity
from mdmserver.devices.model import Enrollment, EnrollmentRow
from mdmserver.enrollment.profile import ProfileSigner
from mdmserver.enrollment.renewal import Renewal
from mdmserver.issuance.invitations import NewInvitation
from mdmserver.issuance.model import Invitation
from mdmserver.protocol import CommandUUID, EnrollmentID, Status, loads, parse_command
from mdmserver.secret import Secret
from mdmserver.storage.devices import SQLDeviceStore
from mdmserver.storage.issuance import SQLIssuanceStore
from mdmserver.storage.vault_keys import open_vault, read_wrapping_keys
from mdmserver.transaction import Storage
from mdmserver.web.services import Services
from profiles import Enrollment as EnrollmentProfile
from tests.certs.scep_parties import rsa_key
from tests.enrollment.device import Applicant, opened, presented
from tests.fleet import START, FakeClock, Fleet, authenticate, device_id, token_update
from tests.push.fake_gateway import FakeGateway

ME = Actor(kind=ActorKind.CLI, name="test")
CA_LIFETIME = timedelta(days=3652)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The services over `storage`; opening another world on the same storage is the server started again."""

    storage: Storage
    clock: FakeClock
    composed: Composed
    devices: SQLDeviceStore
    issuance: SQLIssuanceStore

    @property
    def services(self) -> Services:
        """What the edges see."""
        return self.composed.services

    @property
    def renewal(self) -> Renewal:
        """The sweep that begins renewals."""
        return self.composed.renewal

    @property
    def fleet(self) -> Fleet:
        """Ways to speak as devices and as their administrator."""
        return Fleet(self.services)

    async def invite(
        self,
        *,
        user_name: str | None = None,
        serial_number: str | None = None,
        uses: int = 1,
        allow_reenroll: bool = False,
        days: float = 7,
    ) -> tuple[Invitation, str]:
        """An invitation and its token."""
        wanted = NewInvitation(
            user_name=user_name,
            serial_number=serial_number,
            uses=uses,
            allow_reenroll=allow_reenroll,
            expires_at=self.clock() + timedelta(days=days),
        )
        invitation, token = await self.services.invitations.create(wanted, actor=ME)
        return invitation, token.reveal()

    async def downloaded(self, token: str) -> EnrollmentProfile:
        """The enrollment profile behind an invitation's URL, as a device reads it."""
        return opened(await self.services.enrollment.profile(token))

    async def challenge(self, token: str) -> str:
        """The challenge in a freshly downloaded profile."""
        challenge = (await self.downloaded(token)).scep.challenge
        assert challenge is not None
        return challenge

    def phone(self, number: int = 1, key: str = "phone") -> "Phone":
        """A phone that is not enrolled."""
        return Phone(world=self, number=number, key=rsa_key(key))

    async def enrolled(self, number: int = 1, **invitation: str | bool) -> "Phone":
        """A phone that enrolled by an invitation of its own."""
        phone = self.phone(number)
        await phone.enroll(**invitation)
        return phone

    async def row(self, id: EnrollmentID) -> EnrollmentRow:
        """The row of an enrollment."""
        return await self.services.devices.resolve(id.key)

    async def audited(self, action: str) -> list[AuditRecord]:
        """The first audit records of this action."""
        page = await self.services.audit.records(cursor=None, limit=500)
        return [record for record in page.items if record.action == action]

    async def count(self, sql: str, *parameters: object) -> int:
        """The one number that a query gives: tests look at tables where no service shows them."""
        row = await self.storage.read(lambda tx: tx.fetch_one(sql, *parameters))
        assert row is not None
        return int(row[0])


@dataclass(slots=True, kw_only=True)
class Phone:
    """A device of the built-in CA."""

    world: World
    number: int
    key: RSAPrivateKey = field(repr=False)
    certificate: bytes = b""

    @property
    def id(self) -> EnrollmentID:
        """Its device channel."""
        return device_id(self.number)

    @property
    def identity(self) -> PresentedIdentity:
        """What the edge finds in its certificate now."""
        return presented(self.world.services, self.certificate, at=self.world.clock())

    async def obtain(self, challenge: str, *, transaction_id: str | None = None) -> bytes:
        """Have a certificate issued for a challenge, and use it from now on."""
        applicant = Applicant(services=self.world.services, key=self.key)
        reply = await applicant.apply(challenge, at=self.world.clock(), transaction_id=transaction_id)
        assert reply.status is PKIStatus.SUCCESS, reply
        self.certificate = reply.certificates[0]
        return self.certificate

    async def take_invitation(self, **invitation: str | bool) -> bytes:
        """Be invited, download the profile and have its certificate issued."""
        _, token = await self.world.invite(**invitation)  # type: ignore[arg-type]  # each test names its fields
        return await self.obtain(await self.world.challenge(token))

    async def enroll(self, **invitation: str | bool) -> None:
        """Be invited and go all the way."""
        await self.take_invitation(**invitation)
        await self.authenticate()
        await self.token_update()

    async def authenticate(self, *, serial_number: str | None = "", os_version: str | None = None) -> None:
        """Say Authenticate; with the usual serial number unless another, or None, is given."""
        message = replace(authenticate(self.id), os_version=os_version)
        if serial_number != "":
            message = replace(message, serial_number=serial_number)
        await self.world.services.checkin.answer(message, self.identity)

    async def token_update(self, *, awaiting_configuration: bool | None = None) -> None:
        """Say TokenUpdate."""
        message = replace(token_update(self.id), awaiting_configuration=awaiting_configuration)
        await self.world.services.checkin.answer(message, self.identity)

    async def check_out(self) -> None:
        """Say CheckOut."""
        await self.world.fleet.check_out(self.id, self.identity)

    async def report(
        self, status: Status = Status.IDLE, uuid: str | None = None, *, by_signature: bool = True
    ) -> bytes | None:
        """Report; the bytes of the next command."""
        identity = replace(self.identity, by_signature=by_signature)
        return await self.world.fleet.report(self.id, status, uuid, presented=identity)

    async def idle(self) -> "Delivery | None":
        """Say Idle; the next command."""
        return delivered(await self.report())

    async def answer(self, delivery: "Delivery", status: Status = Status.ACKNOWLEDGED) -> "Delivery | None":
        """Answer a command; the next one."""
        return delivered(await self.report(status, delivery.uuid))

    async def renew_by(self, delivery: "Delivery") -> None:
        """Do what a device does with a renewal: a certificate, Authenticate and TokenUpdate with it, the answer."""
        await self.obtain(delivery.challenge)
        await self.authenticate()
        await self.token_update()
        await self.answer(delivery)

    async def show(self) -> Enrollment:
        """Its record."""
        return await self.world.fleet.enrollment(self.id)

    async def kinds(self) -> list[str]:
        """What its timeline holds, oldest first."""
        return await self.world.fleet.kinds(self.id)

    async def identity_states(self) -> dict[bytes, str]:
        """Its certificates and their states."""
        row = await self.world.row(self.id)
        found = await self.world.storage.read(
            lambda tx: tx.fetch_all("SELECT certificate, state FROM identity WHERE enrollment_id = ?", row)
        )
        return {bytes(certificate): state for certificate, state in found}


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A command as it was handed out."""

    uuid: CommandUUID
    request_type: str
    payload: Mapping[str, object]

    @property
    def profile(self) -> EnrollmentProfile:
        """The enrollment profile in an InstallProfile."""
        payload = self.payload["Payload"]
        assert isinstance(payload, bytes)
        return opened(payload)

    @property
    def challenge(self) -> str:
        """The challenge in it."""
        challenge = self.profile.scep.challenge
        assert challenge is not None
        return challenge


def delivered(body: bytes | None) -> Delivery | None:
    """What these bytes tell a device to do."""
    if body is None:
        return None
    command = parse_command(body)
    return Delivery(uuid=command.uuid, request_type=command.request_type, payload=loads(body)["Command"])


async def open_world(
    storage: Storage,
    keys: Path,
    clock: FakeClock,
    config: Config | None = None,
    profile_signer: Callable[[], ProfileSigner | None] = no_signer,
) -> World:
    """The services over a database that is there."""
    config = config or Config()
    vault = await open_vault(storage, read_wrapping_keys(keys), clock=clock)
    composed = compose(
        Ground(
            config=config,
            storage=storage,
            vault=vault,
            clock=clock,
            believed=BelievedAuthorities(config),
            token_providers={},
            profile_signer=profile_signer,
            push_gateway=FakeGateway(),
            push_request_signer=MdmcertGateway(),
        )
    )
    await composed.services.own_authorities.load()
    return World(
        storage=storage,
        clock=clock,
        composed=composed,
        devices=SQLDeviceStore(vault),
        issuance=SQLIssuanceStore(vault),
    )


async def give_authority(world: World, name: str = "MDM CA", lifetime: timedelta = CA_LIFETIME) -> bytes:
    """Make the server's issuing CA one whose key was made before the tests; its certificate."""
    authority = Authority.create(
        common_name=name,
        key=rsa_key(name),
        not_before=START - timedelta(days=1),
        not_after=world.clock() + lifetime,
        serial_number=2**100 + len(name),
    )
    own = await world.services.own_authorities.import_existing(_pem(authority), Secret(_key_pem(authority)), actor=ME)
    return own.authority.certificate_der


def unrecorded(world: World, uid: str | None, key: str = "phone", *, days: float = 365) -> bytes:
    """A certificate of the server's CA that its records do not have, issued now."""
    authority = world.services.own_authorities.issuing.authority
    profile = CertificateProfile(common_name="MDM identity", enrollment_id=uid, lifetime=timedelta(days=days))
    return authority.issue(rsa_key(key).public_key(), profile, 2**90 + 7, profile.not_before(world.clock()))


def _pem(authority: Authority) -> bytes:
    return load_der_x509_certificate(authority.certificate_der).public_bytes(Encoding.PEM)


def _key_pem(authority: Authority) -> bytes:
    return authority.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
