"""The service of push certificates over a bench, and certificates for it."""

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from certs import RSAKey
from mdmserver.events import Hints
from mdmserver.offload import Offload
from mdmserver.push.certificates import PushCertificates
from mdmserver.push.model import StoredPushCertificate
from mdmserver.push.ports import PushRequestSigner
from mdmserver.secret import Secret
from tests.certs.push_parties import Party, issue, key_as
from tests.certs.scep_parties import rsa_key
from tests.fleet import ADMIN, START
from tests.push.bench import Bench

PASSPHRASE = b"correct horse"


class FakeSigner(PushRequestSigner):
    """Takes requests, or refuses them with `error`."""

    def __init__(self) -> None:
        self.taken: list[tuple[bytes, str, bytes]] = []
        self.error: Exception | None = None

    async def sign_request(
        self, *, csr_der: bytes, email: str, encryption_certificate: bytes, api_key: Secret[str]
    ) -> None:
        """Remember what was asked."""
        if self.error is not None:
            raise self.error
        self.taken.append((csr_der, email, encryption_certificate))


class CertificateBench:
    """The service, and short ways to give it certificates."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.signer = FakeSigner()
        self.hints = Hints()
        self.ids = (f"request {number}" for number in range(1, 100))
        self.keys = (rsa_key(f"request key {number}") for number in range(1, 100))
        self.service = PushCertificates(
            storage=bench.storage,
            push=bench.push,
            audit=bench.audit,
            gateway=bench.gateway,
            sender=bench.sender,
            signer=self.signer,
            hints=self.hints,
            clock=bench.clock,
            offload=Offload(),
            new_key=self._new_key,
            new_id=lambda: next(self.ids),
        )

    async def install(
        self,
        encoded: bytes,
        *,
        key: bytes | None = None,
        passphrase: bytes | None = None,
        force: bool = False,
    ) -> StoredPushCertificate:
        """As an administrator."""
        secret = None if passphrase is None else Secret(passphrase)
        return await self.service.install(encoded, passphrase=secret, key=key, force=force, actor=ADMIN)

    async def install_for(self, topic: str, *, common_name: str = "push") -> StoredPushCertificate:
        """A good certificate for a topic, forced if there is another."""
        party = certificate_for(topic, common_name=common_name)
        return await self.install(party.pem + party.key_pem, force=True)

    def _new_key(self) -> RSAKey:
        key = next(self.keys)
        assert isinstance(key, RSAKey)
        return key


def certificates_of(bench: Bench) -> CertificateBench:
    """The service over this bench."""
    return CertificateBench(bench)


def certificate_for(
    topic: str | None, *, common_name: str = "push", not_after: datetime = START + timedelta(days=365)
) -> Party:
    """A push certificate with a key of its own."""
    return issue(common_name, topic=topic, not_after=not_after)


def certificate_for_request(csr: bytes, topic: str) -> bytes:
    """What Apple's portal would give for a request, PEM."""
    request = x509.load_der_x509_csr(csr)
    assert request.is_signature_valid
    authority = issue("authority of tests")
    from_request = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.USER_ID, topic)]))
        .issuer_name(authority.certificate.subject)
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(START - timedelta(days=1))
        .not_valid_after(START + timedelta(days=364))
        .sign(authority.key, request.signature_hash_algorithm)  # type: ignore[arg-type]  # SHA-256, as the request
    )
    return from_request.public_bytes(serialization.Encoding.PEM)


def as_p12(party: Party, passphrase: bytes = PASSPHRASE) -> bytes:
    """The certificate and its key as another MDM exports them."""
    return pkcs12.serialize_key_and_certificates(
        b"push", party.key, party.certificate, None, serialization.BestAvailableEncryption(passphrase)
    )


def encrypted_key(party: Party, passphrase: bytes = PASSPHRASE) -> bytes:
    """The key as PEM, under a passphrase."""
    return key_as(party.key, serialization.PrivateFormat.PKCS8, passphrase=passphrase)
