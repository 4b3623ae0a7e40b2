"""Thirty invented rows for looking around: tagged ``synthetic``, in no metric, never trained on unless asked for."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session

from ai_engine import labels
from ai_engine.candles import Candles
from ai_engine.features.catalogue import FEATURE_NAMES, SCHEMA_HASH, WINDOW
from ai_engine.features.compute import compute
from ai_engine.types import Action, FeatureMatrix, LabelSource
from backend.learning.decisions.strategies import EXTERNAL, ensure_strategy, find_strategy, horizon_of, timeframe_of
from backend.models import AITrainingSample, FeatureSchema, Strategy
from backend.operations import audit
from backend.settings import Settings

SEED = 20251117
SPREAD_OF_ONE_CANDLE = 0.002
FIRST_PRICE = 100.0

# Action, how many, and the lowest and highest move of the market: 10 won and 5 lost BUYs, 8 won SELLs, 7 HOLDs.
PLAN = (
    (Action.BUY, 10, 0.006, 0.024),
    (Action.BUY, 5, -0.015, -0.005),
    (Action.SELL, 8, -0.020, -0.006),
    (Action.HOLD, 7, -0.001, 0.001),
)
ROWS = sum(number for _, number, _, _ in PLAN)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class DemoRow:
    """One invented decision and what the market is said to have done after it."""

    action: Action
    entry_price: float
    market_return: float
    features: FeatureMatrix


def add_demo_rows(session: Session, strategy_name: str, *, settings: Settings, now: datetime, actor: str) -> int:
    """Add the rows to a strategy, the last of them one horizon before ``now``; 0 where they are there already."""
    if count(session, strategy_name):
        return 0
    market = _market_of(session, strategy_name, settings)
    strategy, _ = ensure_strategy(session, strategy_name, market=market, settings=settings, now=now, actor=actor)
    rows = [_sample(strategy, number, row, settings, now) for number, row in enumerate(demo_rows(strategy), start=1)]
    # The schema of the rows is not made the strategy's own: invented names must not refuse a bot's real ones.
    schema = _catalogue_schema(session, now)
    for row in rows:
        row.feature_schema = schema
    session.add_all(rows)
    audit.append(
        session,
        at=now,
        actor=actor,
        action="synthetic_added",
        strategy=strategy_name,
        subject=strategy_name,
        detail={"rows": len(rows)},
    )
    return len(rows)


def remove_demo_rows(session: Session, strategy_name: str, *, now: datetime, actor: str) -> int:
    """Take every synthetic row of the strategy away again; how many there were."""
    removed = count(session, strategy_name)
    if removed:
        session.execute(delete(AITrainingSample).where(*_synthetic(strategy_name)))
        audit.append(
            session,
            at=now,
            actor=actor,
            action="synthetic_removed",
            strategy=strategy_name,
            subject=strategy_name,
            detail={"rows": removed},
        )
    return removed


def count(session: Session, strategy_name: str) -> int:
    """How many synthetic rows the strategy holds."""
    query = select(func.count()).select_from(AITrainingSample).where(*_synthetic(strategy_name))
    return session.scalar(query) or 0


def _market_of(session: Session, name: str, settings: Settings) -> str:
    known = find_strategy(session, name)
    if known is not None:
        return known.market
    return settings.market if name == settings.strategy and settings.market != "off" else EXTERNAL


def _catalogue_schema(session: Session, now: datetime) -> FeatureSchema:
    known = session.scalars(select(FeatureSchema).where(FeatureSchema.hash == SCHEMA_HASH)).one_or_none()
    return known or FeatureSchema(hash=SCHEMA_HASH, names=list(FEATURE_NAMES), created_at=now)


def demo_rows(strategy: Strategy) -> Iterator[DemoRow]:
    """The rows of the plan, the same every time, on a random walk that only lends them features."""
    rng = np.random.default_rng(SEED)
    candles = _walk(rng, int(timeframe_of(strategy).total_seconds() * 1000))
    plan = [(action, low, high) for action, number, low, high in PLAN for _ in range(number)]
    for place, index in enumerate(rng.permutation(len(plan))):
        action, low, high = plan[index]
        seen = candles.upto(int(candles.close_time[WINDOW + place]))
        yield DemoRow(action, float(seen.close[-1]), float(rng.uniform(low, high)), compute(seen))


def _walk(rng: np.random.Generator, timeframe_ms: int) -> Candles:
    length = WINDOW + ROWS + 1
    steps = rng.normal(0.0, SPREAD_OF_ONE_CANDLE, size=(length, 4))
    close = FIRST_PRICE * np.exp(np.cumsum(steps[:, 0]))
    open_ = np.concatenate(([FIRST_PRICE], close[:-1]))
    return Candles(
        open_time=np.arange(length, dtype=np.int64) * timeframe_ms,
        open=open_,
        high=np.maximum(open_, close) * np.exp(np.abs(steps[:, 1])),
        low=np.minimum(open_, close) * np.exp(-np.abs(steps[:, 2])),
        close=close,
        volume=np.exp(steps[:, 3] * 100.0),
        timeframe_ms=timeframe_ms,
    )


def _sample(strategy: Strategy, number: int, row: DemoRow, settings: Settings, now: datetime) -> AITrainingSample:
    horizon, candle = horizon_of(strategy), timeframe_of(strategy)
    newest = now - horizon - (now - EPOCH) % candle
    decided = newest - (ROWS - number) * candle
    label = labels.counterfactual_label(
        row.action, row.market_return, fee_rate=settings.fee_rate, slippage_bps=settings.slippage_bps
    )
    return AITrainingSample(
        decision_id=f"synthetic-{number:02d}",
        strategy=strategy.name,
        symbol=settings.symbols[number % len(settings.symbols)],
        timestamp=decided,
        origin="synthetic",
        state="closed",
        predicted_action=row.action.value,
        reason="synthetic",
        features_blob=np.ascontiguousarray(row.features, dtype="<f4").tobytes(),
        horizon_at=decided + horizon,
        forward_return=row.market_return,
        forward_return_source="synthetic",
        entry_price=row.entry_price,
        entry_time=decided,
        exit_price=row.entry_price * (1.0 + row.market_return),
        exit_time=decided + horizon,
        exit_reason="synthetic",
        market_return=row.market_return,
        target_label=label,
        target_class=labels.target_class(label).value,
        label_source=LabelSource.SYNTHETIC.value,
        outcome_known=True,
        outcome_recorded_at=now,
        created_at=now,
    )


def _synthetic(strategy_name: str) -> tuple[ColumnElement[bool], ...]:
    return AITrainingSample.strategy == strategy_name, AITrainingSample.origin == "synthetic"
