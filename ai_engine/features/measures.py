"""The few measures that features are made of, each defined where its denominator vanishes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ai_engine.features.windows import WINDOW, Windows
from ai_engine.types import FloatArray

SMALLEST_DENOMINATOR = 1e-12
"""Denominators up to this are rounding, not movement: the feature takes its neutral value."""

SAME = 1e-9
"""Values this close, relatively, are one value, so that rounding never moves a rank."""


def mean(columns: FloatArray, count: int = WINDOW) -> FloatArray:
    """Return the mean of the last ``count`` columns, shape (m,)."""
    answer: FloatArray = columns[:, -count:].mean(axis=1)
    return answer


def total(columns: FloatArray, count: int = WINDOW) -> FloatArray:
    """Return the sum of the last ``count`` columns, shape (m,)."""
    answer: FloatArray = columns[:, -count:].sum(axis=1)
    return answer


def deviation(columns: FloatArray, count: int = WINDOW) -> FloatArray:
    """Return the standard deviation of the last ``count`` columns, shape (m,)."""
    answer: FloatArray = columns[:, -count:].std(axis=1)
    return answer


def highest(columns: FloatArray, count: int = WINDOW) -> FloatArray:
    """Return the largest of the last ``count`` columns, shape (m,)."""
    answer: FloatArray = columns[:, -count:].max(axis=1)
    return answer


def lowest(columns: FloatArray, count: int = WINDOW) -> FloatArray:
    """Return the smallest of the last ``count`` columns, shape (m,)."""
    answer: FloatArray = columns[:, -count:].min(axis=1)
    return answer


def ratio(numerator: FloatArray, denominator: FloatArray, neutral: float = 0.0) -> FloatArray:
    """Divide; where the denominator is rounding or negative, the answer is ``neutral``."""
    answer = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), neutral)
    np.divide(numerator, denominator, out=answer, where=denominator > SMALLEST_DENOMINATOR)
    return answer


def log_ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Return ln(numerator / denominator), 0 where either is rounding or negative."""
    known = (numerator > SMALLEST_DENOMINATOR) & (denominator > SMALLEST_DENOMINATOR)
    return np.log(np.where(known, numerator, 1.0)) - np.log(np.where(known, denominator, 1.0))


def standardized(columns: FloatArray) -> FloatArray:
    """Return each row less its mean, over its standard deviation; zeros where it is constant."""
    return ratio(columns - mean(columns)[:, None], deviation(columns)[:, None])


def correlation(left: FloatArray, right: FloatArray) -> FloatArray:
    """Return Pearson's correlation of each row of one with that of the other, 0 where either is constant."""
    return mean(standardized(left) * standardized(right))


def sign(changes: FloatArray) -> FloatArray:
    """Return +1, -1 or 0 for changes of prices near 1; steps of one tick that differ by rounding count as equal."""
    return np.sign(np.where(np.abs(changes) > SAME, changes, 0.0))


def rank(now: FloatArray, before: FloatArray) -> FloatArray:
    """Return the share of ``before``, shape (m, k), that is smaller than ``now``, shape (m,); equal ones half."""
    value = now[:, None]
    margin = SAME * value + SMALLEST_DENOMINATOR
    smaller, larger = before < value - margin, before > value + margin
    return (1 + mean(smaller.astype(np.float64)) - mean(larger.astype(np.float64))) / 2


def ta_lib() -> Any:
    """Return TA-Lib, loaded when first asked: it brings pandas with it, half a second that only features are worth."""
    import talib

    return talib


def indicator(function: Callable[..., Any], *columns: FloatArray, ago: int = 0, **options: int) -> FloatArray:
    """Run a TA-Lib function over each window and keep its value ``ago`` candles before the last."""
    return np.array([function(*rows, **options)[-1 - ago] for rows in zip(*columns, strict=True)], dtype=np.float64)


def ema(windows: Windows, period: int, ago: int = 0) -> FloatArray:
    """Return TA-Lib's exponential mean of the close, shape (m,)."""
    return indicator(ta_lib().EMA, windows.close, ago=ago, timeperiod=period)


def atr(windows: Windows, period: int) -> FloatArray:
    """Return TA-Lib's average true range as a fraction of the last close, shape (m,)."""
    return indicator(ta_lib().ATR, windows.high, windows.low, windows.close, timeperiod=period)


def directions(windows: Windows, count: int) -> FloatArray:
    """Return +1, -1 or 0 for each of the last ``count`` closes against the one before, shape (m, count)."""
    return np.sign(np.diff(windows.close[:, -count - 1 :], axis=1))


def typical_price(windows: Windows, count: int) -> FloatArray:
    """Return (high + low + close) / 3 of the last ``count`` candles, shape (m, count)."""
    return (windows.high[:, -count:] + windows.low[:, -count:] + windows.close[:, -count:]) / 3


def close_location(windows: Windows, count: int) -> FloatArray:
    """Return where each of the last ``count`` candles closed, -1 at its low and 1 at its high, shape (m, count)."""
    high, low = windows.high[:, -count:], windows.low[:, -count:]
    return ratio(2 * windows.close[:, -count:] - high - low, high - low)
