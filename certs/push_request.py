"""Asking Apple for a push certificate: the customer's request, and the file signed by an MDM vendor to upload.

The file is base64 of a property list in XML (Apple, "Setting up push notifications for your MDM customers").
"""

import base64
import binascii
import plistlib
import re
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from certs.algorithms import Digest, sign
from certs.certificate_fields import read_certificate
from certs.chain import chain_of, is_self_issued
from certs.csr import read_csr
from certs.device_certificate import check_validity, load_device_certificate
from certs.errors import CertificateRefused, MalformedDER
from certs.identity_file import MAX_FILE_BYTES, certificates_in
from certs.keys import RSAKey, dump_public_key
from certs.pem import decode_certificates, encode_certificate

SHORTEST_KEY_BITS = 2048

_REQUEST = "PushCertRequestCSR"
_CHAIN = "PushCertCertificateChain"
_SIGNATURE = "PushCertSignature"
_WHITESPACE = re.compile(rb"\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedPushRequest:
    """An upload file taken apart; certificates are DER, the vendor's first."""

    csr_der: bytes = field(repr=False)
    chain: tuple[bytes, ...] = field(repr=False)
    signature: bytes = field(repr=False)


def push_csr(key: RSAKey, *, common_name: str, country: str, email: str) -> bytes:
    """The DER of the request that a vendor signs; `country` is two letters.

    Raises CertificateRefused for a key shorter than 2048 bits and for names that no certificate can hold.
    """
    if key.key_size < SHORTEST_KEY_BITS:
        raise CertificateRefused(f"Apple certifies no key of {key.key_size} bits")
    if not email.isascii() or "@" not in email:
        raise CertificateRefused(f"{email!r} is no e-mail address that a request can hold: ASCII with an @")
    try:
        attributes = (
            x509.NameAttribute(NameOID.COUNTRY_NAME, country.upper()),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            x509.NameAttribute(NameOID.EMAIL_ADDRESS, email),
        )
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(attributes))
        return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    except (ValueError, TypeError) as error:
        raise CertificateRefused(
            f"no request can be made for {common_name!r}, {country!r}, {email!r}: {error}"
        ) from error


def upload_file(csr_der: bytes, vendor_chain: bytes, vendor_key: RSAKey, *, at: datetime) -> bytes:
    """The file for Apple's portal. `vendor_chain`: the vendor's certificate, Apple's WWDR CA and root, in PEM.

    Raises MalformedDER or SignatureInvalid for a crooked request, CertificateRefused where no certificate belongs to
    the key or the chain does not reach a root, CertificateExpired for the vendor's certificate after its time.
    """
    request = read_csr(csr_der)
    vendor_public_key = dump_public_key(vendor_key.public_key())
    if request.public_key_der == vendor_public_key:
        raise CertificateRefused("the request is for the vendor's own key; the push certificate needs one of its own")
    chain = _vendor_chain(certificates_in(vendor_chain), vendor_public_key, at)
    signature = sign(vendor_key, csr_der, Digest.SHA256)
    contents = {
        _REQUEST: base64.b64encode(csr_der).decode("ascii"),
        _CHAIN: b"".join(map(encode_certificate, chain)).decode("ascii"),
        _SIGNATURE: base64.b64encode(signature).decode("ascii"),
    }
    return base64.b64encode(plistlib.dumps(contents, fmt=plistlib.FMT_XML, sort_keys=False))


def read_push_request(upload: bytes) -> SignedPushRequest:
    """Takes an upload file apart; raises MalformedDER. Whether the signature holds is for Apple to say."""
    contents = _contents(upload)
    return SignedPushRequest(
        csr_der=_decoded(contents[_REQUEST], _REQUEST),
        chain=decode_certificates(contents[_CHAIN].encode()),
        signature=_decoded(contents[_SIGNATURE], _SIGNATURE),
    )


def _vendor_chain(certificates: tuple[bytes, ...], public_key_der: bytes, at: datetime) -> tuple[bytes, ...]:
    own = [der for der in certificates if read_certificate(der).public_key_der == public_key_der]
    if not own:
        raise CertificateRefused("no certificate in the vendor's chain belongs to the vendor's key")
    vendor = max(map(load_device_certificate, own), key=lambda certificate: certificate.not_after)
    # Apple's portal refuses these only after the upload, days after someone was asked to sign.
    check_validity(vendor, at)
    chain = chain_of(vendor.der, certificates)
    last = read_certificate(chain[-1])
    if not is_self_issued(last):
        missing = load_device_certificate(chain[-1]).issuer
        raise CertificateRefused(f"the vendor's chain does not reach a root: the certificate of {missing!r} is missing")
    if len(chain) == 1:
        raise CertificateRefused(f"{vendor.subject!r} is self-signed: it is no vendor's certificate from Apple")
    return chain


def _contents(upload: bytes) -> dict[str, str]:
    if len(upload) > MAX_FILE_BYTES:
        raise MalformedDER(f"a push certificate request of {len(upload)} bytes is longer than {MAX_FILE_BYTES}")
    try:
        plist = plistlib.loads(
            binascii.a2b_base64(_WHITESPACE.sub(b"", upload), strict_mode=True), fmt=plistlib.FMT_XML
        )
    except Exception as error:  # whatever the parser raises, it is about these bytes
        raise MalformedDER("not a push certificate request: no property list in base64") from error
    contents = plist if isinstance(plist, dict) else {}
    for key in (_REQUEST, _CHAIN, _SIGNATURE):
        if not isinstance(contents.get(key), str):
            raise MalformedDER(f"not a push certificate request: {key} is missing")
    return contents


def _decoded(text: str, key: str) -> bytes:
    try:
        return binascii.a2b_base64(_WHITESPACE.sub(b"", text.encode()), strict_mode=True)
    except ValueError as error:
        raise MalformedDER(f"{key} of the push certificate request is not base64") from error
