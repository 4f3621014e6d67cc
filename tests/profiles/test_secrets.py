"""What is secret in a profile is seen in its bytes and nowhere else."""

import pytest

from profiles import (
    DomainPreferences,
    KeyInvalid,
    ManagedPreferencesPayload,
    ProfileError,
    RawPayload,
    SCEPSettings,
    enrollment_of,
    enrollment_profile,
    profile_plist,
    render,
)
from tests.profiles.examples import CHALLENGE, acme_payload, scep_payload, settings, uuid


def said(error: BaseException | None) -> str:
    """All that a traceback would say of an error and of those behind it."""
    texts = []
    while error is not None:
        texts.append(f"{error!r} {error}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(texts)


def test_no_record_shows_a_challenge() -> None:
    made = enrollment_profile(settings())
    records = [
        settings(),
        settings().scep,
        scep_payload(),
        acme_payload(),
        made,
        enrollment_of(profile_plist(made)),
        RawPayload(identifier="a", uuid=uuid(1), type="com.apple.wifi.managed", content={"Password": CHALLENGE}),
        ManagedPreferencesPayload(
            identifier="a", uuid=uuid(1), domains={"a.b": DomainPreferences(forced={"a": CHALLENGE})}
        ),
    ]

    assert CHALLENGE.encode() in render(made)
    for record in records:
        assert CHALLENGE not in repr(record), type(record).__name__


def test_a_challenge_that_xml_cannot_hold_is_refused_and_not_quoted() -> None:
    bad = CHALLENGE + "\x00"

    with pytest.raises(KeyInvalid) as raised:
        render(enrollment_profile(settings(bad)))

    assert raised.value.key == "com.apple.security.scep.PayloadContent.Challenge"
    assert CHALLENGE not in said(raised.value)


@pytest.mark.parametrize(
    "url", [f"https://{CHALLENGE}:x/", f"https://a:{CHALLENGE}@b/", f"ftp://a/{CHALLENGE}", f"https://[{CHALLENGE}"]
)
def test_a_url_that_is_refused_is_not_quoted(url: str) -> None:
    with pytest.raises(ProfileError) as raised:
        enrollment_profile(settings(scep=SCEPSettings(url=url, challenge=CHALLENGE)))

    assert CHALLENGE not in said(raised.value)


def test_a_value_of_the_wrong_type_is_not_quoted() -> None:
    plist = profile_plist(enrollment_profile(settings()))
    plist["PayloadContent"][0]["PayloadContent"]["Challenge"] = [CHALLENGE]

    with pytest.raises(ProfileError) as raised:
        enrollment_of(plist)

    assert CHALLENGE not in said(raised.value)


def test_a_raw_value_that_is_refused_is_not_quoted() -> None:
    with pytest.raises(ProfileError) as raised:
        RawPayload(identifier="a", uuid=uuid(1), type="a", content={"Password": CHALLENGE + "\x07"})

    assert CHALLENGE not in said(raised.value)


def test_the_uuid_of_a_profile_says_nothing_of_its_challenge() -> None:
    assert enrollment_profile(settings("a")).uuid == enrollment_profile(settings("b")).uuid
