"""S14: whoever cannot encrypt to the CA learns nothing from how it fails."""

import secrets

import pytest

from certs import (
    CertificateError,
    FailInfo,
    MessageType,
    PKIStatus,
    SCEPReply,
    build_request,
    create_csr,
    create_signer_certificate,
    parse_reply,
)
from certs.algorithms import Digest
from certs.cms_writer import content_attributes, write_signed_data
from certs.envelope import seal_envelope
from certs.scep_attributes import MESSAGE_TYPE, SENDER_NONCE, TRANSACTION_ID, nonce_attribute, text_attribute
from tests.certs.scep_parties import authority, rsa_key
from tests.enrollment.world import World

NONCE = bytes(16)
KEY = "phone"


def signed(world: World, envelope: bytes) -> tuple[bytes, bytes]:
    """A PKCSReq around this envelope, and its signer's certificate."""
    now = world.clock()
    signer = create_signer_certificate(
        rsa_key(KEY), not_before=now.replace(year=2025), not_after=now.replace(year=2027)
    )
    attributes = [
        *content_attributes(envelope, Digest.SHA256),
        text_attribute(TRANSACTION_ID, "1"),
        text_attribute(MESSAGE_TYPE, MessageType.PKCS_REQ),
        nonce_attribute(SENDER_NONCE, NONCE),
    ]
    return write_signed_data(envelope, signer, rsa_key(KEY), digest=Digest.SHA256, attributes=attributes), signer


async def answered(world: World, envelope: bytes) -> tuple[SCEPReply, int]:
    """What the server says, and how long that is."""
    message, signer = signed(world, envelope)
    reply = await world.services.scep.answer(message)
    ca = world.services.own_authorities.issuing.authority.certificate_der
    read = parse_reply(
        reply, signer_der=signer, signer_key=rsa_key(KEY), transaction_id="1", sender_nonce=NONCE, authorities=[ca]
    )
    return read, len(reply)


def damaged(envelope: bytes, at: int) -> bytes:
    return envelope[:at] + bytes([envelope[at] ^ 1]) + envelope[at + 1 :]


async def test_all_faults_of_decryption_have_one_answer(world: World) -> None:
    ca = world.services.own_authorities.issuing.authority.certificate_der
    csr = create_csr(rsa_key(KEY), common_name="anything", challenge_password="unknown")
    good = seal_envelope(csr, ca)
    key_at = good.index(bytes.fromhex("06092a864886f70d010101")) + 60
    envelopes = {
        "encrypted key": damaged(good, key_at),
        "last block, hence the padding": damaged(good, len(good) - 17),
        "content": damaged(good, len(good) - 200),
        "another CA": seal_envelope(csr, authority("CA of another").certificate_der),
        "no CSR": seal_envelope(b"hello", ca),
        "empty": seal_envelope(b"", ca),
        "signed by another key": seal_envelope(csr[:-1] + bytes([csr[-1] ^ 1]), ca),
        "no envelope": b"0\x00",
    }

    answers = {name: await answered(world, envelope) for name, envelope in envelopes.items()}

    described = {
        name: (reply.status, reply.fail_info, reply.fail_info_text, reply.certificates, length)
        for name, (reply, length) in answers.items()
    }
    assert set(described.values()) == {
        (PKIStatus.FAILURE, FailInfo.BAD_MESSAGE_CHECK, None, (), described["no CSR"][4])
    }, described


async def test_refusals_do_not_tell_what_was_wrong_with_a_challenge(world: World) -> None:
    _, token = await world.invite(days=0.1)
    ca = world.services.own_authorities.issuing.authority.certificate_der
    replaced = await world.challenge(token)
    expired = await world.challenge(token)
    world.clock.advance(hours=3)

    answers = []
    for challenge in ("unknown", replaced, expired, None):
        csr = create_csr(rsa_key(KEY), common_name="anything", challenge_password=challenge)
        reply, length = await answered(world, seal_envelope(csr, ca))
        answers.append((reply.status, reply.fail_info, reply.fail_info_text, length))

    assert set(answers) == {(PKIStatus.FAILURE, FailInfo.BAD_REQUEST, None, answers[0][3])}


@pytest.mark.parametrize("length", [0, 1, 100, 5000])
async def test_bytes_that_prove_nothing_get_no_answer(world: World, length: int) -> None:
    with pytest.raises(CertificateError):
        await world.services.scep.answer(secrets.token_bytes(length))


async def test_message_with_a_damaged_signature_gets_no_answer(world: World) -> None:
    ca = world.services.own_authorities.issuing.authority.certificate_der
    now = world.clock()
    signer = create_signer_certificate(
        rsa_key(KEY), not_before=now.replace(year=2025), not_after=now.replace(year=2027)
    )
    message = build_request(
        MessageType.PKCS_REQ, create_csr(rsa_key(KEY), common_name="x", challenge_password="y"), signer_der=signer,
        signer_key=rsa_key(KEY), authority_der=ca, transaction_id="1", sender_nonce=NONCE,
    )  # fmt: skip

    with pytest.raises(CertificateError):
        await world.services.scep.answer(message[:-1] + bytes([message[-1] ^ 1]))
