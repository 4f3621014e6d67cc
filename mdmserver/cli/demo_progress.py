"""How far PingID got on the devices of the demonstration, asked of the API until it is so."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from mdmserver.cli.client import APIClient
from mdmserver.cli.demo_programs import DemoFailed

KEY = "pingid"
_THERE = ("verified", "installed")
_SECONDS_BETWEEN_LOOKS = 0.05
_MOST_SECONDS = 40


class DemoProgress:
    """Waits for what the server says of PingID. All waits raise DemoFailed when it takes too long."""

    def __init__(self, api: APIClient) -> None:
        self._api = api

    async def until_everywhere(self, settings: int, *, since: float) -> float:
        """So many settings of devices are there; how many seconds that is after `since`."""
        waits = _Patience("not every setting got there")
        while not _is_everywhere(await self._api.get("apps", KEY, "status"), settings):
            await waits.a_moment()
        return time.monotonic() - since

    async def until_verified_on(self, serial_number: str, *, since: float) -> float:
        """The newest configuration is verified on this device; how many seconds that is after `since`."""
        waits = _Patience(f"{serial_number} was not verified")
        while True:
            status = await self._api.get("apps", KEY, "status")
            target = await self._target(serial_number, "configuration")
            if status["unsettled"] == 0 and target.get("state") == "verified" and target.get("command_uuid") is None:
                return time.monotonic() - since
            await waits.a_moment()

    async def until_it_waits(self, serial_number: str, kind: str, *, because: str) -> str:
        """A setting of this device waits for this reason; the server's own words for it."""
        waits = _Patience(f"{serial_number} does not wait because of {because}")
        while True:
            target = await self._target(serial_number, kind)
            if target and target["explanation"]["code"] == because:
                return str(target["explanation"]["text"])
            await waits.a_moment()

    async def _target(self, serial_number: str, kind: str) -> Mapping[str, Any]:
        found = await self._api.get("apps", KEY, "targets", query={"kind": kind, "limit": 100})
        return next((each for each in found["items"] if each["serial_number"] == serial_number), {})


def _is_everywhere(status: Mapping[str, Any], settings: int) -> bool:
    there = sum(status["totals"][word] for word in _THERE)
    return bool(status["unsettled"] == 0 and status["total"] == there == settings)


class _Patience:
    """Ends a wait that takes too long."""

    def __init__(self, failure: str) -> None:
        self._failure = failure
        self._end = time.monotonic() + _MOST_SECONDS

    async def a_moment(self) -> None:
        if time.monotonic() > self._end:
            raise DemoFailed(f"{self._failure} in {_MOST_SECONDS} seconds")
        await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)
