"""Sealing and opening; the keys in their files."""

import stat
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdmserver.storage.vault import Place, Vault, VaultBroken
from mdmserver.storage.vault_keys import add_wrapping_key, open_vault, read_wrapping_keys, rewrap
from mdmserver.transaction import Storage, Transaction
from tests.fleet import FakeClock

PLACE = Place("enrollment", "row", "unlock_token")
VAULT = Vault({7: b"k" * 32}, fingerprint_key=b"f" * 32)


@given(value=st.binary(max_size=300))
def test_what_was_sealed_opens_in_its_place(value: bytes) -> None:
    assert VAULT.open(VAULT.seal(value, PLACE), PLACE) == value


@pytest.mark.parametrize(
    "elsewhere",
    [
        Place("command", "row", "unlock_token"),
        Place("enrollment", "other", "unlock_token"),
        Place("enrollment", "row", "push_token"),
    ],
)
def test_an_envelope_opens_in_no_other_place(elsewhere: Place) -> None:
    envelope = VAULT.seal(b"secret", PLACE)

    with pytest.raises(VaultBroken):
        VAULT.open(envelope, elsewhere)


def test_an_envelope_with_any_byte_changed_does_not_open() -> None:
    envelope = VAULT.seal(b"secret", PLACE)

    for position in range(len(envelope)):
        changed = bytearray(envelope)
        changed[position] ^= 1
        with pytest.raises(VaultBroken):
            VAULT.open(bytes(changed), PLACE)


def test_an_envelope_cut_anywhere_does_not_open() -> None:
    envelope = VAULT.seal(b"secret", PLACE)

    for length in range(len(envelope)):
        with pytest.raises(VaultBroken):
            VAULT.open(envelope[:length], PLACE)


def test_the_same_value_is_never_sealed_alike() -> None:
    assert VAULT.seal(b"secret", PLACE) != VAULT.seal(b"secret", PLACE)


def test_a_broken_envelope_is_named_by_its_place_and_nothing_else() -> None:
    with pytest.raises(VaultBroken, match=r"^enrollment.unlock_token of row does not open$"):
        VAULT.open(VAULT.seal(b"secret", PLACE)[:-1], PLACE)


def test_a_fingerprint_is_stable_and_differs_between_values_and_vaults() -> None:
    other = Vault({7: b"k" * 32}, fingerprint_key=b"g" * 32)

    assert VAULT.fingerprint(b"token") == VAULT.fingerprint(b"token")
    assert len({VAULT.fingerprint(b"token"), VAULT.fingerprint(b"other"), other.fingerprint(b"token")}) == 3


async def test_a_vault_opened_again_reads_what_it_sealed(storage: Storage, keys: Path, clock: FakeClock) -> None:
    first = await open_vault(storage, read_wrapping_keys(keys), clock=clock)

    again = await open_vault(storage, read_wrapping_keys(keys), clock=clock)

    assert again.open(first.seal(b"secret", PLACE), PLACE) == b"secret"
    assert again.fingerprint(b"token") == first.fingerprint(b"token")


async def test_rewrapping_keeps_everything_readable_while_the_server_runs(
    storage: Storage, keys: Path, clock: FakeClock
) -> None:
    running = await open_vault(storage, read_wrapping_keys(keys), clock=clock)
    sealed_before = running.seal(b"before", PLACE)
    newer = add_wrapping_key(keys)

    assert await rewrap(storage, read_wrapping_keys(keys)) == 2

    sealed_after = running.seal(b"after", PLACE)
    only_the_newer = {newer: read_wrapping_keys(keys)[newer]}
    restarted = await open_vault(storage, only_the_newer, clock=clock)
    assert running.open(sealed_before, PLACE) == b"before"
    assert restarted.open(sealed_before, PLACE) == b"before"
    assert restarted.open(sealed_after, PLACE) == b"after"


async def test_a_missing_key_file_is_named(storage: Storage, keys: Path, clock: FakeClock) -> None:
    await open_vault(storage, read_wrapping_keys(keys), clock=clock)

    with pytest.raises(VaultBroken, match=r"vault-0001 is missing; restore vault-0001.key"):
        await open_vault(storage, {"vault-0002": b"x" * 32}, clock=clock)


async def test_another_key_under_the_right_name_does_not_open(storage: Storage, keys: Path, clock: FakeClock) -> None:
    await open_vault(storage, read_wrapping_keys(keys), clock=clock)

    with pytest.raises(VaultBroken, match="data key 1"):
        await open_vault(storage, {"vault-0001": b"x" * 32}, clock=clock)


async def test_a_wrapped_key_cannot_change_its_purpose(storage: Storage, keys: Path, clock: FakeClock) -> None:
    async def swap(tx: Transaction) -> None:
        await tx.execute("UPDATE vault_key SET purpose = CASE purpose WHEN 'seal' THEN 'fingerprint' ELSE 'seal' END")

    await open_vault(storage, read_wrapping_keys(keys), clock=clock)
    await storage.run(swap)

    with pytest.raises(VaultBroken):
        await open_vault(storage, read_wrapping_keys(keys), clock=clock)


async def test_without_any_key_file_the_server_does_not_start(storage: Storage, clock: FakeClock) -> None:
    with pytest.raises(VaultBroken, match="mdmserver init"):
        await open_vault(storage, {}, clock=clock)


async def test_the_database_holds_no_data_key_in_the_open(storage: Storage, keys: Path, clock: FakeClock) -> None:
    made: list[bytes] = []

    def random_bytes(size: int) -> bytes:
        made.append(bytes([len(made) + 1]) * size)
        return made[-1]

    await open_vault(storage, read_wrapping_keys(keys), clock=clock, random_bytes=random_bytes)

    rows = await storage.read(partial(_rows, sql="SELECT wrapped FROM vault_key"))
    data_keys = [value for value in made if len(value) == 32]
    assert len(data_keys) == 2
    assert not any(key in bytes(row[0]) for row in rows for key in data_keys)


async def _rows(tx: Transaction, sql: str) -> list[list[bytes]]:
    return [list(row) for row in await tx.fetch_all(sql)]


def test_key_files_are_private_and_count_up(tmp_path: Path) -> None:
    folder = tmp_path / "keys"

    names = [add_wrapping_key(folder), add_wrapping_key(folder)]

    assert names == ["vault-0001", "vault-0002"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    keys = read_wrapping_keys(folder)
    assert list(keys) == names
    assert keys["vault-0001"] != keys["vault-0002"]


def test_a_damaged_key_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "vault-0001.key").write_bytes(b"short")

    with pytest.raises(VaultBroken, match=r"vault-0001.key holds 5 bytes"):
        read_wrapping_keys(tmp_path)


def test_other_files_in_the_folder_are_no_keys(tmp_path: Path) -> None:
    (tmp_path / "vault-0001.key.backup").write_bytes(b"x" * 32)
    (tmp_path / "notes").write_text("mine")

    assert read_wrapping_keys(tmp_path) == {}


def test_a_folder_that_is_not_there_holds_no_keys(tmp_path: Path) -> None:
    assert read_wrapping_keys(tmp_path / "nowhere") == {}
