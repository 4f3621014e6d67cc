"""Invitations: what may be asked for, how long they are open, and what is written down about them."""

from datetime import timedelta
from typing import Any

import pytest

from mdmserver.errors import Conflict, Invalid, NotFound
from mdmserver.issuance.invitations import NewInvitation
from mdmserver.issuance.model import InvitationRow
from tests.enrollment.world import ME, World


async def test_invitation_is_kept_as_it_was_asked_for_and_audited(world: World) -> None:
    invitation, token = await world.invite(user_name="Ada", serial_number="S1", allow_reenroll=True)

    assert await world.services.invitations.show(invitation.row) == invitation
    assert await world.services.invitations.look_up(token) == invitation
    assert (invitation.created_by, invitation.created_at, invitation.uses_allowed) == (ME.name, world.clock(), 1)
    (record,) = await world.audited("invitation.create")
    assert (record.subject, record.actor) == (str(invitation.row), ME)
    assert token not in str(record)


@pytest.mark.parametrize(
    "fields",
    [
        {"uses": 0},
        {"uses": -1},
        {"uses": 1001},
        {"uses": 2, "serial_number": "S1"},
        {"user_name": ""},
        {"user_name": "x" * 201},
        {"user_name": "Ada\n"},
        {"user_name": "Ada\u202eadA"},
        {"serial_number": "\x00"},
        {"serial_number": ""},
        {"days": 0},
        {"days": -1},
        {"days": 367},
    ],
    ids=str,
)
async def test_what_makes_no_sense_is_refused(world: World, fields: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        await world.invite(**fields)
    assert await world.count("SELECT count(*) FROM invitation") == 0


async def test_invitation_is_open_until_it_expires_or_is_revoked(world: World) -> None:
    expiring, expiring_token = await world.invite(days=1)
    revoked, revoked_token = await world.invite()

    await world.services.invitations.revoke(revoked.row, actor=ME)
    world.clock.advance(hours=23, minutes=59)
    assert (await world.services.invitations.look_up(expiring_token)).row == expiring.row
    world.clock.advance(minutes=1)

    for token in (expiring_token, revoked_token, ""):
        with pytest.raises(NotFound):
            await world.services.invitations.look_up(token)


async def test_invitation_is_revoked_once_and_audited_once(world: World) -> None:
    invitation, _ = await world.invite()
    await world.services.invitations.revoke(invitation.row, actor=ME)

    with pytest.raises(Conflict):
        await world.services.invitations.revoke(invitation.row, actor=ME)
    with pytest.raises(NotFound):
        await world.services.invitations.revoke(InvitationRow(99), actor=ME)
    with pytest.raises(NotFound):
        await world.services.invitations.show(InvitationRow(99))
    assert len(await world.audited("invitation.revoke")) == 1


async def test_invitations_are_listed_newest_first(world: World) -> None:
    rows = [(await world.invite())[0].row for _ in range(3)]

    first = await world.services.invitations.invitations(cursor=None, limit=2)
    second = await world.services.invitations.invitations(cursor=first.next_cursor, limit=2)

    assert [one.row for one in (*first.items, *second.items)] == rows[::-1]
    assert second.next_cursor is None


async def test_challenge_is_not_minted_on_an_invitation_that_was_revoked_meanwhile(world: World) -> None:
    invitation, _ = await world.invite()
    await world.services.invitations.revoke(invitation.row, actor=ME)

    with pytest.raises(NotFound):
        await world.services.invitations.challenge(invitation)
    assert await world.count("SELECT count(*) FROM challenge") == 0


async def test_url_is_the_public_one_and_does_not_print(world: World) -> None:
    wanted = NewInvitation(expires_at=world.clock() + timedelta(days=1))
    _, token = await world.services.invitations.create(wanted, actor=ME)

    url = world.services.enrollment.page_url(token)

    assert url.reveal() == f"http://127.0.0.1:8080/enroll/{token.reveal()}"
    assert token.reveal() not in f"{url} {url!r} {token!r}"
