"""The pace: doubles while devices are answered quickly, falls to what was really served, never over its most."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdmserver.push.pace import FIRST_PER_SECOND, LEAST_PER_SECOND, QUICK_SECONDS, SLOW_SECONDS, Pace, Served

steps = st.lists(st.tuples(st.floats(0, 3), st.floats(0, 1), st.integers(0, 3000), st.floats(0, 1)), max_size=120)


def judged(pace: Pace, at: float, *, number: int, mean: float) -> float:
    pace.judge(Served(number=number, seconds=number * mean), at)
    return pace.per_second


def test_while_devices_are_answered_quickly_the_rate_doubles_each_second() -> None:
    pace = Pace(most_per_second=3000, at=0)

    rates = [judged(pace, float(second), number=100, mean=QUICK_SECONDS) for second in range(1, 7)]

    assert rates == [500, 1000, 2000, 3000, 3000, 3000]


def test_the_rate_is_judged_once_a_second() -> None:
    pace = Pace(most_per_second=3000, at=0)

    rates = [judged(pace, at, number=100, mean=0) for at in (0.5, 0.9, 1.0, 1.5, 1.9, 2.0)]

    assert rates == [250, 250, 500, 500, 500, 1000]


def test_what_is_counted_is_judged_once() -> None:
    served = Served()
    for _ in range(10):
        served.add(1.0)

    first, second = served.taken(), served.taken()

    assert (first.number, first.seconds) == (10, 10.0)
    assert (second.number, second.seconds) == (0, 0.0)


def test_slow_answers_bring_the_rate_down_to_what_was_served() -> None:
    pace = Pace(most_per_second=3000, at=0)

    assert judged(pace, 1, number=90, mean=SLOW_SECONDS) == 90


def test_slow_answers_bring_the_rate_down_though_much_was_served() -> None:
    pace = Pace(most_per_second=3000, at=0)

    assert judged(pace, 1, number=5000, mean=SLOW_SECONDS) == pytest.approx(FIRST_PER_SECOND * 0.7)


def test_answers_neither_quick_nor_slow_leave_the_rate() -> None:
    pace = Pace(most_per_second=3000, at=0)

    assert judged(pace, 1, number=100, mean=(QUICK_SECONDS + SLOW_SECONDS) / 2) == FIRST_PER_SECOND


def test_the_rate_never_falls_so_far_that_nobody_is_woken() -> None:
    pace = Pace(most_per_second=3000, at=0)

    rates = [judged(pace, float(second), number=1, mean=5) for second in range(1, 9)]

    assert rates[-1] == LEAST_PER_SECOND


@pytest.mark.parametrize("most", [1, 5, 19])
def test_a_most_below_the_least_holds_when_answers_are_slow(most: int) -> None:
    pace = Pace(most_per_second=most, at=0)

    judged(pace, 1, number=1, mean=5)

    assert pace.per_second <= most


def test_after_a_long_rest_no_more_than_a_burst_may_go() -> None:
    pace = Pace(most_per_second=1000, at=0)

    assert pace.allowed(10_000) == int(FIRST_PER_SECOND * 0.25)


def test_a_slow_pace_still_sends_one_at_a_time() -> None:
    pace = Pace(most_per_second=1, at=0)

    sent = 0
    for tick in range(100):
        if pace.allowed(tick / 10):
            pace.spend(1, tick / 10)
            sent += 1

    assert sent == 10


@given(most=st.integers(1, 3000), steps=steps)
def test_over_any_second_no_more_than_the_most_goes_and_the_bucket_is_never_negative(
    most: int, steps: list[tuple[float, float, int, float]]
) -> None:
    pace = Pace(most_per_second=most, at=0)
    spent: list[tuple[float, int]] = []
    for at, (_, greed, number, mean) in zip(accumulate(step[0] for step in steps), steps, strict=True):
        allowed = pace.allowed(at)
        assert allowed >= 0
        taken = int(allowed * greed)
        pace.spend(taken, at)
        assert pace.allowed(at) >= 0
        assert pace.allowed(at) <= allowed - taken
        spent.append((at, taken))
        judged(pace, at, number=number, mean=mean)
        assert pace.per_second <= most

    for begin, _ in spent:
        assert sum(number for at, number in spent if begin <= at < begin + 1) <= most


@pytest.mark.parametrize("most", [20, 250, 2500])
def test_at_its_most_it_really_sends_so_many_and_no_more_over_any_second(most: int) -> None:
    pace = Pace(most_per_second=most, at=0)
    for second in range(1, 8):
        judged(pace, float(second), number=100, mean=0)
    # A full bucket, and then all that is allowed, a hundred times a second.
    sent = []
    for tick in range(2000):
        at = 10 + tick / 100
        taken = pace.allowed(at)
        pace.spend(taken, at)
        sent.append(taken)

    assert max(sum(sent[begin : begin + 100]) for begin in range(1900)) <= most
    assert sum(sent) >= 0.97 * most * 20


def test_it_is_worth_while_to_take_what_goes_in_a_fiftieth_of_a_second() -> None:
    assert Pace(most_per_second=100, at=0).worthwhile == 2
    assert Pace(most_per_second=10, at=0).worthwhile == 1
