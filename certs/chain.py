"""Puts certificates in the order in which one issued the other; whether anyone trusts them is not decided here."""

from collections.abc import Sequence

from certs.algorithms import signature_algorithm_of, verify
from certs.certificate_fields import CertificateFields, read_certificate
from certs.errors import CertificateError
from certs.keys import load_public_key

MAX_CHAIN = 8


def chain_of(leaf_der: bytes, others: Sequence[bytes]) -> tuple[bytes, ...]:
    """The certificate, its issuer, the issuer's issuer, as far as the others go; those that are no part stay out.

    Raises MalformedDER for a certificate that cannot be read.
    """
    candidates = [read_certificate(der) for der in others]
    chain = [read_certificate(leaf_der)]
    while len(chain) < MAX_CHAIN and not is_self_issued(chain[-1]):
        issuer = next((each for each in candidates if each not in chain and _issued(each, chain[-1])), None)
        if issuer is None:
            break
        chain.append(issuer)
    return tuple(each.der for each in chain)


def is_self_issued(fields: CertificateFields) -> bool:
    """Whether it names itself as its issuer, as roots do."""
    return fields.issuer_der == fields.subject_der


def _issued(issuer: CertificateFields, subject: CertificateFields) -> bool:
    if issuer.subject_der != subject.issuer_der:
        return False
    try:
        algorithm = signature_algorithm_of(subject.signature_algorithm)
        if algorithm.digest is None:
            return False
        key = load_public_key(issuer.public_key_der)
        verify(key, subject.signature, subject.signed, algorithm, algorithm.digest)
    except CertificateError:
        return False
    return True
