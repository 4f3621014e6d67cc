"""S13: a RenewalReq is signed by the device's present certificate and yields the same identity."""

from datetime import timedelta

import pytest

from certs import PKIStatus, SCEPReply, enrollment_id_of, load_device_certificate
from mdmserver.errors import IdentityRefused
from mdmserver.issuance.issuing import NotPermitted
from tests.enrollment.device import Applicant
from tests.enrollment.world import ME, Phone, World
from tests.issuance.interrupted import issuing_of, request_of


async def renew(phone: Phone, *, signer: bytes | None = None) -> SCEPReply:
    """A RenewalReq with the phone's own key, as clients that keep their key send it."""
    applicant = Applicant(services=phone.world.services, key=phone.key)
    return await applicant.apply(
        None, at=phone.world.clock(), transaction_id="5F2A", signer_der=signer or phone.certificate
    )


async def test_renewed_certificate_has_the_id_of_the_one_before_and_belongs_to_its_enrollment(world: World) -> None:
    phone = await world.enrolled()
    old = phone.certificate

    reply = await renew(phone)

    new = reply.certificates[0]
    assert enrollment_id_of(new) == enrollment_id_of(old) is not None
    assert load_device_certificate(new).serial_number != load_device_certificate(old).serial_number
    assert await phone.identity_states() == {old: "grace", new: "active"}
    phone.certificate = new
    await phone.idle()
    assert (await phone.show()).life == 1
    assert "certificate_renewed" in await phone.kinds()


async def test_repeated_renewal_gives_the_same_certificate(world: World) -> None:
    phone = await world.enrolled()

    first, second = await renew(phone), await renew(phone)

    assert first.certificates == second.certificates
    assert await world.count("SELECT count(*) FROM issued_certificate") == 2


async def test_client_that_keeps_its_key_and_transaction_renews_year_after_year(world: World) -> None:
    phone = await world.enrolled()
    seen = [phone.certificate]

    for _ in range(4):
        world.clock.advance(days=300)
        reply = await renew(phone)
        phone.certificate = reply.certificates[0]
        await phone.idle()
        seen.append(phone.certificate)

    assert len(set(seen)) == 5
    assert sorted((await phone.identity_states()).values()) == ["active"] + 4 * ["superseded"]


async def test_client_that_never_speaks_between_renewals_can_repeat_each_of_them(world: World) -> None:
    """Signing a renewal is a use: the certificate that signed stays good until the one after it is used."""
    phone = await world.enrolled()
    first = (await renew(phone)).certificates[0]

    second = (await renew(phone, signer=first)).certificates[0]
    again = (await renew(phone, signer=first)).certificates[0]

    assert second == again != first
    assert (await phone.identity_states())[first] == "grace"


async def test_superseded_certificate_is_not_handed_out_again_for_its_key(world: World) -> None:
    phone = await world.enrolled()
    issuing = issuing_of(world)
    first = await issuing.for_renewal(phone.certificate, "1", request_of("first"))
    second = await issuing.for_renewal(first, "2", request_of("second"))
    phone.certificate = second
    await phone.idle()

    third = await issuing.for_renewal(second, "3", request_of("first"))

    assert third not in (first, second)
    assert (await phone.identity_states())[third] == "active"


@pytest.mark.parametrize("reason", ["superseded", "revoked", "expired", "retired", "early"])
async def test_renewal_signed_by_a_certificate_that_is_not_present_is_refused(world: World, reason: str) -> None:
    phone = await world.enrolled()
    old = phone.certificate
    match reason:
        case "superseded":
            phone.certificate = (await renew(phone)).certificates[0]
            await phone.idle()
        case "revoked":
            await phone.check_out()
        case "expired":
            world.clock.advance(days=366)
        case "retired":
            await world.services.leaving.retire(await world.row(phone.id), actor=ME)
        case "early":
            world.clock.now -= timedelta(days=1)

    with pytest.raises(NotPermitted):
        await issuing_of(world).for_renewal(old, "5F2A", request_of("new"))
    assert (await renew(phone, signer=old)).status is PKIStatus.FAILURE


async def test_renewed_certificate_speaks_for_no_other_device(world: World) -> None:
    phone, other = await world.enrolled(1), await world.enrolled(2)

    other.certificate = (await renew(phone)).certificates[0]

    for message in (other.authenticate, other.token_update, other.idle):
        with pytest.raises(IdentityRefused):
            await message()


async def test_renewal_is_never_issued_for_longer_than_the_ca_lives(world: World) -> None:
    phone = await world.enrolled()
    end = world.services.own_authorities.issuing.authority.not_after
    certificate = phone.certificate
    for days in (1100, 800, 500, 200):
        world.clock.now = end - timedelta(days=days)
        _, token = await world.invite()
        certificate = await issuing_of(world).for_challenge(await world.challenge(token), str(days), request_of())
        assert load_device_certificate(certificate).not_after == min(end, world.clock() + timedelta(days=365))

    assert load_device_certificate(certificate).not_after == end
