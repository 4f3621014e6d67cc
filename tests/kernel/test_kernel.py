"""The small things that everything stands on: errors, secrets, pages, hints."""

import asyncio
import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdmserver import errors
from mdmserver.errors import Invalid, MDMError
from mdmserver.events import Hint, Hints
from mdmserver.paging import checked_limit, decode_cursor, encode_cursor, page_of
from mdmserver.secret import Secret

CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, MDMError)]


def test_every_error_is_in_the_tree_with_a_code_of_its_own() -> None:
    assert len({kind.code for kind in CLASSES}) == len(CLASSES)
    for kind in CLASSES:
        assert kind is MDMError or kind.__name__ in (errors.__doc__ or "")


def test_an_error_may_have_a_narrower_code_and_leaves_its_class_alone() -> None:
    error = Invalid("the limit is off", code="invalid_limit")

    assert (str(error), error.code, Invalid.code) == ("the limit is off", "invalid_limit", "invalid")


@pytest.mark.parametrize("secret", [Secret("hunter2"), Secret(b"hunter2")])
def test_a_secret_shows_itself_to_nobody_who_does_not_ask(secret: Secret[str] | Secret[bytes]) -> None:
    assert f"{secret} {secret!r} {secret!s} {secret:>9} {[secret]} {secret!r:>9}" == "*** *** *** *** [***]       ***"
    assert "%s" % secret == "***"  # noqa: UP031 — this form too
    assert secret.reveal() in ("hunter2", b"hunter2")


def test_secrets_are_equal_by_value_and_never_to_anything_else() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert [bool(Secret("")), bool(Secret("a"))] == [False, True]


def test_a_secret_is_not_pickled() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(Secret("a"))
    with pytest.raises(TypeError):
        copy.deepcopy(Secret("a"))


@given(position=st.integers(min_value=0, max_value=2**63 - 1))
def test_a_cursor_comes_back_as_the_position_it_stands_for(position: int) -> None:
    assert decode_cursor(encode_cursor(position)) == position


def test_no_cursor_is_the_beginning() -> None:
    assert decode_cursor(None) is None


@given(cursor=st.text(max_size=40))
def test_any_text_is_a_cursor_or_invalid_and_nothing_else(cursor: str) -> None:
    try:
        position = decode_cursor(cursor)
    except Invalid:
        return
    assert position is not None
    assert 0 <= position < 2**63


@pytest.mark.parametrize("cursor", ["MTotMQ", "Mjox", "MTo5OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "MTo", "é", "MTox" * 5000])
def test_cursors_that_are_not_ours_are_invalid(cursor: str) -> None:
    with pytest.raises(Invalid):
        decode_cursor(cursor)


def test_a_page_tells_whether_there_is_more() -> None:
    rows = [(10, "a"), (20, "b"), (30, "c")]

    first, last = page_of(rows, 2), page_of(rows, 3)

    assert (first.items, decode_cursor(first.next_cursor)) == (["a", "b"], 20)
    assert (last.items, last.next_cursor) == (["a", "b", "c"], None)
    assert page_of([], 2).items == []


@pytest.mark.parametrize(("limit", "is_good"), [(0, False), (1, True), (1000, True), (1001, False)])
def test_a_limit_lies_between_one_and_a_thousand(limit: int, is_good: bool) -> None:
    if is_good:
        assert checked_limit(limit) == limit
        return
    with pytest.raises(Invalid):
        checked_limit(limit)


async def test_a_hint_wakes_whoever_waits_for_its_kind() -> None:
    hints = Hints()
    waiting = asyncio.create_task(hints.wait(Hint.RESULTS, at_most_seconds=5))
    await asyncio.sleep(0)

    hints.give(Hint.COMMANDS_QUEUED)
    await asyncio.sleep(0)
    was_woken = waiting.done()
    hints.give(Hint.RESULTS)

    assert was_woken is False
    assert await waiting is True


async def test_a_hint_given_while_nobody_waits_is_remembered_once() -> None:
    hints = Hints()
    for _ in range(3):
        hints.give(Hint.RESULTS)

    assert await hints.wait(Hint.RESULTS, at_most_seconds=0) is True
    assert await hints.wait(Hint.RESULTS, at_most_seconds=0) is False
