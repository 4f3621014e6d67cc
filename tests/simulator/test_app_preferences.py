"""What apps on a simulated Mac read in their preference domains after a profile was installed."""

from typing import Any

import pytest

from mdmserver.protocol import Status, build_command, dumps, parse_report
from mdmserver.simulator.condition import Condition

DOMAIN = "com.pingidentity.pingid"
PROFILE = {"PayloadType": "Configuration", "PayloadIdentifier": "org.example.pingid", "PayloadVersion": 1}


def managed(**kinds: Any) -> dict[str, Any]:
    content = {kind.replace("_", "-"): [{"mcx_preference_settings": settings}] for kind, settings in kinds.items()}
    return {"PayloadType": "com.apple.ManagedClient.preferences", "PayloadContent": {DOMAIN: content}}


def direct(**settings: Any) -> dict[str, Any]:
    return {"PayloadType": DOMAIN, "PayloadIdentifier": "i", "PayloadUUID": "u", "PayloadVersion": 1, **settings}


def installed(device: Any, *payloads: Any) -> Any:
    profile = dumps({**PROFILE, "PayloadContent": list(payloads)})
    body = build_command("C1", {"RequestType": "InstallProfile", "Payload": profile}).body
    return parse_report(device.channel.execute(body, Condition()).body)


@pytest.mark.parametrize("payload", [managed(Forced={"token": "t"}), direct(token="t")])
def test_both_forms_of_preferences_are_read_alike(payload: Any, make_device: Any) -> None:
    mac = make_device("Mac")

    installed(mac, payload)

    assert mac.channel.installed.preferences() == {DOMAIN: {"token": "t"}}


def test_what_is_forced_outweighs_what_is_set_once(make_device: Any) -> None:
    mac = make_device("Mac")

    installed(mac, managed(Forced={"a": 1}, Set_Once={"a": 2, "b": 3}))

    assert mac.channel.installed.preferences() == {DOMAIN: {"a": 1, "b": 3}}


def test_preferences_change_and_go_with_their_profile(make_device: Any) -> None:
    mac = make_device("Mac")
    installed(mac, direct(token="old", other=True))
    installed(mac, direct(token="new"))
    assert mac.channel.installed.preferences() == {DOMAIN: {"token": "new"}}

    mac.channel.execute(
        build_command("C2", {"RequestType": "RemoveProfile", "Identifier": "org.example.pingid"}).body, Condition()
    )

    assert mac.channel.installed.preferences() == {}


def test_payloads_of_apple_are_no_preferences_of_apps(make_device: Any) -> None:
    mac = make_device("Mac")

    installed(mac, {"PayloadType": "com.apple.wifi.managed", "SSID_STR": "office"})

    assert mac.channel.installed.preferences() == {}


def test_a_mac_of_the_persons_own_refuses_managed_preferences_and_takes_those_of_a_domain(make_device: Any) -> None:
    mac = make_device("Mac", anonymous_id="6F1A")

    assert installed(mac, managed(Forced={"token": "t"})).status is Status.ERROR
    assert installed(mac, direct(token="t")).status is Status.ACKNOWLEDGED
