"""Raw columns become candles; fine candles become coarse ones."""

import gzip
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_engine.candles import COLUMNS, REASONS, Candles, clean, resample, timeframe_ms

MINUTE = 60_000
FIVE = 5 * MINUTE

Row = tuple[int, float, float, float, float, float]


def columns(rows: Sequence[Sequence[float]]) -> dict[str, list[float]]:
    """Turn rows of open_time, open, high, low, close, volume into columns."""
    return {name: [row[position] for row in rows] for position, name in enumerate(COLUMNS)}


def as_rows(candles: Candles) -> list[tuple[float, ...]]:
    return list(zip(*(getattr(candles, name).tolist() for name in COLUMNS), strict=True))


def candle(minute: int, price: float = 100.0, volume: float = 1.0) -> Row:
    return (minute * MINUTE, price, price + 1, price - 1, price + 0.5, volume)


def read(path: Path) -> dict[str, np.ndarray]:
    with gzip.open(path, "rt") as lines:
        table = np.loadtxt(lines, delimiter=",", usecols=range(6))
    return {name: table[:, position] for position, name in enumerate(COLUMNS)}


@st.composite
def good_rows(draw: st.DrawFn) -> list[Row]:
    """Valid minute candles with gaps, oldest first."""
    minutes = sorted(draw(st.sets(st.integers(0, 40), min_size=0, max_size=25)))
    rows = []
    for minute in minutes:
        open_, close = draw(st.floats(0.5, 50)), draw(st.floats(0.5, 50))
        high, low = max(open_, close) * draw(st.floats(1, 2)), min(open_, close) * draw(st.floats(0.5, 1))
        rows.append((minute * MINUTE, open_, high, low, close, float(draw(st.integers(0, 9)))))
    return rows


def test_a_candle_closes_a_timeframe_after_it_opens() -> None:
    candles, _ = clean(columns([candle(0), candle(1)]), MINUTE)

    assert candles.close_time.tolist() == [MINUTE, 2 * MINUTE]


@pytest.mark.parametrize(
    ("text", "expected"), [("1m", 60_000), ("15m", 900_000), ("1h", 3_600_000), ("1d", 86_400_000)]
)
def test_a_timeframe_is_a_number_and_a_unit(text: str, expected: int) -> None:
    assert timeframe_ms(text) == expected


@pytest.mark.parametrize("text", ["", "5", "m", "0m", "-1m", "5 m", "5M", "1.5h", "5m ", "١m", "99999m"])
def test_another_timeframe_is_refused_with_the_way_to_write_it(text: str) -> None:
    with pytest.raises(ValueError, match="write a number and s, m, h or d"):
        timeframe_ms(text)


@given(rows=good_rows(), seed=st.randoms(use_true_random=False))
def test_cleaning_sorts_and_keeps_every_good_row(rows: list[Row], seed) -> None:
    shuffled = list(rows)
    seed.shuffle(shuffled)

    candles, dropped = clean(columns(shuffled), MINUTE)

    assert as_rows(candles) == rows
    assert dropped == dict.fromkeys(REASONS, 0)


@given(rows=good_rows(), seed=st.randoms(use_true_random=False))
def test_cleaning_twice_changes_nothing(rows: list[Row], seed) -> None:
    doubled = rows + rows
    seed.shuffle(doubled)

    once, dropped = clean(columns(doubled), MINUTE)
    twice, dropped_again = clean({name: getattr(once, name) for name in COLUMNS}, MINUTE)

    assert as_rows(once) == as_rows(twice) == rows
    assert dropped["repeated_time"] == len(rows)
    assert sum(dropped_again.values()) == 0


BAD = {
    "not_finite": [(MINUTE, math.nan, 2, 1, 1, 1), (MINUTE, 1, math.inf, 1, 1, 1), (math.nan, 1, 1, 1, 1, 1)],
    "price_not_positive": [(MINUTE, 0, 1, 0, 1, 1), (MINUTE, 1, 1, -1, 1, 1)],
    "high_low_contradiction": [(MINUTE, 3, 2, 1, 1, 1), (MINUTE, 2, 3, 2.5, 3, 1), (MINUTE, 1, 1, 2, 1, 1)],
    "negative_volume": [(MINUTE, 1, 1, 1, 1, -0.1)],
    "off_grid": [(MINUTE + 1, 1, 1, 1, 1, 1), (MINUTE / 2, 1, 1, 1, 1, 1)],
}


@pytest.mark.parametrize(("reason", "row"), [(reason, row) for reason, rows in BAD.items() for row in rows])
def test_a_bad_row_is_dropped_and_counted_under_its_reason(reason: str, row: Row) -> None:
    candles, dropped = clean(columns([candle(0), row, candle(5)]), MINUTE)

    assert candles.open_time.tolist() == [0, 5 * MINUTE]
    assert dropped == dict.fromkeys(REASONS, 0) | {reason: 1}


def test_a_row_with_several_faults_counts_once() -> None:
    _, dropped = clean(columns([(1, math.nan, -1, 5, 1, -1)]), MINUTE)

    assert sum(dropped.values()) == dropped["not_finite"] == 1


def test_of_two_rows_with_one_time_the_first_good_one_stays() -> None:
    broken = (0, math.nan, 1, 1, 1, 1)

    candles, dropped = clean(columns([broken, candle(0, price=7.0), candle(0, price=9.0)]), MINUTE)

    assert candles.open.tolist() == [7.0]
    assert (dropped["not_finite"], dropped["repeated_time"]) == (1, 1)


def test_microseconds_become_milliseconds_row_by_row() -> None:
    start = 1_735_689_600_000
    rows = [(start, 1, 1, 1, 1, 1), ((start + MINUTE) * 1_000, 1, 1, 1, 1, 1)]

    candles, dropped = clean(columns(rows), MINUTE)

    assert candles.open_time.tolist() == [start, start + MINUTE]
    assert sum(dropped.values()) == 0


def test_no_rows_make_no_candles() -> None:
    candles, dropped = clean(columns([]), MINUTE)

    assert len(candles) == 0
    assert sum(dropped.values()) == 0


def test_missing_and_uneven_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="missing: volume"):
        clean({name: [1.0] for name in COLUMNS if name != "volume"}, MINUTE)
    with pytest.raises(ValueError, match="one length"):
        clean(columns([candle(0)]) | {"close": [1.0, 2.0]}, MINUTE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"open_time": [0, 0]}, "open_time must increase"),
        ({"open_time": [MINUTE, 0]}, "open_time must increase"),
        ({"open_time": [0, MINUTE - 1]}, "open_time must increase"),
        ({"close": [1.0, math.nan]}, "close must be finite and positive"),
        ({"low": [0.0, 1.0]}, "low must be finite and positive"),
        ({"volume": [1.0, -1.0]}, "volume must be finite and not negative"),
        ({"volume": [1.0]}, "one length"),
        ({"timeframe_ms": 0}, "timeframe_ms must be positive"),
    ],
)
def test_columns_that_are_no_candles_cannot_be_built(change: dict[str, object], message: str) -> None:
    sound = columns([candle(0), candle(1)]) | {"timeframe_ms": MINUTE}

    with pytest.raises(ValueError, match=message):
        Candles(**(sound | change))


@given(rows=good_rows(), count=st.integers(0, 30), at=st.integers(-1, 45))
def test_tail_and_upto_are_what_a_list_says(rows: list[Row], count: int, at: int) -> None:
    candles, _ = clean(columns(rows), MINUTE)

    assert as_rows(candles.tail(count)) == (rows[-count:] if count else [])
    assert as_rows(candles.upto(at * MINUTE)) == [row for row in rows if row[0] + MINUTE <= at * MINUTE]


@given(rows=good_rows(), cut=st.integers(0, 25))
def test_a_series_cut_in_two_and_appended_is_the_series(rows: list[Row], cut: int) -> None:
    before, _ = clean(columns(rows[:cut]), MINUTE)
    after, _ = clean(columns(rows[cut:]), MINUTE)

    assert as_rows(before.append(after)) == rows


def test_only_later_candles_of_one_timeframe_can_be_appended() -> None:
    first, _ = clean(columns([candle(0), candle(5)]), MINUTE)
    coarse, _ = clean(columns([candle(10)]), FIVE)

    with pytest.raises(ValueError, match="open_time must increase"):
        first.append(first)
    with pytest.raises(ValueError, match="Cannot append 300000 ms candles to 60000 ms"):
        first.append(coarse)


def gathered(rows: list[Row], timeframe: int) -> list[tuple[float, ...]]:
    """Gather rows by plain dictionaries: the independent way."""
    buckets: dict[int, list[Row]] = {}
    for row in rows:
        buckets.setdefault(row[0] // timeframe * timeframe, []).append(row)
    newest = max((row[0] + MINUTE for row in rows), default=0)
    return [
        (
            start,
            held[0][1],
            max(row[2] for row in held),
            min(row[3] for row in held),
            held[-1][4],
            sum(row[5] for row in held),
        )
        for start, held in sorted(buckets.items())
        if start + timeframe <= newest
    ]


@given(rows=good_rows(), factor=st.integers(1, 7))
def test_resampling_is_what_dictionaries_say(rows: list[Row], factor: int) -> None:
    candles, _ = clean(columns(rows), MINUTE)

    coarse = resample(candles, factor * MINUTE)

    assert as_rows(coarse) == gathered(rows, factor * MINUTE)
    assert coarse.timeframe_ms == factor * MINUTE


@given(rows=good_rows(), cut=st.integers(0, 25))
def test_later_candles_never_change_a_coarse_candle_given_before(rows: list[Row], cut: int) -> None:
    known_then = as_rows(resample(clean(columns(rows[:cut]), MINUTE)[0], FIVE))
    known_later = as_rows(resample(clean(columns(rows), MINUTE)[0], FIVE))

    assert known_later[: len(known_then)] == known_then


def test_the_last_bucket_waits_for_its_end() -> None:
    minutes = [candle(minute) for minute in range(9)]

    unfinished = resample(clean(columns(minutes), MINUTE)[0], FIVE)
    finished = resample(clean(columns([*minutes, candle(9)]), MINUTE)[0], FIVE)

    assert unfinished.open_time.tolist() == [0]
    assert finished.open_time.tolist() == [0, FIVE]


def test_one_fine_candle_is_enough_and_none_leaves_a_gap() -> None:
    coarse = resample(clean(columns([candle(2), candle(14)]), MINUTE)[0], FIVE)

    assert coarse.open_time.tolist() == [0, 2 * FIVE]


def test_buckets_follow_the_epochs_grid() -> None:
    minutes = [candle(minute) for minute in range(3, 10)]

    coarse = resample(clean(columns(minutes), MINUTE)[0], FIVE)

    assert coarse.open_time.tolist() == [0, FIVE]


def test_resampling_needs_a_whole_multiple() -> None:
    candles, _ = clean(columns([candle(0)]), MINUTE)

    for wrong in (90_000, MINUTE // 2):
        with pytest.raises(ValueError, match="not a whole multiple"):
            resample(candles, wrong)


@pytest.mark.market_data
def test_two_downloads_appended_become_one_series(market_data: Path) -> None:
    candles, dropped = clean(read(market_data / "awkward" / "BTCUSDT-1h-overlap.csv.gz"), timeframe_ms("1h"))

    assert dropped == dict.fromkeys(REASONS, 0) | {"repeated_time": 2_703}
    assert len(candles) == 7_815 - 2_703
    assert set(np.diff(candles.open_time).tolist()) == {timeframe_ms("1h")}


@pytest.mark.market_data
def test_minutes_without_a_trade_stay_gaps_and_gather_into_five_minutes(market_data: Path) -> None:
    minutes, dropped = clean(read(market_data / "binance-spot" / "XRPETH-1m.csv.gz"), MINUTE)

    coarse = resample(minutes, FIVE)

    assert sum(dropped.values()) == 0
    assert int((np.diff(minutes.open_time) > MINUTE).sum()) == 676
    assert as_rows(coarse) == [
        pytest.approx(row, rel=1e-12) for row in gathered([tuple(row) for row in as_rows(minutes)], FIVE)
    ]
