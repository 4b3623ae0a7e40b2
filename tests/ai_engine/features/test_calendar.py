"""Calendar features against the standard library's calendar."""

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_engine.candles import Candles
from ai_engine.features import calendar
from ai_engine.features.catalogue import FEATURE_NAMES
from ai_engine.features.compute import compute

Oracle = Callable[[Candles], float]


def closed_at(candles: Candles) -> datetime:
    return datetime.fromtimestamp(int(candles.close_time[-1]) / 1_000, UTC)


def share_of_hour(when: datetime) -> float:
    return (when.minute * 60 + when.second) / 3_600


def share_of_day(when: datetime) -> float:
    return (when.hour + share_of_hour(when)) / 24


def share_of_week(when: datetime) -> float:
    return (when.weekday() + share_of_day(when)) / 7


def circle(turn: Callable[[float], float], share: Callable[[datetime], float]) -> Oracle:
    return lambda candles: turn(2 * math.pi * share(closed_at(candles)))


def weekend(candles: Candles) -> float:
    return float(closed_at(candles).strftime("%A") in {"Saturday", "Sunday"})


def gap_share_100(candles: Candles) -> float:
    first, last = int(candles.open_time[-101]), int(candles.open_time[-1])
    expected = (last - first) // candles.timeframe_ms
    return (expected - 100) / expected


def last_gap(candles: Candles) -> float:
    return math.log((candles.open_time[-1] - candles.open_time[-2]) / candles.timeframe_ms)


ORACLES: dict[str, Oracle] = {
    "minute_sin": circle(math.sin, share_of_hour),
    "minute_cos": circle(math.cos, share_of_hour),
    "hour_sin": circle(math.sin, share_of_day),
    "hour_cos": circle(math.cos, share_of_day),
    "weekday_sin": circle(math.sin, share_of_week),
    "weekday_cos": circle(math.cos, share_of_week),
    "weekend": weekend,
    "gap_share_100": gap_share_100,
    "last_gap": last_gap,
}


@pytest.mark.parametrize("name", [feature.name for feature in calendar.FEATURES])
def test_a_calendar_feature_is_its_formula(name: str, agrees: Callable[[str, Oracle], None]) -> None:
    agrees(name, ORACLES[name])


@given(days=st.integers(0, 20_000), candle=st.integers(0, 287))
def test_any_moment_is_read_as_the_standard_library_reads_it(days: int, candle: int, make_still) -> None:
    series = make_still(500)
    moment = datetime(1975, 1, 1, tzinfo=UTC) + timedelta(days=days, minutes=5 * candle)
    shift = int(moment.timestamp() * 1_000) - int(series.close_time[-1])
    moved = replace(series, open_time=series.open_time + shift)

    row = dict(zip(FEATURE_NAMES, compute(moved).tolist(), strict=True))

    for name, oracle in ORACLES.items():
        assert row[name] == pytest.approx(oracle(moved), abs=1e-6)


def test_midnight_between_sunday_and_monday_is_the_top_of_every_circle(make_still) -> None:
    series = make_still(500)
    monday = int(datetime(2026, 3, 9, tzinfo=UTC).timestamp() * 1_000)
    moved = replace(series, open_time=series.open_time + monday - series.close_time[-1])

    row = dict(zip(FEATURE_NAMES, compute(moved).tolist(), strict=True))

    for name in ("minute", "hour", "weekday"):
        assert (row[f"{name}_sin"], row[f"{name}_cos"]) == pytest.approx((0.0, 1.0), abs=1e-6)
    assert row["weekend"] == 0.0


def test_a_gap_is_counted_before_its_candle_only(make_still) -> None:
    series = make_still(500)
    late = np.arange(500) >= 499
    gapped = replace(series, open_time=series.open_time + late * 3 * series.timeframe_ms)

    row = dict(zip(FEATURE_NAMES, compute(gapped).tolist(), strict=True))

    assert row["last_gap"] == pytest.approx(math.log(4))
    assert row["gap_share_100"] == pytest.approx(3 / 103)
