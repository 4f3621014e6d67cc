"""The built-in CA: made, imported, rolled over; what cannot be a CA is refused and changes nothing."""

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_certificate

from certs import Authority, create_authority, dump_private_key, generate_ec
from mdmserver.errors import Conflict, Invalid, Unavailable
from mdmserver.issuance.model import AuthorityRow
from mdmserver.secret import Secret
from mdmserver.transaction import Storage
from tests.certs.scep_parties import rsa_key
from tests.enrollment.world import ME, World, give_authority, open_world
from tests.fleet import START, FakeClock


def pem(der: bytes) -> bytes:
    return load_der_x509_certificate(der).public_bytes(Encoding.PEM)


def made(name: str = "Corporate CA", *, key: str = "corporate", days: float = 3650) -> Authority:
    return Authority.create(
        common_name=name,
        key=rsa_key(key),
        not_before=START - timedelta(days=1),
        not_after=START + timedelta(days=days),
        serial_number=2**80 + round(days),
    )


async def take(world: World, authority: Authority, key: bytes | None = None) -> None:
    key_pem = Secret(key or dump_private_key(authority.private_key))
    await world.services.own_authorities.import_existing(pem(authority.certificate_der), key_pem, actor=ME)


@pytest.fixture
async def without(storage: Storage, keys: Path, clock: FakeClock) -> World:
    """The services, and no CA."""
    return await open_world(storage, keys, clock)


async def test_server_without_a_ca_says_what_to_do(without: World) -> None:
    with pytest.raises(Unavailable, match="mdmserver init"):
        _ = without.services.own_authorities.issuing
    with pytest.raises(Unavailable):
        await without.services.own_authorities.crl()
    with pytest.raises(Unavailable):
        without.services.scep.certificates()
    assert await without.renewal.sweep() == 0


async def test_new_ca_issues_for_ten_years_and_is_there_after_a_restart(
    without: World, keys: Path, clock: FakeClock
) -> None:
    own = await without.services.own_authorities.create(common_name="MDM", actor=ME)

    again = await open_world(without.storage, keys, clock)

    authority = again.services.own_authorities.issuing.authority
    assert authority.certificate_der == own.authority.certificate_der
    assert authority.private_key.key_size == 2048
    assert abs((authority.not_after - clock() - timedelta(days=3652)).total_seconds()) < 1
    phone = await again.enrolled()
    assert await phone.idle() is None
    assert len(await again.audited("ca.create")) == 1


async def test_imported_ca_issues_and_the_one_before_stays_believed(world: World) -> None:
    phone = await world.enrolled(1)

    await take(world, made())

    fresh = await world.enrolled(2)
    assert made().has_issued(fresh.certificate)
    assert await phone.idle() is None
    assert len(await world.audited("ca.import")) == 2


async def test_certificate_of_a_renewed_ca_with_the_same_key_and_name_takes_over_silently(world: World) -> None:
    """Both certificates then vouch for what either issued: what was issued is known by itself, not by its CA."""
    await take(world, made(days=1000))
    enrolled, invited = await world.enrolled(1), world.phone(2)
    await invited.take_invitation()

    await take(world, made(days=5000))

    assert await enrolled.idle() is None
    await invited.authenticate()
    await invited.token_update()
    assert await invited.idle() is None


async def test_ca_that_is_there_is_not_imported_again(world: World) -> None:
    await take(world, made())

    with pytest.raises(Conflict, match="there already"):
        await take(world, made())
    assert len(world.services.own_authorities.all) == 2


@pytest.mark.parametrize("fault", ["garbage", "key of another", "expired", "elliptic", "a device's", "no key"])
async def test_what_cannot_be_a_ca_is_refused_and_changes_nothing(world: World, fault: str) -> None:
    authority, key = made(), dump_private_key(rsa_key("corporate"))
    certificate = pem(authority.certificate_der)
    match fault:
        case "garbage":
            certificate = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        case "key of another":
            key = dump_private_key(rsa_key("phone"))
        case "expired":
            world.clock.advance(days=4000)
        case "elliptic":
            ec = generate_ec()
            key, certificate = (
                dump_private_key(ec),
                pem(
                    create_authority(
                        common_name="EC", key=ec, not_before=START, not_after=START + timedelta(days=9), serial_number=7
                    )
                ),
            )
        case "a device's":
            phone = await world.enrolled()
            key, certificate = dump_private_key(phone.key), pem(phone.certificate)
        case "no key":
            key = b""
    before = world.services.own_authorities.all

    with pytest.raises(Invalid) as raised:
        await world.services.own_authorities.import_existing(certificate, Secret(key), actor=ME)

    assert raised.value.code == "invalid_ca"
    assert world.services.own_authorities.all == before
    assert len(await world.audited("ca.import")) == 1


async def test_name_that_no_certificate_can_hold_is_refused(world: World) -> None:
    for name in ("", "x" * 65):
        with pytest.raises(Invalid):
            await world.services.own_authorities.create(common_name=name, actor=ME)


async def test_two_cas_of_one_name_are_told_apart(world: World) -> None:
    await take(world, made("Twin", key="first twin"))
    first = await world.enrolled(1)
    await take(world, made("Twin", key="second twin"))
    second = await world.enrolled(2)

    assert await first.idle() is None
    assert await second.idle() is None
    assert first.identity.authority != second.identity.authority


async def test_crl_of_a_ca_that_is_not_there_is_refused(world: World) -> None:
    with pytest.raises(Invalid):
        await world.services.own_authorities.crl(AuthorityRow(99))


async def test_keys_of_authorities_do_not_print(world: World) -> None:
    own = world.services.own_authorities.issuing
    stored = await world.storage.read(world.issuance.authorities)

    key = dump_private_key(own.authority.private_key)
    assert stored[0].key.reveal() == key
    assert key.decode().splitlines()[1] not in repr(own) + repr(stored)
    assert await give_authority(world, "Next CA") != own.authority.certificate_der
