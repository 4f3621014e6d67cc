"""What a CA of ours certifies: which keys, and under which name, for which use, for how long.

From a request only the public key is taken; all else stands here (security.md S12).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs.certificate_fields import read_certificate
from certs.certificate_writer import load_certificate
from certs.errors import CertificateRefused, MalformedDER
from certs.keys import PublicKey
from certs.names import USER_ID, name_attributes

LONGEST_ENROLLMENT_ID = 256

_EXPONENT = 65537
_CERTIFIED_CURVES = (ec.SECP256R1, ec.SECP384R1)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPolicy:
    """Which public keys are certified: RSA of 2048 to 4096 bits with exponent 65537, P-256 and P-384.

    Apple clients ask for RSA-1024 where a profile does not say otherwise; it takes `allow_rsa_1024` to get one.
    """

    allow_rsa_1024: bool = False

    def check(self, public_key: PublicKey) -> None:
        """Raises CertificateRefused for a key that is not certified."""
        if isinstance(public_key, RSAPublicKey):
            if not self._is_accepted_length(public_key.key_size):
                raise CertificateRefused(f"an RSA key of {public_key.key_size} bits is not certified")
            if public_key.public_numbers().e != _EXPONENT:
                raise CertificateRefused("an RSA key with another exponent than 65537 is not certified")
        elif not isinstance(public_key, EllipticCurvePublicKey) or not isinstance(public_key.curve, _CERTIFIED_CURVES):
            raise CertificateRefused("only RSA keys and keys on P-256 and P-384 are certified")

    def _is_accepted_length(self, bits: int) -> bool:
        return 2048 <= bits <= 4096 or (self.allow_rsa_1024 and bits >= 1024)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateProfile:
    """What the server puts into a device's certificate.

    `enrollment_id` stands in the subject as UID, so that a restored database recognises certificates issued
    after its backup; `enrollment_id_of` reads it. `backdate` is for devices whose clocks are behind.
    `server_names` are host names and addresses, for a server's certificate.
    """

    common_name: str
    enrollment_id: str | None = None
    lifetime: timedelta = timedelta(days=365)
    backdate: timedelta = timedelta(hours=1)
    extended_key_usages: tuple[str, ...] = (ExtendedKeyUsageOID.CLIENT_AUTH.dotted_string,)
    server_names: tuple[str, ...] = ()

    def not_before(self, at: datetime) -> datetime:
        """From when a certificate issued at this time is valid."""
        return at - self.backdate

    def not_after(self, not_before: datetime) -> datetime:
        """Until when it is valid: its whole lifetime counted from the issuance, not from the date put back."""
        return not_before + self.backdate + self.lifetime

    def subject(self) -> x509.Name:
        """The subject's name; raises ValueError for what no certificate can hold."""
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, self.common_name)]
        if self.enrollment_id is not None:
            if not 1 <= len(self.enrollment_id) <= LONGEST_ENROLLMENT_ID:
                raise ValueError(f"an enrollment id of {len(self.enrollment_id)} characters")
            attributes.append(x509.NameAttribute(NameOID.USER_ID, self.enrollment_id))
        return x509.Name(attributes)

    def extensions(self, public_key: PublicKey) -> tuple[tuple[x509.ExtensionType, bool], ...]:
        """The extensions that depend on the profile and the key, each with whether it is critical."""
        usages = [x509.ObjectIdentifier(dotted) for dotted in self.extended_key_usages]
        return (
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (_client_key_usage(is_rsa=isinstance(public_key, RSAPublicKey)), True),
            *(((x509.ExtendedKeyUsage(usages), False),) if usages else ()),
            *(((_alternative_names(self.server_names), False),) if self.server_names else ()),
        )


def server_names_of(certificate_der: bytes) -> frozenset[str]:
    """The host names and addresses in a certificate; raises MalformedDER."""
    try:
        found = load_certificate(certificate_der).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    except ValueError as error:
        raise MalformedDER("the certificate's alternative names cannot be read") from error
    addresses = (str(address) for address in found.get_values_for_type(x509.IPAddress))
    return frozenset((*found.get_values_for_type(x509.DNSName), *addresses))


def enrollment_id_of(certificate_der: bytes) -> str | None:
    """The enrollment id in a certificate's subject, None where there is none; raises MalformedDER.

    Who issued the certificate is not looked at: nothing may be believed of one that is not trusted.
    """
    subject = name_attributes(read_certificate(certificate_der).subject_der)
    return next((value for oid, value in subject if oid == USER_ID), None)


def _alternative_names(names: tuple[str, ...]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([_alternative_name(name) for name in names])


def _alternative_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _client_key_usage(*, is_rsa: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        # Profiles are encrypted to the device's key, and so is the reply to a renewal; EC keys transport none.
        key_encipherment=is_rsa,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
