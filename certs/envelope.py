"""CMS EnvelopedData (RFC 5652 §6) to RSA keys: writes DER, reads BER. It is encrypted, not signed by anyone.

Whoever may send envelopes and see what becomes of them could decrypt others' by trying variations. So all that
goes wrong once a key is involved ends in the same DecryptionFailed, and a content key that does not decrypt is
replaced by a random one, so that it fails where a wrong one would (security.md S14).
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from certs import der
from certs.ber import INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, SET, Element, Reader, expected
from certs.certificate_fields import read_certificate, subject_key_identifier
from certs.ciphers import SHAPES, Cipher, cipher_of, decrypt, encrypt
from certs.cms import DATA, signer_names
from certs.errors import CertificateRefused, DecryptionFailed, MalformedDER
from certs.keys import load_public_key

MAX_RECIPIENTS = 16

ENVELOPED_DATA = der.object_identifier("1.2.840.113549.1.7.3")

RandomBytes = Callable[[int], bytes]

_RSA_ENCRYPTION = der.object_identifier("1.2.840.113549.1.1.1")
_KEY_TRANSPORT_ALGORITHMS = (_RSA_ENCRYPTION, _RSA_ENCRYPTION + der.NULL)
_EXPLICIT_0 = 0xA0
_UNPROTECTED_ATTRIBUTES = 0xA1
_IMPLICIT_0 = 0x80
_KEY_IDENTIFIER = 0x80


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """An EnvelopedData taken apart; `recipients` are the elements that name a certificate, with the key for it."""

    cipher: Cipher
    iv: bytes = field(repr=False)
    recipients: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    encrypted: bytes = field(repr=False)

    def key_for(self, names: Sequence[bytes]) -> bytes | None:
        """The encrypted content key for whom one of these elements names; None where there is none."""
        return next((key for name, key in self.recipients if name in names), None)


def read_envelope(encoded: bytes) -> Envelope:
    """Takes a ContentInfo with EnvelopedData apart; raises MalformedDER, also for ciphers that are not read."""
    reader = Reader(encoded)
    outer = reader.children(expected(reader.root(), SEQUENCE))
    if len(outer) != 2 or reader.raw(outer[0]) != ENVELOPED_DATA:
        raise MalformedDER("not a ContentInfo with EnvelopedData")
    wrapped = reader.children(expected(outer[1], _EXPLICIT_0))
    if len(wrapped) != 1:
        raise MalformedDER("not a ContentInfo with exactly one EnvelopedData")
    fields = list(reader.children(expected(wrapped[0], SEQUENCE)))
    if fields and fields[-1].tag == _UNPROTECTED_ATTRIBUTES:
        fields.pop()
    if len(fields) > 1 and fields[1].tag == _EXPLICIT_0:
        fields.pop(1)  # originatorInfo is about other ways to agree on a key
    if len(fields) != 3:
        raise MalformedDER("EnvelopedData lacks a part or has one too many")
    expected(fields[0], INTEGER)
    cipher, iv, encrypted = _encrypted_content(reader, fields[2])
    return Envelope(cipher=cipher, iv=iv, recipients=_recipients(reader, fields[1]), encrypted=encrypted)


def open_envelope(
    encoded: bytes,
    certificate_der: bytes,
    key: RSAPrivateKey,
    *,
    allow_des: bool = False,
    random_bytes: RandomBytes = secrets.token_bytes,
) -> bytes:
    """What an envelope to this certificate contains; raises DecryptionFailed, whatever the fault."""
    try:
        fields = read_certificate(certificate_der)
        names = signer_names(fields.issuer_der, fields.serial_number, subject_key_identifier(fields))
        envelope = read_envelope(encoded)
    except MalformedDER as error:
        raise DecryptionFailed from error
    return decrypt_envelope(envelope, names, key, allow_des=allow_des, random_bytes=random_bytes)


def decrypt_envelope(
    envelope: Envelope,
    names: Sequence[bytes],
    key: RSAPrivateKey,
    *,
    allow_des: bool = False,
    random_bytes: RandomBytes = secrets.token_bytes,
) -> bytes:
    """The content for whom one of these elements names and whose key this is; raises DecryptionFailed."""
    if envelope.cipher is Cipher.DES_CBC and not allow_des:
        raise DecryptionFailed from MalformedDER("single DES is read only where it is allowed explicitly")
    encrypted_key = envelope.key_for(names)
    if encrypted_key is None:
        raise DecryptionFailed from MalformedDER("the envelope is for someone else")
    content_key = _content_key(encrypted_key, key, SHAPES[envelope.cipher].key_octets, random_bytes)
    try:
        return decrypt(envelope.cipher, content_key, envelope.iv, envelope.encrypted)
    except ValueError:
        raise DecryptionFailed from None


def seal_envelope(
    content: bytes,
    recipient_der: bytes,
    *,
    cipher: Cipher = Cipher.AES_256_CBC,
    random_bytes: RandomBytes = secrets.token_bytes,
) -> bytes:
    """An envelope to this certificate; raises MalformedDER, or CertificateRefused if its key is not RSA.

    Single DES is never written: ValueError.
    """
    recipient = read_certificate(recipient_der)
    public_key = load_public_key(recipient.public_key_der)
    if not isinstance(public_key, RSAPublicKey):
        raise CertificateRefused("only an RSA key can be sent a content key")
    shape = SHAPES[cipher]
    content_key, iv = random_bytes(shape.key_octets), random_bytes(shape.block_octets)
    recipient_info = der.sequence(
        der.integer(0),
        signer_names(recipient.issuer_der, recipient.serial_number, None)[0],
        der.sequence(_RSA_ENCRYPTION, der.NULL),
        der.octet_string(public_key.encrypt(content_key, padding.PKCS1v15())),
    )
    encrypted_content = der.sequence(
        DATA,
        der.sequence(shape.oid, der.octet_string(iv)),
        der.element(_IMPLICIT_0, encrypt(cipher, content_key, iv, content)),
    )
    enveloped = der.sequence(der.integer(0), der.set_of(recipient_info), encrypted_content)
    return der.sequence(ENVELOPED_DATA, der.explicit(0, enveloped))


def _content_key(encrypted: bytes, key: RSAPrivateKey, octets: int, random_bytes: RandomBytes) -> bytes:
    stand_in = random_bytes(octets)
    try:
        # OpenSSL gives random octets for wrong padding, but not for what is no number below the modulus.
        decrypted = key.decrypt(encrypted, padding.PKCS1v15())
    except ValueError:
        return stand_in
    return decrypted if len(decrypted) == octets else stand_in


def _encrypted_content(reader: Reader, element: Element) -> tuple[Cipher, bytes, bytes]:
    parts = reader.children(expected(element, SEQUENCE))
    if len(parts) != 3 or reader.raw(parts[0]) != DATA:
        raise MalformedDER("the encrypted content is not data")
    algorithm = reader.children(expected(parts[1], SEQUENCE))
    cipher = cipher_of(reader.raw(expected(algorithm[0], OBJECT_IDENTIFIER)) if algorithm else b"")
    iv = reader.content(expected(algorithm[1], OCTET_STRING)) if len(algorithm) == 2 else b""
    if len(iv) != SHAPES[cipher].block_octets:
        raise MalformedDER(f"an initialization vector of {len(iv)} octets for {cipher}")
    # [0] is an OCTET STRING under another tag: in one piece, or in pieces of definite or indefinite length.
    if parts[2].tag not in (_IMPLICIT_0, _EXPLICIT_0):
        raise MalformedDER("the encrypted content is missing")
    return cipher, iv, reader.octets(parts[2])


def _recipients(reader: Reader, element: Element) -> tuple[tuple[bytes, bytes], ...]:
    """The recipients that a key is transported to by RSA; other kinds are for others."""
    infos = reader.children(expected(element, SET))
    if len(infos) > MAX_RECIPIENTS:
        raise MalformedDER(f"{len(infos)} recipients where at most {MAX_RECIPIENTS} are accepted")
    found = []
    for info in infos:
        parts = reader.children(info) if info.tag == SEQUENCE else ()
        if len(parts) != 4 or reader.content(parts[2]) not in _KEY_TRANSPORT_ALGORITHMS:
            continue
        name = reader.raw(parts[1]) if parts[1].tag == _KEY_IDENTIFIER else reader.definite(parts[1])
        found.append((name, reader.octets(parts[3])))
    return tuple(found)
