"""S4: one active certificate; what only expired is good for renewal alone; superseded or revoked, for nothing."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from mdmserver.bootstrap import open_services
from mdmserver.commands.model import ItemState
from mdmserver.config import Config, Identity
from mdmserver.devices.identity import IdentityState, PresentedIdentity
from mdmserver.errors import IdentityRefused
from mdmserver.protocol import CheckOut, GetBootstrapToken, SetBootstrapToken, Status
from tests.fleet import FakeClock, Fleet, certificate, device_id, expired, token_update, user_id

DEVICE = device_id(1)


@pytest.fixture
async def strict(tmp_path: Path, keys: Path, clock: FakeClock) -> AsyncIterator[Fleet]:
    """A server on which an expired certificate is good for nothing."""
    config = msgspec.structs.replace(Config(), identity=Identity(expired_identity="refuse"))
    async with open_services(config, tmp_path, clock=clock) as services:
        yield Fleet(services)


async def put_into(fleet: Fleet, presented: PresentedIdentity, state: IdentityState) -> None:
    await fleet.services.storage.run(
        lambda tx: tx.execute("UPDATE identity SET state = ? WHERE fingerprint = ?", state.value, presented.fingerprint)
    )


@pytest.mark.parametrize(
    ("state", "is_let_in"),
    [
        (IdentityState.ACTIVE, True),
        (IdentityState.GRACE, True),
        (IdentityState.SUPERSEDED, False),
        (IdentityState.REVOKED, False),
    ],
)
async def test_only_active_and_in_grace_certificates_speak(fleet: Fleet, state: IdentityState, is_let_in: bool) -> None:
    await fleet.enroll(1)
    await fleet.enqueue("C1", DEVICE)
    await put_into(fleet, certificate(1), state)

    if is_let_in:
        assert await fleet.idle(DEVICE) == "C1"
        return
    with pytest.raises(IdentityRefused):
        await fleet.idle(DEVICE)
    assert await fleet.states(DEVICE) == {"C1": ItemState.QUEUED}


async def test_an_expired_certificate_is_answered_and_given_nothing(fleet: Fleet) -> None:
    await fleet.enroll(1)
    await fleet.enqueue("C1", DEVICE)
    await fleet.idle(DEVICE)
    late = expired(certificate(1))

    for status, uuid in ((Status.IDLE, None), (Status.ACKNOWLEDGED, "C1"), (Status.NOT_NOW, "C1")):
        assert await fleet.report(DEVICE, status, uuid, presented=late) is None

    assert await fleet.states(DEVICE) == {"C1": ItemState.SENT}


async def test_an_expired_certificate_checks_nothing_in(fleet: Fleet) -> None:
    await fleet.enroll(1)
    before = await fleet.enrollment(DEVICE)

    for message in (
        token_update(DEVICE),
        token_update(user_id(1)),
        CheckOut(enrollment_id=DEVICE),
        SetBootstrapToken(enrollment_id=DEVICE, bootstrap_token=b"x"),
        GetBootstrapToken(enrollment_id=DEVICE),
    ):
        with pytest.raises(IdentityRefused):
            await fleet.services.checkin.answer(message, expired(certificate(1)))

    assert await fleet.enrollment(DEVICE) == before


async def test_an_expired_certificate_that_was_not_proved_by_signature_is_refused(fleet: Fleet) -> None:
    await fleet.enroll(1)

    with pytest.raises(IdentityRefused):
        await fleet.report(DEVICE, Status.IDLE, presented=replace(expired(certificate(1)), by_signature=False))


async def test_where_expired_certificates_are_refused_they_are_refused_everywhere(strict: Fleet) -> None:
    await strict.enroll(1)
    late = expired(certificate(1))

    with pytest.raises(IdentityRefused):
        await strict.report(DEVICE, Status.IDLE, presented=late)
    with pytest.raises(IdentityRefused):
        await strict.token_update(DEVICE, late)


async def test_an_expired_certificate_of_another_device_is_no_better_for_being_expired(fleet: Fleet) -> None:
    await fleet.enroll(1)
    await fleet.enroll(2)

    with pytest.raises(IdentityRefused):
        await fleet.report(DEVICE, Status.IDLE, presented=expired(certificate(2)))


async def test_a_check_out_revokes_what_is_active_and_in_grace(fleet: Fleet) -> None:
    await fleet.enroll(1)
    await fleet.check_out(DEVICE, certificate(1))

    row = await fleet.services.storage.read(lambda tx: tx.fetch_one("SELECT state, count(*) FROM identity GROUP BY 1"))

    assert row is not None
    assert tuple(row) == ("revoked", 1)
