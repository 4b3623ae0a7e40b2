"""Where a trader goes on: its strategy, its schema, the last round it took, and its windows from the store."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from ai_engine.candles import Candles, timeframe_ms
from ai_engine.features.catalogue import FEATURE_NAMES, WINDOW
from backend.errors import ConflictError
from backend.learning.decisions.prices import feed_market
from backend.learning.decisions.strategies import (
    CLOSED_MARKETS,
    admit_schema,
    ensure_schema,
    ensure_strategy,
    find_strategy,
)
from backend.market import candles as store
from backend.market.feed import Feed
from backend.models import FeatureSchema, Strategy
from backend.models import Feed as FeedRow
from backend.trading.context import Terms, TraderContext

ACTOR = "trader"


@dataclass(frozen=True, slots=True)
class Resumed:
    """A trader's place: rounds that close after ``after`` are still to come."""

    after: datetime
    market: str
    terms: Terms
    windows: dict[str, Candles]


def resume(context: TraderContext) -> Resumed:
    """Begin the strategy where it is new, fetch the history that the store lacks, and load the windows.

    Raises
    ------
    ConflictError
        If the strategy belongs to another market, or has another timeframe than the feed.
    """
    after, market, terms = context.database.write(_open, context)
    windows = context.database.read(_windows, context.feed, market, after)
    lacking = [symbol for symbol, window in windows.items() if len(window) < WINDOW]
    fetched = {symbol: context.feed.history(symbol, after, WINDOW) for symbol in lacking}
    if any(len(candles) > len(windows[symbol]) for symbol, candles in fetched.items()):
        context.database.write(_append, context.feed, market, fetched)
        windows = context.database.read(_windows, context.feed, market, after)
    return Resumed(after, market, terms, windows)


def _open(session: Session, context: TraderContext) -> tuple[datetime, str, Terms]:
    feed, settings, now = context.feed, context.settings, context.clock()
    check_strategy(session, context.strategy, feed.source, feed.timeframe)
    strategy, _ = ensure_strategy(
        session, context.strategy, market=feed.source, settings=settings, now=now, actor=ACTOR
    )
    _admit(session, strategy, now)
    row = session.get(FeedRow, strategy.name)
    length = timedelta(milliseconds=timeframe_ms(feed.timeframe))
    if row is None:
        row = FeedRow(strategy=strategy.name, source=feed.source, state="warming", updated_at=now)
        session.add(row)
    else:
        row.state = "warming" if row.market_time is None else "running"
        row.updated_at, row.detail = now, None
    if row.market_time is None:
        row.market_time = feed.start - length
    terms = Terms(
        fee_rate=settings.fee_rate,
        slippage_bps=settings.slippage_bps,
        timeframe=length,
        horizon_candles=strategy.horizon_candles,
        sides=strategy.sides,
    )
    return row.market_time, feed_market(strategy), terms


def check_strategy(session: Session, name: str, market: str, timeframe: str) -> None:
    """Refuse a trader whose settings contradict what its strategy began with.

    Raises
    ------
    ConflictError
        If the strategy belongs to another market, or has another timeframe than the market is read at.
    """
    strategy = find_strategy(session, name)
    if strategy is None:
        return
    if strategy.market != market and CLOSED_MARKETS & {strategy.market, market}:
        raise ConflictError(
            f"Strategy {name} holds samples of market {strategy.market!r}, and the trader's market is {market!r}. Give"
            " the trader a strategy of another name (QT_STRATEGY, or --strategy of qt replay).",
            reason="market_mismatch",
        )
    if strategy.timeframe != timeframe:
        raise ConflictError(
            f"Strategy {name} decides on {strategy.timeframe} candles, fixed when it began; the market is read at"
            f" {timeframe}. Set QT_TIMEFRAME={strategy.timeframe}, or give QT_STRATEGY another name.",
            reason="timeframe_mismatch",
        )


def _admit(session: Session, strategy: Strategy, now: datetime) -> None:
    """The catalogue's names are the strategy's schema; a catalogue that has grown is admitted, audited."""
    known = session.get(FeatureSchema, strategy.feature_schema_id) if strategy.feature_schema_id else None
    if known is None:
        ensure_schema(session, strategy, FEATURE_NAMES, now=now)
    elif tuple(known.names) != FEATURE_NAMES:
        admit_schema(session, strategy, FEATURE_NAMES, now, ACTOR)


def _windows(session: Session, feed: Feed, market: str, until: datetime) -> dict[str, Candles]:
    return {symbol: store.window(session, market, symbol, feed.timeframe, until, WINDOW) for symbol in feed.symbols}


def _append(session: Session, feed: Feed, market: str, fetched: dict[str, Candles]) -> None:
    for symbol, candles in fetched.items():
        store.append(session, market, symbol, feed.timeframe, candles)
