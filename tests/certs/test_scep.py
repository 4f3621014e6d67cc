"""SCEP requests and replies: every form of either, who may send what, and what a reply repeats."""

from typing import Any

import pytest
from asn1crypto import cms as asn1_cms
from cryptography import x509

from certs import (
    CertificateRefused,
    Cipher,
    Digest,
    FailInfo,
    KeyPolicy,
    MessageType,
    PKIStatus,
    RequestRefused,
    SCEPReply,
    SignatureInvalid,
    build_failure,
    build_pending,
    build_success,
    create_csr,
    generate_ec,
    issuer_and_subject,
    load_device_certificate,
    parse_request,
)
from certs.pem import encode_certificate
from tests.certs.scep_parties import CHALLENGE, NOW, PROFILE, Client, authority, issue, rsa_key

CA = authority()
CLIENT = Client.new(CA)
NONCE = bytes(range(100, 116))
DIGESTS = [Digest.SHA1, Digest.SHA256, Digest.SHA384, Digest.SHA512]
CIPHERS = {  # with their names in asn1crypto
    Cipher.AES_128_CBC: "aes128_cbc",
    Cipher.AES_192_CBC: "aes192_cbc",
    Cipher.AES_256_CBC: "aes256_cbc",
    Cipher.DES_EDE3_CBC: "tripledes_3key",
}
# What mdmclient of 2017 was seen to send, except for its cipher: protocol.md section 6.
AS_APPLE: dict[str, Any] = {
    "csr_version": 2,
    "csr_digest": "sha1",
    "digest": Digest.SHA512,
    "cipher": Cipher.DES_EDE3_CBC,
    "sender_nonce": b"8 octets",
    "beside": CHALLENGE,
    "apple_encoding": True,
}


def enrolled(key_name: str = "device") -> Client:
    """A client that signs with a certificate that the CA issued."""
    key = rsa_key(key_name)
    certificate = CA.issue(key.public_key(), PROFILE, 2**64 + 3, PROFILE.not_before(NOW))
    return Client(key=key, signer_der=certificate, authority_der=CA.certificate_der)


def granted(encoded: bytes, **options: Any) -> tuple[bytes, bytes]:
    """The certificate issued for a request, and the reply with it."""
    request = parse_request(encoded, [CA], **options)
    certificate = issue(CA, request)
    return certificate, build_success(request, certificate, CA, sender_nonce=NONCE)


def signer_info(encoded: bytes) -> Any:
    return asn1_cms.ContentInfo.load(encoded, strict=True)["content"]["signer_infos"][0]


def content_of(encoded: bytes) -> bytes:
    content: bytes = asn1_cms.ContentInfo.load(encoded)["content"]["encap_content_info"]["content"].native
    return content


def refused(encoded: bytes, **options: Any) -> RequestRefused:
    with pytest.raises(RequestRefused) as refusal:
        parse_request(encoded, [CA], **options)
    return refusal.value


@pytest.mark.parametrize("apple_encoding", [False, True], ids=["DER", "BER"])
@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.parametrize("digest", DIGESTS)
def test_request_is_granted_in_its_own_digest_and_cipher(digest: Digest, cipher: Cipher, apple_encoding: bool) -> None:
    encoded = CLIENT.request(digest=digest, cipher=cipher, apple_encoding=apple_encoding)

    certificate, reply = granted(encoded)

    envelope = asn1_cms.ContentInfo.load(content_of(reply))["content"]["encrypted_content_info"]
    algorithm = envelope["content_encryption_algorithm"]["algorithm"].native
    assert CLIENT.reply(reply).certificates == (certificate,)
    assert signer_info(reply)["digest_algorithm"]["algorithm"].native == digest
    assert algorithm == CIPHERS[cipher]


def test_request_is_read_as_apples_client_writes_it() -> None:
    request = parse_request(CLIENT.request(**AS_APPLE), [CA])

    assert (request.message_type, request.transaction_id) == (MessageType.PKCS_REQ, "5F2A")
    assert (request.sender_nonce, request.challenge_password) == (b"8 octets", CHALLENGE)
    assert (request.digest, request.cipher) == (Digest.SHA512, Cipher.DES_EDE3_CBC)
    assert request.signer_der == CLIENT.signer_der
    assert request.recipient is CA
    assert request.csr is not None
    assert request.csr.public_key == CLIENT.key.public_key()


def test_reply_repeats_what_the_request_named() -> None:
    certificate, encoded = granted(CLIENT.request(**AS_APPLE))

    reply = CLIENT.reply(encoded, sender_nonce=b"8 octets")

    assert reply == SCEPReply(
        status=PKIStatus.SUCCESS,
        fail_info=None,
        fail_info_text=None,
        sender_nonce=NONCE,
        digest=Digest.SHA512,
        certificates=(certificate,),
    )


def test_reply_names_plain_rsa_as_its_signature_algorithm() -> None:
    """strongSwan's client refuses a digest in that place."""
    _, reply = granted(CLIENT.request())

    assert signer_info(reply)["signature_algorithm"]["algorithm"].native == "rsassa_pkcs1v15"
    assert signer_info(reply)["signature_algorithm"]["algorithm"].dotted == "1.2.840.113549.1.1.1"


def test_reply_is_verified_by_openssl(openssl: Any, tmp_path: Any) -> None:
    _, reply = granted(CLIENT.request())
    root = tmp_path / "ca.pem"
    root.write_bytes(encode_certificate(CA.certificate_der))

    content = openssl(
        *("cms", "-verify", "-binary", "-inform", "DER", "-purpose", "any"),
        *("-CAfile", root, "-attime", int(NOW.timestamp())),
        stdin=reply,
    )

    assert content == content_of(reply)


def test_request_is_verified_by_openssl_in_either_encoding(openssl: Any) -> None:
    for apple_encoding in (False, True):
        encoded = CLIENT.request(apple_encoding=apple_encoding)

        openssl("cms", "-verify", "-noverify", "-binary", "-inform", "DER", stdin=encoded)


def test_attributes_of_a_reply_are_strings_and_nonces_to_asn1crypto() -> None:
    request = parse_request(CLIENT.request(), [CA])

    failure = signer_info(build_failure(request, FailInfo.BAD_REQUEST, CA, sender_nonce=NONCE))

    arcs = "2.16.840.1.113733.1.9."
    found = {
        attribute["type"].dotted.removeprefix(arcs): attribute["values"][0].contents
        for attribute in failure["signed_attrs"]
        if attribute["type"].dotted.startswith(arcs)
    }
    assert found == {"2": b"3", "3": b"2", "4": b"2", "5": NONCE, "6": CLIENT.nonce, "7": b"5F2A"}


def test_failure_and_pending_have_no_content() -> None:
    request = parse_request(CLIENT.request(), [CA])

    failure = build_failure(request, FailInfo.BAD_TIME, CA, sender_nonce=NONCE)
    pending = build_pending(request, CA, sender_nonce=NONCE)

    for reply in (failure, pending):
        assert asn1_cms.ContentInfo.load(reply)["content"]["encap_content_info"]["content"].native is None
    assert (CLIENT.reply(failure).status, CLIENT.reply(failure).fail_info) == (PKIStatus.FAILURE, FailInfo.BAD_TIME)
    assert (CLIENT.reply(pending).status, CLIENT.reply(pending).fail_info) == (PKIStatus.PENDING, None)


def test_challenge_is_taken_from_the_csr_or_from_beside_it() -> None:
    both = parse_request(CLIENT.request(in_csr="inside", beside="beside"), [CA])
    beside = parse_request(CLIENT.request(in_csr=None, beside="beside"), [CA])
    neither = parse_request(CLIENT.request(in_csr=None), [CA])

    assert [request.challenge_password for request in (both, beside, neither)] == ["inside", "beside", None]
    assert "beside" not in repr(beside)


def test_transaction_id_that_is_no_printable_string_is_repeated() -> None:
    client = Client(
        key=CLIENT.key, signer_der=CLIENT.signer_der, authority_der=CLIENT.authority_der, transaction_id="a_b*@=="
    )

    _, reply = granted(client.request())

    assert client.reply(reply).status is PKIStatus.SUCCESS


@pytest.mark.parametrize("octets", [1, 8, 16, 64])
def test_nonce_of_any_length_that_clients_use_is_repeated(octets: int) -> None:
    _, reply = granted(CLIENT.request(sender_nonce=bytes(octets)))

    assert CLIENT.reply(reply, sender_nonce=bytes(octets)).status is PKIStatus.SUCCESS


def test_renewal_by_a_certificate_of_ours_is_read() -> None:
    client = enrolled()

    request = parse_request(client.request(MessageType.RENEWAL_REQ, in_csr=None), [CA])

    assert (request.message_type, request.challenge_password) == (MessageType.RENEWAL_REQ, None)
    assert request.signer_der == client.signer_der


def test_renewal_may_bring_a_new_key() -> None:
    client = enrolled()
    csr = create_csr(generate_ec(), common_name="new")

    request = parse_request(client.request(MessageType.RENEWAL_REQ, content=csr), [CA])

    assert request.csr is not None
    certificate = issue(CA, request)
    assert client.reply(build_success(request, certificate, CA, sender_nonce=NONCE)).certificates == (certificate,)


def test_renewal_by_anyone_elses_certificate_is_refused() -> None:
    refusal = refused(CLIENT.request(MessageType.RENEWAL_REQ))

    assert refusal.fail_info is FailInfo.BAD_CERT_ID
    assert refusal.message.transaction_id == "5F2A"


def test_poll_names_the_subject_it_asks_about() -> None:
    csr = create_csr(CLIENT.key, common_name="wish")
    subject = x509.load_der_x509_csr(csr).subject.public_bytes()

    request = parse_request(
        CLIENT.request(MessageType.CERT_POLL, content=issuer_and_subject(CA.certificate_der, subject)), [CA]
    )

    assert (request.message_type, request.csr, request.polled_subject_der) == (MessageType.CERT_POLL, None, subject)
    assert request.signer_key == CLIENT.key.public_key()


def test_request_is_read_by_the_ca_that_it_was_encrypted_to_during_a_roll_over() -> None:
    old, new = CA, authority("Next CA")
    to_old, to_new = CLIENT.request(), Client.new(new).request()

    assert parse_request(to_old, [new, old]).recipient is old
    assert parse_request(to_new, [new, old]).recipient is new


def test_renewal_with_the_old_cas_certificate_is_read_by_the_new_one() -> None:
    new = authority("Next CA")
    client = Client(key=rsa_key("device"), signer_der=enrolled().signer_der, authority_der=new.certificate_der)

    request = parse_request(client.request(MessageType.RENEWAL_REQ), [new, CA])

    assert (request.recipient, request.message_type) == (new, MessageType.RENEWAL_REQ)


def test_key_that_the_policy_does_not_certify_is_answered_with_bad_algorithm() -> None:
    weak = Client.new(CA, rsa_key("short", 1024))

    assert refused(weak.request()).fail_info is FailInfo.BAD_ALG
    assert parse_request(weak.request(), [CA], policy=KeyPolicy(allow_rsa_1024=True)).csr is not None


def test_request_for_another_key_than_the_signers_is_refused_unless_allowed() -> None:
    encoded = CLIENT.request(content=create_csr(rsa_key("another"), common_name="x"))

    assert refused(encoded).fail_info is FailInfo.BAD_MESSAGE_CHECK
    request = parse_request(encoded, [CA], allow_other_signer=True)
    assert request.csr is not None
    assert request.csr.public_key == rsa_key("another").public_key()
    assert request.signer_key == CLIENT.key.public_key()


def test_certificate_in_the_reply_is_the_one_of_the_server_not_of_the_wish() -> None:
    certificate, _ = granted(CLIENT.request())

    assert load_device_certificate(certificate).subject == "UID=enrollment-7,CN=Device 7"


def test_reply_to_another_request_is_not_believed() -> None:
    _, reply = granted(CLIENT.request())

    for other in ({"transaction_id": "other"}, {"sender_nonce": bytes(16)}):
        with pytest.raises(SignatureInvalid, match="another request"):
            CLIENT.reply(reply, **other)


def test_reply_of_another_ca_is_not_believed() -> None:
    _, reply = granted(CLIENT.request())

    with pytest.raises(CertificateRefused, match="none of the CAs"):
        CLIENT.reply(reply, authorities=[authority("Next CA").certificate_der])
