"""The devices' side of the feed: hears for a whole fleet which pushes were accepted, and says whom they wake."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import msgspec

from mdmserver.simulator.apns_request import Push
from mdmserver.simulator.channel import Channel
from mdmserver.simulator.device import SimulatedDevice
from mdmserver.simulator.errors import FeedUnreachable

_LONGEST_LINE = 64 * 1024
_SECONDS_BETWEEN_TRIES = 0.5


class PushObserver(Protocol):
    """Whoever wants to know what devices hear."""

    def heard_push(self) -> None:
        """A push for one of the devices."""

    def ignored_push(self, why: str) -> None:
        """A push that the device takes no notice of."""


class Wakes:
    """The devices that were pushed and have not noticed yet: each once, in order of their first push."""

    def __init__(self, devices: Sequence[SimulatedDevice], observer: PushObserver) -> None:
        self._channels: dict[str, tuple[SimulatedDevice, Channel]] = {
            channel.push_token.hex(): (device, channel) for device in devices for channel in device.channels
        }
        self._observer = observer
        self._waiting: dict[SimulatedDevice, None] = {}
        self._changed = asyncio.Event()
        self._is_closed = False

    def heard(self, push: Push) -> None:
        """A push: for one of these devices if the token is one of theirs, and heeded if topic and magic are."""
        found = self._channels.get(push.token)
        if found is None:
            return
        device, channel = found
        if push.topic != device.topic:
            self._observer.ignored_push("another topic")
        elif push.magic != channel.push_magic:
            self._observer.ignored_push("another magic")
        else:
            self._observer.heard_push()
            self.wake(device)

    def wake(self, device: SimulatedDevice) -> None:
        """Something else than a push makes this device connect: it is unlocked, or in a network again."""
        self._waiting[device] = None
        self._changed.set()

    async def next(self) -> SimulatedDevice | None:
        """The next device that was pushed, as soon as there is one; None after `close`."""
        while not self._is_closed:
            if self._waiting:
                device = next(iter(self._waiting))
                del self._waiting[device]
                return device
            self._changed.clear()
            await self._changed.wait()
        return None

    def close(self) -> None:
        """Wake nobody any more."""
        self._is_closed = True
        self._changed.set()


@asynccontextmanager
async def listening(host: str, port: int, heard: Callable[[Push], None]) -> AsyncIterator[None]:
    """Pass on every push of the feed until the end of the block, coming back to it whenever it is lost.

    Raises FeedUnreachable if there is none at the beginning.
    """
    try:
        reader, writer = await asyncio.open_connection(host, port, limit=_LONGEST_LINE)
    except OSError as error:
        raise FeedUnreachable(f"nobody tells of pushes at {host}:{port}: {error}") from error
    task = asyncio.create_task(_listen(host, port, heard, reader, writer))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _listen(
    host: str, port: int, heard: Callable[[Push], None], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    while True:
        try:
            await _read(reader, heard)
        finally:
            writer.close()
        reader, writer = await _again(host, port)


async def _read(reader: asyncio.StreamReader, heard: Callable[[Push], None]) -> None:
    decode = msgspec.json.Decoder(Push).decode
    try:
        while line := await reader.readline():
            try:
                push = decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue  # half a line, from a feed that was lost
            heard(push)
    except (OSError, ValueError):
        pass


async def _again(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    while True:
        await asyncio.sleep(_SECONDS_BETWEEN_TRIES)
        try:
            return await asyncio.open_connection(host, port, limit=_LONGEST_LINE)
        except OSError:
            continue
