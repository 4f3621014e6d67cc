"""S11: PKCSReq, RenewalReq and CertPoll are answered; nothing but permission leads to a signature."""

import secrets
from datetime import timedelta
from typing import Any

import pytest

from certs import (
    Authority,
    CertificateProfile,
    FailInfo,
    MessageType,
    PKIStatus,
    SCEPReply,
    build_request,
    create_csr,
    issuer_and_subject,
    load_device_certificate,
    parse_reply,
)
from certs.certificate_fields import read_certificate
from tests.certs.scep_parties import rsa_key
from tests.enrollment.device import Applicant
from tests.enrollment.world import Phone, World


async def ask(
    phone: Phone, message_type: Any, content: bytes, *, signer_der: bytes, transaction_id: str = "5F2A"
) -> SCEPReply:
    """Send a message of any type, signed by the phone."""
    world = phone.world
    ca = world.services.own_authorities.issuing.authority.certificate_der
    nonce = secrets.token_bytes(16)
    request = build_request(
        message_type, content, signer_der=signer_der, signer_key=phone.key, authority_der=ca,
        transaction_id=transaction_id, sender_nonce=nonce,
    )  # fmt: skip
    return parse_reply(
        await world.services.scep.answer(request), signer_der=signer_der, signer_key=phone.key,
        transaction_id=transaction_id, sender_nonce=nonce, authorities=[ca],
    )  # fmt: skip


def csr(key: str = "phone", challenge: str | None = None) -> bytes:
    return create_csr(rsa_key(key), common_name="anything", challenge_password=challenge)


@pytest.mark.parametrize("message_type", ["3", "17 ", "18", "21", "22", "0", "PKCSReq"])
async def test_no_other_message_type_is_answered_with_a_certificate(world: World, message_type: str) -> None:
    phone = await world.enrolled()
    _, token = await world.invite()
    known = await world.count("SELECT count(*) FROM issued_certificate")

    reply = await ask(phone, message_type, csr(challenge=await world.challenge(token)), signer_der=phone.certificate)

    assert (reply.status, reply.fail_info) == (PKIStatus.FAILURE, FailInfo.BAD_REQUEST)
    assert await world.count("SELECT count(*) FROM issued_certificate") == known


async def test_poll_gives_the_certificate_of_its_transaction_to_its_key_alone(world: World) -> None:
    phone, other = world.phone(1, "phone"), world.phone(2, "other")
    _, token = await world.invite()
    certificate = await phone.obtain(await world.challenge(token), transaction_id="5F2A")
    await other.take_invitation()
    content = issuer_and_subject(
        world.services.own_authorities.issuing.authority.certificate_der, read_certificate(certificate).subject_der
    )

    mine = await ask(phone, MessageType.CERT_POLL, content, signer_der=certificate)
    another = await ask(phone, MessageType.CERT_POLL, content, signer_der=certificate, transaction_id="OTHER")
    theirs = await ask(other, MessageType.CERT_POLL, content, signer_der=other.certificate)

    assert mine.certificates == (certificate,)
    assert another.status is PKIStatus.FAILURE
    assert theirs.status is PKIStatus.FAILURE


async def test_pkcs_request_without_challenge_is_refused_even_from_an_enrolled_device(world: World) -> None:
    phone = await world.enrolled()

    reply = await ask(phone, MessageType.PKCS_REQ, csr(), signer_der=phone.certificate)

    assert reply.status is PKIStatus.FAILURE


async def test_challenge_does_not_help_a_renewal_that_is_signed_by_nobody_known(world: World) -> None:
    phone = world.phone()
    await phone.take_invitation()
    _, token = await world.invite()

    # Certified, and bound to no enrollment: nothing is there to be renewed.
    reply = await ask(
        phone,
        MessageType.RENEWAL_REQ,
        csr("new", challenge=await world.challenge(token)),
        signer_der=phone.certificate,
    )

    assert reply.status is PKIStatus.FAILURE
    assert await world.count("SELECT count(*) FROM issued_certificate") == 1


async def test_renewal_signed_by_a_certificate_that_somebody_else_issued_is_refused(world: World) -> None:
    phone = await world.enrolled()
    applicant = Applicant(services=world.services, key=rsa_key("CA of somebody"))
    forged = _forged(phone.certificate)

    reply = await applicant.apply(None, at=world.clock(), signer_der=forged)

    assert (reply.status, reply.fail_info) == (PKIStatus.FAILURE, FailInfo.BAD_CERT_ID)


def _forged(certificate: bytes) -> bytes:
    """The same names and times, signed by another CA and for another key."""
    parsed = load_device_certificate(certificate)
    key = rsa_key("CA of somebody")
    authority = Authority.create(
        common_name="MDM CA",
        key=key,
        not_before=parsed.not_before,
        not_after=parsed.not_after,
        serial_number=2**100 + 6,
    )
    profile = CertificateProfile(common_name="MDM identity", backdate=timedelta(0))
    return authority.issue(key.public_key(), profile, parsed.serial_number, parsed.not_before)
