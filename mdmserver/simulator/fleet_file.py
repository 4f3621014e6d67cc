"""A fleet kept in a file, so that the same devices go on after a pause: who they are, their keys, what is unsent.

Commands already executed and what was installed are not kept. The file holds private keys: mode 0600.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from certs import CertificateError, PrivateKey, dump_private_key, load_private_key
from mdmserver.protocol import CommandUUID, Status
from mdmserver.simulator.channel import Channel, Result
from mdmserver.simulator.device import SimulatedDevice
from mdmserver.simulator.errors import FleetFileInvalid
from mdmserver.simulator.facts import DeviceFacts
from mdmserver.simulator.identity import Identity

VERSION = 1
MakeDevice = Callable[[DeviceFacts, Identity, str], SimulatedDevice]
"""Makes a device from its facts, its identity and its topic."""


class _Unsent(msgspec.Struct, frozen=True, kw_only=True):
    uuid: str
    request_type: str
    status: Status
    body: bytes


class _Channel(msgspec.Struct, frozen=True, kw_only=True):
    push_token: bytes
    push_magic: str
    unsent: _Unsent | None = None


class _Device(msgspec.Struct, frozen=True, kw_only=True):
    facts: DeviceFacts
    topic: str
    certificate: bytes
    key: int
    is_enrolled: bool
    channels: tuple[_Channel, ...]


class _File(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    keys: tuple[str, ...]
    devices: tuple[_Device, ...]


def save_fleet(path: Path, devices: Sequence[SimulatedDevice]) -> None:
    """Write the devices, replacing the file in one step."""
    numbers: dict[int, int] = {}
    keys: list[str] = []
    for device in devices:
        key = device.identity.key
        if id(key) not in numbers:
            numbers[id(key)] = len(keys)
            keys.append(dump_private_key(key).decode("ascii"))
    kept = _File(
        version=VERSION,
        keys=tuple(keys),
        devices=tuple(_kept(device, numbers[id(device.identity.key)]) for device in devices),
    )
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(kept), indent=1))
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def load_fleet(path: Path, make: MakeDevice) -> list[SimulatedDevice]:
    """The devices of the file as they were. Raises FleetFileInvalid."""
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=_File)
        keys = [load_private_key(pem.encode("ascii")) for pem in kept.keys]
        if kept.version != VERSION:
            raise FleetFileInvalid(f"{path} is of version {kept.version}; this simulator reads version {VERSION}")
        return [_device(device, keys[device.key], make) for device in kept.devices]
    except (OSError, ValueError, IndexError, CertificateError) as error:
        raise FleetFileInvalid(f"{path} is no fleet file: {error}") from error


def _kept(device: SimulatedDevice, key: int) -> _Device:
    return _Device(
        facts=device.facts,
        topic=device.topic,
        certificate=device.identity.certificate_der,
        key=key,
        is_enrolled=device.is_enrolled,
        channels=tuple(_kept_channel(channel) for channel in device.channels),
    )


def _kept_channel(channel: Channel) -> _Channel:
    unsent = channel.unsent
    return _Channel(
        push_token=channel.push_token,
        push_magic=channel.push_magic,
        unsent=None
        if unsent is None
        else _Unsent(uuid=unsent.uuid, request_type=unsent.request_type, status=unsent.status, body=unsent.body),
    )


def _device(kept: _Device, key: PrivateKey, make: MakeDevice) -> SimulatedDevice:
    device = make(kept.facts, Identity(certificate_der=kept.certificate, key=key), kept.topic)
    device.is_enrolled = kept.is_enrolled
    for channel, was in zip(device.channels, kept.channels, strict=True):
        channel.push_token, channel.push_magic = was.push_token, was.push_magic
        if was.unsent is not None:
            channel.unsent = Result(
                uuid=CommandUUID(was.unsent.uuid),
                request_type=was.unsent.request_type,
                status=was.unsent.status,
                body=was.unsent.body,
            )
    return device
