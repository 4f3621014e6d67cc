"""Gives simulated devices their invitation: the one that was named, or new ones from the server's API."""

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from mdmserver.cli.client import APIError, Unreachable, open_client
from mdmserver.cli.exits import Exit, Failure
from mdmserver.cli.simulate_reach import check_url
from mdmserver.cli.verb import key_from, key_of
from mdmserver.issuance.model import MOST_USES
from mdmserver.simulator.device import SimulatedDevice


async def hand_out_invitations(
    devices: Sequence[SimulatedDevice], *, url: str, state: Path, server_ca: Path | None, allow_remote: bool
) -> None:
    """Give these devices invitations that the API makes for them. Raises Failure, UsageError."""
    for start in range(0, len(devices), MOST_USES):
        some = devices[start : start + MOST_USES]
        invitation = await _invited(url, len(some), state=state, server_ca=server_ca)
        check_url(invitation, allow_remote=allow_remote)
        for device in some:
            device.invitation = invitation


async def _invited(url: str, uses: int, *, state: Path, server_ca: Path | None) -> str:
    key = key_from(None, None, os.environ) or key_of(state)
    if key is None:
        raise Failure(
            f"devices have no CA and no invitation, and there is no API key in {state} to ask for one: name an "
            "invitation with --invitation, or let `mdmserver init --simulator-ca` make a CA for simulated devices",
            exit_code=Exit.USAGE,
        )
    parts = urlsplit(url)
    try:
        async with open_client(f"{parts.scheme}://{parts.netloc}", key, ca_file=server_ca) as api:
            answer = await api.post("invitations", body={"user": "simulated devices", "uses": uses})
    except Unreachable as error:
        raise Failure(f"no server: {error}", exit_code=Exit.UNREACHABLE) from error
    except APIError as error:
        raise Failure(f"the server made no invitation: {error}") from error
    return str(answer["url"])
