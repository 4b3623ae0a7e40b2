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
    EXTERNAL,
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
from backend.trading.feed_state import STALE
from backend.trading.late import append_late
from backend.trading.markets import is_exchange

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
        If the strategy belongs to another market or to a bot, or has another timeframe than the feed.
    FeedUnavailableError
        If the market cannot be asked for its history now.
    """
    after, market, terms = context.database.write(_open, context)
    windows = context.database.read(windows_of, context.feed, market, after)
    fetched = {symbol: context.feed.history(symbol, after, WINDOW) for symbol in _lacking(context.feed, windows)}
    if any(len(candles) for candles in fetched.values()):
        settings, now = context.settings, context.clock()
        context.database.write(append_late, context.feed, market, fetched, settings=settings, now=now)
        windows = context.database.read(windows_of, context.feed, market, after)
    return Resumed(after, market, terms, windows)


def _lacking(feed: Feed, windows: dict[str, Candles]) -> list[str]:
    """Whose history to fetch: of an exchange everybody's, since what came late while nobody listened is missing too."""
    return [symbol for symbol, window in windows.items() if len(window) < WINDOW or is_exchange(feed.source)]


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
    elif row.state != STALE:
        row.state = "warming" if row.market_time is None else "running"
        row.updated_at, row.detail = now, None
    row.clock_offset_seconds = feed.clock_offset_seconds
    if row.market_time is None:
        row.market_time = feed.start - length
    terms = Terms(
        fee_rate=settings.fee_rate,
        slippage_bps=settings.slippage_bps,
        timeframe=length,
        horizon_candles=strategy.horizon_candles,
        sides=strategy.sides,
    )
    return row.market_time, _market(strategy, feed), terms


def _market(strategy: Strategy, feed: Feed) -> str:
    """The market under which the candles are stored: a strategy that a bot began has none of its own."""
    return feed_market(strategy) if strategy.market in CLOSED_MARKETS else feed.source


def check_strategy(session: Session, name: str, market: str, timeframe: str) -> None:
    """Refuse a trader whose settings contradict what its strategy began with.

    Raises
    ------
    ConflictError
        If the strategy belongs to another market, or to a bot with features of its own, or has another timeframe than
        the market is read at.
    """
    strategy = find_strategy(session, name)
    if strategy is None:
        return
    if strategy.market != market and not (strategy.market == EXTERNAL and is_exchange(market)):
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
    schema = session.get(FeatureSchema, strategy.feature_schema_id) if strategy.feature_schema_id else None
    if strategy.market == EXTERNAL and schema is not None and tuple(schema.names) != FEATURE_NAMES:
        raise ConflictError(
            f"Strategy {name} belongs to a bot, whose features are not the built-in trader's. Give the trader a"
            " strategy of another name: QT_STRATEGY.",
            reason="feature_names_mismatch",
        )


def _admit(session: Session, strategy: Strategy, now: datetime) -> None:
    """The catalogue's names are the strategy's schema; a catalogue that has grown is admitted, audited."""
    known = session.get(FeatureSchema, strategy.feature_schema_id) if strategy.feature_schema_id else None
    if known is None:
        ensure_schema(session, strategy, FEATURE_NAMES, now=now)
    elif tuple(known.names) != FEATURE_NAMES:
        admit_schema(session, strategy, FEATURE_NAMES, now, ACTOR)


def windows_of(session: Session, feed: Feed, market: str, until: datetime) -> dict[str, Candles]:
    """The last stored candles of each of the feed's symbols that had closed by ``until``."""
    return {symbol: store.window(session, market, symbol, feed.timeframe, until, WINDOW) for symbol in feed.symbols}
