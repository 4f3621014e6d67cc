"""A Mac gets the token in a signed profile: which revision it has shows in its list, its values do not."""

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mdmserver.apps.explain import Progress
from mdmserver.apps.model import PINGID_TOKEN, App, NewApp, PreferenceForm, pingid
from mdmserver.assignments.model import TargetState
from mdmserver.errors import Invalid, NotFound
from mdmserver.protocol import ErrorItem, loads
from profiles import read_signed_profile
from tests.apps.handset import Handset
from tests.apps.office import EVERYONE, PROFILE, Office, tag
from tests.fleet import ADMIN

DOMAIN = "com.pingidentity.pingid"
FORCED = {"Forced": [{"mcx_preference_settings": {PINGID_TOKEN: "token-1"}}]}
REFUSED = ErrorItem(code=4001, domain="MCInstallationErrorDomain", us_english_description="Profile Installation Failed")


@pytest.fixture
async def mac(office: Office) -> Handset:
    """A Mac for which PingID's token-1 is meant."""
    mac = await office.mac()
    await office.configure("token-1")
    await office.assign()
    return mac


async def change(office: Office, **what: Any) -> App:
    return await office.services.apps.change("pingid", replace(pingid(), **what), actor=ADMIN)


async def export(office: Office, **secrets: Any) -> dict[str, Any]:
    signed = await office.services.apps.profile("pingid", EVERYONE, secrets, actor=ADMIN)
    return loads(read_signed_profile(signed)[0])


def contents(profile: Any) -> dict[str, Any]:
    return {payload["PayloadType"]: payload for payload in profile["PayloadContent"]}


async def test_a_mac_gets_managed_preferences_and_is_installed_not_verified(office: Office, mac: Handset) -> None:
    await office.quiet()

    assert mac.request_types == ["InstallProfile", "ProfileList"]
    [profile] = mac.profiles.values()
    assert contents(profile)["com.apple.ManagedClient.preferences"]["PayloadContent"] == {DOMAIN: FORCED}
    assert profile["PayloadScope"] == "System"
    target = await office.target(mac, PROFILE)
    assert target.state is TargetState.INSTALLED
    assert await office.counts(PROFILE) == {Progress.INSTALLED: 1}
    assert "cannot be read back" in await office.why(mac, PROFILE)


async def test_the_identifier_stays_and_the_uuid_changes_with_the_revision(office: Office, mac: Handset) -> None:
    await office.quiet()
    [first] = mac.profiles.values()

    await office.configure("token-2")
    await office.quiet()

    [second] = mac.profiles.values()
    assert first["PayloadIdentifier"] == second["PayloadIdentifier"]
    assert first["PayloadUUID"] != second["PayloadUUID"]
    assert (await office.target(mac, PROFILE)).state is TargetState.INSTALLED


async def test_the_uuid_changes_exactly_with_revision_form_and_domain(office: Office, mac: Handset) -> None:
    seen = [await export(office, **{PINGID_TOKEN: "token-1"})]
    assert await export(office, **{PINGID_TOKEN: "token-1"}) == seen[0]
    await change(office, name="Another name")
    assert (await export(office, **{PINGID_TOKEN: "token-1"}))["PayloadUUID"] == seen[0]["PayloadUUID"]
    for what in (
        {"preference_form": PreferenceForm.DIRECT},
        {"preference_form": PreferenceForm.BOTH},
        {"preference_form": PreferenceForm.BOTH, "preference_domain": "com.example.other"},
    ):
        await change(office, **what)
        seen.append(await export(office, **{PINGID_TOKEN: "token-1"}))
    await office.configure("token-2")
    seen.append(await export(office, **{PINGID_TOKEN: "token-2"}))
    await office.configure("token-1")
    seen.append(await export(office, **{PINGID_TOKEN: "token-1"}))

    assert len({profile["PayloadUUID"] for profile in seen}) == len(seen)
    assert len({profile["PayloadIdentifier"] for profile in seen}) == 1
    assert [sorted(contents(profile)) for profile in seen[:4]] == [
        ["com.apple.ManagedClient.preferences"],
        [DOMAIN],
        ["com.apple.ManagedClient.preferences", DOMAIN],
        ["com.apple.ManagedClient.preferences", "com.example.other"],
    ]
    assert contents(seen[1])[DOMAIN][PINGID_TOKEN] == "token-1"


async def test_a_change_of_form_reaches_the_mac_at_once(office: Office, mac: Handset) -> None:
    await office.quiet()

    await change(office, preference_form=PreferenceForm.DIRECT)
    await office.quiet()

    [profile] = mac.profiles.values()
    assert list(contents(profile)) == [DOMAIN]
    assert (await office.target(mac, PROFILE)).state is TargetState.INSTALLED


async def test_in_a_user_enrollment_only_the_direct_form_is_sent(office: Office) -> None:
    own = await office.persons_own(2, "Mac14,2")
    await change(office, preference_form=PreferenceForm.BOTH)
    await office.configure("token-1")
    await office.assign()

    await office.quiet()

    [profile] = own.profiles.values()
    assert list(contents(profile)) == [DOMAIN]
    assert (await office.target(own, PROFILE)).state is TargetState.INSTALLED


async def test_a_profile_that_a_person_removed_is_installed_again(office: Office, mac: Handset) -> None:
    await office.quiet()
    mac.profiles.clear()

    await office.later(days=7)

    assert len(mac.profiles) == 1
    assert (await office.target(mac, PROFILE)).state is TargetState.INSTALLED


async def test_a_profile_that_is_never_listed_is_not_sent_for_ever(office: Office, mac: Handset) -> None:
    mac.extra["ProfileList"] = {"ProfileList": []}

    await office.quiet()
    for _ in range(30):
        await office.later(hours=1)

    assert (await office.target(mac, PROFILE)).state is TargetState.DRIFTED
    assert 3 <= mac.request_types.count("InstallProfile") <= 7


async def test_a_refused_profile_fails_with_the_macs_own_words(office: Office, mac: Handset) -> None:
    mac.errors["InstallProfile"] = REFUSED

    await office.quiet()

    assert (await office.target(mac, PROFILE)).state is TargetState.FAILED
    assert "Profile Installation Failed" in await office.why(mac, PROFILE)
    mac.errors.clear()
    await office.later(minutes=15)
    assert (await office.target(mac, PROFILE)).state is TargetState.INSTALLED


async def test_a_profile_goes_when_it_is_meant_no_more(office: Office, mac: Handset) -> None:
    await office.quiet()
    await office.unassign()

    await office.quiet()

    assert mac.profiles == {}
    assert mac.heard[-1].payload["Identifier"].endswith(".app.pingid")
    assert await office.settings(mac) == {}


async def test_the_profile_is_signed_by_the_servers_ca_and_openssl_says_so(
    office: Office, mac: Handset, tmp_path: Path
) -> None:
    await office.work()
    install = await mac.take()
    assert install is not None
    own = office.services.own_authorities.issuing.authority
    (tmp_path / "profile").write_bytes(install.payload["Payload"])
    (tmp_path / "ca.der").write_bytes(own.certificate_der)

    assert loads(verified_by_openssl(tmp_path))["PayloadIdentifier"].endswith(".app.pingid")


def verified_by_openssl(folder: Path) -> bytes:
    to_pem = ["openssl", "x509", "-inform", "DER", "-in", "ca.der", "-out", "ca.pem"]
    verify = ["openssl", "cms", "-verify", "-inform", "DER", "-in", "profile", "-CAfile", "ca.pem", "-purpose", "any"]
    subprocess.run(to_pem, cwd=folder, check=True, capture_output=True)
    return subprocess.run([*verify, "-no_check_time"], cwd=folder, check=True, capture_output=True).stdout


@pytest.mark.parametrize(
    ("secrets", "code"),
    [
        ({}, "secret_missing"),
        ({PINGID_TOKEN: "token-2"}, "secret_differs"),
        ({PINGID_TOKEN: b"token-1"}, "secret_differs"),
        ({PINGID_TOKEN: None}, "secret_differs"),
    ],
)
async def test_a_profile_is_exported_only_to_those_who_know_its_secrets(
    office: Office, mac: Handset, secrets: dict[str, Any], code: str
) -> None:
    with pytest.raises(Invalid) as refused:
        await office.services.apps.profile("pingid", EVERYONE, secrets, actor=ADMIN)

    assert refused.value.code == code
    assert "token-1" not in str(refused.value)
    assert not await office.world.audited("profile.export")


async def test_an_exported_profile_is_the_one_that_is_installed_and_is_audited(office: Office, mac: Handset) -> None:
    await office.quiet()

    exported = await export(office, **{PINGID_TOKEN: "token-1"})

    [installed] = mac.profiles.values()
    assert exported == installed
    [record] = await office.world.audited("profile.export")
    assert record.detail == {"scope": "all", "revision": 1}


async def test_there_is_no_profile_without_a_configuration_or_a_domain(office: Office, mac: Handset) -> None:
    with pytest.raises(NotFound):
        await office.services.apps.profile("pingid", tag("nobody"), {PINGID_TOKEN: "token-1"}, actor=ADMIN)
    await change(office, preference_domain=None)
    with pytest.raises(NotFound):
        await office.services.apps.profile("pingid", EVERYONE, {PINGID_TOKEN: "token-1"}, actor=ADMIN)


async def test_a_domain_is_not_added_to_an_app_whose_keys_a_profile_needs_for_itself(office: Office) -> None:
    plain = NewApp(key="plain", name="Plain", bundle_id="com.example.plain")
    await office.services.apps.add(plain, actor=ADMIN)
    values = {"PayloadType": "x"}
    await office.services.apps.configure("plain", EVERYONE, values, secret_keys=frozenset(), actor=ADMIN)

    with pytest.raises(Invalid):
        await office.services.apps.change("plain", replace(plain, preference_domain="com.example.plain"), actor=ADMIN)
    with pytest.raises(Invalid):
        await office.services.apps.configure("pingid", EVERYONE, values, secret_keys=frozenset(), actor=ADMIN)
