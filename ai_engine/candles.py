"""Candles as numpy columns: UTC milliseconds, strictly increasing, closed, finite. Gaps stay gaps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ai_engine.types import FloatArray, IndexArray, TimeArray

BoolArray = npt.NDArray[np.bool_]

UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
PRICES = ("open", "high", "low", "close")
COLUMNS = ("open_time", *PRICES, "volume")
MICROSECONDS_FROM = 1e14
"""Open times above this are microseconds: as milliseconds they would lie beyond the year 5100."""

REASONS = (
    "not_finite",
    "price_not_positive",
    "high_low_contradiction",
    "negative_volume",
    "off_grid",
    "repeated_time",
)


@dataclass(frozen=True, slots=True, eq=False)
class Candles:
    """One symbol's closed candles, oldest first.

    Parameters
    ----------
    open_time
        int64, shape (n,): milliseconds since 1970 in UTC, each at least a timeframe after the one before.
    open, high, low, close
        float64, shape (n,): quote currency per unit of base currency; finite and positive.
    volume
        float64, shape (n,): base currency traded; finite and not negative.
    timeframe_ms
        Duration of one candle in milliseconds.

    Raises
    ------
    ValueError
        If the columns break one of these rules; :func:`clean` makes columns that keep them.

    Examples
    --------
    >>> one = Candles([0, 60_000], [1, 2], [3, 3], [1, 1], [2, 1], [5, 0], timeframe_ms=60_000)
    >>> len(one), one.close_time.tolist()
    (2, [60000, 120000])
    """

    open_time: TimeArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    timeframe_ms: int

    def __post_init__(self) -> None:
        """Take lists and other number types as columns, and refuse what is not candles."""
        object.__setattr__(self, "open_time", np.ascontiguousarray(self.open_time, dtype=np.int64))
        for name in (*PRICES, "volume"):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=np.float64))
        if self.timeframe_ms <= 0:
            raise ValueError(f"timeframe_ms must be positive, not {self.timeframe_ms}.")
        if len({getattr(self, name).shape for name in COLUMNS}) != 1 or self.open_time.ndim != 1:
            raise ValueError("All columns of candles must be one-dimensional and of one length.")
        if not (np.diff(self.open_time) >= self.timeframe_ms).all():
            raise ValueError("open_time must increase by a timeframe or more; clean() sorts and drops repeats.")
        for name in PRICES:
            column = getattr(self, name)
            if not ((column > 0) & np.isfinite(column)).all():
                raise ValueError(f"{name} must be finite and positive; clean() drops other rows.")
        if not ((self.volume >= 0) & np.isfinite(self.volume)).all():
            raise ValueError("volume must be finite and not negative; clean() drops other rows.")

    def __len__(self) -> int:
        return len(self.open_time)

    @property
    def close_time(self) -> TimeArray:
        """When each candle closed: its open time plus the timeframe, in milliseconds."""
        return self.open_time + self.timeframe_ms

    def rows(self, index: slice | IndexArray | BoolArray) -> Candles:
        """Return the candles at ``index``, which must keep their order."""
        return replace(self, **{name: getattr(self, name)[index] for name in COLUMNS})

    def tail(self, count: int) -> Candles:
        """Return the newest ``count`` candles, or all where there are fewer."""
        return self.rows(slice(max(0, len(self) - count), None))

    def upto(self, close_time_ms: int) -> Candles:
        """Return the candles that had closed at ``close_time_ms``."""
        return self.rows(slice(0, int(np.searchsorted(self.close_time, close_time_ms, side="right"))))

    def append(self, other: Candles) -> Candles:
        """Return these candles followed by ``other``, which must be later and of the same timeframe."""
        if other.timeframe_ms != self.timeframe_ms:
            raise ValueError(f"Cannot append {other.timeframe_ms} ms candles to {self.timeframe_ms} ms candles.")
        both: dict[str, Any] = {name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in COLUMNS}
        return replace(self, **both)


def timeframe_ms(text: str) -> int:
    """Return the milliseconds of a timeframe such as ``5m``.

    Raises
    ------
    ValueError
        If ``text`` is not a whole positive number followed by ``s``, ``m``, ``h`` or ``d``.

    Examples
    --------
    >>> timeframe_ms("5m"), timeframe_ms("1d")
    (300000, 86400000)
    """
    match = re.fullmatch(r"([1-9][0-9]{0,3})([smhd])", text)
    if match is None:
        raise ValueError(f"{text!r} is not a timeframe; write a number and s, m, h or d, such as 1m, 5m, 1h, 1d.")
    return int(match[1]) * UNIT_MS[match[2]]


def clean(columns: Mapping[str, npt.ArrayLike], timeframe_ms: int) -> tuple[Candles, dict[str, int]]:
    """Make candles of raw columns: sorted by time, one row a time, bad rows dropped and counted.

    Open times in microseconds become milliseconds. Of several good rows with one time the first as given stays.

    Parameters
    ----------
    columns
        ``open_time, open, high, low, close, volume``, each of shape (n,), in any order of rows; others are ignored.
    timeframe_ms
        Duration of one candle; open times must be multiples of it, counted from 1970 in UTC.

    Returns
    -------
    tuple[Candles, dict[str, int]]
        The candles, and how many rows each reason of :data:`REASONS` dropped (zeros included; the first that applies).

    Raises
    ------
    ValueError
        If a column is missing or the columns differ in length.

    Examples
    --------
    >>> raw = {"open_time": [60_000, 0, 0], "open": [2, 1, 1], "high": [2, 1, 1], "low": [2, 1, 1]}
    >>> candles, dropped = clean(raw | {"close": [2, 1, 1], "volume": [0, 4, 4]}, timeframe_ms=60_000)
    >>> candles.close.tolist(), dropped["repeated_time"]
    ([1.0, 2.0], 1)
    """
    if missing := [name for name in COLUMNS if name not in columns]:
        raise ValueError(f"Candles need the columns {', '.join(COLUMNS)}; missing: {', '.join(missing)}.")
    raw = {name: np.asarray(columns[name], dtype=np.float64) for name in COLUMNS}
    if len({column.shape for column in raw.values()}) != 1 or raw["open_time"].ndim != 1:
        raise ValueError("All columns of candles must be one-dimensional and of one length.")
    time = raw["open_time"]
    raw["open_time"] = np.where(time > MICROSECONDS_FROM, np.floor(time / 1_000), time)
    counts: dict[str, int] = {}
    keep = np.ones(len(time), dtype=np.bool_)
    for reason, bad in _faults(raw, timeframe_ms).items():
        counts[reason] = int((keep & bad).sum())
        keep &= ~bad
    kept = {name: column[keep] for name, column in raw.items()}
    times, first = np.unique(kept["open_time"].astype(np.int64), return_index=True)
    counts["repeated_time"] = len(kept["open_time"]) - len(times)
    open_, high, low, close, volume = (kept[name][first] for name in (*PRICES, "volume"))
    return Candles(times, open_, high, low, close, volume, timeframe_ms), counts


def _faults(raw: Mapping[str, FloatArray], timeframe_ms: int) -> dict[str, BoolArray]:
    """Mark the rows that each reason drops; the reasons in the order of :data:`REASONS`."""
    finite = np.logical_and.reduce([np.isfinite(column) for column in raw.values()])
    known = {name: np.where(finite, column, 1.0) for name, column in raw.items()}
    prices = np.stack([known[name] for name in PRICES])
    return {
        "not_finite": ~finite,
        "price_not_positive": (prices <= 0).any(axis=0),
        "high_low_contradiction": (known["high"] < prices.max(axis=0)) | (known["low"] > prices.min(axis=0)),
        "negative_volume": known["volume"] < 0,
        "off_grid": known["open_time"] % timeframe_ms != 0,
    }


def resample(candles: Candles, timeframe_ms: int) -> Candles:
    """Gather fine candles into coarse ones on the epoch's UTC grid: first open, highest high, lowest low,
    last close, summed volume.

    A bucket without any fine candle stays a gap. The last bucket is kept only when it is over, that is when a
    candle closes at its end; so a later call with more candles never changes a candle given before.

    Parameters
    ----------
    candles
        Fine candles.
    timeframe_ms
        Coarse duration: a whole multiple of the fine one.

    Raises
    ------
    ValueError
        If ``timeframe_ms`` is not a multiple of the candles' timeframe.

    Examples
    --------
    >>> minutes = Candles([0, 60_000, 120_000], [1, 2, 3], [4, 5, 6], [1, 1, 1], [2, 3, 4], [1, 1, 1], 60_000)
    >>> pair = resample(minutes, 120_000)
    >>> pair.open.tolist(), pair.high.tolist(), pair.close.tolist(), pair.volume.tolist()
    ([1.0], [5.0], [3.0], [2.0])
    """
    if timeframe_ms % candles.timeframe_ms:
        raise ValueError(
            f"Candles of {candles.timeframe_ms} ms cannot be gathered into {timeframe_ms} ms: not a whole multiple."
        )
    if timeframe_ms == candles.timeframe_ms:
        return candles
    bucket = candles.open_time - candles.open_time % timeframe_ms
    over = bucket + timeframe_ms <= candles.close_time.max(initial=0)
    candles, bucket = candles.rows(over), bucket[over]
    times, first = np.unique(bucket, return_index=True)
    last = np.searchsorted(bucket, times, side="right") - 1
    return Candles(
        open_time=times,
        open=candles.open[first],
        high=np.maximum.reduceat(candles.high, first),
        low=np.minimum.reduceat(candles.low, first),
        close=candles.close[last],
        volume=np.add.reduceat(candles.volume, first),
        timeframe_ms=timeframe_ms,
    )
