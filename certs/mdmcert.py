"""The messages of mdmcert.download, a service that signs push certificate requests as an MDM vendor.

It is asked over HTTP and answers by e-mail: the upload file for Apple's portal, in a CMS envelope, in hexadecimal.
"""

import base64
import re
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.certificate_writer import certificate_builder, common_name_alone, key_usage
from certs.csr import read_csr
from certs.envelope import open_envelope
from certs.errors import CertificateRefused, MalformedDER
from certs.identity_file import MAX_FILE_BYTES, certificates_in
from certs.keys import RSAKey
from certs.pem import encode_certificate, encode_request
from certs.push_request import read_push_request

_WHITESPACE = re.compile(rb"\s+")


def create_encryption_certificate(
    key: RSAKey, *, serial_number: int, not_before: datetime, not_after: datetime
) -> bytes:
    """The DER of the self-signed certificate that the service encrypts its answer to; keep it with the key.

    Raises CertificateRefused for times and numbers that no certificate can hold.
    """
    try:
        name = common_name_alone("mdmcert.download")
        builder = certificate_builder(name, name, key.public_key(), serial_number, not_before, not_after)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(key_usage(signs_certificates=False, encrypts=True), critical=True)
        # What the service's own clients ask for, though nobody serves anything with it.
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    except (ValueError, TypeError) as error:
        raise CertificateRefused(f"no encryption certificate can be made: {error}") from error


def mdmcert_request(csr_der: bytes, *, email: str, encryption_certificate: bytes, api_key: str) -> dict[str, str]:
    """The JSON object that asks for a signature; `email` is the address registered there, where the answer goes.

    The encryption certificate is PEM or DER. Raises MalformedDER, SignatureInvalid or CertificateRefused.
    """
    read_csr(csr_der)
    certificate = _certificate(encryption_certificate)
    return {
        "csr": base64.b64encode(encode_request(csr_der)).decode("ascii"),
        "email": email,
        "key": api_key,
        "encrypt": base64.b64encode(encode_certificate(certificate)).decode("ascii"),
    }


def decrypt_mdmcert_file(mailed: bytes, *, encryption_certificate: bytes, key: RSAKey, csr_der: bytes) -> bytes:
    """The upload file in the mailed one, as it is: a signed request for the very key of `csr_der`.

    Raises DecryptionFailed for a file for someone else, MalformedDER for one that holds no signed request,
    CertificateRefused for one that is for another request.
    """
    certificate = _certificate(encryption_certificate)
    # Single DES is read: nothing in there is secret, and libraries of the kind that services use default to it.
    upload = open_envelope(_envelope(mailed), certificate, key, allow_des=True)
    if read_csr(read_push_request(upload).csr_der).public_key_der != read_csr(csr_der).public_key_der:
        raise CertificateRefused("the file answers another request: it is not for the key that waits here")
    return upload.strip()


def _certificate(encoded: bytes) -> bytes:
    certificates = certificates_in(encoded)
    if len(certificates) != 1:
        raise MalformedDER(f"{len(certificates)} encryption certificates where one belongs")
    return certificates[0]


def _envelope(mailed: bytes) -> bytes:
    if len(mailed) > MAX_FILE_BYTES:
        raise MalformedDER(f"a file of {len(mailed)} bytes is longer than {MAX_FILE_BYTES}")
    try:
        return bytes.fromhex(_WHITESPACE.sub(b"", mailed).decode("ascii"))
    except ValueError:
        raise MalformedDER("the mailed file is not hexadecimal text") from None
