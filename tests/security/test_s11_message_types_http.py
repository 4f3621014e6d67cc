"""S11, S13 and S14, over HTTP: three kinds of message are answered, a renewal is signed by the device's certificate."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from certs import (
    FailInfo,
    MessageType,
    PKIStatus,
    SCEPReply,
    create_signer_certificate,
    issuer_and_subject,
    load_device_certificate,
)
from certs.certificate_writer import common_name_alone
from tests.certs.scep_parties import authority
from tests.web.api_server import RunningServer
from tests.web.issuing import Applicant, challenge_of, check_in, enroll, issuing_server, rsa_key


@pytest.fixture
async def issuing(tmp_path: Path) -> AsyncIterator[RunningServer]:
    async with issuing_server(tmp_path) as server:
        yield server


async def enrolled(server: RunningServer) -> Applicant:
    """An applicant that is a device now, and signs with its certificate."""
    applicant = Applicant(server=server, key=rsa_key("device"))
    (certificate,) = (await applicant.apply(await challenge_of(server))).certificates
    await enroll(server, certificate, applicant.key)
    return Applicant(server=server, key=applicant.key, signer_der=certificate)


async def test_renewal_needs_no_challenge_and_belongs_to_the_device(issuing: RunningServer) -> None:
    device = await enrolled(issuing)

    (renewed,) = (await device.apply(None)).certificates
    answer = await check_in(
        issuing, {"MessageType": "TokenUpdate", "Token": b"n" * 32, "PushMagic": "m"}, renewed, device.key
    )

    assert device.signer_der is not None
    assert load_device_certificate(renewed).subject == load_device_certificate(device.signer_der).subject
    assert answer.status == 200


async def test_certificate_that_no_device_enrolled_with_renews_nothing(issuing: RunningServer) -> None:
    applicant = Applicant(server=issuing, key=rsa_key("device"))
    (certificate,) = (await applicant.apply(await challenge_of(issuing))).certificates

    reply = await Applicant(server=issuing, key=applicant.key, signer_der=certificate).apply(None)

    assert (reply.status, reply.fail_info) == (PKIStatus.FAILURE, FailInfo.BAD_REQUEST)


async def test_strangers_certificate_renews_nothing(issuing: RunningServer) -> None:
    key, at = rsa_key("stranger"), issuing.clock()
    stranger = create_signer_certificate(key, not_before=at, not_after=at.replace(year=at.year + 1))

    reply = await Applicant(server=issuing, key=key, signer_der=stranger).apply(None)

    assert (reply.status, reply.fail_info) == (PKIStatus.FAILURE, FailInfo.BAD_CERT_ID)


async def test_poll_gives_the_certificate_of_its_transaction_and_no_other(issuing: RunningServer) -> None:
    applicant = Applicant(server=issuing, key=rsa_key("device"))
    (certificate,) = (await applicant.apply(await challenge_of(issuing))).certificates
    stranger = Applicant(server=issuing, key=rsa_key("stranger"), transaction_id=applicant.transaction_id)

    polled, refused = [await poll(each) for each in (applicant, stranger)]

    assert polled.certificates == (certificate,)
    assert (refused.status, refused.certificates) == (PKIStatus.FAILURE, ())


async def poll(applicant: Applicant) -> SCEPReply:
    own = applicant.server.services.own_authorities.issuing.authority
    content = issuer_and_subject(own.certificate_der, common_name_alone("anything").public_bytes())
    return await applicant.apply(None, kind=MessageType.CERT_POLL, content=content)


async def test_message_that_is_no_request_is_refused(issuing: RunningServer) -> None:
    applicant = Applicant(server=issuing, key=rsa_key("device"))

    reply = await applicant.apply(await challenge_of(issuing), kind=MessageType.CERT_REP)

    assert (reply.status, reply.fail_info) == (PKIStatus.FAILURE, FailInfo.BAD_REQUEST)


async def test_everything_that_does_not_open_gets_one_answer(issuing: RunningServer) -> None:
    applicant = Applicant(server=issuing, key=rsa_key("device"))
    other = authority("Another CA").certificate_der
    challenge = await challenge_of(issuing)

    replies = [
        await applicant.apply(challenge, authority_der=other),
        await applicant.apply(challenge, content=b""),
        await applicant.apply(challenge, content=b"no request"),
        await applicant.apply(challenge, content=bytes(10_000)),
    ]

    assert {(reply.status, reply.fail_info, reply.fail_info_text) for reply in replies} == {
        (PKIStatus.FAILURE, FailInfo.BAD_MESSAGE_CHECK, None)
    }
