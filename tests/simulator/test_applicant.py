"""From an invitation to an identity: what a simulated device asks, in which shape, and what it makes of each answer."""

import hashlib
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from certs import Digest, MessageType, load_device_certificate
from certs.scep_message import read_message
from mdmserver.simulator.errors import CertificateDenied, InvitationRefused, ProfileRefused, ServerUnreachable
from mdmserver.simulator.identity import Identity
from mdmserver.simulator.management import Management
from mdmserver.simulator.scep import NONCE_BYTES
from mdmserver.simulator.transport import Transport
from tests.simulator.inviting import CHALLENGE, TOKEN, TOPIC, InvitingServer, Pauses, applicant, authority, key

CHALLENGE_PASSWORD = bytes.fromhex("06092a864886f70d010907")


@pytest.fixture
async def inviting() -> AsyncIterator[InvitingServer]:
    scripted = InvitingServer()
    async with TestServer(scripted.application()) as listening:
        scripted.url = str(listening.make_url("")).rstrip("/")
        yield scripted


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


async def accepted(inviting: InvitingServer, pauses: Pauses, **options: Any) -> tuple[Identity, Management]:
    async with Transport(None, proofs=()) as transport:
        return await applicant(pauses, **options).accept(transport, inviting.invitation, random=Random(1))


async def test_the_profile_says_where_to_go_and_the_ca_gives_the_certificate(
    inviting: InvitingServer, pauses: Pauses
) -> None:
    inviting.ca_fingerprint = hashlib.sha256(authority().certificate_der).digest()

    identity, management = await accepted(inviting, pauses)

    assert management.server.command_url == f"{inviting.url}/mdm"
    assert management.enrollment.mdm.topic == TOPIC
    assert load_device_certificate(identity.certificate_der).public_key == key("device").public_key()
    assert CHALLENGE not in str(management.profile)


async def test_the_request_is_shaped_as_apples_client_shapes_it(inviting: InvitingServer, pauses: Pauses) -> None:
    await accepted(inviting, pauses)

    request, message = inviting.seen[0], inviting.messages[0]
    _, signed = read_message(message)
    assert message[:2] == b"\x30\x80"  # BER, of indefinite length
    assert request.message_type is MessageType.PKCS_REQ
    assert request.csr is not None
    assert request.csr.challenge_password == CHALLENGE
    assert len(request.sender_nonce) == NONCE_BYTES
    assert "MDM SCEP SIGNER" in load_device_certificate(request.signer_der).subject
    assert CHALLENGE.encode() in signed.attributes[CHALLENGE_PASSWORD]


@pytest.mark.parametrize(
    ("capabilities", "digest"),
    [("", Digest.SHA1), ("SHA-256\nAES", Digest.SHA256), ("sha-512", Digest.SHA512), ("SCEPStandard", Digest.SHA256)],
)
async def test_the_digest_is_the_best_that_the_ca_knows(
    capabilities: str, digest: Digest, inviting: InvitingServer, pauses: Pauses
) -> None:
    inviting.capabilities = capabilities

    await accepted(inviting, pauses)

    assert inviting.seen[0].digest is digest


@pytest.mark.parametrize(
    ("capabilities", "method"), [("SHA-256", "GET"), ("POSTPKIOperation", "POST"), ("SCEPStandard", "POST")]
)
async def test_messages_go_by_post_only_where_the_ca_takes_it(
    capabilities: str, method: str, inviting: InvitingServer, pauses: Pauses
) -> None:
    inviting.capabilities = capabilities

    await accepted(inviting, pauses)

    assert inviting.methods == [method]


async def test_while_the_ca_says_pending_the_device_polls_in_the_same_transaction(
    inviting: InvitingServer, pauses: Pauses
) -> None:
    inviting.pendings = 2

    await accepted(inviting, pauses)

    kinds = [request.message_type for request in inviting.seen]
    assert kinds == [MessageType.PKCS_REQ, MessageType.CERT_POLL, MessageType.CERT_POLL]
    assert len({request.transaction_id for request in inviting.seen}) == 1
    assert len({request.sender_nonce for request in inviting.seen}) == 3
    assert pauses.seconds == [10, 10]


async def test_a_ca_that_never_decides_is_given_up(inviting: InvitingServer, pauses: Pauses) -> None:
    inviting.pendings, inviting.retries = 100, 2

    with pytest.raises(CertificateDenied, match="PENDING"):
        await accepted(inviting, pauses)

    assert len(inviting.seen) == 3


async def test_a_failure_is_told_with_its_reason(inviting: InvitingServer, pauses: Pauses) -> None:
    inviting.fails = True

    with pytest.raises(CertificateDenied, match=r"refused the certificate.*BAD_REQUEST"):
        await accepted(inviting, pauses)


async def test_a_busy_ca_gets_the_same_request_again(inviting: InvitingServer, pauses: Pauses) -> None:
    inviting.statuses.extend([503, 503])

    await accepted(inviting, pauses)

    assert len(inviting.messages) == 3
    assert len(set(inviting.messages)) == 1
    assert pauses.seconds == [10, 10]


async def test_a_ca_that_answers_an_error_is_not_asked_again(inviting: InvitingServer, pauses: Pauses) -> None:
    inviting.statuses.append(400)

    with pytest.raises(CertificateDenied, match="answered 400"):
        await accepted(inviting, pauses)

    assert len(inviting.messages) == 1


async def test_another_ca_than_the_profiles_is_not_asked(inviting: InvitingServer, pauses: Pauses) -> None:
    inviting.ca_fingerprint = bytes(32)

    with pytest.raises(CertificateDenied, match="fingerprint differs"):
        await accepted(inviting, pauses)

    assert inviting.messages == []


async def test_a_certificate_for_another_key_is_not_taken(inviting: InvitingServer, pauses: Pauses) -> None:
    inviting.certified_key = "another"

    with pytest.raises(CertificateDenied, match="another key"):
        await accepted(inviting, pauses)


async def test_an_invitation_that_is_not_valid_is_said_to_be_so_without_quoting_it(
    inviting: InvitingServer, pauses: Pauses
) -> None:
    inviting.page_status = 404

    with pytest.raises(InvitationRefused, match="not valid") as refused:
        await accepted(inviting, pauses)

    assert TOKEN not in str(refused.value)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("page", "<html><a href='/elsewhere'>no</a></html>", "no link to a profile"),
        ("page_type", "application/json", "not a page"),
        ("page_status", 500, "answered 500"),
        ("profile_type", "application/octet-stream", "does not take application/octet-stream"),
    ],
)
async def test_a_page_that_leads_to_no_profile_is_refused(
    field: str, value: Any, said: str, inviting: InvitingServer, pauses: Pauses
) -> None:
    setattr(inviting, field, value)

    with pytest.raises(InvitationRefused, match=said):
        await accepted(inviting, pauses)


async def test_a_profile_that_is_not_signed_is_refused(inviting: InvitingServer, pauses: Pauses) -> None:
    inviting.is_signed = False

    with pytest.raises(ProfileRefused, match="not rightly signed"):
        await accepted(inviting, pauses)


async def test_a_profile_that_was_changed_after_signing_is_refused(inviting: InvitingServer, pauses: Pauses) -> None:
    inviting.profile = inviting.signed_profile().replace(TOPIC.encode(), TOPIC.upper().encode())

    with pytest.raises(ProfileRefused, match="not rightly signed"):
        await accepted(inviting, pauses)


async def test_devices_do_not_follow_a_profile_to_where_they_may_not_go(
    inviting: InvitingServer, pauses: Pauses
) -> None:
    inviting.profile = inviting.signed_profile(check_in_url="https://mdm.example.com/checkin")

    with pytest.raises(ProfileRefused, match=r"mdm\.example\.com, which is not allowed"):
        await accepted(inviting, pauses, may_visit=lambda url: "example.com" not in url)

    assert inviting.messages == []


async def test_a_fault_of_the_network_does_not_quote_the_invitation(pauses: Pauses) -> None:
    nowhere = InvitingServer(url="http://127.0.0.1:1")

    with pytest.raises(ServerUnreachable) as fault:
        await accepted(nowhere, pauses)

    assert fault.value.reason == "no connection"
    assert TOKEN not in str(fault.value)
