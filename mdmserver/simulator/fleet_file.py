"""A fleet kept in a file, so that the same devices go on after a pause: who they are, their keys, what is installed on
them and what is unsent. Commands already executed are not kept. The file holds private keys: mode 0600.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from certs import CertificateError, PrivateKey, dump_private_key, load_private_key
from mdmserver.protocol import CommandUUID, ProtocolError, Status, dumps, loads
from mdmserver.simulator.channel import Channel, Result
from mdmserver.simulator.device import SimulatedDevice
from mdmserver.simulator.errors import FleetFileInvalid, ProfileRefused
from mdmserver.simulator.facts import DeviceFacts
from mdmserver.simulator.identity import Identity
from mdmserver.simulator.installed_file import kept_installed, restore_installed
from mdmserver.simulator.management import Management, management_of

VERSION = 1
MakeDevice = Callable[[DeviceFacts, Identity | None, str], SimulatedDevice]
"""Makes a device from its facts, its identity and its topic."""
_Value = TypeVar("_Value", str, bytes)


class _Unsent(msgspec.Struct, frozen=True, kw_only=True):
    uuid: str
    request_type: str
    status: Status
    body: bytes


class _Channel(msgspec.Struct, frozen=True, kw_only=True):
    push_token: bytes
    push_magic: str
    unsent: _Unsent | None = None
    installed: bytes | None = None


class _Device(msgspec.Struct, frozen=True, kw_only=True):
    facts: DeviceFacts
    topic: str
    certificate: bytes | None
    key: int | None
    profile: int | None = None
    owes_check_in: bool = False
    is_enrolled: bool
    channels: tuple[_Channel, ...]


class _File(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    keys: tuple[str, ...]
    profiles: tuple[bytes, ...] = ()
    """Enrollment profiles without their challenges: most devices have the same one."""
    devices: tuple[_Device, ...]


def save_fleet(path: Path, devices: Sequence[SimulatedDevice]) -> None:
    """Write the devices, replacing the file in one step."""
    keys: _Shared[str] = _Shared()
    profiles: _Shared[bytes] = _Shared()
    kept_devices = tuple(_kept(device, keys, profiles) for device in devices)
    kept = _File(version=VERSION, keys=tuple(keys.numbers), profiles=tuple(profiles.numbers), devices=kept_devices)
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
        managements = [management_of(loads(profile)) for profile in kept.profiles]
        return [_device(device, keys, managements, make) for device in kept.devices]
    except (OSError, ValueError, IndexError, CertificateError, ProtocolError, ProfileRefused) as error:
        raise FleetFileInvalid(f"{path} is no fleet file: {error}") from error


class _Shared(Generic[_Value]):
    """Values that several devices have, each kept once under a number."""

    def __init__(self) -> None:
        self.numbers: dict[_Value, int] = {}

    def number(self, value: _Value) -> int:
        """The number of this value."""
        return self.numbers.setdefault(value, len(self.numbers))


def _kept(device: SimulatedDevice, keys: _Shared[str], profiles: _Shared[bytes]) -> _Device:
    identity, management = device.identity, device.management
    return _Device(
        facts=device.facts,
        topic=device.topic,
        certificate=None if identity is None else identity.certificate_der,
        key=None if identity is None else keys.number(dump_private_key(identity.key).decode("ascii")),
        profile=None if management is None else profiles.number(dumps(management.profile)),
        owes_check_in=device.owes_check_in,
        is_enrolled=device.is_enrolled,
        channels=tuple(_kept_channel(channel, _own_profile(device)) for channel in device.channels),
    )


def _own_profile(device: SimulatedDevice) -> str | None:
    return None if device.management is None else device.management.enrollment.profile_identifier


def _kept_channel(channel: Channel, own_profile: str | None) -> _Channel:
    unsent = channel.unsent
    return _Channel(
        push_token=channel.push_token,
        push_magic=channel.push_magic,
        unsent=None
        if unsent is None
        else _Unsent(uuid=unsent.uuid, request_type=unsent.request_type, status=unsent.status, body=unsent.body),
        installed=kept_installed(channel.installed, except_profile=own_profile),
    )


def _device(
    kept: _Device, keys: Sequence[PrivateKey], managements: Sequence[Management], make: MakeDevice
) -> SimulatedDevice:
    identity = None
    if kept.certificate is not None and kept.key is not None:
        identity = Identity(certificate_der=kept.certificate, key=keys[kept.key])
    device = make(kept.facts, identity, kept.topic)
    if identity is not None and kept.profile is not None:
        device.take_over(identity, managements[kept.profile])
    device.is_enrolled, device.owes_check_in = kept.is_enrolled, kept.owes_check_in
    for channel, was in zip(device.channels, kept.channels, strict=True):
        channel.push_token, channel.push_magic = was.push_token, was.push_magic
        if was.installed is not None:
            restore_installed(channel.installed, was.installed)
        if was.unsent is not None:
            channel.unsent = Result(
                uuid=CommandUUID(was.unsent.uuid),
                request_type=was.unsent.request_type,
                status=was.unsent.status,
                body=was.unsent.body,
            )
    return device
