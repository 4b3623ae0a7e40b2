"""No feature sees the future: each is recomputed on history cut at its candle, and a planted leak is caught."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from ai_engine.candles import Candles
from ai_engine.features.catalogue import CATALOGUE, FEATURE_NAMES, WINDOW
from ai_engine.features.compute import compute, compute_history

History = Callable[[Candles, npt.NDArray[np.int64]], npt.NDArray[np.float32]]

SATURDAY = 1_772_841_600_000
"""2026-03-07 00:00 UTC."""

CUTS = 48
"""Candles in a row at which history is cut: enough for a feature that seldom changes to change."""


def seeing_the_future(history: History, candles: Candles, ends: npt.NDArray[np.int64]) -> set[str]:
    """Name the features whose value at a candle depends on what came after it.

    Row t of the full series must be the last row of the series that ends at t, and the row of the bare window.
    """
    full = history(candles, ends)
    guilty = np.zeros(full.shape[1], dtype=bool)
    for row, end in zip(full, ends, strict=True):
        known_then = candles.rows(slice(0, int(end) + 1))
        window = known_then.tail(WINDOW)
        for other in (history(known_then, np.array([end]))[0], history(window, np.array([WINDOW - 1]))[0]):
            guilty |= ~np.isclose(row, other, rtol=1e-6, atol=1e-6)
    return {name for name, leaks in zip(FEATURE_NAMES, guilty, strict=True) if leaks}


def remembering(history: History) -> History:
    """Answer what was asked before from memory: the series of one test differ in where they begin and end."""
    known: dict[tuple[int, int, bytes], npt.NDArray[np.float32]] = {}

    def answer(candles: Candles, ends: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        key = (int(candles.open_time[0]), int(candles.open_time[-1]), ends.tobytes())
        if key not in known:
            known[key] = history(candles, ends)
        return known[key]

    return answer


def leaking(history: History, column: int) -> History:
    """Plant a look-ahead of one candle in one feature: its column shifted by -1 wherever a later candle is known."""

    def answer(candles: Candles, ends: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        rows = history(candles, ends).copy()
        rows[:, column] = history(candles, np.minimum(ends + 1, len(candles) - 1))[:, column]
        return rows

    return answer


@pytest.fixture(scope="module")
def candles(make_walk: Callable[..., Candles]) -> Candles:
    """A walk with gaps and candles without volume, which crosses from Friday into Saturday among the cuts."""
    series = make_walk(900, seed=3)
    shift = SATURDAY - series.close_time[-CUTS // 2]
    return replace(series, open_time=series.open_time + shift)


@pytest.fixture(scope="module")
def ends(candles: Candles) -> npt.NDArray[np.int64]:
    return np.arange(len(candles) - CUTS - 1, len(candles) - 1)


@pytest.fixture(scope="module")
def history() -> History:
    return remembering(compute_history)


def test_no_feature_sees_the_future(history: History, candles: Candles, ends: npt.NDArray[np.int64]) -> None:
    assert seeing_the_future(history, candles, ends) == set()


@pytest.mark.parametrize("column", range(len(CATALOGUE)), ids=FEATURE_NAMES)
def test_a_look_ahead_of_one_candle_is_caught(
    column: int, history: History, candles: Candles, ends: npt.NDArray[np.int64]
) -> None:
    leaky = leaking(history, column)

    assert seeing_the_future(leaky, candles, ends) == {FEATURE_NAMES[column]}


def test_a_statistic_of_the_whole_series_is_caught(candles: Candles, ends: npt.NDArray[np.int64]) -> None:
    def standardized(series: Candles, at: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        rows = compute_history(series, at)
        rows[:, 0] /= series.close.std()
        return rows

    assert seeing_the_future(standardized, candles, ends[:3]) == {FEATURE_NAMES[0]}


def test_one_row_at_a_time_equals_the_whole_history(candles: Candles, ends: npt.NDArray[np.int64]) -> None:
    together = compute_history(candles, ends)

    one_by_one = [compute(candles.rows(slice(0, int(end) + 1))) for end in ends]

    np.testing.assert_allclose(together, one_by_one, rtol=1e-6, atol=1e-6)


def test_awkward_markets_do_not_make_a_feature_look_ahead(awkward_candles: Candles) -> None:
    ends = np.arange(len(awkward_candles) - 9, len(awkward_candles) - 1, 3)

    assert seeing_the_future(compute_history, awkward_candles, ends) == set()


@pytest.mark.market_data
@pytest.mark.parametrize(
    "name",
    [
        "binance-spot/SHIBUSDT-5m.csv.gz",
        "binance-spot/WBTCUSDT-5m.csv.gz",
        "binance-spot/XRPETH-1m.csv.gz",
        "binance-spot/ETHUSDT-1h-2020.csv.gz",
        "fx/EURUSD-1h.csv.gz",
    ],
)
def test_no_feature_sees_the_future_on_real_candles(name: str, real_candles: Callable[[str], Candles]) -> None:
    series = real_candles(name)
    ends = np.linspace(WINDOW - 1, len(series) - 2, 25).astype(np.int64)

    assert seeing_the_future(compute_history, series, ends) == set()
