"""Reading SignedData, compared with what asn1crypto reads in the same bytes."""

from collections.abc import Callable
from typing import Any

import pytest
from asn1crypto import cms as oracle

from certs import CertificateError, MalformedDER, SignatureInvalid, der, parse_signed_data
from certs.algorithms import Digest, KeyKind

BODY = b"<plist/>\n" * 2000


@pytest.mark.parametrize("signer", ["rsa", "ec256", "ec384"])
@pytest.mark.parametrize("options", [(), ("-noattr",), ("-nodetach",), ("-nodetach", "-stream"), ("-keyid",)])
def test_parts_are_those_that_asn1crypto_reads(signer: str, options: tuple[str, ...], pki: Any, cms_sign: Any) -> None:
    message = cms_sign(BODY, getattr(pki, signer), *options, md="sha384")
    theirs = oracle.ContentInfo.load(message)["content"]
    their_signer = theirs["signer_infos"][0]

    ours = parse_signed_data(message)

    assert ours.signature == their_signer["signature"].native
    assert ours.digest_algorithm == their_signer["digest_algorithm"]["algorithm"].native == Digest.SHA384
    assert ours.certificates == tuple(choice.dump() for choice in theirs["certificates"])
    assert ours.signer == their_signer["sid"].dump()
    assert ours.content == theirs["encap_content_info"]["content"].native
    assert ours.content_type == theirs["encap_content_info"]["content_type"].dump()
    if "-noattr" in options:
        assert ours.signed_attributes is None
    else:
        assert ours.signed_attributes == their_signer["signed_attrs"].untag().dump()
        assert ours.attributes == {
            attribute["type"].dump(): attribute["values"].dump() for attribute in their_signer["signed_attrs"]
        }


def test_streamed_content_comes_in_pieces_and_is_joined(pki: Any, cms_sign: Any) -> None:
    message = cms_sign(BODY, pki.rsa, "-nodetach", "-stream")

    assert b"\xa0\x80\x24\x80\x04" in message
    assert parse_signed_data(message).content == BODY


def test_attached_content_in_indefinite_lengths_is_joined(
    pki: Any, cms_sign: Any, everything_indefinite: Callable[[bytes], bytes]
) -> None:
    assert parse_signed_data(everything_indefinite(cms_sign(BODY, pki.rsa, "-nodetach"))).content == BODY


def test_empty_attached_content_is_not_detached_content(pki: Any, cms_sign: Any) -> None:
    assert parse_signed_data(cms_sign(b"", pki.rsa, "-nodetach")).content == b""
    assert parse_signed_data(cms_sign(b"", pki.rsa)).content is None


def test_named_signature_algorithm_is_told(pki: Any, cms_sign: Any) -> None:
    rsa = parse_signed_data(cms_sign(BODY, pki.rsa)).signature_algorithm
    ecdsa = parse_signed_data(cms_sign(BODY, pki.ec256)).signature_algorithm

    assert (rsa.key_kind, ecdsa.key_kind, ecdsa.digest) == (KeyKind.RSA, KeyKind.EC, Digest.SHA256)


def test_message_without_certificates_is_read(pki: Any, cms_sign: Any) -> None:
    assert parse_signed_data(cms_sign(BODY, pki.rsa, "-nocerts")).certificates == ()


def test_bytes_after_the_message_are_refused(pki: Any, cms_sign: Any) -> None:
    with pytest.raises(MalformedDER):
        parse_signed_data(cms_sign(BODY, pki.rsa) + b"\x00\x00")


def test_other_kinds_of_message_are_refused(pki: Any, openssl: Any) -> None:
    enveloped = openssl(
        *("cms", "-encrypt", "-binary", "-outform", "DER", "-aes256", pki.rsa.certificate_file), stdin=BODY
    )

    with pytest.raises(MalformedDER, match="SignedData"):
        parse_signed_data(enveloped)


def test_signature_in_pieces_is_refused(pki: Any, cms_sign: Any) -> None:
    message = cms_sign(BODY, pki.rsa, "-noattr")
    signature = der.octet_string(parse_signed_data(message).signature)
    pieces = b"\x24" + signature[1:]

    with pytest.raises(MalformedDER):
        parse_signed_data(message.replace(signature, pieces))


def test_a_message_of_many_signers_is_refused_without_reading_them() -> None:
    message = der.sequence(
        der.object_identifier("1.2.840.113549.1.7.2"),
        der.explicit(
            0,
            der.sequence(
                der.integer(1),
                der.set_of(),
                der.sequence(der.object_identifier("1.2.840.113549.1.7.1")),
                der.set_of(*[b"\x30\x00"] * 900),
            ),
        ),
    )

    with pytest.raises(SignatureInvalid, match="900 signers"):
        parse_signed_data(message)


@pytest.mark.parametrize("options", [("-nodetach", "-stream"), ("-keyid",)])
def test_every_truncation_is_an_error_of_ours(options: tuple[str, ...], pki: Any, cms_sign: Any) -> None:
    message = cms_sign(b"short", pki.ec256, *options)

    for length in range(len(message)):
        with pytest.raises(CertificateError):
            parse_signed_data(message[:length])
