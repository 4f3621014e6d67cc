"""What the stand-in for APNs does wrong on purpose: which tokens, how many pushes, in which order of precedence."""

from collections import Counter
from datetime import UTC, datetime

import pytest

from mdmserver.simulator.apns_answers import Answer, Reset, Silence, refusal
from mdmserver.simulator.apns_behaviour import Behaviour

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TOPIC = "com.apple.mgmt.External.1"
TOKENS = [f"{number:064x}" for number in range(2000)]


def kinds(behaviour: Behaviour) -> Counter[str]:
    """What the tokens get, one push each."""
    return Counter(
        str(said.reason) if isinstance(said, Answer) else type(said).__name__
        for said in (behaviour.treatment_of(token, TOPIC, NOW) for token in TOKENS)
    )


def test_a_behaviour_without_wishes_accepts_everything() -> None:
    assert kinds(Behaviour()) == {"NoneType": 2000}


def test_shares_of_tokens_are_met_and_hit_the_same_tokens_each_time() -> None:
    behaviour = Behaviour(unregistered=0.1, refused=0.2, seed=3)
    first = [behaviour.treatment_of(token, TOPIC, NOW) for token in TOKENS]

    assert first == [behaviour.treatment_of(token, TOPIC, NOW) for token in TOKENS]
    assert first != [Behaviour(unregistered=0.1, refused=0.2, seed=4).treatment_of(each, TOPIC, NOW) for each in TOKENS]
    counts = kinds(behaviour)
    assert counts["Unregistered"] == pytest.approx(200, abs=50)
    assert counts["BadDeviceToken"] == pytest.approx(400, abs=70)


def test_shares_of_pushes_are_met_by_chance_that_the_seed_repeats() -> None:
    def with_seed(seed: int) -> Behaviour:
        return Behaviour(resets=0.1, stalls=0.1, busy=0.1, failing=0.1, seed=seed)

    counts = kinds(with_seed(0))

    assert counts == kinds(with_seed(0)) != kinds(with_seed(1))
    for kind in ("Reset", "Silence", "TooManyRequests", "ServiceUnavailable"):
        assert counts[kind] == pytest.approx(200, abs=50)


def test_a_share_of_everything_leaves_nothing_out() -> None:
    assert kinds(Behaviour(unregistered=1)) == {"Unregistered": 2000}
    assert kinds(Behaviour(resets=1)) == {"Reset": 2000}


def test_what_was_said_of_a_token_goes_before_the_next_pushes_and_these_before_shares() -> None:
    behaviour = Behaviour(resets=1)
    behaviour.treat(TOKENS[0].upper(), Silence())
    behaviour.treat_next(refusal("TooManyRequests"))

    said = [behaviour.treatment_of(token, TOPIC, NOW) for token in (TOKENS[0], TOKENS[1], TOKENS[1])]

    assert said == [Silence(), refusal("TooManyRequests"), Reset()]


def test_a_token_that_is_no_more_is_dated() -> None:
    since = datetime(2025, 1, 1, tzinfo=UTC)

    assert Behaviour(unregistered=1).treatment_of(TOKENS[0], TOPIC, NOW) == refusal("Unregistered", timestamp=NOW)
    dated = Behaviour(unregistered=1, unregistered_at=since).treatment_of(TOKENS[0], TOPIC, NOW)
    assert dated == refusal("Unregistered", timestamp=since)


def test_a_reason_that_apns_does_not_know_is_an_error_of_the_caller() -> None:
    with pytest.raises(KeyError):
        refusal("Unheard")
