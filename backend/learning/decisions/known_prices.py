"""Prices told for a row against the candles known for the time: far from all of them, and it is held.

Nothing is judged where no candle is known. A candle that arrives later judges too: ``judge_around`` for those that
came at once or late, ``judge_held`` for rows that wait for the candle in which they were left.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session, defer, lazyload

from backend.learning.decisions.plausibility import (
    PRICE_FAR_FROM_CANDLES,
    PRICE_RULES,
    TRADE_FAR_FROM_CANDLES,
    hold_if_alike,
    judge_returns,
    keep_out,
    let_in,
)
from backend.learning.decisions.prices import LATER_DECISION, posted_market
from backend.learning.decisions.strategies import horizon_of, timeframe_of
from backend.models import AITrainingSample, Candle, Fill, Strategy

TOLERANCE = 0.10
RANGES = 2.0
MOST_AT_ONCE = 1_000
SPAN_CANDLES = 500


@dataclass(frozen=True, slots=True)
class Told:
    """A price that somebody told for a moment."""

    symbol: str
    at: datetime
    price: float


class CandleRanges:
    """Lows and highs of the candles around some moments, from every market that prices the strategy."""

    def __init__(self, session: Session, strategy: Strategy, markets: Sequence[str]) -> None:
        self._session = session
        self._timeframe, self._length = strategy.timeframe, timeframe_of(strategy)
        self._markets = tuple(dict.fromkeys((*markets, posted_market(strategy.name))))
        self._bars: dict[str, list[tuple[datetime, float, float]]] = {}

    def load(self, told: Iterable[Told]) -> None:
        """Read the candles around each price: one query a run of moments, none for a symbol without candles."""
        moments: dict[str, list[datetime]] = defaultdict(list)
        for one in told:
            moments[one.symbol].append(one.at)
        for symbol in sorted(moments):
            if self._has_any(symbol):
                spans = self._spans(sorted(moments[symbol]))
                self._bars[symbol] = sorted(bar for span in spans for bar in self._read(symbol, *span))

    def is_far(self, told: Told) -> bool:
        """Whether the price lies outside the candle of its time and both beside it, widened on either side.

        By a tenth: exchanges and quote currencies differ by less, a wrong symbol or a slipped point by more. And by
        twice what these candles moved: where prices jump, a bot's clock and the candle's edge matter more.
        """
        bars = self._bars.get(told.symbol, [])
        first = bisect_right(bars, told.at - 2 * self._length, key=lambda bar: bar[0])
        last = bisect_right(bars, told.at + self._length, key=lambda bar: bar[0])
        if first == last:
            return False
        low, high = min(bar[1] for bar in bars[first:last]), max(bar[2] for bar in bars[first:last])
        moved = RANGES * (high - low)
        return not low * (1 - TOLERANCE) - moved <= told.price <= high * (1 + TOLERANCE) + moved

    def _spans(self, moments: list[datetime]) -> Iterable[tuple[datetime, datetime]]:
        """First and last of the moments that lie close enough together for one query."""
        start = 0
        while start < len(moments):
            end = bisect_left(moments, moments[start] + SPAN_CANDLES * self._length)
            end = max(end, start + 1)
            yield moments[start], moments[end - 1]
            start = end

    def _read(self, symbol: str, first: datetime, last: datetime) -> Iterable[tuple[datetime, float, float]]:
        query = select(Candle.open_time, Candle.low, Candle.high).where(
            Candle.market.in_(self._markets),
            Candle.symbol == symbol,
            Candle.timeframe == self._timeframe,
            Candle.open_time > first - 2 * self._length,
            Candle.open_time <= last + self._length,
        )
        return [(opened, low, high) for opened, low, high in self._session.execute(query)]

    def _has_any(self, symbol: str) -> bool:
        query = select(Candle.symbol).where(
            Candle.market.in_(self._markets), Candle.symbol == symbol, Candle.timeframe == self._timeframe
        )
        return self._session.scalar(query.limit(1)) is not None


def judge_prices(
    session: Session, strategy: Strategy, markets: Sequence[str], rows: Sequence[AITrainingSample]
) -> None:
    """Hold the rows of which somebody told a price far from the candles; let in those whose prices are near."""
    traded, measured = _told_of_trades(session, rows), {row.id: _told_of_forecast(row) for row in rows}
    ranges = CandleRanges(session, strategy, markets)
    ranges.load(one for told in (measured, traded) for some in told.values() for one in some)
    for row in rows:
        for rule, told in ((PRICE_FAR_FROM_CANDLES, measured), (TRADE_FAR_FROM_CANDLES, traded)):
            if any(ranges.is_far(one) for one in told[row.id]):
                keep_out(row, rule)
            elif row.quarantine_reason == rule:
                let_in(row, rule)
                judge_returns(row)
                hold_if_alike(session, row)


def told_by_others(rows: Iterable[AITrainingSample]) -> list[AITrainingSample]:
    """The rows whose prices were told to us; those of the built-in trader are the candles' own."""
    return [row for row in rows if row.body_hash is not None or row.quarantine_reason in PRICE_RULES]


def rows_around(
    session: Session, strategy: Strategy, symbol: str, first: datetime, last: datetime
) -> list[AITrainingSample]:
    """Rows decided, left or at their horizon when candles that closed within ``[first, last]`` are around them."""
    row, length, horizon = AITrainingSample, timeframe_of(strategy), horizon_of(strategy)
    since, until = first - 2 * length, last + length
    query = _judged(strategy).where(
        row.symbol == symbol,
        or_(
            row.timestamp.between(since, until),
            row.timestamp.between(since - horizon - length, until - horizon),
            row.exit_time.between(since, until),
        ),
    )
    return list(session.scalars(query))


def rows_held(session: Session, strategy: Strategy, since: datetime) -> list[AITrainingSample]:
    """Rows that wait for the candle in which they were left, or for one beside it."""
    row = AITrainingSample
    held = (row.quarantine_reason.in_(PRICE_RULES), row.quarantine_decision.is_(None))
    query = _judged(strategy).where(*held, row.exit_time >= since)
    return list(session.scalars(query.limit(MOST_AT_ONCE)))


def _judged(strategy: Strategy) -> Select[AITrainingSample]:
    row = AITrainingSample
    return (
        select(row).where(row.strategy == strategy.name).options(lazyload(row.feature_schema), defer(row.features_blob))
    )


def _told_of_forecast(row: AITrainingSample) -> list[Told]:
    """What its forecast is measured by: the reference price, and the later decision's price at the horizon."""
    prices: list[tuple[float | None, datetime | None]] = [(row.price, row.timestamp)]
    if row.price is not None and row.forward_return is not None and row.forward_return_source == LATER_DECISION:
        prices.append((row.price * (1 + row.forward_return), row.forward_price_at))
    return _at_times(row, prices)


def _at_times(row: AITrainingSample, prices: Iterable[tuple[float | None, datetime | None]]) -> list[Told]:
    return [Told(row.symbol, at, price) for price, at in prices if price is not None and at is not None]


def _told_of_trades(session: Session, rows: Sequence[AITrainingSample]) -> dict[int, list[Told]]:
    """What was told of each row's trade: its fills; an imported trade has none, and tells both legs."""
    told: dict[int, list[Told]] = {row.id: [] for row in rows}
    symbols = {row.id: row.symbol for row in rows}
    for fill in _fills(session, list(told)):
        told[fill.sample_id].append(Told(symbols[fill.sample_id], fill.filled_at, fill.price))
    for row in rows:
        if not told[row.id]:
            told[row.id] = _at_times(row, ((row.entry_price, row.entry_time), (row.exit_price, row.exit_time)))
    return told


def _fills(session: Session, ids: Sequence[int]) -> Iterable[Fill]:
    for start in range(0, len(ids), MOST_AT_ONCE):
        yield from session.scalars(select(Fill).where(Fill.sample_id.in_(ids[start : start + MOST_AT_ONCE])))
