"""ClearPasscode for one device: its UnlockToken goes from the vault to the wire, and is nowhere else (S25)."""

from datetime import datetime

from mdmserver.commands.model import OpenItem
from mdmserver.commands.ports import Renderer
from mdmserver.devices.store import Channel, DeviceStore
from mdmserver.protocol import build_command
from mdmserver.transaction import Transaction


def clear_passcode_renderer(devices: DeviceStore) -> Renderer:
    """The renderer `CLEAR_PASSCODE`."""

    async def render(tx: Transaction, item: OpenItem, channel: Channel, at: datetime) -> bytes | None:
        token = await devices.unlock_token(tx, channel.row)
        if token is None:
            return None
        payload = {"RequestType": item.request_type, "UnlockToken": token.reveal()}
        return build_command(item.command_uuid, payload).body

    return render
