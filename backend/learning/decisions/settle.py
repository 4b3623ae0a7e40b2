"""What the market did after each decision: forward returns, and the outcome where nobody traded.

``settle_due`` sweeps rows whose horizon has passed; ``settle_prices`` reacts, in the transaction that stores a
price, to every row that it can settle or that it dates better. Imported rows are never touched.

A strategy that trades goes by its own market's time. The others whose prices are a market's candles go by that
market's time, each round (``settle_followers``); all that no running market prices go by the wall clock.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Exists, Select, and_, or_, select, tuple_
from sqlalchemy.orm import Session, defer, lazyload

from ai_engine import labels
from ai_engine.types import LabelSource
from backend.learning.decisions.counters import counted
from backend.learning.decisions.intervals import hold, learned
from backend.learning.decisions.known_prices import judge_prices, rows_around, rows_held, told_by_others
from backend.learning.decisions.labelling import Costs, computed, label_counterfactual
from backend.learning.decisions.plausibility import PRICE_RULES, RETURN_OUT_OF_BOUNDS, hold_if_alike, judge_returns
from backend.learning.decisions.prices import HorizonPrices, Quote, markets_of
from backend.learning.decisions.strategies import CLOSED_MARKETS, horizon_of, timeframe_of
from backend.models import AITrainingSample, Feed, Strategy
from backend.settings import Settings

UNOBSERVABLE = "unobservable"
CHUNK = 1_000
HELD_CANDLES, HELD_AT_LEAST = 3, timedelta(days=3)
AT_WORK = ("warming", "running", "stale")


@dataclass(frozen=True, slots=True)
class PriceSpan:
    """Prices of one symbol that were just stored, dated within ``[first, last]``."""

    symbol: str
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Settling:
    """On what terms a strategy's rows are settled; ``now`` is when the outcome is recorded."""

    strategy: Strategy
    costs: Costs
    markets: tuple[str, ...]
    now: datetime

    @property
    def round_trip(self) -> float:
        """The cost inside which a move counts as neutral."""
        return labels.round_trip_cost(self.costs.fee_rate, self.costs.slippage_bps)

    @property
    def timeframe(self) -> timedelta:
        """One candle of the strategy."""
        return timeframe_of(self.strategy)


def settle_due(
    session: Session,
    strategy: Strategy,
    *,
    market_time: datetime,
    costs: Costs,
    markets: Sequence[str],
    now: datetime | None = None,
) -> int:
    """Settle every row whose horizon has passed at ``market_time``; the number of rows that got their return.

    Rows for which no price came within the span are marked unobservable; one that comes later still settles them.
    ``now`` is when the outcome is recorded, ``market_time`` where left out.
    """
    hold(session, strategy)
    terms = Settling(strategy, costs, tuple(markets), now or market_time)
    _fill_between(session, terms, market_time - 2 * terms.timeframe, market_time)
    row, settled = AITrainingSample, 0
    query = _due(strategy, market_time).order_by(row.horizon_at, row.id).limit(CHUNK)
    rows = list(session.scalars(query))
    while rows:
        last = (rows[-1].horizon_at, rows[-1].id)
        settled += _settle(session, terms, rows, passed=market_time - terms.timeframe)
        rows = list(session.scalars(query.where(tuple_(row.horizon_at, row.id) > last))) if len(rows) == CHUNK else []
    _judge(session, terms, rows_held(session, strategy, market_time - HELD_CANDLES * terms.timeframe))
    return settled


def waiting_strategies(session: Session, now: datetime, *, market: str) -> list[str]:
    """Strategies with rows to settle that go by the wall clock; ``market`` is the one that runs here.

    A simulated or replayed market settles in its own time, also after a pause. Only where it runs no more, and no
    trader of the strategy will take it up again, nobody will ever price what is left.
    """
    left_over = and_(Strategy.market != market, ~_feed_of().exists())
    by_the_clock = or_(Strategy.market.not_in(CLOSED_MARKETS), left_over)
    query = select(Strategy.name).where(by_the_clock, _has_rows(AITrainingSample.horizon_at <= now))
    return list(session.scalars(query.order_by(Strategy.name)))


def settle_followers(
    session: Session, market: str, *, settings: Settings, market_time: datetime, costs: Costs, now: datetime
) -> int:
    """``settle_due`` for every strategy whose prices are the market's candles, but for those of traders at work."""
    row = AITrainingSample
    at_work = _feed_of().where(Feed.state.in_(AT_WORK)).exists()
    waiting = _has_rows(or_(row.horizon_at <= market_time, and_(row.price.is_(None), row.timestamp < market_time)))
    held = _holds_prices_since(market_time - HELD_AT_LEAST)
    settled = 0
    for strategy in session.scalars(select(Strategy).where(~at_work, or_(waiting, held)).order_by(Strategy.name)).all():
        markets = markets_of(strategy, settings)
        if market in markets:
            settled += settle_due(session, strategy, market_time=market_time, costs=costs, markets=markets, now=now)
    return settled


def settle_strategies(session: Session, names: Iterable[str], *, settings: Settings, now: datetime) -> int:
    """``settle_due`` for each of the strategies, by the wall clock, or by the running market's where that is behind.

    What a market has not come to yet it may still price: after an outage, or where its clock is behind ours.
    """
    feed = session.get(Feed, settings.strategy)
    settled = 0
    for strategy in [session.get_one(Strategy, name) for name in names]:
        markets, until = markets_of(strategy, settings), now
        if feed is not None and feed.source == settings.market in markets and feed.market_time is not None:
            until = min(now, feed.market_time)
        settled += settle_due(session, strategy, market_time=until, costs=settings, markets=markets, now=now)
    return settled


def settle_prices(session: Session, terms: Settling, spans: Iterable[PriceSpan]) -> int:
    """Settle every row that the newly stored prices settle, or date earlier than the price it was settled by."""
    row, horizon = AITrainingSample, horizon_of(terms.strategy)
    settled = 0
    for span in spans:
        query = _rows(terms.strategy).where(
            row.symbol == span.symbol,
            row.timestamp.between(span.first - terms.timeframe - horizon, span.last - horizon),
            or_(row.forward_price_at.is_(None), row.forward_price_at >= span.first),
        )
        settled += _settle(session, terms, list(session.scalars(query)), passed=None)
    return settled


def settle_candles(session: Session, terms: Settling, spans: Iterable[PriceSpan]) -> int:
    """``settle_prices`` for newly stored candles, whose opens are reference prices too."""
    hold(session, terms.strategy)
    told = list(spans)
    for span in told:
        _fill_between(session, terms, span.first - 2 * terms.timeframe, span.last)
    settled = settle_prices(session, terms, told)
    for span in told:
        _judge(session, terms, rows_around(session, terms.strategy, span.symbol, span.first, span.last))
    return settled


def settle_rows(session: Session, terms: Settling, rows: Sequence[AITrainingSample]) -> int:
    """Settle those of the rows whose price at the horizon was known before they were."""
    return _settle(session, terms, [row for row in rows if row.horizon_at <= terms.now], passed=None)


def _fill_between(session: Session, terms: Settling, since: datetime, until: datetime) -> None:
    """Give decisions made within ``[since, until]`` without a price the next candle's open, where it has arrived."""
    row = AITrainingSample
    query = _rows(terms.strategy).where(row.timestamp.between(since, until), row.price.is_(None))
    rows = list(session.scalars(query))
    _fill(session, terms, rows)
    settle_rows(session, terms, [one for one in rows if one.price is not None])


def _rows(strategy: Strategy) -> Select[AITrainingSample]:
    row = AITrainingSample
    own = select(row).where(row.strategy == strategy.name, row.origin == "decision")
    return own.options(lazyload(row.feature_schema), defer(row.features_blob))


def _due(strategy: Strategy, market_time: datetime) -> Select[AITrainingSample]:
    return _rows(strategy).where(AITrainingSample.horizon_at <= market_time, *_unsettled())


def _has_rows(which: ColumnElement[bool]) -> Exists:
    """Whether the strategy has decisions of that kind that are neither settled nor given up."""
    row = AITrainingSample
    return select(row.id).where(row.strategy == Strategy.name, row.origin == "decision", which, *_unsettled()).exists()


def _holds_prices_since(moment: datetime) -> Exists:
    """Whether the strategy holds a row, left since then, whose prices the next candles may bear out."""
    row = AITrainingSample
    held = (row.quarantine_reason.in_(PRICE_RULES), row.quarantine_decision.is_(None))
    return select(row.id).where(row.strategy == Strategy.name, *held, row.exit_time >= moment).exists()


def _feed_of() -> Select[str]:
    """The strategy's own feed: that of the trader that trades it."""
    return select(Feed.strategy).where(Feed.strategy == Strategy.name)


def _unsettled() -> tuple[ColumnElement[bool], ...]:
    """Neither settled nor given up."""
    row = AITrainingSample
    return (
        row.forward_return.is_(None),
        row.state != UNOBSERVABLE,
        row.forward_return_source.is_(None),
    )


def _settle(session: Session, terms: Settling, rows: Sequence[AITrainingSample], *, passed: datetime | None) -> int:
    """Settle the rows that have a price; of the others, those whose horizon lies before ``passed`` are unobservable."""
    if not rows:
        return 0
    _fill(session, terms, rows)
    prices = HorizonPrices(session, terms.strategy, terms.markets)
    horizons = [row.horizon_at for row in rows]
    prices.load({row.symbol for row in rows}, min(horizons), max(horizons) + terms.timeframe)
    held = [row for row in rows if row.quarantine_reason == RETURN_OUT_OF_BOUNDS]
    settled = 0
    with counted(session, rows, terms.round_trip), learned(session, terms.strategy, rows):
        for row in rows:
            quote = prices.at_horizon(row.symbol, row.horizon_at)
            if row.price is not None and quote is not None:
                settled += _apply(row, row.price, quote, terms)
            elif passed is not None and row.horizon_at < passed:
                row.forward_return_source = UNOBSERVABLE
                row.state = UNOBSERVABLE if row.state == "pending" else row.state
        judge_prices(session, terms.strategy, terms.markets, told_by_others(rows))
        for row in held:
            hold_if_alike(session, row)
    return settled


def _judge(session: Session, terms: Settling, rows: Sequence[AITrainingSample]) -> None:
    """Hold the prices that were told for the rows against the candles known by now."""
    told = told_by_others(rows)
    with counted(session, told, terms.round_trip):
        judge_prices(session, terms.strategy, terms.markets, told)


def _fill(session: Session, terms: Settling, rows: Sequence[AITrainingSample]) -> None:
    """Look for missing reference prices; one that a bot left out may be the price at an earlier row's horizon."""
    missing = [row for row in rows if row.price is None]
    prices = HorizonPrices(session, terms.strategy, terms.markets)
    for row in missing:
        row.price = prices.reference(row.symbol, row.timestamp)
    told = [row for row in missing if row.price is not None and row.body_hash is not None]
    settle_prices(session, terms, [PriceSpan(row.symbol, row.timestamp, row.timestamp) for row in told])


def _apply(row: AITrainingSample, reference: float, quote: Quote, terms: Settling) -> bool:
    """Write the return at the horizon into the row; whether that changed anything."""
    forward = computed(labels.forward_return(reference, quote.price), "forward_return")
    known = (row.forward_return, row.forward_price_at, row.forward_return_source)
    if known == (forward, quote.at, quote.source):
        return False
    row.forward_return, row.forward_price_at, row.forward_return_source = forward, quote.at, quote.source
    hypothetical = not row.outcome_known or row.label_source == LabelSource.COUNTERFACTUAL
    if hypothetical and not row.executed:
        label_counterfactual(row, forward, sides=terms.strategy.sides, costs=terms.costs, now=terms.now)
    judge_returns(row)
    return True
