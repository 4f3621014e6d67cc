"""Opens PKCS #12 files (RFC 7292), as Keychain and other MDM servers export identities; writes none.

Of several keys in a file only the first is taken.
"""

from itertools import pairwise

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.decrepit.ciphers.algorithms import RC2
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization import pkcs12 as library

from certs import der
from certs.ber import CONSTRUCTED, INTEGER, OCTET_STRING, SEQUENCE, Element, Reader
from certs.errors import CertificateError, CertificateRefused, MalformedDER
from certs.keys import PrivateKey, accepted_private_key

MAX_ITERATIONS = 2_000_000  # about a second; exports have a few thousand

_RC2 = tuple(der.object_identifier(f"1.2.840.113549.1.12.1.{arc}") for arc in (5, 6))
_MOST_NESTED = 64


def read_pkcs12(encoded: bytes, passphrase: bytes | None) -> tuple[tuple[bytes, ...], PrivateKey | None]:
    """The DER of the certificates, the key's own first, and the key; None where there is none.

    Raises CertificateRefused for a wrong passphrase, and for ciphers that this machine's OpenSSL does not read.
    """
    check_iterations(encoded)
    try:
        opened = library.load_pkcs12(encoded, passphrase)
        first = () if opened.cert is None else (opened.cert,)
        found = (*first, *opened.additional_certs)
        certificates = tuple(each.certificate.public_bytes(Encoding.DER) for each in found)
    except Exception:
        # Whatever the parser raises, and without it: what it says about keys stays out of tracebacks.
        raise _fault(encoded, passphrase) from None
    return certificates, None if opened.key is None else accepted_private_key(opened.key)


def check_iterations(encoded: bytes) -> None:
    """Raises CertificateRefused where the passphrase would be hashed so often that it takes long.

    Only what can be read without the passphrase is looked at.
    """
    nested = [encoded]
    for count, each in enumerate(nested):
        if count >= _MOST_NESTED:
            raise CertificateRefused("the encrypted file is nested too deeply")
        try:
            nested += _octet_strings_checked(Reader(each))
        except MalformedDER:
            continue  # octets that only looked like a structure, or for the parser to complain about


def _octet_strings_checked(reader: Reader) -> list[bytes]:
    """The OCTET STRINGs that may hold a structure, when all the counts beside them have been looked at."""
    found = []
    waiting = [reader.root()]
    while waiting:
        element = waiting.pop()
        if element.tag == OCTET_STRING:
            found.append(reader.content(element))
        elif element.tag == OCTET_STRING | CONSTRUCTED:
            found.append(reader.octets(element))
        elif element.tag & CONSTRUCTED:
            children = reader.children(element)
            for salt, iterations in pairwise(children):
                _check_count(reader, salt, iterations)
            waiting += children
    return [octets for octets in found if octets[:1] == bytes((SEQUENCE,))]


def _check_count(reader: Reader, salt: Element, iterations: Element) -> None:
    # MacData, PBE parameters, PBKDF2-params and scrypt-params all have the count right behind the salt.
    if salt.tag != OCTET_STRING or iterations.tag != INTEGER:
        return
    if int.from_bytes(reader.content(iterations), "big") > MAX_ITERATIONS:
        raise CertificateRefused(f"the passphrase would be hashed more than {MAX_ITERATIONS} times")


def _fault(encoded: bytes, passphrase: bytes | None) -> CertificateError:
    if any(oid in encoded for oid in _RC2) and not _reads_rc2():
        return CertificateRefused(
            "the PKCS #12 file is encrypted with RC2, which the OpenSSL here does not read; convert it where one does: "
            "openssl pkcs12 -legacy -in old.p12 -nodes -out identity.pem"
        )
    if not passphrase:
        return CertificateRefused("the PKCS #12 file needs its passphrase, or is damaged")
    return CertificateRefused("the passphrase does not open the PKCS #12 file, or the file is damaged")


def _reads_rc2() -> bool:
    try:
        Cipher(RC2(bytes(16)), modes.CBC(bytes(8))).encryptor()
    except UnsupportedAlgorithm:
        return False
    return True
