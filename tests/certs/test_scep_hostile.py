"""SCEP messages that nobody honest sends: all end in an error of ours, soon, and without telling a secret."""

import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from certs import (
    CertificateError,
    CertificateRefused,
    Cipher,
    Digest,
    FailInfo,
    MalformedDER,
    MessageType,
    RequestRefused,
    SignatureInvalid,
    build_success,
    create_csr,
    create_signer_certificate,
    generate_ec,
    parse_request,
    seal_envelope,
)
from certs import der as write
from certs.ber import SET
from certs.ciphers import SHAPES, encrypt
from certs.cms import DATA, SIGNED_DATA
from certs.cms_writer import attribute, content_attributes, write_signed_data
from certs.scep_attributes import MESSAGE_TYPE, SENDER_NONCE, TRANSACTION_ID, nonce_attribute, text_attribute
from tests.certs.scep_parties import NOW, Client, authority, issue, rsa_key
from tests.certs.test_envelope import envelope

CA = authority()
CLIENT = Client.new(CA)
TYPE = text_attribute(MESSAGE_TYPE, "19")
TRANSACTION = text_attribute(TRANSACTION_ID, "5F2A")
NONCE = nonce_attribute(SENDER_NONCE, bytes(16))
SLOWEST_SECONDS = 0.1
RSA_KEY = write.object_identifier("1.2.840.113549.1.1.1")
UNKNOWN_KEY = write.object_identifier("1.2.840.113549.1.1.9")


def signed(
    content: bytes | None, *attributes: bytes, key: Any = CLIENT.key, signer: bytes = CLIENT.signer_der
) -> bytes:
    """A message with this content and these attributes, truly signed."""
    every = (*content_attributes(content or b"", Digest.SHA256), *attributes)
    return write_signed_data(content, signer, key, digest=Digest.SHA256, attributes=every)


def refusal_of(encoded: bytes, **options: Any) -> RequestRefused:
    with pytest.raises(RequestRefused) as refusal:
        parse_request(encoded, [CA], **options)
    return refusal.value


def damaged_contents() -> dict[str, bytes]:
    """Envelopes with every fault that can lie in them: some before a key is used, some after, some in the CSR."""
    csr = create_csr(CLIENT.key, common_name="x")
    cipher, key, vector = Cipher.AES_128_CBC, bytes(16), bytes(16)
    fixed = {16: key}
    good = seal_envelope(csr, CA.certificate_der, cipher=cipher, random_bytes=lambda octets: fixed[octets])
    encrypted = encrypt(cipher, key, vector, csr)
    assert encrypted in good

    def sealed(content: bytes) -> bytes:
        return seal_envelope(content, CA.certificate_der)

    return {
        "wrong padding": good.replace(encrypted, encrypted[:-17] + bytes([encrypted[-17] ^ 0x80]) + encrypted[-16:]),
        "wrong last block": good.replace(encrypted, encrypted[:-16] + bytes(16)),
        "wrong first block": good.replace(encrypted, bytes(16) + encrypted[16:]),
        "wrong middle block": good.replace(encrypted, encrypted[:320] + bytes(16) + encrypted[336:]),
        "another cipher": good.replace(SHAPES[cipher].oid, SHAPES[Cipher.AES_192_CBC].oid),
        "no CSR": sealed(b"anything"),
        "empty": sealed(b""),
        "CSR cut off": sealed(csr[:-1]),
        "CSR with a wrong signature": sealed(csr[:-1] + bytes([csr[-1] ^ 1])),
        "CSR with more behind it": sealed(csr + b"\0"),
        "CSR with an unreadable key": sealed(csr.replace(RSA_KEY, UNKNOWN_KEY)),
        "for another CA": seal_envelope(csr, authority("Next CA").certificate_der),
        "no envelope": b"",
        "no recipient": envelope(algorithm=b"", content=b""),
    }


@pytest.mark.parametrize("fault", damaged_contents())
def test_every_fault_inside_the_envelope_has_the_same_answer(fault: str) -> None:
    refusal = refusal_of(signed(damaged_contents()[fault], TYPE, TRANSACTION, NONCE))

    assert (str(refusal), refusal.fail_info) == ("the request cannot be opened", FailInfo.BAD_MESSAGE_CHECK)
    assert refusal.message.transaction_id == "5F2A"


def test_key_outside_the_policy_is_told_only_to_who_proved_to_have_it() -> None:
    short = rsa_key("short", 1024)
    csr = create_csr(short, common_name="x")
    unproven = csr[:-1] + bytes([csr[-1] ^ 1])

    def answer(content: bytes) -> RequestRefused:
        return refusal_of(signed(seal_envelope(content, CA.certificate_der), TYPE, TRANSACTION, NONCE))

    assert answer(csr).fail_info is FailInfo.BAD_ALG
    assert str(answer(unproven)) == "the request cannot be opened"


@pytest.mark.parametrize("message_type", ["3", "18", "21", "22", "019", "0", "nineteen", "19\0", "x" * 255])
def test_other_message_types_are_refused(message_type: str) -> None:
    named = text_attribute(MESSAGE_TYPE, message_type)
    encoded = signed(seal_envelope(b"", CA.certificate_der), named, TRANSACTION, NONCE)

    with pytest.raises((RequestRefused, MalformedDER)) as refusal:
        parse_request(encoded, [CA])

    if isinstance(refusal.value, RequestRefused):
        assert refusal.value.fail_info is FailInfo.BAD_REQUEST


def test_reply_sent_back_as_a_request_is_refused() -> None:
    request = parse_request(CLIENT.request(), [CA])
    reply = build_success(request, issue(CA, request), CA, sender_nonce=bytes(16))

    assert refusal_of(reply).fail_info is FailInfo.BAD_REQUEST


@pytest.mark.parametrize(
    "attributes",
    [
        (TRANSACTION, NONCE),
        (TYPE, NONCE),
        (TYPE, TRANSACTION),
        (TYPE, TRANSACTION, nonce_attribute(SENDER_NONCE, b"")),
        (TYPE, TRANSACTION, nonce_attribute(SENDER_NONCE, bytes(65))),
        (TYPE, TRANSACTION, text_attribute(SENDER_NONCE, "a string")),
        (TYPE, text_attribute(TRANSACTION_ID, ""), NONCE),
        (TYPE, text_attribute(TRANSACTION_ID, "x" * 256), NONCE),
        (TYPE, text_attribute(TRANSACTION_ID, "a\nb"), NONCE),
        (TYPE, text_attribute(TRANSACTION_ID, "ä"), NONCE),
        (TYPE, nonce_attribute(TRANSACTION_ID, b"octets"), NONCE),
        (TYPE, write.sequence(TRANSACTION_ID, write.set_of()), NONCE),
        (TYPE, write.sequence(TRANSACTION_ID, write.set_of(b"\x13\x01a", b"\x13\x01b")), NONCE),
    ],
)
def test_message_without_its_attributes_in_their_form_is_not_answered(attributes: tuple[bytes, ...]) -> None:
    with pytest.raises(MalformedDER):
        parse_request(signed(seal_envelope(b"x", CA.certificate_der), *attributes), [CA])


def test_attribute_that_comes_twice_is_not_answered() -> None:
    with pytest.raises(SignatureInvalid, match="twice"):
        parse_request(signed(b"", TYPE, text_attribute(MESSAGE_TYPE, "17"), TRANSACTION, NONCE), [CA])


def test_content_swapped_under_a_signature_is_not_answered() -> None:
    one = seal_envelope(b"one", CA.certificate_der)
    other = seal_envelope(b"two", CA.certificate_der)

    with pytest.raises(SignatureInvalid):
        parse_request(signed(one, TYPE, TRANSACTION, NONCE).replace(one, other), [CA])


def test_attributes_changed_under_a_signature_are_not_answered() -> None:
    encoded = CLIENT.request()

    with pytest.raises(SignatureInvalid):
        parse_request(encoded.replace(b"5F2A", b"5F2B"), [CA])


def test_message_of_another_signer_than_it_names_is_not_answered() -> None:
    with pytest.raises(SignatureInvalid):
        parse_request(signed(b"", TYPE, TRANSACTION, NONCE, key=rsa_key("another")), [CA])


def test_signer_that_no_reply_could_be_encrypted_to_is_not_answered(pki: Any) -> None:
    encoded = signed(b"", TYPE, TRANSACTION, NONCE, key=pki.ec256.key, signer=pki.ec256.der)

    with pytest.raises(CertificateRefused, match="RSA"):
        parse_request(encoded, [CA])


def test_renewal_by_a_certificate_that_only_names_our_ca_is_refused() -> None:
    key = rsa_key("forger")
    name = x509.load_der_x509_certificate(CA.certificate_der).subject
    forged = (
        x509.CertificateBuilder()
        .issuer_name(name)
        .subject_name(name)
        .serial_number(5)
        .public_key(key.public_key())
        .not_valid_before(NOW)
        .not_valid_after(CA.not_after)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.DER)
    )
    client = Client(key=key, signer_der=forged, authority_der=CA.certificate_der)

    assert refusal_of(client.request(MessageType.RENEWAL_REQ)).fail_info is FailInfo.BAD_CERT_ID


def test_request_without_the_ca_it_was_for_is_refused() -> None:
    with pytest.raises(RequestRefused, match="cannot be opened"):
        parse_request(CLIENT.request(), [])


def test_ec_csr_inside_a_new_request_is_refused() -> None:
    encoded = CLIENT.request(content=create_csr(generate_ec(), common_name="x"))

    assert refusal_of(encoded).fail_info is FailInfo.BAD_MESSAGE_CHECK


@pytest.mark.parametrize("encoded", [CLIENT.request(), CLIENT.request(apple_encoding=True)], ids=["DER", "BER"])
def test_message_cut_off_anywhere_is_an_error_of_ours(encoded: bytes) -> None:
    for length in range(0, len(encoded), 7):
        with pytest.raises(CertificateError):
            parse_request(encoded[:length], [CA])


@pytest.mark.parametrize("encoded", [CLIENT.request(), CLIENT.request(apple_encoding=True)], ids=["DER", "BER"])
def test_damaged_message_is_an_error_of_ours_or_means_the_same(encoded: bytes) -> None:
    chance = random.Random(6)
    meant = parse_request(encoded, [CA])

    for _ in range(400):
        damaged = bytearray(encoded)
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        try:
            read = parse_request(bytes(damaged), [CA])
        except CertificateError:
            continue
        # The certificate's own signature, and names beside what is signed, may change.
        assert (read.csr, read.transaction_id, read.signer_key) == (meant.csr, meant.transaction_id, meant.signer_key)


@pytest.mark.parametrize("encoded", [CLIENT.request(), CLIENT.request(apple_encoding=True)], ids=["DER", "BER"])
def test_message_with_a_stretch_of_noise_is_an_error_of_ours(encoded: bytes) -> None:
    chance = random.Random(7)

    for _ in range(200):
        start = chance.randrange(len(encoded))
        noise = chance.randbytes(chance.randrange(1, 40))
        with pytest.raises(CertificateError):
            parse_request(encoded[:start] + noise + encoded[start + len(noise) + 1 :], [CA])


def nested(depth: int) -> bytes:
    inner = b""
    for _ in range(depth):
        inner = write.sequence(inner)
    return inner


def unsigned(*fields: bytes) -> bytes:
    """A SignedData of these fields, and nobody's signature."""
    signed_data = write.sequence(write.integer(1), write.set_of(), *fields, write.element(SET))
    return write.sequence(SIGNED_DATA, write.explicit(0, signed_data))


def many_certificates() -> bytes:
    return unsigned(write.sequence(DATA), write.explicit(0, *[CLIENT.signer_der] * 50))


def many_pieces() -> bytes:
    pieces = write.element(0x24, *[b"\x04\x00"] * 20_000)
    return unsigned(write.sequence(DATA, write.explicit(0, pieces)))


def many_attributes() -> bytes:
    return signed(b"", *[attribute(write.object_identifier(f"1.2.{n}"), write.NULL) for n in range(3_000)])


def many_recipients() -> bytes:
    recipients = [write.sequence()] * 15_000
    return signed(envelope(*recipients, algorithm=b"", content=b""), TYPE, TRANSACTION, NONCE)


HUGE: dict[str, Callable[[], bytes]] = {
    "a long message": lambda: bytes(70_000),
    "deep": lambda: nested(5_000),
    "deep and without end": lambda: b"\x30\x80" * 30_000,
    "many elements": lambda: write.sequence(*[write.NULL] * 30_000),
    "many certificates": many_certificates,
    "many attributes": many_attributes,
    "many pieces": many_pieces,
    "many recipients": many_recipients,
    "a long transaction id": lambda: signed(b"", TYPE, text_attribute(TRANSACTION_ID, "9" * 60_000), NONCE),
}


@pytest.mark.parametrize("what", HUGE)
def test_huge_message_is_refused_soon(what: str) -> None:
    encoded = HUGE[what]()

    started = time.thread_time()
    with pytest.raises(CertificateError):
        parse_request(encoded, [CA])

    assert time.thread_time() - started < SLOWEST_SECONDS


def test_signers_key_that_is_slow_to_verify_with_is_refused() -> None:
    key = rsa_key("long", 5120)
    signer = create_signer_certificate(key, not_before=NOW, not_after=CA.not_after)

    with pytest.raises(CertificateRefused, match="5120 bits"):
        parse_request(signed(b"", TYPE, TRANSACTION, NONCE, key=key, signer=signer), [CA])
