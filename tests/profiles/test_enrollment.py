"""The enrollment profile: its defaults, what a renewal leaves as it was, and what a device reads from it."""

import contextlib
import plistlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdmserver.protocol import loads
from profiles import (
    AccessRights,
    KeyInvalid,
    KeyUsage,
    ProfileError,
    ProfileMalformed,
    SCEPSettings,
    ServerCapability,
    enrollment_of,
    enrollment_profile,
    profile_plist,
    refused_changes,
    render,
    subject_of,
)
from profiles.payloads.mdm import MDMPayload
from profiles.payloads.payload import payload_plist
from profiles.payloads.scep import SCEPPayload
from tests.profiles.examples import (
    CHALLENGE,
    TOPIC,
    acme_payload,
    full_payloads,
    full_scep_payload,
    mdm_payload,
    profile,
    scep_payload,
    settings,
)


def full_scep() -> SCEPSettings:
    return SCEPSettings(
        url="https://mdm.example.com/scep",
        challenge=CHALLENGE,
        name="ca",
        subject=subject_of(("O", "Example"), ("CN", "device")),
        ca_fingerprint=bytes(32),
        retries=4,
        retry_delay_seconds=6,
    )


def payloads_of(plist: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {payload["PayloadType"]: payload for payload in plist["PayloadContent"]}


def test_the_defaults_are_those_that_cannot_be_mended_later() -> None:
    payloads = payloads_of(profile_plist(enrollment_profile(settings())))
    mdm, scep = payloads["com.apple.mdm"], payloads["com.apple.security.scep"]["PayloadContent"]

    assert mdm["SignMessage"] is True
    assert mdm["AccessRights"] == 8191
    assert mdm["CheckOutWhenRemoved"] is True
    assert set(mdm["ServerCapabilities"]) == {
        "com.apple.mdm.per-user-connections",
        "com.apple.mdm.bootstraptoken",
        "com.apple.mdm.token",
    }
    assert (scep["Key Type"], scep["Keysize"], scep["Key Usage"]) == ("RSA", 2048, 5)
    assert scep["KeyIsExtractable"] is False


def test_the_same_settings_give_the_same_bytes() -> None:
    assert render(enrollment_profile(settings())) == render(enrollment_profile(settings()))


def test_a_renewal_differs_in_its_challenge_alone(root_der: bytes) -> None:
    first = render(enrollment_profile(settings("first-challenge", trusted_certificates=(root_der,))))
    renewal = render(enrollment_profile(settings("second-challenge", trusted_certificates=(root_der,))))

    assert first != renewal
    assert first.replace(b"first-challenge", b"second-challenge") == renewal


def test_changed_settings_change_the_uuid_of_the_profile_and_of_nothing_that_is_updated_in_place() -> None:
    before = profile_plist(enrollment_profile(settings()))
    after = profile_plist(enrollment_profile(settings(display_name="New name", sign_message=False)))

    assert before["PayloadIdentifier"] == after["PayloadIdentifier"]
    assert before["PayloadUUID"] != after["PayloadUUID"]
    for one, two in zip(before["PayloadContent"], after["PayloadContent"], strict=True):
        assert (one["PayloadIdentifier"], one["PayloadUUID"]) == (two["PayloadIdentifier"], two["PayloadUUID"])


def test_a_new_authority_of_the_server_is_a_payload_beside_the_old(root_der: bytes, signers: Any) -> None:
    old = profile_plist(enrollment_profile(settings(trusted_certificates=(root_der,))))
    both = profile_plist(enrollment_profile(settings(trusted_certificates=(root_der, signers["rsa"].intermediate_der))))

    assert old["PayloadContent"][0] == both["PayloadContent"][0]
    assert both["PayloadContent"][1]["PayloadType"] == "com.apple.security.root"
    assert old["PayloadUUID"] != both["PayloadUUID"]


def test_names_come_from_the_public_host() -> None:
    plist = profile_plist(enrollment_profile(settings()))

    assert plist["PayloadIdentifier"] == "com.example.mdm.enrollment"
    assert [payload["PayloadIdentifier"] for payload in plist["PayloadContent"]] == [
        "com.example.mdm.enrollment.identity",
        "com.example.mdm.enrollment.mdm",
    ]
    assert plist["PayloadScope"] == "System"


def test_a_device_reads_what_the_settings_say(root_der: bytes) -> None:
    scep = full_scep()

    rendered = render(enrollment_profile(settings(scep=scep, trusted_certificates=(root_der,))))
    enrollment = enrollment_of(plistlib.loads(rendered))

    assert enrollment.profile_identifier == "com.example.mdm.enrollment"
    assert enrollment.mdm.topic == TOPIC
    assert enrollment.mdm.server_url == "https://mdm.example.com/mdm"
    assert enrollment.mdm.check_in_url == "https://mdm.example.com/checkin"
    assert enrollment.mdm.access_rights is AccessRights.ALL
    assert enrollment.mdm.server_capabilities == tuple(ServerCapability)
    assert enrollment.scep.challenge == CHALLENGE
    assert enrollment.scep.subject == scep.subject
    assert enrollment.scep.key_usage == KeyUsage.SIGNING | KeyUsage.ENCRYPTION
    assert enrollment.scep.ca_fingerprint == bytes(32)
    assert (enrollment.scep.retries, enrollment.scep.retry_delay_seconds) == (4, 6)
    assert enrollment.trusted_certificates == (root_der,)


def test_the_bounded_reader_of_the_simulator_reads_the_same_as_plistlib(root_der: bytes) -> None:
    rendered = render(enrollment_profile(settings(trusted_certificates=(root_der,))))

    assert enrollment_of(loads(rendered)) == enrollment_of(plistlib.loads(rendered))


@pytest.mark.parametrize("kind", [SCEPPayload, MDMPayload])
def test_a_payload_that_is_read_is_the_one_that_was_written(kind: Any, root_der: bytes) -> None:
    payload = full_scep_payload() if kind is SCEPPayload else full_payloads(root_der, b"")["com.apple.mdm"]()

    assert kind.read(payload_plist(payload)) == payload


def test_a_minimal_payload_is_read_as_it_was_written() -> None:
    scep = scep_payload(challenge=None, key_size=None)
    mdm = mdm_payload(access_rights=None)

    assert SCEPPayload.read(payload_plist(scep)) == scep
    assert MDMPayload.read(payload_plist(mdm)) == mdm


def test_the_placeholder_of_a_topic_must_be_asked_for() -> None:
    with pytest.raises(KeyInvalid):
        enrollment_profile(settings(topic="none-yet"))

    placeholder = enrollment_profile(settings(topic="none-yet", topic_is_placeholder=True))

    assert enrollment_of(profile_plist(placeholder)).mdm.topic == "none-yet"


def test_a_renewal_is_an_update_that_devices_take() -> None:
    installed = enrollment_of(profile_plist(enrollment_profile(settings("a")))).mdm
    update = enrollment_of(profile_plist(enrollment_profile(settings("b", display_name="New name")))).mdm

    assert refused_changes(installed, update) == ()


ADDE = full_payloads(b"", b"")["com.apple.mdm"]()


@pytest.mark.parametrize(
    ("installed", "update", "refused"),
    [
        (mdm_payload(), mdm_payload(topic=TOPIC + "0"), ("Topic",)),
        (
            mdm_payload(check_in_url="https://mdm.example.com/checkin"),
            mdm_payload(check_in_url="https://mdm.example.com/checkin", server_url="https://b.example.com/"),
            ("ServerURL",),
        ),
        (mdm_payload(), mdm_payload(check_in_url="https://mdm.example.com/checkin"), ("CheckInURL",)),
        (mdm_payload(), mdm_payload(check_in_url="https://mdm.example.com/mdm"), ()),
        (mdm_payload(), mdm_payload(server_capabilities=tuple(ServerCapability)), ("ServerCapabilities",)),
        (mdm_payload(server_capabilities=tuple(ServerCapability)), mdm_payload(), ("ServerCapabilities",)),
        (mdm_payload(), mdm_payload(server_capabilities=(ServerCapability.GET_TOKEN,)), ()),
        (mdm_payload(), mdm_payload(access_rights=AccessRights(1)), ()),
        (mdm_payload(access_rights=AccessRights(1)), mdm_payload(access_rights=AccessRights(3)), ("AccessRights",)),
        (mdm_payload(access_rights=None), mdm_payload(), ("AccessRights",)),
        (ADDE, replace(ADDE, assigned_managed_apple_id="b@example.com"), ("AssignedManagedAppleID",)),
        (ADDE, replace(ADDE, required_app_id_for_mdm=1), ("RequiredAppIDForMDM",)),
        (
            replace(ADDE, required_app_id_for_mdm=None),
            replace(ADDE, required_app_id_for_mdm=None, enrollment_mode=None, assigned_managed_apple_id=None),
            ("AssignedManagedAppleID", "EnrollmentMode"),
        ),
    ],
)
def test_a_device_refuses_an_update_that_changes_what_may_not_change(
    installed: MDMPayload, update: MDMPayload, refused: tuple[str, ...]
) -> None:
    assert refused_changes(installed, update) == refused


def _changed(change: Any) -> dict[str, Any]:
    plist = profile_plist(enrollment_profile(settings()))
    change(plist, payloads_of(plist))
    return plist


@pytest.mark.parametrize(
    "change",
    [
        lambda plist, _: plist.clear(),
        lambda plist, _: plist.update(PayloadContent="a"),
        lambda plist, _: plist.update(PayloadContent=["a", 1]),
        lambda plist, _: plist.pop("PayloadIdentifier"),
        lambda plist, _: plist.update(PayloadUUID=1),
        lambda plist, payloads: plist["PayloadContent"].append(payloads["com.apple.mdm"]),
        lambda plist, payloads: plist["PayloadContent"].append(payloads["com.apple.security.scep"]),
        lambda plist, payloads: plist["PayloadContent"].remove(payloads["com.apple.security.scep"]),
        lambda _, payloads: payloads["com.apple.mdm"].pop("Topic"),
        lambda _, payloads: payloads["com.apple.mdm"].pop("ServerURL"),
        lambda _, payloads: payloads["com.apple.mdm"].update(ServerURL="http://example.com"),
        lambda _, payloads: payloads["com.apple.mdm"].update(SignMessage=1),
        lambda _, payloads: payloads["com.apple.mdm"].update(AccessRights=True),
        lambda _, payloads: payloads["com.apple.mdm"].update(AccessRights=-1),
        lambda _, payloads: payloads["com.apple.mdm"].update(AccessRights=2**70),
        lambda _, payloads: payloads["com.apple.mdm"].update(ServerCapabilities=["a"]),
        lambda _, payloads: payloads["com.apple.mdm"].update(ServerCapabilities=[1]),
        lambda _, payloads: payloads["com.apple.mdm"].update(EnrollmentMode="a"),
        lambda _, payloads: payloads["com.apple.security.scep"].update(PayloadType="com.apple.security.root"),
        lambda _, payloads: payloads["com.apple.security.scep"].update(PayloadContent=b"a"),
        lambda _, payloads: payloads["com.apple.security.scep"]["PayloadContent"].pop("URL"),
        lambda _, payloads: payloads["com.apple.security.scep"]["PayloadContent"].update(Subject=[["CN", "a"]]),
        lambda _, payloads: payloads["com.apple.security.scep"]["PayloadContent"].update(Subject=["CN"]),
        lambda _, payloads: payloads["com.apple.security.scep"]["PayloadContent"].update({"Key Usage": -1}),
        lambda _, payloads: payloads["com.apple.security.scep"]["PayloadContent"].update(SubjectAltName={"dNSName": 1}),
        lambda plist, _: plist["PayloadContent"].append({"PayloadType": "com.apple.security.root"}),
    ],
)
def test_a_profile_that_is_no_enrollment_raises_an_error_of_profiles(change: Any) -> None:
    with pytest.raises(ProfileError):
        enrollment_of(_changed(change))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.integers(0, 1), st.integers(0, 50), ANYTHING)
def test_whatever_stands_under_a_key_nothing_but_an_error_of_profiles_is_raised(
    number: int, position: int, value: Any
) -> None:
    plist = profile_plist(enrollment_profile(settings(scep=full_scep())))
    payload = plist["PayloadContent"][number]
    places = [(payload, key) for key in payload]
    places += [(payload["PayloadContent"], key) for key in payload.get("PayloadContent", {})]
    inside, key = places[position % len(places)]
    inside[key] = value

    with contextlib.suppress(ProfileError):
        enrollment_of(plist)


def test_an_identity_by_acme_is_not_read_as_one_by_scep() -> None:
    with pytest.raises(ProfileMalformed):
        enrollment_of(profile_plist(profile(acme_payload(), mdm_payload())))


def test_unknown_keys_are_nobodys_fault() -> None:
    plist = _changed(lambda _, payloads: payloads["com.apple.mdm"].update(KeyOfALaterRelease=[1]))

    assert enrollment_of(plist).mdm.topic == TOPIC
