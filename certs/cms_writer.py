"""Writes CMS SignedData (RFC 5652) in DER: with one signer, or with certificates alone. Reading it is `cms`."""

from collections.abc import Sequence

from certs import der
from certs.algorithms import Digest, digest_identifier, hashed, plain_key_identifier, sign, signature_identifier
from certs.ber import SET
from certs.certificate_fields import read_certificate
from certs.cms import CONTENT_TYPE, DATA, MESSAGE_DIGEST, SIGNED_DATA, signer_names
from certs.keys import PrivateKey

_VERSION_1 = der.integer(1)


def attribute(oid: bytes, value: bytes) -> bytes:
    """An attribute with one value; the OID is a whole element, as the constants of `cms` are."""
    return der.sequence(oid, der.set_of(value))


def content_attributes(body: bytes, digest: Digest) -> tuple[bytes, bytes]:
    """The two attributes that every SignerInfo with signed attributes must have: RFC 5652 §5.3."""
    hash_of_body = der.octet_string(hashed(body, digest))
    return attribute(CONTENT_TYPE, DATA), attribute(MESSAGE_DIGEST, hash_of_body)


def write_signed_data(
    content: bytes | None,
    signer_der: bytes,
    key: PrivateKey,
    *,
    digest: Digest,
    attributes: Sequence[bytes],
    names_digest: bool = True,
) -> bytes:
    """A ContentInfo with the content, which may be absent, and a signature over attributes that hold its digest.

    The signer's certificate goes with it. `names_digest` False names the kind of key as the signature
    algorithm, without a hash. Raises MalformedDER for a certificate that cannot be read.
    """
    attribute_set = der.set_of(*attributes)
    fields = read_certificate(signer_der)
    signer = der.sequence(
        _VERSION_1,
        signer_names(fields.issuer_der, fields.serial_number, None)[0],
        digest_identifier(digest),
        # Signed as a SET, sent under [0]: RFC 5652 §5.4.
        b"\xa0" + attribute_set[1:],
        signature_identifier(key, digest) if names_digest else plain_key_identifier(key),
        der.octet_string(sign(key, attribute_set, digest)),
    )
    return _content_info(
        der.set_of(digest_identifier(digest)),
        der.sequence(DATA, b"" if content is None else der.explicit(0, der.octet_string(content))),
        der.explicit(0, signer_der),
        der.set_of(signer),
    )


def write_certificates(certificates: Sequence[bytes]) -> bytes:
    """A ContentInfo that only carries certificates, in this order (DER would sort them; clients take the first)."""
    return _content_info(
        der.set_of(),
        der.sequence(DATA),
        der.explicit(0, *certificates),
        der.element(SET),
    )


def _content_info(*fields: bytes) -> bytes:
    return der.sequence(SIGNED_DATA, der.explicit(0, der.sequence(_VERSION_1, *fields)))
