"""The last 500 candles before each decision as matrices without scale: all that a feature may look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import talib

from ai_engine.candles import Candles
from ai_engine.types import FloatArray, IndexArray, TimeArray

WINDOW = 500
"""Candles a feature is a function of."""

FARTHEST_PRICE = 1e6
"""Prices are held within this factor of the window's last close, so that every feature stays finite."""

SMALLEST_DENOMINATOR = 1e-12
"""Denominators up to this are rounding, not movement: the feature takes its neutral value."""


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """``m`` windows of 500 candles, each seen from its own last candle.

    Parameters
    ----------
    open, high, low, close
        float64, shape (m, 500): prices divided by the window's last close, which is therefore 1.
    volume
        float64, shape (m, 500): volumes divided by the window's mean volume; zeros where nothing was traded at all.
    returns
        float64, shape (m, 500): natural logarithm of close over the close before; the first column is 0.
    true_range
        float64, shape (m, 500): the larger of high and previous close less the smaller of low and previous close.
    close_time, missing
        int64, shape (m,), milliseconds in UTC; and shape (m, 500), candles missing before each candle.
    """

    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    returns: FloatArray
    true_range: FloatArray
    close_time: TimeArray
    missing: TimeArray


def windows_at(candles: Candles, ends: IndexArray) -> Windows:
    """Cut the windows whose last candles stand at ``ends``, each of which must be at least 499."""

    def cut(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.lib.stride_tricks.sliding_window_view(column, WINDOW)[ends - WINDOW + 1]

    last = candles.close[ends][:, None]
    open_, high, low, close = (
        _held(cut(column), last) for column in (candles.open, candles.high, candles.low, candles.close)
    )
    previous = np.concatenate([close[:, :1], close[:, :-1]], axis=1)
    open_time = cut(candles.open_time)
    return Windows(
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=_relative_volume(cut(candles.volume)),
        returns=np.log(close / previous),
        true_range=np.maximum(high, previous) - np.minimum(low, previous),
        close_time=open_time[:, -1] + candles.timeframe_ms,
        missing=np.diff(open_time, axis=1, prepend=open_time[:, :1] - candles.timeframe_ms) // candles.timeframe_ms - 1,
    )


def _held(prices: FloatArray, last: FloatArray) -> FloatArray:
    """Divide by the last close, within the farthest factor: beyond it only overflow would be learned."""
    with np.errstate(over="ignore"):
        return np.clip(prices / last, 1 / FARTHEST_PRICE, FARTHEST_PRICE)


def _relative_volume(volume: FloatArray) -> FloatArray:
    """Divide by the largest first: the sum of volumes near the end of float64 would overflow."""
    largest = volume.max(axis=1, keepdims=True)
    share = np.divide(volume, largest, out=np.zeros_like(volume), where=largest > 0)
    mean = share.mean(axis=1, keepdims=True)
    return np.divide(share, mean, out=share, where=mean > 0)


def ratio(numerator: FloatArray, denominator: FloatArray, neutral: float = 0.0) -> FloatArray:
    """Divide; where the denominator is rounding or negative, the answer is ``neutral``."""
    answer = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), neutral)
    return np.divide(numerator, denominator, out=answer, where=denominator > SMALLEST_DENOMINATOR)


def log_ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Return ln(numerator / denominator), 0 where either is rounding or negative."""
    known = (numerator > SMALLEST_DENOMINATOR) & (denominator > SMALLEST_DENOMINATOR)
    return np.log(np.where(known, numerator, 1.0)) - np.log(np.where(known, denominator, 1.0))


def correlation(left: FloatArray, right: FloatArray) -> FloatArray:
    """Return Pearson's correlation along the last axis, 0 where either side is constant."""
    left = left - left.mean(axis=-1, keepdims=True)
    right = right - right.mean(axis=-1, keepdims=True)
    scale = left.std(axis=-1) * right.std(axis=-1)
    return ratio((left * right).mean(axis=-1), scale)


def indicator(function: Callable[..., Any], *columns: FloatArray, ago: int = 0, **options: int) -> FloatArray:
    """Run a TA-Lib function over each window and keep its value ``ago`` candles before the last."""
    return np.array([function(*rows, **options)[-1 - ago] for rows in zip(*columns, strict=True)], dtype=np.float64)


def ema(windows: Windows, period: int, ago: int = 0) -> FloatArray:
    """Return TA-Lib's exponential mean of the close, shape (m,)."""
    return indicator(talib.EMA, windows.close, ago=ago, timeperiod=period)


def atr(windows: Windows, period: int) -> FloatArray:
    """Return TA-Lib's average true range as a fraction of the last close, shape (m,)."""
    return indicator(talib.ATR, windows.high, windows.low, windows.close, timeperiod=period)


def close_location(windows: Windows) -> FloatArray:
    """Return where each candle closed in its range, -1 at the low and 1 at the high, shape (m, 500)."""
    return ratio(2 * windows.close - windows.high - windows.low, windows.high - windows.low)
