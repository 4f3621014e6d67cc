"""One server per state directory."""

from pathlib import Path

import pytest

from mdmserver.cli.exits import Failure
from mdmserver.cli.lock import Holder, hold_lock, lock_holder

HOLDER = Holder(pid=42, command="serve", since="2026-05-01T12:00:00+00:00", listening={"http": ("127.0.0.1", 8080)})


def test_a_second_one_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    with (
        hold_lock(tmp_path, HOLDER),
        pytest.raises(Failure, match="`mdmserver serve`, process 42, since 2026-05-01T12:00"),
        hold_lock(tmp_path, HOLDER),
    ):
        pytest.fail("two hold the lock")


def test_the_holder_is_known_while_the_lock_is_held_and_no_longer(tmp_path: Path) -> None:
    with hold_lock(tmp_path, HOLDER):
        assert lock_holder(tmp_path) == HOLDER

    assert lock_holder(tmp_path) is None
    with hold_lock(tmp_path, HOLDER):
        assert lock_holder(tmp_path) == HOLDER


def test_a_shorter_description_replaces_a_longer_one(tmp_path: Path) -> None:
    shorter = Holder(pid=42, command="init", since="2026")

    with hold_lock(tmp_path, HOLDER) as lock:
        lock.describe(shorter)

        assert lock_holder(tmp_path) == shorter


def test_nobody_holds_a_lock_that_is_not_there(tmp_path: Path) -> None:
    assert lock_holder(tmp_path) is None
    assert lock_holder(tmp_path / "missing") is None


def test_the_lock_is_for_its_owner_alone(tmp_path: Path) -> None:
    with hold_lock(tmp_path, HOLDER):
        assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600
