"""Where candles of the past give a sample: a whole window before, the next candle's open, a price at the horizon."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from ai_engine.candles import Candles, timeframe_ms
from ai_engine.features.catalogue import WINDOW
from ai_engine.types import FloatArray, TimeArray
from backend.clock import from_ms

ROWS_PER_HORIZON = 4
MAX_HOLE_CANDLES = 12
"""A window across a longer hole is left out: what it calls neighbours were strangers."""
BATCH = 1_000
REASONS = ("too_little_history", "across_a_hole", "no_next_candle", "no_price")
NEVER = np.iinfo(np.int64).max

Mask = NDArray[np.bool_]
Index = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Terms:
    """The strategy's own terms, on which the rows are computed; ``market`` is what it has, or would begin with."""

    strategy: str
    market: str
    exists: bool
    timeframe: str
    horizon_candles: int
    sides: str

    @property
    def timeframe_ms(self) -> int:
        """One candle."""
        return timeframe_ms(self.timeframe)

    @property
    def horizon_ms(self) -> int:
        """From the decision to the price that its forward return is read at."""
        return self.horizon_candles * self.timeframe_ms

    @property
    def usual_stride(self) -> int:
        """A quarter of the horizon: neighbours closer than that share nearly all of their outcome."""
        return max(1, self.horizon_candles // ROWS_PER_HORIZON)


@dataclass(frozen=True, slots=True)
class Places:
    """Where one symbol's candles give a row: the window's last candle, its reference price, the horizon's price."""

    candles: Candles
    ends: Index
    references: FloatArray
    prices: FloatArray
    priced_at: TimeArray

    @property
    def times(self) -> TimeArray:
        """When each decision would have been made, in ms."""
        return self.candles.close_time[self.ends]

    def part(self, chosen: Mask | Index) -> "Places":
        """Some of the places, of the same candles."""
        columns = ("ends", "references", "prices", "priced_at")
        return replace(self, **{name: getattr(self, name)[chosen] for name in columns})


@dataclass(frozen=True, slots=True)
class Plan:
    """The rows to come, by symbol, and how many places were left out for which reason."""

    places: dict[str, Places]
    left_out: dict[str, int]

    def __len__(self) -> int:
        return sum(len(one.ends) for one in self.places.values())

    @property
    def span(self) -> tuple[datetime, datetime]:
        """The first and the last time of decision; there must be one."""
        times = [one.times for one in self.places.values() if len(one.ends)]
        return from_ms(min(part[0] for part in times)), from_ms(max(part[-1] for part in times))

    def batches(self, size: int = BATCH) -> Iterator[dict[str, Places]]:
        """The rows in the order of time, all symbols of one time side by side, ``size`` at a time."""
        symbols = sorted(self.places)
        times = np.concatenate([self.places[name].times for name in symbols] or [np.empty(0, np.int64)])
        owner = np.repeat(np.arange(len(symbols)), [len(self.places[name].ends) for name in symbols])
        own = np.concatenate([np.arange(len(self.places[name].ends)) for name in symbols] or [np.empty(0, np.intp)])
        order = np.lexsort((owner, times))
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            yield {
                name: self.places[name].part(own[chosen[owner[chosen] == number]])
                for number, name in enumerate(symbols)
                if (owner[chosen] == number).any()
            }


def plan_of(candles: Mapping[str, Candles], terms: Terms, stride: int) -> Plan:
    """The rows that the candles can give: every ``stride``-th candle on a grid that all symbols share."""
    places, left_out = {}, dict.fromkeys(REASONS, 0)
    for symbol, series in sorted(candles.items()):
        places[symbol], counts = _places(series, terms, stride)
        left_out = {reason: left_out[reason] + counts[reason] for reason in left_out}
    return Plan(places, left_out)


def _places(candles: Candles, terms: Terms, stride: int) -> tuple[Places, dict[str, int]]:
    closes, length = candles.close_time, candles.timeframe_ms
    ends = np.flatnonzero(closes // length % stride == 0)
    due = closes[ends] + terms.horizon_ms
    after, at = ends + 1, np.searchsorted(closes, due)
    opened = np.append(candles.open_time, NEVER)
    closed = np.append(closes, NEVER)
    holes = np.cumsum(np.diff(candles.open_time, prepend=candles.open_time[:1]) > (MAX_HOLE_CANDLES + 1) * length)
    first = np.maximum(ends - WINDOW + 1, 0)
    faults = (
        ends < WINDOW - 1,
        holes[ends] > holes[first],
        opened[after] > closes[ends] + length,
        closed[at] > due + length,
    )
    counts, usable = {}, np.ones(len(ends), dtype=np.bool_)
    for reason, bad in zip(REASONS, faults, strict=True):
        counts[reason] = int((usable & bad).sum())
        usable &= ~bad
    ends, after, at = ends[usable], after[usable], at[usable]
    return Places(candles, ends, candles.open[after], candles.close[at], closes[at]), counts
