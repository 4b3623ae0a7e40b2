"""Prices around a horizon, whoever told them: the feed's candles, posted candles, later posted decisions.

The earliest price of the span counts, and the order above decides between prices of one time. That makes the
outcome a function of the set of prices, not of the order in which they arrived.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.learning.decisions.strategies import CLOSED_MARKETS, EXTERNAL, timeframe_of
from backend.market.candles import open_at
from backend.models import AITrainingSample, Candle, Strategy
from backend.settings import Settings

FEED_CANDLE, POSTED_CANDLE, LATER_DECISION = "candles", "posted", "decision"


@dataclass(frozen=True, slots=True, order=True)
class Quote:
    """A price with its time; ``rank`` orders the sources of one time."""

    at: datetime
    rank: int
    price: float
    source: str


def posted_market(strategy: str) -> str:
    """The market under which a bot's own candles are stored."""
    return f"posted:{strategy}"


def feed_market(strategy: Strategy) -> str:
    """The market under which the built-in trader's candles are stored for the strategy.

    Replayed candles are each strategy's own: two sets of files may tell different prices of one symbol.
    """
    return f"replay:{strategy.name}" if strategy.market == "replay" else strategy.market


def markets_of(strategy: Strategy, settings: Settings) -> tuple[str, ...]:
    """The feeds whose candles are prices for the strategy; a simulated or replayed one only for its own."""
    if strategy.market in CLOSED_MARKETS:
        return (feed_market(strategy),)
    named = (strategy.market, settings.market)
    return tuple(dict.fromkeys(name for name in named if name not in {EXTERNAL, "off", *CLOSED_MARKETS}))


class HorizonPrices:
    """Every known price of some symbols of one strategy within a span of time."""

    def __init__(self, session: Session, strategy: Strategy, markets: Sequence[str]) -> None:
        self._session = session
        self._strategy = strategy
        self._timeframe = timeframe_of(strategy)
        self._markets = tuple(dict.fromkeys((*markets, posted_market(strategy.name))))
        self._quotes: dict[str, list[Quote]] = {}

    def load(self, symbols: Iterable[str], first: datetime, last: datetime) -> None:
        """Read the prices dated within ``[first, last]``."""
        names = sorted(set(symbols))
        self._quotes = {symbol: [] for symbol in names}
        for symbol, quote in (*self._candles(names, first, last), *self._decisions(names, first, last)):
            self._quotes[symbol].append(quote)
        for quotes in self._quotes.values():
            quotes.sort()

    def at_horizon(self, symbol: str, horizon_at: datetime) -> Quote | None:
        """The earliest price from the horizon to one timeframe after it, both included."""
        quotes = self._quotes[symbol]
        index = bisect_left(quotes, horizon_at, key=lambda quote: quote.at)
        if index == len(quotes) or quotes[index].at > horizon_at + self._timeframe:
            return None
        return quotes[index]

    def reference(self, symbol: str, timestamp: datetime) -> float | None:
        """The open of the first candle that opens from the decision to one timeframe after it."""
        for market in self._markets:
            timeframe = self._strategy.timeframe
            found = open_at(self._session, market, symbol, timeframe, timestamp, self._timeframe)
            if found is not None:
                return found[0]
        return None

    def _candles(self, symbols: list[str], first: datetime, last: datetime) -> Iterable[tuple[str, Quote]]:
        length, own = self._timeframe, posted_market(self._strategy.name)
        query = select(Candle.market, Candle.symbol, Candle.open_time, Candle.close).where(
            Candle.market.in_(self._markets),
            Candle.symbol.in_(symbols),
            Candle.timeframe == self._strategy.timeframe,
            Candle.open_time.between(first - length, last - length),
        )
        for market, symbol, opened, close in self._session.execute(query):
            source = POSTED_CANDLE if market == own else FEED_CANDLE
            yield symbol, Quote(opened + length, self._markets.index(market), close, source)

    def _decisions(self, symbols: list[str], first: datetime, last: datetime) -> Iterable[tuple[str, Quote]]:
        row = AITrainingSample
        query = select(row.symbol, row.timestamp, row.price).where(
            row.strategy == self._strategy.name,
            row.symbol.in_(symbols),
            row.timestamp.between(first, last),
            row.price.is_not(None),
            row.body_hash.is_not(None),
            row.origin == "decision",
        )
        rank = len(self._markets)
        for symbol, timestamp, price in self._session.execute(query):
            yield symbol, Quote(timestamp, rank, float(price or 0.0), LATER_DECISION)
