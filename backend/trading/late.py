"""Candles that came after their round had been taken: stored and priced with, never decided on."""

from collections.abc import Mapping
from datetime import datetime

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


def append_late(
    session: Session, feed: Feed, market: str, late: Mapping[str, Candles], *, settings: Settings, now: datetime
) -> int:
    """Store what is not known yet and settle every row that it prices; how many candles were new."""
    new = {symbol: store.append(session, market, symbol, feed.timeframe, some) for symbol, some in late.items()}
    spans = [_span(symbol, late[symbol]) for symbol, count in new.items() if count]
    for strategy in session.scalars(select(Strategy).order_by(Strategy.name)).all() if spans else ():
        markets = markets_of(strategy, settings)
        if market in markets:
            settle_candles(session, Settling(strategy, settings, markets, now), spans)
    return sum(new.values())


def _span(symbol: str, candles: Candles) -> PriceSpan:
    return PriceSpan(symbol, from_ms(candles.open_time[0]), from_ms(candles.close_time[-1]))
