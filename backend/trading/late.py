"""Candles that came after their round had been taken: stored, priced with and left by, never decided on."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from ai_engine.candles import Candles
from backend.clock import from_ms
from backend.learning.decisions.prices import markets_of
from backend.learning.decisions.settle import PriceSpan, Settling, settle_candles
from backend.learning.evidence.status import stale_after
from backend.market import candles as store
from backend.market.feed import CandleRound, Feed
from backend.models import Strategy
from backend.settings import Settings
from backend.trading.broker import PaperBroker
from backend.trading.context import Terms, TraderContext


def append_late(
    session: Session, feed: Feed, market: str, late: Mapping[str, Candles], *, settings: Settings, now: datetime
) -> dict[str, Candles]:
    """Store what is not known yet and settle every row that it prices; the candles that were new."""
    new = {symbol: _new(session, feed, market, symbol, some) for symbol, some in late.items()}
    new = {symbol: some for symbol, some in new.items() if len(some)}
    for symbol, some in new.items():
        store.append(session, market, symbol, feed.timeframe, some)
    spans = [_span(symbol, some) for symbol, some in new.items()]
    for strategy in session.scalars(select(Strategy).order_by(Strategy.name)).all() if spans else ():
        markets = markets_of(strategy, settings)
        if market in markets:
            settle_candles(session, Settling(strategy, settings, markets, now), spans)
    return new


@dataclass(frozen=True, slots=True)
class Place:
    """Where a trader stands: what it works with, the market its candles are stored under, and its terms."""

    context: TraderContext
    market: str
    terms: Terms


def take_late(session: Session, place: Place, late: Mapping[str, Candles]) -> int:
    """Store late candles and end positions inside those that are new; how many these were."""
    context, now = place.context, place.context.clock()
    if context.guard is not None:
        context.guard(session)
    new = append_late(session, context.feed, place.market, late, settings=context.settings, now=now)
    leave_by(PaperBroker(session, session.get_one(Strategy, context.strategy), place.terms, now), new)
    return sum(map(len, new.values()))


def dark_symbols(session: Session, feed: Feed, market: str, one: CandleRound) -> tuple[str, ...]:
    """The market's symbols that have told no candle for longer than a market may be silent."""
    missing = [symbol for symbol in feed.symbols if symbol not in one.candles]
    newest = {symbol: store.last_close_time(session, market, feed.timeframe, [symbol]) for symbol in missing}
    silent = stale_after(feed.timeframe)
    return tuple(symbol for symbol, last in newest.items() if last is None or one.close_time - last > silent)


def leave_by(broker: PaperBroker, new: Mapping[str, Candles]) -> None:
    """End positions inside candles that came late, as the round would have that was taken without them."""
    for symbol, some in new.items():
        columns = (some.open, some.high, some.low, some.close, some.volume)
        for opened, *bar in zip(some.open_time.tolist(), *(column.tolist() for column in columns), strict=True):
            broker.leave_late(symbol, from_ms(opened), (bar[0], bar[1], bar[2], bar[3], bar[4]))


def _new(session: Session, feed: Feed, market: str, symbol: str, late: Candles) -> Candles:
    """Those of the candles that the store lacks."""
    if len(late) == 0:
        return late
    span = (int(late.open_time[-1]) - int(late.open_time[0])) // late.timeframe_ms + 1
    until = from_ms(late.close_time[-1])
    stored = store.window(session, market, symbol, feed.timeframe, until, span).open_time
    keep = ~np.isin(late.open_time, stored)
    return Candles(
        open_time=late.open_time[keep],
        open=late.open[keep],
        high=late.high[keep],
        low=late.low[keep],
        close=late.close[keep],
        volume=late.volume[keep],
        timeframe_ms=late.timeframe_ms,
    )


def _span(symbol: str, candles: Candles) -> PriceSpan:
    return PriceSpan(symbol, from_ms(candles.open_time[0]), from_ms(candles.close_time[-1]))
