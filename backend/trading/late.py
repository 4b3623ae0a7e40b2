"""Candles that came after their round had been taken: stored, priced with and left by, never decided on."""

from collections.abc import Mapping
from datetime import datetime

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from ai_engine.candles import Candles
from backend.clock import from_ms
from backend.learning.decisions.prices import markets_of
from backend.learning.decisions.settle import PriceSpan, Settling, settle_candles
from backend.market import candles as store
from backend.market.feed import Feed
from backend.models import Strategy
from backend.settings import Settings
from backend.trading.broker import PaperBroker


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
