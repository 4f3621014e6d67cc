"""S15: every certificate signed has a row made before it, serials are random and unique, and the CRL tells the end."""

import subprocess
from datetime import timedelta
from functools import partial
from pathlib import Path
from shutil import which

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs import PKIStatus, RevocationReason, load_device_certificate
from mdmserver.errors import Unavailable
from mdmserver.issuance.authorities import new_serial
from mdmserver.transaction import Transaction
from tests.enrollment.device import Applicant
from tests.enrollment.world import Phone, World, give_authority
from tests.issuance.interrupted import Interrupted, crash, issuing_of, request_of


def serial_of(certificate: bytes) -> int:
    return load_device_certificate(certificate).serial_number


async def revoked(world: World) -> dict[int, x509.ReasonFlags | None]:
    """What the CRL lists: serial numbers and reasons."""
    crl = x509.load_der_x509_crl(await world.services.own_authorities.crl())
    reasons = {}
    for entry in crl:
        flags = [extension.value for extension in entry.extensions if isinstance(extension.value, x509.CRLReason)]
        reasons[entry.serial_number] = flags[0].reason if flags else None
    return reasons


async def renewed(phone: Phone) -> bytes:
    """Renew the phone and use the new certificate; the old one."""
    old = phone.certificate
    applicant = Applicant(services=phone.world.services, key=phone.key)
    reply = await applicant.apply(None, at=phone.world.clock(), signer_der=old)
    phone.certificate = reply.certificates[0]
    await phone.idle()
    return old


def test_serial_numbers_are_random_positive_and_fit_twenty_octets() -> None:
    serials = {new_serial() for _ in range(1000)}

    assert len(serials) == 1000
    assert all(0 < serial < 2**159 and serial.bit_length() >= 64 for serial in serials)
    # Random to the last bit: each of the low 64 is set in about half of them.
    assert all(400 < sum(serial >> bit & 1 for serial in serials) < 600 for bit in range(64))


async def test_record_is_there_before_anything_is_signed(world: World) -> None:
    _, token = await world.invite()
    seen = []

    async def look() -> None:
        seen.append(await world.count("SELECT count(*) FROM issued_certificate WHERE certificate IS NULL"))

    issuing = issuing_of(world, Interrupted(world.storage, look))
    await issuing.for_challenge(await world.challenge(token), "1", request_of())

    assert seen == [1]
    assert await world.count("SELECT count(*) FROM issued_certificate WHERE certificate IS NULL") == 0


async def test_nothing_is_signed_when_it_cannot_be_recorded(world: World) -> None:
    _, token = await world.invite()
    challenge = await world.challenge(token)
    await world.storage.run(
        lambda tx: tx.execute(
            "CREATE TRIGGER full BEFORE INSERT ON issued_certificate BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    )

    with pytest.raises(Exception, match="disk full"):
        await issuing_of(world).for_challenge(challenge, "1", request_of())

    await world.storage.run(lambda tx: tx.execute("DROP TRIGGER full"))
    assert await world.count("SELECT count(*) FROM challenge WHERE used_at IS NOT NULL") == 0
    await issuing_of(world).for_challenge(challenge, "1", request_of())


async def test_every_certificate_has_a_row_with_what_is_in_it(world: World) -> None:
    phone = await world.enrolled()
    old = await renewed(phone)

    rows = await world.storage.read(
        lambda tx: tx.fetch_all("SELECT certificate, serial_number, fingerprint FROM issued_certificate ORDER BY id")
    )

    assert [(bytes(row[0]), int(row[1], 16), bytes(row[2])) for row in rows] == [
        (der, serial_of(der), load_device_certificate(der).fingerprint) for der in (old, phone.certificate)
    ]


async def test_crl_lists_what_was_superseded_revoked_or_never_used(world: World) -> None:
    phone, gone, unused = await world.enrolled(1), await world.enrolled(2), world.phone(3)
    await unused.take_invitation()
    at_first = await revoked(world)
    old = await renewed(phone)
    await gone.check_out()
    world.clock.advance(hours=25)
    await world.composed.unused.revoke()

    assert at_first == {}
    assert await revoked(world) == {
        serial_of(old): x509.ReasonFlags.superseded,
        serial_of(gone.certificate): x509.ReasonFlags.cessation_of_operation,
        serial_of(unused.certificate): x509.ReasonFlags.cessation_of_operation,
    }


async def test_crl_lists_a_record_that_was_never_signed_once_it_is_revoked(world: World) -> None:
    _, token = await world.invite()
    issuing = issuing_of(world, Interrupted(world.storage, crash))
    with pytest.raises(Unavailable):
        await issuing.for_challenge(await world.challenge(token), "1", request_of())
    world.clock.advance(hours=25)

    await world.composed.unused.revoke()

    assert len(await revoked(world)) == 1


async def test_crl_forgets_what_has_expired(world: World) -> None:
    phone = await world.enrolled()
    await phone.check_out()
    world.clock.advance(days=364)
    before = await revoked(world)

    world.clock.advance(days=2)

    assert len(before) == 1
    assert await revoked(world) == {}


@pytest.mark.skipif(which("openssl") is None, reason="openssl is not installed")
async def test_openssl_reads_the_crl_and_refuses_what_is_on_it(world: World, tmp_path: Path) -> None:
    phone, gone = await world.enrolled(1), await world.enrolled(2)
    await gone.check_out()
    crl, ca = tmp_path / "crl.pem", tmp_path / "ca.pem"
    loaded = x509.load_der_x509_crl(await world.services.own_authorities.crl())
    crl.write_bytes(loaded.public_bytes(Encoding.PEM))
    authority = world.services.own_authorities.issuing.authority.certificate_der
    ca.write_bytes(x509.load_der_x509_certificate(authority).public_bytes(Encoding.PEM))

    def verified(name: str, certificate: bytes) -> tuple[int, str]:
        path = tmp_path / name
        path.write_bytes(x509.load_der_x509_certificate(certificate).public_bytes(Encoding.PEM))
        seconds = str(int(world.clock().timestamp()))
        done = subprocess.run(
            ["openssl", "verify", "-attime", seconds, "-crl_check", "-CAfile", ca, "-CRLfile", crl, path],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    assert verified("present.pem", phone.certificate)[0] == 0
    code, text = verified("gone.pem", gone.certificate)
    assert code != 0
    assert "revoked" in text


async def test_crl_numbers_grow_and_each_has_a_time(world: World) -> None:
    crls = [x509.load_der_x509_crl(await world.services.own_authorities.crl()) for _ in range(3)]

    numbers = [crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number for crl in crls]
    assert numbers == [1, 2, 3]
    assert all(crl.next_update_utc == world.clock() + timedelta(days=7) for crl in crls)


async def test_each_ca_has_a_crl_of_its_own(world: World) -> None:
    phone = await world.enrolled()
    old_row = world.services.own_authorities.issuing.row
    await give_authority(world, "Next CA")
    await phone.check_out()

    old = x509.load_der_x509_crl(await world.services.own_authorities.crl(old_row))
    new = x509.load_der_x509_crl(await world.services.own_authorities.crl())

    assert [entry.serial_number for entry in old] == [serial_of(phone.certificate)]
    assert list(new) == []


async def test_old_and_new_ca_are_believed_during_a_roll_over(world: World) -> None:
    phone = await world.enrolled(1)
    old_ca = world.services.own_authorities.issuing.authority
    _, token = await world.invite()
    challenge = await world.challenge(token)

    await give_authority(world, "Next CA")

    new_ca = world.services.own_authorities.issuing.authority
    assert world.services.scep.certificates().content == new_ca.certificate_der
    await phone.idle()
    fresh = await world.enrolled(2)
    assert new_ca.has_issued(fresh.certificate)
    # A profile from before the roll-over names the old CA: its request is encrypted to that one, and answered by it.
    late = world.phone(3)
    applicant = Applicant(services=world.services, key=late.key, authority_der=old_ca.certificate_der)
    reply = await applicant.apply(challenge, at=world.clock())
    assert reply.status is PKIStatus.SUCCESS
    assert new_ca.has_issued(reply.certificates[0])
    # The renewal of an old certificate comes from the new CA, and is asked for from either.
    await renewed(phone)
    assert new_ca.has_issued(phone.certificate)
    assert [own.role.value for own in world.services.own_authorities.all] == ["issuing", "trusted"]


async def test_revoking_twice_keeps_the_first_time_and_reason(world: World) -> None:
    phone = world.phone()
    await phone.take_invitation()
    issued = await world.storage.read(
        lambda tx: world.issuance.recorded(tx, world.services.own_authorities.issuing.row, serial_of(phone.certificate))
    )
    assert issued is not None
    for reason in (RevocationReason.KEY_COMPROMISE, RevocationReason.SUPERSEDED):
        revoke = partial(world.issuance.revoke_issued, row=issued.row, reason=reason, at=world.clock())
        await world.storage.run(revoke)
        world.clock.advance(days=1)

    assert list((await revoked(world)).values()) == [x509.ReasonFlags.key_compromise]


async def test_renewal_that_was_signed_and_never_kept_is_recognised_by_its_record(world: World) -> None:
    """The database was copied, or the server stopped, in the moment between the record and the signature."""
    phone = await world.enrolled()
    world.clock.advance(hours=1)
    issuing = issuing_of(world)
    copy = await issuing.for_renewal(phone.certificate, "1", request_of("new"))
    for statement in (
        "DELETE FROM identity WHERE state = 'active'",
        "UPDATE identity SET state = 'active' WHERE state = 'grace'",
        "UPDATE issued_certificate SET certificate = NULL, fingerprint = NULL WHERE id = 2",
    ):
        await world.storage.run(partial(_execute, statement=statement))
    world.clock.advance(hours=1)

    phone.certificate = copy
    assert await phone.idle() is None

    assert (await phone.identity_states())[copy] == "active"
    assert await world.count("SELECT count(*) FROM issued_certificate WHERE certificate IS NULL") == 0


async def _execute(tx: Transaction, statement: str) -> None:
    await tx.execute(statement)
