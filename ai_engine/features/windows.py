"""The last 500 candles before each decision as matrices without scale: all that a feature may look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ai_engine.candles import Candles
from ai_engine.types import FloatArray, IndexArray, TimeArray

Scalar = TypeVar("Scalar", bound=np.generic)

WINDOW = 500
"""Candles a feature is a function of."""

FARTHEST_PRICE = 1e6
"""Prices are held within this factor of the window's last close, so that every feature stays finite."""


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

    def cut(column: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
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
        held: FloatArray = np.clip(prices / last, 1 / FARTHEST_PRICE, FARTHEST_PRICE)
    return held


def _relative_volume(volume: FloatArray) -> FloatArray:
    """Divide by the largest first: the sum of volumes near the end of float64 would overflow."""
    largest = volume.max(axis=1, keepdims=True)
    relative = np.zeros_like(volume)
    np.divide(volume, largest, out=relative, where=largest > 0)
    mean = relative.mean(axis=1, keepdims=True)
    np.divide(relative, mean, out=relative, where=mean > 0)
    return relative
