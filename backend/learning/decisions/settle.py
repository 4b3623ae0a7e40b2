"""What the market did after each decision: forward returns, and the outcome where nobody traded.

``settle_due`` sweeps rows whose horizon has passed; ``settle_prices`` reacts, in the transaction that stores a
price, to every row that it can settle or that it dates better. Imported rows are never touched.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session, defer, lazyload

from ai_engine import labels
from ai_engine.types import LabelSource
from backend.learning.decisions.labelling import Costs, judge_plausibility, label_counterfactual
from backend.learning.decisions.prices import HorizonPrices, Quote, markets_of
from backend.learning.decisions.strategies import CLOSED_MARKETS, EXTERNAL, horizon_of, timeframe_of
from backend.learning.evidence.live_metrics import counted
from backend.models import AITrainingSample, Strategy
from backend.settings import Settings

UNOBSERVABLE = "unobservable"
CHUNK = 1_000


@dataclass(frozen=True, slots=True)
class PriceSpan:
    """Prices of one symbol that were just stored, dated within ``[first, last]``."""

    symbol: str
    first: datetime
    last: datetime


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
    ``now`` is when the outcome was recorded, ``market_time`` where left out.
    """
    terms = _Terms(strategy, costs, tuple(markets), now or market_time)
    length = timeframe_of(strategy)
    fill_reference_prices(
        session, strategy, since=market_time - 2 * length, until=market_time, costs=costs, markets=markets
    )
    settled, after = 0, 0
    while True:
        due = _due(strategy, market_time).where(AITrainingSample.id > after).order_by(AITrainingSample.id).limit(CHUNK)
        rows = list(session.scalars(due))
        settled += _settle(session, rows, terms, passed=market_time - length)
        if len(rows) < CHUNK:
            return settled
        after = rows[-1].id


def settle_symbol(
    session: Session,
    strategy: Strategy,
    symbol: str,
    *,
    market_time: datetime,
    costs: Costs,
    markets: Sequence[str],
) -> int:
    """``settle_due`` for one symbol alone."""
    terms = _Terms(strategy, costs, tuple(markets), market_time)
    rows = list(session.scalars(_due(strategy, market_time).where(AITrainingSample.symbol == symbol)))
    return _settle(session, rows, terms, passed=market_time - timeframe_of(strategy))


def settle_prices(
    session: Session,
    strategy: Strategy,
    spans: Iterable[PriceSpan],
    *,
    costs: Costs,
    markets: Sequence[str],
    now: datetime,
) -> int:
    """Settle every row that the newly stored prices settle, or date earlier than the price it was settled by."""
    terms = _Terms(strategy, costs, tuple(markets), now)
    row, length, horizon = AITrainingSample, timeframe_of(strategy), horizon_of(strategy)
    settled = 0
    for span in spans:
        query = _rows(strategy).where(
            row.symbol == span.symbol,
            row.timestamp.between(span.first - length - horizon, span.last - horizon),
            or_(row.forward_price_at.is_(None), row.forward_price_at >= span.first),
        )
        settled += _settle(session, list(session.scalars(query)), terms, passed=None)
    return settled


def settle_rows(
    session: Session,
    strategy: Strategy,
    rows: Sequence[AITrainingSample],
    *,
    costs: Costs,
    markets: Sequence[str],
    now: datetime,
) -> int:
    """Settle those of the rows whose price at the horizon was known before they were."""
    due = [row for row in rows if row.horizon_at <= now]
    return _settle(session, due, _Terms(strategy, costs, tuple(markets), now), passed=None)


def settle_strategies(session: Session, *, settings: Settings, now: datetime) -> int:
    """The sweep over every strategy that goes by the wall clock; feeds settle their own in market time."""
    strategies = session.scalars(select(Strategy).where(Strategy.market.not_in(CLOSED_MARKETS)).order_by(Strategy.name))
    return sum(
        settle_due(session, one, market_time=now, costs=settings, markets=markets_of(one, settings))
        for one in strategies.all()
    )


def fill_reference_prices(
    session: Session,
    strategy: Strategy,
    *,
    since: datetime,
    until: datetime,
    costs: Costs,
    markets: Sequence[str],
) -> int:
    """Give decisions made within ``[since, until]`` without a price the next candle's open, where it has arrived."""
    query = _rows(strategy).where(AITrainingSample.timestamp.between(since, until), AITrainingSample.price.is_(None))
    prices = HorizonPrices(session, strategy, markets)
    filled = []
    for sample in session.scalars(query):
        sample.price = prices.reference(sample.symbol, sample.timestamp)
        if sample.price is not None:
            filled.append(PriceSpan(sample.symbol, sample.timestamp, sample.timestamp))
    if filled and strategy.market == EXTERNAL:
        settle_prices(session, strategy, filled, costs=costs, markets=markets, now=until)
    return len(filled)


@dataclass(frozen=True, slots=True)
class _Terms:
    strategy: Strategy
    costs: Costs
    markets: tuple[str, ...]
    now: datetime

    @property
    def round_trip(self) -> float:
        return labels.round_trip_cost(self.costs.fee_rate, self.costs.slippage_bps)


def _rows(strategy: Strategy) -> Select[AITrainingSample]:
    row = AITrainingSample
    own = select(row).where(row.strategy == strategy.name, row.origin == "decision")
    return own.options(lazyload(row.feature_schema), defer(row.features_blob))


def _due(strategy: Strategy, market_time: datetime) -> Select[AITrainingSample]:
    row = AITrainingSample
    return _rows(strategy).where(
        row.horizon_at <= market_time,
        row.forward_return.is_(None),
        row.state != UNOBSERVABLE,
        row.forward_return_source.is_(None),
    )


def _settle(session: Session, rows: Sequence[AITrainingSample], terms: _Terms, *, passed: datetime | None) -> int:
    """Settle the rows that have a price; of the others, those whose horizon lies before ``passed`` are unobservable."""
    if not rows:
        return 0
    prices = HorizonPrices(session, terms.strategy, terms.markets)
    horizons = [row.horizon_at for row in rows]
    prices.load({row.symbol for row in rows}, min(horizons), max(horizons) + timeframe_of(terms.strategy))
    settled = 0
    with counted(session, rows, terms.round_trip):
        for row in rows:
            if row.price is None:
                row.price = prices.reference(row.symbol, row.timestamp)
            quote = prices.at_horizon(row.symbol, row.horizon_at)
            if row.price is not None and quote is not None:
                settled += _apply(row, row.price, quote, terms)
            elif passed is not None and row.horizon_at < passed:
                row.forward_return_source = UNOBSERVABLE
                row.state = UNOBSERVABLE if row.state == "pending" else row.state
    return settled


def _apply(row: AITrainingSample, reference: float, quote: Quote, terms: _Terms) -> bool:
    """Write the return at the horizon into the row; whether that changed anything."""
    forward = labels.forward_return(reference, quote.price)
    known = (row.forward_return, row.forward_price_at, row.forward_return_source)
    if known == (forward, quote.at, quote.source):
        return False
    row.forward_return, row.forward_price_at, row.forward_return_source = forward, quote.at, quote.source
    hypothetical = not row.outcome_known or row.label_source == LabelSource.COUNTERFACTUAL
    if hypothetical and not row.executed:
        label_counterfactual(row, forward, sides=terms.strategy.sides, costs=terms.costs, now=terms.now)
    judge_plausibility(row)
    return True
