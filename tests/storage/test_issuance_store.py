"""The IssuanceStore's contract, on every engine."""

from datetime import timedelta
from functools import partial

import pytest

from certs import RevocationReason
from mdmserver.issuance.model import AuthorityRole, AuthorityRow, InvitationRow, Purpose, Revoked, secret_hash
from mdmserver.storage.devices import SQLDeviceStore
from mdmserver.storage.issuance import SQLIssuanceStore
from mdmserver.storage.vault import Vault
from mdmserver.transaction import Storage
from tests.fleet import START, certificate
from tests.storage.issuance_bench import LATER, Bench, issue

SERIAL = 2**126 + 12345


@pytest.fixture
def bench(storage: Storage, vault: Vault, devices: SQLDeviceStore) -> Bench:
    """An empty store."""
    return Bench(storage=storage, store=SQLIssuanceStore(vault), devices=devices)


async def test_newest_authority_issues_and_those_before_stay_trusted(bench: Bench) -> None:
    rows = [await bench.authority(name) for name in ("first", "second", "third")]

    authorities = await bench.storage.read(bench.store.authorities)

    issuing, trusted = AuthorityRole.ISSUING, AuthorityRole.TRUSTED
    assert [(own.row, own.role) for own in authorities] == [
        (rows[2], issuing),
        (rows[1], trusted),
        (rows[0], trusted),
    ]
    assert authorities[0].key.reveal() == b"key of third"
    assert authorities[0].created_at == START


async def test_key_of_an_authority_is_sealed_in_its_own_place(bench: Bench) -> None:
    await bench.authority("first")
    await bench.authority("second")
    sealed = await bench.storage.read(lambda tx: tx.fetch_all("SELECT key_sealed FROM authority ORDER BY id"))
    assert b"key of first" not in bytes(sealed[0][0])

    await bench.storage.run(
        lambda tx: tx.execute("UPDATE authority SET key_sealed = ? WHERE name = 'second'", sealed[0][0])
    )

    with pytest.raises(Exception, match="authority"):
        await bench.storage.read(bench.store.authorities)


async def test_crl_numbers_count_up_for_each_authority(bench: Bench) -> None:
    first, second = await bench.authority("first"), await bench.authority("second")

    numbers = [
        await bench.storage.run(partial(bench.store.next_crl_number, authority=row)) for row in (first, first, second)
    ]

    assert numbers == [1, 2, 1]


async def test_invitation_comes_back_as_it_was_kept(bench: Bench) -> None:
    row = await bench.invite(user_name="Ada", serial_number="S1", allow_reenroll=True)

    kept = await bench.shown(row)
    by_token = await bench.storage.read(partial(bench.store.invitation_by_token, token_hash=secret_hash("token")))

    assert kept == by_token
    assert (kept.row, kept.user_name, kept.serial_number, kept.allow_reenroll) == (row, "Ada", "S1", True)
    assert (kept.uses, kept.downloads, kept.revoked_at, kept.created_at) == (0, 0, None, START)
    assert await bench.storage.read(partial(bench.store.invitation, row=InvitationRow(row + 1))) is None
    assert await bench.storage.read(partial(bench.store.invitation_by_token, token_hash=b"other")) is None


async def test_invitations_are_listed_newest_first_page_by_page(bench: Bench) -> None:
    rows = [await bench.invite(f"token {number}") for number in range(5)]

    first = await bench.storage.read(partial(bench.store.invitations, before=None, limit=2))
    second = await bench.storage.read(partial(bench.store.invitations, before=first[-1].row, limit=9))

    assert [one.row for one in first + second] == rows[::-1]


async def test_revoking_an_invitation_ends_its_open_challenges_once(bench: Bench) -> None:
    row = await bench.invite()
    other = await bench.mint("other", invitation=await bench.invite("another token"))
    await bench.mint("open", invitation=row)

    revoked = [await bench.storage.run(partial(bench.store.revoke_invitation, row=row, at=at)) for at in (START, LATER)]

    assert revoked == [True, False]
    assert (await bench.shown(row)).revoked_at == START
    assert (await bench.challenge("open")).is_replaced
    assert await bench.challenge("other") == other


async def test_downloads_are_counted(bench: Bench) -> None:
    row = await bench.invite()

    for _ in range(3):
        await bench.storage.run(partial(bench.store.count_download, row=row))

    assert (await bench.shown(row)).downloads == 3


async def test_challenge_that_replaces_ends_the_open_ones_of_the_same_ground_alone(bench: Bench) -> None:
    row, device = await bench.invite(), await bench.device()
    await bench.mint("renewal", enrollment=device)
    await bench.mint("first", invitation=row)
    await bench.mint("beside", invitation=row, replaces=False)

    await bench.mint("second", invitation=row)

    replaced = {name: (await bench.challenge(name)).is_replaced for name in ("renewal", "first", "beside", "second")}
    assert replaced == {"renewal": False, "first": True, "beside": True, "second": False}


async def test_challenges_of_a_renewal_can_be_ended(bench: Bench) -> None:
    device, other = await bench.device(1), await bench.device(2)
    await bench.mint("mine", enrollment=device)
    await bench.mint("theirs", enrollment=other)

    await bench.storage.run(partial(bench.store.end_challenges, enrollment=device, at=START))

    assert (await bench.challenge("mine")).is_replaced
    assert not (await bench.challenge("theirs")).is_replaced


async def test_challenge_is_open_until_it_expires(bench: Bench) -> None:
    challenge = await bench.mint("secret", invitation=await bench.invite())

    assert challenge.is_open(START + timedelta(minutes=59))
    assert not challenge.is_open(START + timedelta(hours=1))
    assert await bench.storage.read(partial(bench.store.challenge, secret_hash=b"unknown")) is None


async def test_record_uses_up_its_challenge_and_one_use_of_its_invitation(bench: Bench) -> None:
    authority, row = await bench.authority(), await bench.invite(uses_allowed=2)
    challenge = await bench.mint("secret", invitation=row)

    await bench.record(issue(authority, SERIAL, challenge=challenge.row, invitation=row))

    assert (await bench.challenge("secret")).is_used
    assert (await bench.shown(row)).uses == 1
    issued = await bench.storage.read(partial(bench.store.issued_for_challenge, secret_hash=secret_hash("secret")))
    assert issued is not None
    assert issued.issue == issue(authority, SERIAL, challenge=challenge.row, invitation=row)
    assert (issued.certificate, issued.fingerprint, issued.revoked_at) == (None, None, None)


async def test_record_that_is_undone_uses_nothing_up(bench: Bench) -> None:
    authority, row = await bench.authority(), await bench.invite()
    challenge = await bench.mint("secret", invitation=row)

    async def fails(tx):  # type: ignore[no-untyped-def]  # it raises
        await bench.store.record(tx, issue(authority, SERIAL, challenge=challenge.row, invitation=row), at=START)
        raise ValueError

    with pytest.raises(ValueError):
        await bench.storage.run(fails)

    assert not (await bench.challenge("secret")).is_used
    assert (await bench.shown(row)).uses == 0
    assert await bench.issued(authority, SERIAL) is None


async def test_certificate_is_added_to_its_record_once(bench: Bench) -> None:
    authority = await bench.authority()
    row = await bench.record(issue(authority, SERIAL))

    assert [await bench.sign(row, b"one"), await bench.sign(row, b"two")] == [True, False]

    kept = await bench.issued(authority, SERIAL)
    assert kept is not None
    assert (kept.row, kept.certificate, kept.fingerprint) == (row, b"one", b"fp one")
    assert await bench.storage.read(partial(bench.store.issued, fingerprint=b"fp one")) == kept
    assert await bench.storage.read(partial(bench.store.issued, fingerprint=b"fp two")) is None


async def test_records_are_found_by_authority_and_serial_number(bench: Bench) -> None:
    first, second = await bench.authority("first"), await bench.authority("second")
    await bench.record(issue(first, SERIAL))
    await bench.record(issue(second, SERIAL))
    await bench.record(issue(second, 1))

    assert (await bench.issued(first, SERIAL) or pytest.fail("lost")).issue.authority == first
    assert (await bench.issued(second, SERIAL) or pytest.fail("lost")).issue.authority == second
    assert await bench.issued(first, 1) is None


async def test_newest_certificate_of_an_enrollment_or_transaction_for_a_key_is_found(bench: Bench) -> None:
    authority, device = await bench.authority(), await bench.device()
    for serial, key, transaction in ((1, b"a", "T"), (2, b"a", "T"), (3, b"b", "T"), (4, b"a", "U")):
        await bench.record(issue(authority, serial, enrollment=device, public_key_hash=key, transaction_id=transaction))

    async def renewed(key: bytes) -> int | None:
        found = await bench.storage.read(
            partial(bench.store.issued_for_renewal, enrollment=device, public_key_hash=key)
        )
        return None if found is None else found.issue.serial_number

    async def transacted(transaction: str, key: bytes) -> int | None:
        found = await bench.storage.read(
            partial(bench.store.issued_in_transaction, transaction_id=transaction, public_key_hash=key)
        )
        return None if found is None else found.issue.serial_number

    assert [await renewed(key) for key in (b"a", b"b", b"c")] == [4, 3, None]
    assert [await transacted("T", b"a"), await transacted("U", b"a"), await transacted("U", b"b")] == [2, 4, None]


async def test_certificate_is_revoked_once(bench: Bench) -> None:
    authority = await bench.authority()
    row = await bench.record(issue(authority, SERIAL))

    for reason, at in ((RevocationReason.KEY_COMPROMISE, START), (RevocationReason.SUPERSEDED, LATER)):
        await bench.storage.run(partial(bench.store.revoke_issued, row=row, reason=reason, at=at))

    revoked = await bench.storage.read(partial(bench.store.revoked, authority=authority, at=LATER))
    assert revoked == [Revoked(serial_number=SERIAL, at=START, reason=RevocationReason.KEY_COMPROMISE)]


async def test_unused_certificates_are_those_of_no_enrollment_recorded_before(bench: Bench) -> None:
    authority, device = await bench.authority(), await bench.device()
    old = await bench.record(issue(authority, 1))
    used = await bench.record(issue(authority, 2))
    await bench.storage.run(partial(bench.store.belongs_to, row=used, enrollment=device))
    await bench.record(issue(authority, 3, purpose=Purpose.SERVER))
    await bench.record(issue(authority, 4), at=LATER)

    revoke = partial(bench.store.revoke_unused, recorded_before=LATER, at=LATER)

    assert [await bench.storage.run(revoke), await bench.storage.run(revoke)] == [1, 0]
    kept = await bench.issued(authority, 1)
    assert kept is not None
    assert (kept.row, kept.revoked_at) == (old, LATER)


async def test_crl_holds_what_is_revoked_or_superseded_and_has_not_expired(bench: Bench) -> None:
    authority, device = await bench.authority(), await bench.device()
    first, second = certificate(1), certificate(1, version=2)
    for serial, presented in ((1, first), (2, second)):
        row = await bench.record(issue(authority, serial, enrollment=device))
        await bench.storage.run(
            partial(bench.store.signed, row=row, certificate=presented.certificate, fingerprint=presented.fingerprint)
        )
        await bench.storage.run(partial(bench.devices.bind_identity, device=device, presented=presented, at=START))
    expired = await bench.record(issue(authority, 3, not_after=LATER))
    await bench.storage.run(
        partial(bench.store.revoke_issued, row=expired, reason=RevocationReason.SUPERSEDED, at=START)
    )

    at_start = await bench.storage.read(partial(bench.store.revoked, authority=authority, at=START))
    later = await bench.storage.read(partial(bench.store.revoked, authority=authority, at=LATER))

    superseded = Revoked(serial_number=1, at=START, reason=RevocationReason.SUPERSEDED)
    assert at_start == [superseded, Revoked(serial_number=3, at=START, reason=RevocationReason.SUPERSEDED)]
    assert later == [superseded]
    assert await bench.storage.read(partial(bench.store.revoked, authority=AuthorityRow(authority + 1), at=START)) == []


async def test_lost_certificate_is_adopted_with_a_record_of_its_own(bench: Bench) -> None:
    authority, device = await bench.authority(), await bench.device()

    row = await bench.storage.run(
        partial(
            bench.store.adopt,
            issue=issue(authority, SERIAL, enrollment=device),
            certificate=b"lost",
            fingerprint=b"fp",
            at=LATER,
        )
    )

    kept = await bench.issued(authority, SERIAL)
    assert kept is not None
    assert (kept.row, kept.certificate, kept.issue.enrollment) == (row, b"lost", device)
