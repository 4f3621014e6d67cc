"""What is installed on simulated devices outlives the pause between two runs of their fleet."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from mdmserver.protocol import build_command, dumps
from mdmserver.simulator.apps import AppState
from mdmserver.simulator.building import DeviceBuilder
from mdmserver.simulator.condition import Condition
from mdmserver.simulator.device import Habits, SimulatedDevice
from mdmserver.simulator.errors import FleetFileInvalid
from mdmserver.simulator.facts import Platform
from mdmserver.simulator.fleet_file import load_fleet, save_fleet

TOPIC = "com.apple.mgmt.External.test"


@pytest.fixture
def builder(tally: Any) -> DeviceBuilder:
    return DeviceBuilder(seed=5, tally=tally, habits=Habits())


@pytest.fixture
def device(builder: DeviceBuilder, issuer: Any) -> SimulatedDevice:
    (drawn,) = builder.draw(range(1), platforms=(Platform.MAC,), topic=TOPIC, issuer=issuer)
    return drawn


def carry_out(device: SimulatedDevice, **command: Any) -> None:
    device.channel.execute(build_command("C1", command).body, Condition())


def test_a_fleet_file_keeps_apps_with_their_configuration_and_profiles(
    builder: DeviceBuilder, device: SimulatedDevice, tmp_path: Path
) -> None:
    profile = {"PayloadIdentifier": "i", "PayloadContent": [{"PayloadType": "org.example.app", "key": 1}]}
    carry_out(device, RequestType="InstallProfile", Payload=dumps(profile))
    carry_out(
        device, RequestType="InstallApplication", Identifier="a.b", InstallAsManaged=True, Configuration={"k": "v"}
    )
    carry_out(device, RequestType="InstallApplication", Identifier="c.d", InstallAsManaged=True)
    carry_out(device, RequestType="ManagedApplicationList", Identifiers=["a.b"])
    device.channel.installed.apps.install_by_person("e.f")
    device.channel.installed.apps.give_feedback("a.b", {"seen": True})

    save_fleet(tmp_path / "fleet.json", [device])
    (loaded,) = load_fleet(tmp_path / "fleet.json", builder.build)

    now, before = loaded.channel.installed, device.channel.installed
    assert now == before
    assert [app.state for app in now.apps.managed.values()] == [AppState.MANAGED, AppState.INSTALLING]
    assert now.preferences() == {"org.example.app": {"key": 1}}


def test_a_device_without_anything_installed_takes_no_room(device: SimulatedDevice, tmp_path: Path) -> None:
    save_fleet(tmp_path / "fleet.json", [device])

    kept = msgspec.json.decode((tmp_path / "fleet.json").read_bytes())

    assert [channel["installed"] for channel in kept["devices"][0]["channels"]] == [None, None]


@pytest.mark.parametrize("installed", [b"no plist", dumps({"profiles": []}), dumps({"profiles": 1})])
def test_what_cannot_be_installed_again_makes_the_file_invalid(
    installed: bytes, builder: DeviceBuilder, device: SimulatedDevice, tmp_path: Path
) -> None:
    save_fleet(tmp_path / "fleet.json", [device])
    kept = msgspec.json.decode((tmp_path / "fleet.json").read_bytes())
    kept["devices"][0]["channels"][0]["installed"] = installed
    (tmp_path / "fleet.json").write_bytes(msgspec.json.encode(kept))

    with pytest.raises(FleetFileInvalid):
        load_fleet(tmp_path / "fleet.json", builder.build)
