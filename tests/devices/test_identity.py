"""The two decisions about certificates, row by row: what an Authenticate begins, and what else may be said (S2, S4)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from mdmserver.devices.identity import (
    GRACE,
    Beginning,
    ExpiredIdentity,
    IdentityState,
    KnownEnrollment,
    KnownIdentity,
    Newcomer,
    Reenrollment,
    Verdict,
    decide,
    judge,
)
from mdmserver.devices.model import EnrollmentRow
from tests.fleet import START, certificate, expired

ROW, OTHER = EnrollmentRow(1), EnrollmentRow(2)
NOW = START + timedelta(days=100)
ACTIVE, GRACED = IdentityState.ACTIVE, IdentityState.GRACE
SUPERSEDED, REVOKED = IdentityState.SUPERSEDED, IdentityState.REVOKED
LIVE = KnownEnrollment(row=ROW, is_live=True, is_released=False)
RELEASED = replace(LIVE, is_released=True)
ENDED = replace(LIVE, is_live=False)
STRANGER = Newcomer()
TRUSTED = Newcomer(may_replace=True)
REFUSED = Newcomer(is_refused=True, may_replace=True)
INVITED, ASK, ALLOW = Reenrollment.INVITED, Reenrollment.ASK, Reenrollment.ALLOW


def known(state: IdentityState, row: EnrollmentRow = ROW, *, since: timedelta = timedelta(days=1)) -> KnownIdentity:
    return KnownIdentity(enrollment=row, state=state, changed_at=NOW - since)


@pytest.mark.parametrize("reenrollment", list(Reenrollment))
@pytest.mark.parametrize(
    ("enrollment", "newcomer", "begins"),
    [
        (None, STRANGER, Beginning.ENROLLMENT),
        (None, TRUSTED, Beginning.ENROLLMENT),
        (ENDED, STRANGER, Beginning.LIFE),
        (LIVE, STRANGER, Beginning.PENDING),
        (LIVE, TRUSTED, Beginning.LIFE),
        (RELEASED, STRANGER, Beginning.LIFE),
        (None, REFUSED, Beginning.NOTHING),
        (ENDED, REFUSED, Beginning.NOTHING),
        (LIVE, REFUSED, Beginning.NOTHING),
        (RELEASED, REFUSED, Beginning.NOTHING),
    ],
)
def test_certificate_that_is_bound_to_nothing(
    enrollment: KnownEnrollment | None, newcomer: Newcomer, begins: Beginning, reenrollment: Reenrollment
) -> None:
    assert decide(None, enrollment, newcomer=newcomer, reenrollment=reenrollment, at=NOW) is begins


@pytest.mark.parametrize(
    ("state", "enrollment", "reenrollment", "begins"),
    [
        (ACTIVE, LIVE, INVITED, Beginning.FACTS),
        (GRACED, LIVE, INVITED, Beginning.FACTS),
        (ACTIVE, RELEASED, INVITED, Beginning.FACTS),
        (ACTIVE, ENDED, INVITED, Beginning.NOTHING),
        (ACTIVE, LIVE, ASK, Beginning.LIFE),
        (ACTIVE, LIVE, ALLOW, Beginning.LIFE),
        (GRACED, LIVE, ASK, Beginning.NOTHING),
        (SUPERSEDED, LIVE, INVITED, Beginning.NOTHING),
        (REVOKED, LIVE, INVITED, Beginning.NOTHING),
        (SUPERSEDED, LIVE, ALLOW, Beginning.NOTHING),
        (REVOKED, ENDED, ALLOW, Beginning.NOTHING),
        (REVOKED, RELEASED, ALLOW, Beginning.NOTHING),
    ],
)
def test_certificate_that_is_bound_to_this_enrollment(
    state: IdentityState, enrollment: KnownEnrollment, reenrollment: Reenrollment, begins: Beginning
) -> None:
    assert decide(known(state), enrollment, newcomer=TRUSTED, reenrollment=reenrollment, at=NOW) is begins


@pytest.mark.parametrize("state", list(IdentityState))
@pytest.mark.parametrize("enrollment", [None, LIVE, RELEASED, ENDED])
@pytest.mark.parametrize("reenrollment", list(Reenrollment))
def test_certificate_of_another_device_begins_nothing(
    state: IdentityState, enrollment: KnownEnrollment | None, reenrollment: Reenrollment
) -> None:
    begins = decide(known(state, OTHER), enrollment, newcomer=TRUSTED, reenrollment=reenrollment, at=NOW)

    assert begins is Beginning.NOTHING


def test_certificate_out_of_grace_begins_nothing() -> None:
    for since, begins in ((GRACE, Beginning.FACTS), (GRACE + timedelta(seconds=1), Beginning.NOTHING)):
        identity = known(GRACED, since=since)
        assert decide(identity, LIVE, newcomer=STRANGER, reenrollment=INVITED, at=NOW) is begins


def verdict(
    identity: KnownIdentity | None,
    device: EnrollmentRow | None = ROW,
    *,
    is_expired: bool = False,
    by_signature: bool = True,
    policy: ExpiredIdentity = ExpiredIdentity.RENEW,
) -> Verdict:
    presented = replace(expired(certificate(1)) if is_expired else certificate(1), by_signature=by_signature)
    return judge(identity, device, presented=presented, expired=policy, at=NOW)


def test_active_certificate_and_one_in_grace_are_welcome() -> None:
    assert verdict(known(ACTIVE)) is Verdict.WELCOME
    assert verdict(known(GRACED)) is Verdict.WELCOME
    assert verdict(known(GRACED, since=GRACE)) is Verdict.WELCOME


@pytest.mark.parametrize("is_expired", [False, True])
def test_everything_else_is_refused_expired_or_not(is_expired: bool) -> None:
    for identity in (None, known(SUPERSEDED), known(REVOKED), known(ACTIVE, OTHER), known(GRACED, OTHER)):
        assert verdict(identity, is_expired=is_expired) is Verdict.REFUSED
    assert verdict(known(ACTIVE), None, is_expired=is_expired) is Verdict.REFUSED


def test_expired_certificate_renews_where_a_signature_proves_it_and_the_policy_says_so() -> None:
    for state in (ACTIVE, GRACED):
        assert verdict(known(state), is_expired=True) is Verdict.RENEWAL_ONLY
        assert verdict(known(state), is_expired=True, by_signature=False) is Verdict.REFUSED
        assert verdict(known(state), is_expired=True, policy=ExpiredIdentity.REFUSE) is Verdict.REFUSED


def test_certificate_out_of_grace_is_for_renewal_alone() -> None:
    late = known(GRACED, since=GRACE + timedelta(seconds=1))

    assert verdict(late) is Verdict.RENEWAL_ONLY
    assert verdict(late, by_signature=False) is Verdict.RENEWAL_ONLY
    assert verdict(late, is_expired=True) is Verdict.RENEWAL_ONLY
    # It has not expired, and refusing it would strand a device that lost its renewed one.
    assert verdict(late, policy=ExpiredIdentity.REFUSE) is Verdict.RENEWAL_ONLY
