"""API keys: made once, checked at every use, revoked at once (S26)."""

from datetime import datetime, timedelta

import pytest

from mdmserver.access.model import Scope
from mdmserver.errors import AccessRefused, Conflict, Invalid, NotFound
from mdmserver.web.services import Services
from tests.fleet import ADMIN, START, FakeClock

READ = frozenset({Scope.DEVICES_READ})


async def new_key(services: Services, *, expires_at: datetime | None = None) -> tuple[str, str]:
    key, text = await services.access.create_key(name="tool", scopes=READ, expires_at=expires_at, actor=ADMIN)
    return key.id, text.reveal()


async def test_a_key_opens_what_it_was_made_for(services: Services) -> None:
    key_id, text = await new_key(services)

    key = await services.access.authenticate(text)

    assert (key.id, key.name, key.scopes, key.created_by) == (key_id, "tool", READ, ADMIN.name)


async def test_the_text_of_a_key_has_its_form_and_256_random_bits(services: Services) -> None:
    texts = {(await new_key(services))[1] for _ in range(5)}

    assert len(texts) == 5
    for text in texts:
        prefix, key_id, secret = text.split("_")
        assert (prefix, len(key_id), len(bytes.fromhex(secret))) == ("mdm", 10, 32)


async def test_what_is_no_key_is_refused(services: Services) -> None:
    key_id, text = await new_key(services)
    _, other = await new_key(services)
    halves = "\udcff" * 10
    wrong = [
        "", "mdm", "mdm__", f"mdm_{key_id}", f"mdm_{key_id}_", f"MDM{text[3:]}", text[:-1], text + "0",
        text.upper(), "' OR 1=1 --",
        f"mdm_{key_id}_{other.rpartition('_')[2]}", f"mdm_{'0' * 10}_{'0' * 64}", "x" * 300,
        f"mdm_{key_id}_{'x' * 300}", f"mdm_{halves}_secret", f"mdm_{key_id}_{halves}",
    ]  # fmt: skip

    for presented in wrong:
        with pytest.raises(AccessRefused):
            await services.access.authenticate(presented)


async def test_a_key_stops_working_when_it_expires(services: Services, clock: FakeClock) -> None:
    _, text = await new_key(services, expires_at=START + timedelta(hours=1))
    clock.advance(minutes=59)
    await services.access.authenticate(text)

    clock.advance(minutes=1)

    with pytest.raises(AccessRefused):
        await services.access.authenticate(text)


async def test_a_revoked_key_stops_working_at_once_and_stays_listed(services: Services) -> None:
    key_id, text = await new_key(services)
    await services.access.authenticate(text)

    await services.access.revoke_key(key_id, actor=ADMIN)

    with pytest.raises(AccessRefused):
        await services.access.authenticate(text)
    [key] = await services.access.list_keys()
    assert (key.id, key.revoked_at) == (key_id, START)


async def test_revoking_twice_is_a_conflict_and_an_unknown_key_is_not_found(services: Services) -> None:
    key_id, _ = await new_key(services)
    await services.access.revoke_key(key_id, actor=ADMIN)

    with pytest.raises(Conflict):
        await services.access.revoke_key(key_id, actor=ADMIN)
    with pytest.raises(NotFound):
        await services.access.revoke_key("unknown", actor=ADMIN)


@pytest.mark.parametrize(
    ("name", "scopes", "expires_at"),
    [
        ("", READ, None),
        ("x" * 101, READ, None),
        ("line\nbreak", READ, None),
        ("tool", frozenset(), None),
        ("tool", READ, START),
        ("tool", READ, START - timedelta(days=1)),
    ],
)
async def test_a_key_that_makes_no_sense_is_invalid(
    services: Services, name: str, scopes: frozenset[Scope], expires_at: datetime | None
) -> None:
    with pytest.raises(Invalid):
        await services.access.create_key(name=name, scopes=scopes, expires_at=expires_at, actor=ADMIN)

    assert await services.access.list_keys() == []


async def test_the_last_use_is_written_at_the_flush(services: Services, clock: FakeClock) -> None:
    _, text = await new_key(services)
    clock.advance(hours=1)
    await services.access.authenticate(text)
    [before] = await services.access.list_keys()

    await services.access.flush_last_used()

    [after] = await services.access.list_keys()
    assert (before.last_used_at, after.last_used_at) == (None, clock.now)


async def test_a_refused_key_was_not_used(services: Services) -> None:
    _, text = await new_key(services)
    with pytest.raises(AccessRefused):
        await services.access.authenticate(text[:-1])

    await services.access.flush_last_used()

    [key] = await services.access.list_keys()
    assert key.last_used_at is None


async def test_only_a_hash_of_the_secret_is_stored(services: Services) -> None:
    _, text = await new_key(services)

    row = await services.storage.read(lambda tx: tx.fetch_one("SELECT * FROM api_key"))

    assert row is not None
    assert not any(text.rpartition("_")[2] in str(value) for value in row)


async def test_a_key_for_everything_has_every_scope_and_the_trail_says_so(services: Services) -> None:
    key, text = await services.access.create_key(name="first", scopes=None, expires_at=None, actor=ADMIN)

    opened = await services.access.authenticate(text.reveal())

    assert (opened.scopes, opened.may_everything) == (frozenset(Scope), True)
    record = (await services.audit.records(cursor=None, limit=100)).items[-1]
    assert (record.subject, record.detail["scopes"]) == (key.id, "*")


async def test_a_key_with_each_scope_by_name_is_none_for_everything(services: Services) -> None:
    key, _ = await services.access.create_key(name="tool", scopes=tuple(Scope), expires_at=None, actor=ADMIN)

    assert not key.may_everything
