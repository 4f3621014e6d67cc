"""S16: looking uses nothing up; a download replaces the challenge before it, and is audited."""

from datetime import timedelta

import pytest

from certs import PKIStatus
from mdmserver.errors import NotFound
from mdmserver.protocol import loads
from profiles import read_signed_profile
from tests.certs.scep_parties import rsa_key
from tests.enrollment.device import Applicant, opened
from tests.enrollment.world import ME, World


async def status_of(world: World, challenge: str, transaction_id: str = "1") -> PKIStatus:
    applicant = Applicant(services=world.services, key=rsa_key("phone"))
    return (await applicant.apply(challenge, at=world.clock(), transaction_id=transaction_id)).status


async def open_challenges(world: World) -> int:
    return await world.count("SELECT count(*) FROM challenge WHERE used_at IS NULL AND replaced_at IS NULL")


async def test_looking_at_the_page_uses_nothing_and_mints_nothing(world: World) -> None:
    invitation, token = await world.invite(user_name="Ada")

    pages = [await world.services.enrollment.page(token) for _ in range(5)]

    assert {page.user_name for page in pages} == {"Ada"}
    shown = await world.services.invitations.show(invitation.row)
    assert (shown.uses, shown.downloads) == (0, 0)
    assert await world.count("SELECT count(*) FROM challenge") == 0
    assert await world.audited("invitation.download") == []


async def test_download_by_a_mail_scanner_does_not_use_up_the_invitation(world: World) -> None:
    invitation, token = await world.invite()
    for _ in range(3):
        await world.challenge(token)

    phone = world.phone()
    await phone.obtain(await world.challenge(token))
    await phone.authenticate()

    shown = await world.services.invitations.show(invitation.row)
    assert (shown.uses, shown.downloads) == (1, 4)


async def test_each_download_for_one_device_replaces_the_challenge_before(world: World) -> None:
    _, token = await world.invite()
    first = await world.challenge(token)
    second = await world.challenge(token)

    assert await open_challenges(world) == 1
    assert await status_of(world, first) is PKIStatus.FAILURE
    assert await status_of(world, second) is PKIStatus.SUCCESS


async def test_downloads_for_several_devices_have_challenges_of_their_own(world: World) -> None:
    _, token = await world.invite(uses=3)
    challenges = [await world.challenge(token) for _ in range(3)]

    assert await open_challenges(world) == 3
    for challenge in challenges:
        assert await status_of(world, challenge, challenge) is PKIStatus.SUCCESS


async def test_url_is_used_up_when_its_certificate_is_issued(world: World) -> None:
    _, token = await world.invite()
    await status_of(world, await world.challenge(token))

    for use in (world.services.enrollment.page, world.services.enrollment.profile):
        with pytest.raises(NotFound):
            await use(token)


@pytest.mark.parametrize("end", ["expired", "revoked", "unknown", "another's prefix"])
async def test_url_that_is_not_valid_does_not_say_why(world: World, end: str) -> None:
    invitation, token = await world.invite(days=1)
    match end:
        case "expired":
            world.clock.advance(days=1)
        case "revoked":
            await world.services.invitations.revoke(invitation.row, actor=ME)
        case "unknown":
            token = "A" * len(token)
        case _:
            token = token[:-1]

    for use in (world.services.enrollment.page, world.services.enrollment.profile):
        with pytest.raises(NotFound, match=r"^this invitation is not valid$"):
            await use(token)
    assert await world.count("SELECT count(*) FROM challenge") == 0


async def test_every_download_is_audited_and_says_for_which_invitation(world: World) -> None:
    invitation, token = await world.invite()
    await world.challenge(token)
    await world.services.enrollment.scep_access(invitation.row, actor=ME)

    records = await world.audited("invitation.download")

    assert [(record.subject, record.actor.name) for record in records] == [
        (str(invitation.row), "enrollment page"),
        (str(invitation.row), ME.name),
    ]
    assert (await world.services.audit.verify()).broken_at is None


async def test_challenge_for_another_client_replaces_the_one_in_the_profile(world: World) -> None:
    invitation, token = await world.invite()
    downloaded = await world.challenge(token)

    access = await world.services.enrollment.scep_access(invitation.row, actor=ME)

    assert access.url.endswith("/scep")
    assert await status_of(world, downloaded) is PKIStatus.FAILURE
    assert await status_of(world, access.challenge.reveal()) is PKIStatus.SUCCESS


async def test_challenge_lives_for_an_hour_and_not_beyond_its_invitation(world: World) -> None:
    _, long = await world.invite()
    _, short = await world.invite(days=0.5 / 24)
    await world.challenge(long)
    await world.challenge(short)

    rows = await world.storage.read(lambda tx: tx.fetch_all("SELECT expires_at FROM challenge ORDER BY id"))

    at = int(world.clock().timestamp() * 1_000_000)
    assert [row[0] - at for row in rows] == [
        timedelta(hours=1) // timedelta(microseconds=1),
        timedelta(minutes=30) // timedelta(microseconds=1),
    ]


async def test_profile_has_its_secret_in_the_challenge_alone_and_no_identity(world: World) -> None:
    _, token = await world.invite()
    document = await world.services.enrollment.profile(token)

    contents = loads(read_signed_profile(document)[0])["PayloadContent"]
    challenge = opened(document).scep.challenge
    assert challenge is not None
    assert document.count(challenge.encode()) == 1
    assert token.encode() not in document
    assert {payload["PayloadType"] for payload in contents} == {"com.apple.security.scep", "com.apple.mdm"}


async def test_secrets_of_an_invitation_do_not_print(world: World) -> None:
    invitation, token = await world.invite()
    access = await world.services.enrollment.scep_access(invitation.row, actor=ME)

    assert access.challenge.reveal() not in repr(access)
    assert token not in repr(invitation)
