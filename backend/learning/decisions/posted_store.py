"""Posted decisions into the database: all of a call in one transaction, with the candles and settlements they bring."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.clock import from_ms
from backend.errors import ConflictError, QuantumTraderError
from backend.learning.decisions.decide import Decided
from backend.learning.decisions.observed import DecisionBody, Observed
from backend.learning.decisions.prices import markets_of, posted_market
from backend.learning.decisions.queries import decision_dict
from backend.learning.decisions.record import NewDecision, record
from backend.learning.decisions.settle import PriceSpan, Settling, settle_candles, settle_prices, settle_rows
from backend.learning.decisions.strategies import ensure_schema, ensure_strategy, timeframe_of
from backend.market import candles as candle_store
from backend.models import AITrainingSample, Candle, Strategy
from backend.settings import Settings


@dataclass(frozen=True, slots=True)
class PostedDecision:
    """The stored answer; ``status_code`` 201 for a new decision, 200 for the repeat of one."""

    status_code: int
    answer: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The first answer to a decision, with the hash of the body that it answered."""

    body_hash: str | None
    told: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Accepted:
    """An observation with its answer; ``market`` is that of its reference price."""

    observed: Observed
    market: str
    decided: Decided


@dataclass(frozen=True, slots=True)
class Writing:
    """Who writes what into which strategy, when."""

    strategy: str
    actor: str
    now: datetime
    settings: Settings


Result: TypeAlias = PostedDecision | QuantumTraderError


def stored(session: Session, strategy: str, ids: Iterable[str]) -> dict[str, AITrainingSample]:
    """The decisions among ``ids`` that exist."""
    row = AITrainingSample
    found = session.scalars(select(row).where(row.strategy == strategy, row.decision_id.in_(sorted(ids))))
    return {sample.decision_id: sample for sample in found}


def first_answer(session: Session, sample: AITrainingSample) -> StoredAnswer:
    """What was answered when the decision was posted."""
    told = {**decision_dict(sample), "strategy_created": _began_strategy(session, sample)}
    return StoredAnswer(sample.body_hash, told)


def repeat(body: DecisionBody, body_hash: str, answer: StoredAnswer) -> Result:
    """The first answer to a body that was posted before; a different body under its id is a conflict."""
    if answer.body_hash != body_hash:
        decision_id = body.decision_id
        return ConflictError(
            f"Decision {decision_id!r} is stored with another body. A decision is posted once; use another id.",
            reason="decision_conflict",
            decision_id=decision_id,
        )
    return _posted(200, body, answer)


def _posted(status_code: int, body: DecisionBody, answer: StoredAnswer) -> PostedDecision:
    """The answer with the price as it was posted: the row's may have been looked up later."""
    return PostedDecision(status_code, {**answer.told, "price": body.price})


def store(session: Session, writing: Writing, items: Sequence[Accepted | Result]) -> list[Result]:
    """Store every accepted item; the others pass through. An item that cannot be stored is refused alone."""
    results: dict[int, Result] = {}
    fresh: dict[str, tuple[int, Accepted]] = {}
    repeated: list[tuple[int, Accepted]] = []
    known = stored(session, writing.strategy, [i.observed.decision_id for i in items if isinstance(i, Accepted)])
    for index, item in enumerate(items):
        if not isinstance(item, Accepted):
            results[index] = item
        elif item.observed.decision_id in known or item.observed.decision_id in fresh:
            repeated.append((index, item))
        elif (refusal := _refusal(session, writing, item)) is not None:
            results[index] = refusal
        else:
            fresh[item.observed.decision_id] = (index, item)
    if fresh:
        known |= _record(session, writing, [item for _, item in fresh.values()])
    for decision_id, (index, item) in fresh.items():
        results[index] = _posted(201, item.observed.body, first_answer(session, known[decision_id]))
    for index, item in repeated:
        answer = first_answer(session, known[item.observed.decision_id])
        results[index] = repeat(item.observed.body, item.observed.body_hash, answer)
    return [results[index] for index in range(len(items))]


def _refusal(session: Session, writing: Writing, item: Accepted) -> QuantumTraderError | None:
    """Begin the strategy and its schema where this item is its first; what speaks against the item otherwise."""
    try:
        strategy, _ = ensure_strategy(
            session,
            writing.strategy,
            market=item.market,
            settings=writing.settings,
            now=writing.now,
            actor=writing.actor,
        )
        ensure_schema(session, strategy, item.observed.names, now=writing.now)
    except QuantumTraderError as error:
        return error
    return None


def _record(session: Session, writing: Writing, items: Sequence[Accepted]) -> dict[str, AITrainingSample]:
    strategy = session.get_one(Strategy, writing.strategy)
    samples = record(session, strategy, [_new_decision(item) for item in items], now=writing.now)
    terms = Settling(strategy, writing.settings, markets_of(strategy, writing.settings), writing.now)
    brought = [_candles(session, strategy, item.observed) for item in items]
    settle_candles(session, terms, [span for span in brought if span is not None])
    settle_rows(session, terms, samples)
    told = [PriceSpan(one.symbol, one.timestamp, one.timestamp) for one in samples if one.price is not None]
    settle_prices(session, terms, _merged(told, terms.timeframe))
    return {sample.decision_id: sample for sample in samples}


def _new_decision(item: Accepted) -> NewDecision:
    observed, decided = item.observed, item.decided
    decided_by_bot = observed.body.predicted_action is not None
    return NewDecision(
        decision_id=observed.decision_id,
        symbol=observed.symbol,
        timestamp=observed.timestamp,
        price=observed.body.price,
        feature_names=observed.names,
        features=observed.features,
        action=decided.choice.action,
        forecast=decided.forecast,
        model_version=decided.model_version,
        reason=decided.choice.reason,
        explored=decided.choice.explored,
        propensity=None if decided_by_bot else decided.choice.propensity,
        body_hash=observed.body_hash,
        confidence=observed.body.prediction_confidence if decided_by_bot else None,
        shadows=decided.shadows,
    )


def _candles(session: Session, strategy: Strategy, observed: Observed) -> PriceSpan | None:
    """Store the posted candles; the close times of those that are new."""
    candles = observed.candles
    if candles is None or not len(candles):
        return None
    market, length = posted_market(strategy.name), timeframe_of(strategy)
    opened = [from_ms(moment) for moment in candles.open_time.tolist()]
    query = select(Candle.open_time).where(
        Candle.market == market,
        Candle.symbol == observed.symbol,
        Candle.timeframe == strategy.timeframe,
        Candle.open_time.between(opened[0], opened[-1]),
    )
    fresh = sorted(set(opened) - set(session.scalars(query)))
    if not fresh:
        return None
    candle_store.append(session, market, observed.symbol, strategy.timeframe, candles)
    return PriceSpan(observed.symbol, fresh[0] + length, fresh[-1] + length)


def _merged(spans: Iterable[PriceSpan], reach: timedelta) -> list[PriceSpan]:
    """Spans of one symbol that lie within ``reach`` of each other as one: a batch settles its rows together."""
    merged: list[PriceSpan] = []
    for span in sorted(spans, key=lambda span: (span.symbol, span.first)):
        before = merged[-1] if merged else None
        if before is not None and before.symbol == span.symbol and span.first <= before.last + reach:
            merged[-1] = PriceSpan(span.symbol, before.first, max(before.last, span.last))
        else:
            merged.append(span)
    return merged


def _began_strategy(session: Session, sample: AITrainingSample) -> bool:
    """Whether this was the first write to its strategy: the repeat of a call must get the same answer."""
    strategy = session.get_one(Strategy, sample.strategy)
    if strategy.created_at != sample.created_at:
        return False
    row = AITrainingSample
    return sample.id == session.scalar(select(func.min(row.id)).where(row.strategy == sample.strategy))
