"""The last candles of each symbol in memory, and the feature rows they give."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from ai_engine.candles import Candles
from ai_engine.features.catalogue import WINDOW
from ai_engine.features.compute import compute_history
from ai_engine.types import FeatureMatrix, FloatArray
from backend.clock import from_ms, to_ms
from backend.market.feed import Bar, CandleRound
from backend.trading.exits import VOLATILITY_CANDLES


@dataclass(frozen=True, slots=True)
class Seen:
    """One symbol at one closed candle: what a decision may look at."""

    symbol: str
    closed_at: datetime
    features: FeatureMatrix
    closes: FloatArray


@dataclass(frozen=True, slots=True)
class Look:
    """What one or more rounds showed: the observations in event order, and the windows they leave behind."""

    seen: list[list[Seen]]
    windows: dict[str, Candles]


def as_candles(bars: Sequence[Bar], open_times: Sequence[int], timeframe_ms: int) -> Candles:
    """Candles of one symbol from the bars of a few rounds."""
    columns = np.array(bars, dtype=np.float64).T
    times = np.array(open_times, dtype=np.int64)
    opened, high, low, close, volume = columns
    return Candles(times, opened, high, low, close, volume, timeframe_ms)


def look(windows: Mapping[str, Candles], rounds: Sequence[CandleRound], timeframe: timedelta) -> Look:
    """Append the rounds' candles to the windows and compute a feature row for each candle with enough history.

    ``windows`` is left as it was: whoever stores the rounds keeps the new ones when that has succeeded.
    """
    arrived = _by_symbol(rounds, timeframe // timedelta(milliseconds=1))
    extended = dict(windows)
    rows: dict[tuple[str, int], Seen] = {}
    for symbol, new in arrived.items():
        before = extended.get(symbol)
        series = new if before is None else before.append(new)
        for item in _observe(symbol, series, len(new)):
            rows[symbol, to_ms(item.closed_at)] = item
        extended[symbol] = series.tail(WINDOW)
    seen = [
        [rows[symbol, to_ms(one.close_time)] for symbol in one.candles if (symbol, to_ms(one.close_time)) in rows]
        for one in rounds
    ]
    return Look(seen, extended)


def _by_symbol(rounds: Sequence[CandleRound], timeframe_ms: int) -> dict[str, Candles]:
    bars: dict[str, list[Bar]] = {}
    times: dict[str, list[int]] = {}
    for one in rounds:
        opened = to_ms(one.close_time) - timeframe_ms
        for symbol, bar in one.candles.items():
            bars.setdefault(symbol, []).append(bar)
            times.setdefault(symbol, []).append(opened)
    return {symbol: as_candles(bars[symbol], times[symbol], timeframe_ms) for symbol in bars}


def _observe(symbol: str, series: Candles, arrived: int) -> list[Seen]:
    ends = np.arange(max(len(series) - arrived, WINDOW - 1), len(series), dtype=np.int64)
    if len(ends) == 0:
        return []
    rows = compute_history(series, ends)
    return [
        Seen(
            symbol,
            from_ms(series.close_time[end]),
            row,
            series.close[max(0, end - VOLATILITY_CANDLES) : end + 1],
        )
        for end, row in zip(ends, rows, strict=True)
    ]
