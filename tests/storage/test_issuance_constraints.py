"""Rules of issuance that hold in the schema itself (migration 0002), whatever the code above it does."""

import sqlite3

import pytest

from mdmserver.transaction import Storage, Transaction

SETUP = (
    "INSERT INTO enrollment (id, key, external_id, type, device_id, life, created_at, uid) "
    "VALUES (1, 'A', 'A', 'Device', 'A', 1, 0, 'uid')",
    "INSERT INTO enrollment (id, key, external_id, type, device_id, life, created_at) "
    "VALUES (2, 'B', 'B', 'Device', 'B', 1, 0)",
    "INSERT INTO authority (id, name, role, certificate, key_sealed, created_at) "
    "VALUES (1, 'one', 'issuing', x'00', x'00', 0)",
    "INSERT INTO authority (id, name, role, certificate, key_sealed, created_at) "
    "VALUES (2, 'two', 'trusted', x'00', x'00', 0)",
    "INSERT INTO invitation (id, token_hash, allow_reenroll, uses_allowed, created_at, created_by, expires_at) "
    "VALUES (1, x'01', 0, 2, 0, 'me', 1)",
    "INSERT INTO challenge (id, secret_hash, invitation_id, expires_at) VALUES (1, x'01', 1, 1)",
    "INSERT INTO challenge (id, secret_hash, enrollment_id, expires_at) VALUES (2, x'02', 1, 1)",
    "INSERT INTO issued_certificate (id, authority_id, serial_number, purpose, enrollment_uid, challenge_id, "
    "public_key_hash, not_before, not_after, recorded_at, fingerprint) "
    "VALUES (1, 1, 'ab', 'device', 'uid', 1, x'00', 0, 1, 0, x'01')",
)
ISSUED = (
    "INSERT INTO issued_certificate (authority_id, serial_number, purpose, enrollment_uid, challenge_id, "
    "public_key_hash, not_before, not_after, recorded_at, fingerprint) VALUES "
)


@pytest.fixture
async def filled(storage: Storage) -> Storage:
    """Two CAs, two devices, an invitation, two challenges and a certificate."""
    for statement in SETUP:
        await execute(storage, statement)
    return storage


async def execute(storage: Storage, statement: str) -> None:
    async def body(tx: Transaction) -> None:
        await tx.execute(statement)

    await storage.run(body)


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("UPDATE authority SET role = 'issuing' WHERE id = 2", id="two CAs issue"),
        pytest.param("UPDATE authority SET role = 'retired' WHERE id = 2", id="unknown role"),
        pytest.param("UPDATE authority SET name = 'one' WHERE id = 2", id="one name for two CAs"),
        pytest.param("UPDATE invitation SET uses = 3", id="more uses than allowed"),
        pytest.param("UPDATE invitation SET uses = -1", id="less than no use"),
        pytest.param("UPDATE invitation SET uses_allowed = 0, uses = 0", id="for no device"),
        pytest.param("UPDATE invitation SET allow_reenroll = 2", id="not a truth value"),
        pytest.param("UPDATE challenge SET secret_hash = x'01' WHERE id = 2", id="one secret twice"),
        pytest.param("UPDATE challenge SET enrollment_id = 1 WHERE id = 1", id="challenge on two grounds"),
        pytest.param("UPDATE challenge SET invitation_id = NULL WHERE id = 1", id="challenge on no ground"),
        pytest.param("UPDATE challenge SET invitation_id = 9 WHERE id = 1", id="challenge of no invitation"),
        pytest.param(ISSUED + "(1, 'ab', 'device', 'uid', NULL, x'00', 0, 1, 0, NULL)", id="one serial number twice"),
        pytest.param(
            ISSUED + "(1, 'cd', 'device', 'uid', 1, x'00', 0, 1, 0, NULL)", id="two certificates for a challenge"
        ),
        pytest.param(
            ISSUED + "(1, 'cd', 'device', 'uid', 2, x'00', 0, 1, 0, x'01')", id="one certificate in two records"
        ),
        pytest.param(ISSUED + "(9, 'cd', 'device', 'uid', 2, x'00', 0, 1, 0, NULL)", id="certificate of no CA"),
        pytest.param(ISSUED + "(1, 'cd', 'person', 'uid', 2, x'00', 0, 1, 0, NULL)", id="unknown purpose"),
        pytest.param("UPDATE enrollment SET uid = 'uid' WHERE id = 2", id="one id in two devices' certificates"),
        pytest.param("DELETE FROM authority WHERE id = 1", id="CA that certificates need"),
    ],
)
async def test_schema_refuses(filled: Storage, statement: str) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        await execute(filled, statement)


async def test_schema_takes_what_is_like_it_and_allowed(filled: Storage) -> None:
    for statement in (
        ISSUED + "(2, 'ab', 'device', 'uid', 2, x'00', 0, 1, 0, x'02')",
        ISSUED + "(1, 'cd', 'server', '', NULL, x'00', 0, 1, 0, NULL)",
        "UPDATE invitation SET uses = 2",
        "UPDATE authority SET role = 'trusted'",
        "UPDATE authority SET role = 'issuing' WHERE id = 2",
    ):
        await execute(filled, statement)
