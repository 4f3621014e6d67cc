"""Writes certificate revocation lists (RFC 5280 §5); signing them is done by an `authority`.

Written element by element: the library's builder copies its list for every entry added.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from certs import der
from certs.algorithms import Digest, sign, signature_identifier
from certs.keys import PrivateKey

_CRL_NUMBER = der.object_identifier("2.5.29.20")
_REASON_CODE = der.object_identifier("2.5.29.21")
_AUTHORITY_KEY_IDENTIFIER = der.object_identifier("2.5.29.35")
_ENUMERATED = 0x0A
_KEY_IDENTIFIER = 0x80


class RevocationReason(StrEnum):
    """Why a certificate was revoked: RFC 5280 §5.3.1."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "key_compromise"
    AFFILIATION_CHANGED = "affiliation_changed"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessation_of_operation"
    PRIVILEGE_WITHDRAWN = "privilege_withdrawn"


_REASON_CODES = {
    RevocationReason.KEY_COMPROMISE: 1,
    RevocationReason.AFFILIATION_CHANGED: 3,
    RevocationReason.SUPERSEDED: 4,
    RevocationReason.CESSATION_OF_OPERATION: 5,
    RevocationReason.PRIVILEGE_WITHDRAWN: 9,
}
# "unspecified" is said by saying nothing: RFC 5280 §5.3.1.
_REASON_EXTENSIONS = {
    reason: der.sequence(
        der.sequence(_REASON_CODE, der.octet_string(der.element(_ENUMERATED, bytes((_REASON_CODES[reason],)))))
    )
    if reason in _REASON_CODES
    else b""
    for reason in RevocationReason
}


def write_crl(
    revoked: Iterable[tuple[int, datetime, RevocationReason]],
    *,
    issuer_der: bytes,
    key_identifier: bytes,
    key: PrivateKey,
    number: int,
    this_update: datetime,
    next_update: datetime,
) -> bytes:
    """The DER of a version 2 CRL signed with this key; entries are serial number, time and reason."""
    algorithm = signature_identifier(key, Digest.SHA256)
    entries = b"".join(
        der.sequence(der.integer(serial_number), der.time(at), _REASON_EXTENSIONS[reason])
        for serial_number, at, reason in revoked
    )
    issuer_key = der.sequence(der.element(_KEY_IDENTIFIER, key_identifier))
    extensions = der.sequence(
        der.sequence(_AUTHORITY_KEY_IDENTIFIER, der.octet_string(issuer_key)),
        der.sequence(_CRL_NUMBER, der.octet_string(der.integer(number))),
    )
    signed = der.sequence(
        der.integer(1),
        algorithm,
        issuer_der,
        der.time(this_update),
        der.time(next_update),
        der.sequence(entries) if entries else b"",  # RFC 5280 §5.1.2.6: absent where nothing is revoked
        der.explicit(0, extensions),
    )
    return der.sequence(signed, algorithm, der.bit_string(sign(key, signed, Digest.SHA256)))
