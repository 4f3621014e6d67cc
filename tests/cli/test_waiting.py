"""Waiting outlives the server; what happens to the command is said when it does not come back."""

from datetime import timedelta

import pytest

from mdmserver.cli.client import open_client
from mdmserver.cli.exits import Failure
from mdmserver.cli.output import Output
from mdmserver.cli.waiting import counts_of, wait_and_report


async def test_a_server_that_went_away_and_stays_away_leaves_the_command_queued() -> None:
    async with open_client("http://127.0.0.1:1", None) as api:
        with pytest.raises(Failure, match=r"cannot be reached: .*; the command stays queued") as caught:
            await wait_and_report(
                api, Output(as_json=False), "UUID", timeout=timedelta(seconds=0.3), queued={"refused": {}}
            )

    assert caught.value.exit_code == 4


def test_counts_leave_out_sums_and_states_that_nothing_is_in() -> None:
    assert counts_of({"queued": 2, "sent": 0, "acknowledged": 1, "total": 3, "finished": 1}) == {
        "queued": 2,
        "acknowledged": 1,
    }
