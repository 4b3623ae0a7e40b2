"""What an exchange answers is believed as a whole or not at all; what went wrong is said in few plain words."""

import math
import unicodedata
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.market.exchange_answers import (
    LONGEST_WAIT_SECONDS,
    WORDS,
    BadAnswerError,
    as_bars,
    as_candles,
    bars,
    can_hold_candles,
    date_ms,
    gathered,
    in_words,
    retry_after_seconds,
)

MINUTE = 60_000
LATEST = 100 * MINUTE
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)

prices = st.floats(0.001, 1e6)


@st.composite
def rows(draw: st.DrawFn) -> list[list[float]]:
    """Good rows on the grid, each open time once, oldest first."""
    found = []
    for number in sorted(draw(st.sets(st.integers(0, 100), max_size=20))):
        low, opened, close, high = sorted(draw(st.tuples(prices, prices, prices, prices)))
        found.append([number * MINUTE, opened, high, low, close, draw(st.floats(0, 1e9))])
    return found


def row(opened: Any = MINUTE, *values: Any) -> list[Any]:
    return [opened, *(values or (5.0, 6.0, 4.0, 5.5, 10.0))]


@given(rows(), st.randoms(use_true_random=False))
def test_good_rows_in_any_order_and_number_are_the_candles_by_time(good: list[list[float]], random: Any) -> None:
    repeated = good + random.sample(good, len(good) // 2)
    random.shuffle(repeated)

    found = bars(repeated, MINUTE, LATEST)

    assert [[opened, *values] for opened, values in found.items()] == good
    assert as_bars(as_candles(found, MINUTE)) == found


@given(rows().filter(len), st.data())
def test_one_row_that_is_no_candle_refuses_the_whole_answer(good: list[list[float]], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(good) - 1))
    column = data.draw(st.integers(0, 5))
    wrong = data.draw(st.sampled_from([None, "5", math.nan, math.inf, -1.5, True, [], {}]))
    bad = [[*one[:column], wrong, *one[column + 1 :]] if n == at else one for n, one in enumerate(good)]

    with pytest.raises(BadAnswerError):
        bars(bad, MINUTE, LATEST)


@pytest.mark.parametrize(
    ("one", "fault"),
    [
        (None, "not a candle of six"),
        ("soon", "not a candle of six"),
        ([MINUTE, 1, 2], "not a candle of six"),
        (row(None), "open time is None"),
        (row(1.5), "open time is 1.5"),
        (row(MINUTE + 1), "whole multiple of its 60000 ms"),
        (row(LATEST + MINUTE), "opens in the future"),
        (row(MINUTE, 5.0, 4.9, 4.0, 4.5, 1.0), "contradicts"),
        (row(MINUTE, 5.0, 6.0, 4.6, 4.5, 1.0), "contradicts"),
        (row(MINUTE, 5.0, 6.0, 0.0, 4.5, 1.0), "not positive"),
        (row(MINUTE, 5.0, 6.0, 4.0, 4.5, -1.0), "negative volume"),
        (row(MINUTE, 5.0, 6.0, 4.0, None, 1.0), "no numbers"),
    ],
)
def test_the_fault_is_named(one: Any, fault: str) -> None:
    with pytest.raises(BadAnswerError, match=fault):
        bars([row(0), one], MINUTE, LATEST)


@pytest.mark.parametrize("content", [None, "soon", {"code": 1}, 5])
def test_what_is_no_list_is_no_candles(content: object) -> None:
    with pytest.raises(BadAnswerError, match="candles were asked for"):
        bars(content, MINUTE, LATEST)


def test_only_rows_that_are_wrong_by_themselves_are_named_to_be_left_out() -> None:
    spoilt = [row(0), row(MINUTE, None, 1, 1, 1, 1), row(2 * MINUTE, 1, 1, 1, -1, 1)]

    with pytest.raises(BadAnswerError) as values:
        bars(spoilt, MINUTE, LATEST)
    with pytest.raises(BadAnswerError) as structure:
        bars([*spoilt, "soon"], MINUTE, LATEST)

    assert values.value.rows == {MINUTE, 2 * MINUTE}
    assert structure.value.rows == frozenset()
    assert list(bars(spoilt, MINUTE, LATEST, {MINUTE, 2 * MINUTE})) == [0]


def test_whole_numbers_are_prices_too_and_a_bar_of_one_price_is_a_candle() -> None:
    assert bars([[0, 5, 5, 5, 5, 0]], MINUTE, LATEST) == {0: (5.0, 5.0, 5.0, 5.0, 0.0)}
    assert bars([], MINUTE, LATEST) == {}
    assert bars([row(float(MINUTE))], MINUTE, LATEST) == {MINUTE: (5.0, 6.0, 4.0, 5.5, 10.0)}


@pytest.mark.parametrize(
    "content", [[[1, 2]], [{"time": 1}], {"data": [[1, 2]]}, {"t": [1], "o": ["2"]}, [], {"a": []}]
)
def test_json_that_may_hold_candles(content: object) -> None:
    assert can_hold_candles(content)


@pytest.mark.parametrize("content", [None, 5, "x", {}, {"msg": "no"}, [None], ["x"], [[None, 1]], {"a": {"b": 1}}])
def test_json_that_holds_no_candles(content: object) -> None:
    assert not can_hold_candles(content)


def test_fine_candles_are_gathered_and_what_is_not_over_is_left_out() -> None:
    fine = {n * MINUTE: (1.0 + n, 3.0 + n, 0.5 + n, 2.0 + n, 1.0) for n in (0, 1, 2, 4, 5, 6)}

    coarse = gathered(fine, MINUTE, 3 * MINUTE)

    assert coarse == {0: (1.0, 5.0, 0.5, 4.0, 3.0), 3 * MINUTE: (5.0, 8.0, 4.5, 7.0, 2.0)}
    assert gathered(fine, MINUTE, MINUTE) == fine
    assert gathered({}, MINUTE, 3 * MINUTE) == {}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "30"}, 30.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"Retry-After": format_datetime(NOW + timedelta(seconds=90), usegmt=True)}, 90.0),
        ({"Retry-After": format_datetime(NOW - timedelta(seconds=90), usegmt=True)}, 0.0),
        ({"Retry-After": "999999999999"}, LONGEST_WAIT_SECONDS),
        ({"Retry-After": "Mon, 02 Mar 2099 12:00:00 GMT"}, LONGEST_WAIT_SECONDS),
        ({"Retry-After": "-3"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "in a while"}, None),
        ({"Retry-After": ""}, None),
        ({"Date": "Mon, 02 Mar 2026 12:00:00 GMT"}, None),
        ({}, None),
    ],
)
def test_how_long_to_wait_is_read_from_seconds_and_dates(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_seconds(headers, NOW) == seconds


def test_the_date_of_an_answer_is_read_to_the_second() -> None:
    assert date_ms({"date": "Mon, 02 Mar 2026 12:00:00 GMT"}) == int(NOW.timestamp() * 1_000)
    assert date_ms({"Date": "Mon, 02 Mar 2026 12:00:00"}) == int(NOW.timestamp() * 1_000)
    assert date_ms({"Date": "today"}) is None
    assert date_ms({"Date": "Mon, 99 Mar 2026 12:00:00 GMT"}) is None
    assert date_ms({}) is None


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("binance GET http://h/api?x=1 503 Busy <html><title>Wait</title><p>b</p></html>"), "503 Busy Wait"),
        (ValueError('binance {"code":-1121,"msg":"Invalid symbol."}'), '{"code":-1121,"msg":"Invalid symbol."}'),
        (ValueError("binance GET https://h/x"), "ValueError"),
        (TypeError(), "TypeError"),
    ],
)
def test_what_went_wrong_is_said_without_addresses_and_markup(error: Exception, words: str) -> None:
    assert in_words("binance", error) == words


def test_a_long_story_is_cut_and_a_cause_is_told_where_the_error_says_nothing() -> None:
    error = RuntimeError("binance GET http://h/x")
    error.__cause__ = OSError("Connect call failed")

    assert in_words("binance", error) == "Connect call failed"
    assert len(in_words("binance", ValueError("long " * 500))) == WORDS


@given(st.text(max_size=100))
def test_words_hold_nothing_that_steers_a_terminal_or_turns_text_around(text: str) -> None:
    words = in_words("binance", ValueError(text))

    assert words
    assert all(unicodedata.category(letter) not in ("Cc", "Cf") for letter in words)


def test_words_keep_what_can_be_read_between_control_characters() -> None:
    told = "binance GET http://h/x 503 \x1b]0;pwn\x07\x1b[2J\u202e<b>Sorry,\u200b</b>\n\x9bwe are\tback soon\ufeff"

    assert in_words("binance", ValueError(told)) == "503 ]0;pwn[2J Sorry, we are back soon"
