"""Ten years of many devices: none expires that connects, none is stuck, and renewals never come as a storm.

The suite lives them with 300 devices; `scripts/ten-years` with a thousand, or as many as wanted.
"""

import os
from datetime import timedelta
from pathlib import Path

from certs import create_authority, generate_ec
from mdmserver.enrollment.profile import ProfileSigner
from mdmserver.transaction import Storage
from tests.enrollment.decade import ACCIDENTS, LIFETIME, decade_of
from tests.enrollment.world import give_authority, open_world
from tests.fleet import START, FakeClock

DEVICES = int(os.environ.get("MDMSERVER_TEST_DEVICES", "300"))


def _tls_identity() -> ProfileSigner:
    """A P-256 identity, as recommended for the server; it signs the profiles."""
    key = generate_ec()
    certificate = create_authority(
        common_name="mdm.example.org",
        key=key,
        not_before=START,
        not_after=START + timedelta(days=7300),
        serial_number=2**70,
    )
    return ProfileSigner(certificate=certificate, key=key)


async def test_devices_keep_good_certificates_for_ten_years(storage: Storage, keys: Path, clock: FakeClock) -> None:
    signer = _tls_identity()
    world = await open_world(storage, keys, clock, profile_signer=lambda: signer)
    await give_authority(world)
    decade = decade_of(world, DEVICES)
    await decade.enroll()

    await decade.live()

    # Everything that can go wrong did go wrong, and only who was away for months ever showed an expired certificate.
    assert set(decade.accidents) == {*ACCIDENTS, "renewed"}
    assert set(decade.expired) == {False}
    assert decade.shortest_left > LIFETIME / 4
    renewals = decade.accidents["renewed"]
    assert 4 * DEVICES < renewals < 7 * DEVICES
    # None is stuck: at the end every device holds a certificate that is good and that the server believes.
    now = world.clock()
    held = {member.identity.certificate: member.identity for member in decade.fleet if member.identity is not None}
    assert all(identity.not_after > now for identity in held.values())
    believed = await world.storage.read(
        lambda tx: tx.fetch_all("SELECT certificate FROM identity WHERE state IN ('active', 'grace')")
    )
    assert held.keys() <= {bytes(row[0]) for row in believed}
    # No storm: all were enrolled on one day, and yet no two days bring more than a twentieth of them.
    assert max(decade.begun) <= max(DEVICES / 20, DEVICES / 40 + 15)  # a few devices spread less evenly than many
    assert sum(decade.begun) < 1.5 * renewals
    # Every certificate that was handed out has a row, and each device has exactly one that is active.
    assert await world.count("SELECT count(*) FROM issued_certificate WHERE certificate IS NOT NULL") == len(
        set(decade.certificates)
    )
    assert await world.count("SELECT count(DISTINCT enrollment_id) FROM identity WHERE state = 'active'") == DEVICES
    assert await world.count("SELECT count(*) FROM identity WHERE state = 'active'") == DEVICES
