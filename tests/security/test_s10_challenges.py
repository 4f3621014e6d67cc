"""S10: a challenge is for one certificate, for an hour, and for whoever lost the answer to the same request."""

import asyncio
import base64
from datetime import timedelta
from pathlib import Path

import pytest

from certs import FailInfo, PKIStatus, SCEPReply, load_device_certificate
from mdmserver.errors import IdentityRefused, Unavailable
from mdmserver.issuance.issuing import NotPermitted
from tests.certs.scep_parties import rsa_key
from tests.enrollment.device import Applicant
from tests.enrollment.world import ME, World, open_world
from tests.fleet import FakeClock
from tests.issuance.interrupted import Interrupted, crash, issuing_of, request_of

TRANSACTION = "5F2A"


async def apply(world: World, challenge: str, *, key: str = "phone", transaction_id: str = TRANSACTION) -> SCEPReply:
    applicant = Applicant(services=world.services, key=rsa_key(key))
    return await applicant.apply(challenge, at=world.clock(), transaction_id=transaction_id)


async def certificates(world: World) -> int:
    return await world.count("SELECT count(*) FROM issued_certificate")


async def new_challenge(world: World, **invitation: int | float) -> str:
    _, token = await world.invite(**invitation)  # type: ignore[arg-type]  # each test names its fields
    return await world.challenge(token)


async def test_challenges_and_tokens_have_more_than_128_bits_and_differ(world: World) -> None:
    _, token = await world.invite(uses=20)
    challenges = {await world.challenge(token) for _ in range(5)}

    assert len(challenges) == 5
    for secret in (token, *challenges):
        assert len(base64.urlsafe_b64decode(secret + "=" * (-len(secret) % 4))) >= 16


async def test_challenges_and_tokens_are_kept_as_hashes_alone(world: World) -> None:
    _, token = await world.invite()
    challenge = await world.challenge(token)
    await apply(world, challenge)

    async def everything(tx):  # type: ignore[no-untyped-def]  # rows of every table, whatever they hold
        tables = await tx.fetch_all("SELECT name FROM sqlite_master WHERE type = 'table'")
        return [await tx.fetch_all(f"SELECT * FROM {table}") for (table,) in tables]

    dump = repr(await world.storage.read(everything))
    assert "invitation.download" in dump
    assert challenge not in dump
    assert token not in dump


async def test_parallel_requests_with_one_challenge_give_one_certificate(world: World) -> None:
    challenge = await new_challenge(world)
    keys = [f"key {number}" for number in range(4)]

    replies = await asyncio.gather(
        *(apply(world, challenge, key=keys[number % 4], transaction_id=f"T{number}") for number in range(20))
    )

    assert [reply.status for reply in replies].count(PKIStatus.SUCCESS) == 1
    assert {reply.fail_info for reply in replies} == {None, FailInfo.BAD_REQUEST}
    assert await certificates(world) == 1


async def test_parallel_repetitions_of_one_request_give_the_same_bytes(world: World) -> None:
    challenge = await new_challenge(world)

    replies = await asyncio.gather(*(apply(world, challenge) for _ in range(20)))

    assert {reply.certificates for reply in replies} == {replies[0].certificates}
    assert replies[0].status is PKIStatus.SUCCESS
    assert await certificates(world) == 1


async def test_parallel_repetitions_of_one_renewal_give_one_active_certificate(world: World) -> None:
    phone = await world.enrolled()
    world.clock.advance(days=300)
    await world.renewal.sweep()
    delivery = await phone.idle()
    assert delivery is not None

    replies = await asyncio.gather(*(apply(world, delivery.challenge, key="renewed") for _ in range(20)))

    assert {reply.status for reply in replies} == {PKIStatus.SUCCESS}
    assert len({reply.certificates for reply in replies}) == 1
    assert await phone.identity_states() == {phone.certificate: "grace", replies[0].certificates[0]: "active"}


async def test_lost_reply_is_repeated_within_the_time_of_the_challenge(world: World) -> None:
    challenge = await new_challenge(world)
    first = await apply(world, challenge)
    world.clock.advance(minutes=59)

    again = await apply(world, challenge)
    world.clock.advance(minutes=1)
    too_late = await apply(world, challenge)

    assert again.certificates == first.certificates
    assert (too_late.status, too_late.certificates) == (PKIStatus.FAILURE, ())


@pytest.mark.parametrize("other", [{"key": "other"}, {"transaction_id": "OTHER"}], ids=str)
async def test_used_challenge_is_refused_for_another_key_or_transaction(world: World, other: dict[str, str]) -> None:
    challenge = await new_challenge(world)
    await apply(world, challenge)

    refused = await apply(world, challenge, **other)

    assert refused.status is PKIStatus.FAILURE
    assert await certificates(world) == 1


async def test_challenge_ends_after_its_time(world: World) -> None:
    challenge = await new_challenge(world)
    world.clock.advance(minutes=60)

    assert (await apply(world, challenge)).status is PKIStatus.FAILURE
    assert await certificates(world) == 0


async def test_challenge_ends_with_its_invitation(world: World) -> None:
    expired = await new_challenge(world, days=0.01)
    invitation, token = await world.invite()
    revoked = await world.challenge(token)
    await world.services.invitations.revoke(invitation.row, actor=ME)
    world.clock.advance(minutes=15)

    assert (await apply(world, expired)).status is PKIStatus.FAILURE
    assert (await apply(world, revoked)).status is PKIStatus.FAILURE


@pytest.mark.parametrize("challenge", ["", "unknown", "x" * 1024, "\u00e4\u0000", "%"])
async def test_unknown_challenge_is_refused(world: World, challenge: str) -> None:
    reply = await apply(world, challenge)

    assert (reply.status, reply.fail_info) == (PKIStatus.FAILURE, FailInfo.BAD_REQUEST)


async def test_challenge_of_one_invitation_uses_up_no_other(world: World) -> None:
    invitation, token = await world.invite(uses=2)
    challenges = [await world.challenge(token) for _ in range(3)]

    statuses = [(await apply(world, challenge, transaction_id=challenge)).status for challenge in challenges]

    assert statuses == [PKIStatus.SUCCESS, PKIStatus.SUCCESS, PKIStatus.FAILURE]
    assert (await world.services.invitations.show(invitation.row)).uses == 2


async def test_parallel_challenges_of_one_invitation_give_as_many_certificates_as_it_allows(world: World) -> None:
    _, token = await world.invite(uses=3)
    challenges = [await world.challenge(token) for _ in range(12)]

    replies = await asyncio.gather(
        *(apply(world, challenge, transaction_id=f"T{n}") for n, challenge in enumerate(challenges))
    )

    assert [reply.status for reply in replies].count(PKIStatus.SUCCESS) == 3


async def test_crash_between_record_and_signature_leaves_a_record_that_the_retry_is_signed_from(world: World) -> None:
    challenge = await new_challenge(world)
    csr = request_of()
    with pytest.raises(Unavailable):
        await issuing_of(world, Interrupted(world.storage, crash)).for_challenge(challenge, TRANSACTION, csr)
    recorded = await world.storage.read(
        lambda tx: tx.fetch_all("SELECT serial_number, certificate FROM issued_certificate")
    )
    world.clock.advance(minutes=30)

    # The server starts again, with another lifetime configured meanwhile.
    first = await issuing_of(world, days=30).for_challenge(challenge, TRANSACTION, csr)
    second = await issuing_of(world).for_challenge(challenge, TRANSACTION, csr)

    parsed = load_device_certificate(first)
    assert first == second
    assert [(int(serial, 16), certificate) for serial, certificate in recorded] == [(parsed.serial_number, None)]
    assert parsed.not_after - parsed.not_before == timedelta(days=365, hours=1)
    assert await certificates(world) == 1


async def test_restarted_server_knows_used_challenges(world: World, keys: Path, clock: FakeClock) -> None:
    challenge = await new_challenge(world)
    first = await apply(world, challenge)

    again = await open_world(world.storage, keys, clock)

    assert (await apply(again, challenge)).certificates == first.certificates
    assert (await apply(again, challenge, key="other")).status is PKIStatus.FAILURE


async def test_renewal_of_an_enrollment_that_ended_meanwhile_is_not_bound_to_it(world: World) -> None:
    phone = await world.enrolled()
    world.clock.advance(days=300)
    await world.renewal.sweep()
    delivery = await phone.idle()
    assert delivery is not None

    async def retired() -> None:
        await world.services.leaving.retire(await world.row(phone.id), actor=ME)

    issuing = issuing_of(world, Interrupted(world.storage, retired))
    phone.certificate = await issuing.for_challenge(delivery.challenge, TRANSACTION, request_of())

    for message in (phone.authenticate, phone.token_update, phone.idle):
        with pytest.raises(IdentityRefused):
            await message()
    assert await world.count("SELECT count(*) FROM issued_certificate WHERE revoked_at IS NULL") == 1


async def test_renewal_of_a_life_that_ended_meanwhile_is_not_bound_to_the_next(world: World) -> None:
    phone = await world.enrolled()
    world.clock.advance(days=300)
    await world.renewal.sweep()
    delivery = await phone.idle()
    assert delivery is not None

    async def enrolled_again() -> None:
        await phone.enroll(allow_reenroll=True)

    issuing = issuing_of(world, Interrupted(world.storage, enrolled_again))
    stale = await issuing.for_challenge(delivery.challenge, TRANSACTION, request_of())

    assert sorted((await phone.identity_states()).values()) == ["active", "superseded"]
    assert (await phone.identity_states())[phone.certificate] == "active"
    phone.certificate = stale
    with pytest.raises(IdentityRefused):
        await phone.authenticate()


async def test_challenge_for_a_renewal_ends_with_the_life_it_was_for(world: World) -> None:
    phone = await world.enrolled()
    world.clock.advance(days=300)
    await world.renewal.sweep()
    delivery = await phone.idle()
    assert delivery is not None
    await phone.check_out()
    with pytest.raises(NotPermitted, match="ended"):
        await issuing_of(world).for_challenge(delivery.challenge, TRANSACTION, request_of())

    await phone.enroll()

    with pytest.raises(NotPermitted, match="replaced"):
        await issuing_of(world).for_challenge(delivery.challenge, TRANSACTION, request_of())
