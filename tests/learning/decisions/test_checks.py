"""What every posted figure, name and time must satisfy."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backend.errors import InvalidInputError
from backend.learning.decisions.checks import (
    check_amount,
    check_decision_id,
    check_money,
    check_time,
    content_hash,
    normal_symbol,
)

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize("decision_id", ["a", "0", "BTCUSDC-5m-2026-11-20T10:05:00Z", "a" * 128, "A._:-"])
def test_sound_ids_pass(decision_id: str) -> None:
    assert check_decision_id(decision_id) == decision_id


@pytest.mark.parametrize("decision_id", ["", "-a", ":a", "a b", "a/b", "a" * 129, "å", "a\n"])
def test_other_ids_are_refused(decision_id: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        check_decision_id(decision_id)
    assert caught.value.extra["field"] == "decision_id"


@pytest.mark.parametrize(
    ("given_as", "stored"), [("BTCUSDC", "BTCUSDC"), ("BTC/USDT", "BTCUSDT"), ("BTC/USDT:USDT", "BTCUSDT:USDT")]
)
def test_symbols_are_stored_without_a_slash(given_as: str, stored: str) -> None:
    assert normal_symbol(given_as) == stored


@pytest.mark.parametrize("symbol", ["", "/", "BTC USDT", "A" * 33, "BTC\n"])
def test_other_symbols_are_refused(symbol: str) -> None:
    with pytest.raises(InvalidInputError):
        normal_symbol(symbol)


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        (NOW.replace(tzinfo=None), "offset"),
        (NOW + timedelta(seconds=60, microseconds=1), "future"),
        (datetime(9999, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-12))), "future"),
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=12))), "2000"),
        (datetime(1970, 1, 1, tzinfo=UTC), "2000"),
    ],
)
def test_times_out_of_range_are_refused_in_words(moment: datetime, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        check_time(moment, now=NOW, field="timestamp")


def test_a_minute_ahead_is_a_clock_that_differs() -> None:
    assert check_time(NOW + timedelta(seconds=60), now=NOW, field="timestamp")


@given(st.floats() | st.floats(1e-16, 1e16))
@example(1e-15)
@example(1e15)
@example(5e-324)
@example(1e200)
def test_an_amount_is_above_zero_and_of_a_size_that_can_be_computed_with(value: float) -> None:
    if 1e-15 <= value <= 1e15:
        assert check_amount(value, field="price") == value
        return
    with pytest.raises(InvalidInputError) as caught:
        check_amount(value, field="price")
    assert caught.value.extra["field"] == "price"


@given(st.floats())
@example(-1e15)
@example(1.1e15)
def test_money_has_either_sign_and_the_same_upper_bound(value: float) -> None:
    if -1e15 <= value <= 1e15:
        assert check_money(value, field="fees") == value
        return
    with pytest.raises(InvalidInputError, match="fees"):
        check_money(value, field="fees")


def test_a_hash_ignores_the_order_of_keys_and_the_offset_of_times() -> None:
    utc, local = NOW, NOW.astimezone(timezone(timedelta(hours=5)))

    assert content_hash({"a": 1.0, "b": utc}) == content_hash({"b": local, "a": 1.0})
    assert content_hash({"a": 1.0}) != content_hash({"a": 1.5})
    assert content_hash(datetime(9999, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-12))))


def test_a_hash_takes_plain_values_only() -> None:
    with pytest.raises(TypeError, match="canonical"):
        content_hash(object())
