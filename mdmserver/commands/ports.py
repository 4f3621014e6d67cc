"""What the queue needs made by others."""

from datetime import datetime
from typing import Protocol

from mdmserver.commands.model import OpenItem
from mdmserver.devices.store import Channel
from mdmserver.transaction import Transaction


class Renderer(Protocol):
    """Makes the bytes of a command for one delivery, such as a profile with a challenge of its own."""

    async def __call__(self, tx: Transaction, item: OpenItem, channel: Channel, at: datetime) -> bytes | None:
        """The command's bytes, in the transaction that hands it out; awaits nothing but `tx`. None, and nothing done,
        when they cannot be made now: the device is then given what comes after it."""
        ...
