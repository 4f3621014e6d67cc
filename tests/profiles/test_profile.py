"""A profile as a whole: what may stand together, and the bytes that come of it."""

import plistlib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from profiles import (
    DomainPreferences,
    KeyInvalid,
    ManagedPreferencesPayload,
    PreferenceDomainPayload,
    RawPayload,
    RootCertificatePayload,
    render,
)
from tests.profiles.examples import (
    acme_payload,
    full_profile,
    full_scep_payload,
    mdm_payload,
    profile,
    scep_payload,
    uuid,
)


def raw(number: int = 1, *, type_name: str = "com.example.type", **content: Any) -> RawPayload:
    return RawPayload(identifier=f"com.example.{number}", uuid=uuid(number), type=type_name, content=content)


def test_equal_profiles_have_equal_bytes() -> None:
    one = profile(raw(1, b={"y": 1, "x": 2}, a=[1, 2]), full_scep_payload(), display_name="a", organization="b")
    two = profile(raw(1, a=[1, 2], b={"x": 2, "y": 1}), full_scep_payload(), organization="b", display_name="a")

    assert render(one) == render(two)


def test_a_profile_is_the_xml_plist_that_its_fields_say() -> None:
    rendered = render(full_profile(raw(1, a=1)))

    assert rendered.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE plist')
    assert plistlib.loads(rendered) == {
        "ConsentText": {"default": "Really?"},
        "DurationUntilRemoval": 3600.0,
        "HasRemovalPasscode": False,
        "PayloadContent": [
            {
                "PayloadIdentifier": "com.example.1",
                "PayloadType": "com.example.type",
                "PayloadUUID": uuid(1),
                "PayloadVersion": 1,
                "a": 1,
            }
        ],
        "PayloadDescription": "b",
        "PayloadDisplayName": "a",
        "PayloadExpirationDate": datetime(2031, 1, 1),
        "PayloadIdentifier": "com.example.profile",
        "PayloadOrganization": "c",
        "PayloadRemovalDisallowed": True,
        "PayloadScope": "User",
        "PayloadType": "Configuration",
        "PayloadUUID": uuid(0),
        "PayloadVersion": 1,
        "RemovalDate": datetime(2030, 1, 2, 3, 4, 5),
        "TargetDeviceType": 5,
    }


def test_times_are_written_in_utc() -> None:
    east = timezone(timedelta(hours=2))

    rendered = render(profile(raw(1, at=datetime(2026, 1, 1, 1, 0, tzinfo=east))))

    assert b"<date>2025-12-31T23:00:00Z</date>" in rendered


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(KeyInvalid) as raised:
        render(profile(removal_date=datetime(2030, 1, 1)))

    assert raised.value.key == "Configuration.RemovalDate"


@pytest.mark.parametrize(
    ("payloads", "key"),
    [
        ((), "PayloadContent"),
        ((raw(1), raw(1)), "PayloadIdentifier"),
        ((raw(0),), "PayloadUUID"),
        (
            (
                RawPayload(identifier="a", uuid=uuid(0xA), type="a", content={}),
                RawPayload(identifier="b", uuid=uuid(0xA).lower(), type="a", content={}),
            ),
            "PayloadUUID",
        ),
        (
            (scep_payload(), mdm_payload(), mdm_payload(identifier="com.example.second", uuid=uuid(9))),
            "PayloadContent",
        ),
        ((mdm_payload(),), "IdentityCertificateUUID"),
        ((raw(2), mdm_payload()), "IdentityCertificateUUID"),
        (
            (scep_payload(), mdm_payload(server_url_pinning_certificate_uuids=(uuid(3),))),
            "ServerURLPinningCertificateUUIDs",
        ),
        (
            (scep_payload(), mdm_payload(check_in_url_pinning_certificate_uuids=(uuid(2),))),
            "CheckInURLPinningCertificateUUIDs",
        ),
    ],
)
def test_payloads_that_do_not_go_together_make_no_profile(payloads: tuple[Any, ...], key: str) -> None:
    with pytest.raises(KeyInvalid) as raised:
        profile(payloads=payloads)

    assert raised.value.key == key


def test_an_mdm_payload_finds_its_identity_and_its_pinned_certificates(root_der: bytes) -> None:
    root = RootCertificatePayload(identifier="com.example.root", uuid=uuid(3), certificate=root_der)
    mdm = mdm_payload(server_url_pinning_certificate_uuids=(uuid(3),))

    assert render(profile(root, scep_payload(), mdm))
    assert render(profile(root, acme_payload(), mdm))


@pytest.mark.parametrize(("field", "key"), [("identifier", "PayloadIdentifier"), ("uuid", "PayloadUUID")])
def test_a_profile_has_names_like_its_payloads(field: str, key: str) -> None:
    with pytest.raises(KeyInvalid) as raised:
        profile(**{field: "no name"})

    assert raised.value.key == key


def test_managed_preferences_have_apples_nesting() -> None:
    payload = ManagedPreferencesPayload(
        identifier="com.example.preferences",
        uuid=uuid(1),
        domains={"com.example.app": DomainPreferences(forced={"KEY": "value"}, set_once={})},
    )

    content = plistlib.loads(render(profile(payload)))["PayloadContent"][0]["PayloadContent"]

    assert content == {
        "com.example.app": {
            "Forced": [{"mcx_preference_settings": {"KEY": "value"}}],
            "Set-Once": [{"mcx_preference_settings": {}}],
        }
    }


@pytest.mark.parametrize("domains", [{}, {"com.example.app": DomainPreferences()}])
def test_managed_preferences_set_something(domains: dict[str, DomainPreferences]) -> None:
    with pytest.raises(KeyInvalid):
        ManagedPreferencesPayload(identifier="a", uuid=uuid(1), domains=domains)


def test_a_preference_domain_is_the_type_and_its_settings_stand_beside_the_common_keys() -> None:
    payload = PreferenceDomainPayload(
        identifier="com.example.preferences", uuid=uuid(1), type="com.example.app", content={"KEY": "value"}
    )

    plist = plistlib.loads(render(profile(payload)))["PayloadContent"][0]

    assert plist["PayloadType"] == "com.example.app"
    assert plist["KEY"] == "value"


@pytest.mark.parametrize("domain", ["com.apple.security.pkcs12", "com.apple.dock", "app", "", "a b.c"])
def test_apples_own_types_are_no_preference_domain(domain: str) -> None:
    with pytest.raises(KeyInvalid) as raised:
        PreferenceDomainPayload(identifier="a", uuid=uuid(1), type=domain, content={})

    assert raised.value.key == "PayloadType"


def test_no_time_is_read_while_rendering() -> None:
    before = render(full_profile())

    assert render(full_profile()) == before
    assert datetime.now(UTC).strftime("%Y-%m-%d").encode() not in before
