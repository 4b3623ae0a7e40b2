"""Store decisions, HOLD too, with the features they saw: one row each, all in the caller's transaction."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlalchemy.orm import Session

from ai_engine.types import FeatureMatrix
from ai_engine.types import Forecast as ModelForecast
from backend.learning.decisions.counters import on_recorded
from backend.learning.decisions.decide import ShadowForecast
from backend.learning.decisions.intervals import give_intervals
from backend.learning.decisions.strategies import ensure_schema, horizon_of
from backend.models import AITrainingSample, FeatureSchema, Forecast, Strategy


@dataclass(frozen=True, slots=True)
class NewDecision:
    """One decision as it was made; ``features`` float32 of shape (f,), in the order of ``feature_names`` (sorted).

    ``price`` is the reference price, None while the next candle has not arrived. ``confidence`` is the bot's own,
    where the bot decided; a version's own stands in ``forecast``.
    """

    decision_id: str
    symbol: str
    timestamp: datetime
    price: float | None
    feature_names: tuple[str, ...]
    features: FeatureMatrix
    action: str
    forecast: ModelForecast | None
    model_version: str | None
    reason: str | None
    explored: bool
    propensity: float | None
    body_hash: str | None
    confidence: float | None = None
    shadows: tuple[ShadowForecast, ...] = ()


def record(
    session: Session,
    strategy: Strategy,
    decisions: Sequence[NewDecision],
    *,
    now: datetime,
    origin: str = "decision",
) -> list[AITrainingSample]:
    """Add one row a decision with its interval, and flush; with them the forecasts and the decider's counter."""
    schemas: dict[tuple[str, ...], FeatureSchema] = {}
    samples = []
    for decision in decisions:
        names = decision.feature_names
        if names not in schemas:
            schemas[names] = ensure_schema(session, strategy, names, now=now)
        samples.append(_sample(strategy, decision, schemas[names], now=now, origin=origin))
    give_intervals(session, strategy, samples)
    session.add_all(samples)
    session.flush()
    session.add_all([*_forecasts(samples, decisions), *_shadow_forecasts(samples, decisions)])
    counts = Counter(decision.model_version for decision in decisions if decision.model_version is not None)
    for version_id, count in sorted(counts.items()):
        on_recorded(session, version_id, count)
    return samples


def _sample(
    strategy: Strategy, decision: NewDecision, schema: FeatureSchema, *, now: datetime, origin: str
) -> AITrainingSample:
    forecast = decision.forecast
    return AITrainingSample(
        decision_id=decision.decision_id,
        strategy=strategy.name,
        symbol=decision.symbol,
        timestamp=decision.timestamp,
        origin=origin,
        state="pending",
        price=decision.price,
        predicted_action=decision.action,
        prediction_score=forecast.score if forecast else None,
        prediction_confidence=forecast.confidence if forecast else decision.confidence,
        expected_return=forecast.expected_return if forecast else None,
        model_version=decision.model_version,
        reason=decision.reason,
        explored=decision.explored,
        propensity=decision.propensity,
        feature_schema=schema,
        feature_schema_id=schema.id,
        features_blob=np.ascontiguousarray(decision.features, dtype="<f4").tobytes(),
        body_hash=decision.body_hash,
        horizon_at=decision.timestamp + horizon_of(strategy),
        executed=False,
        fees_known=False,
        outcome_known=False,
        created_at=now,
    )


def _forecasts(samples: Sequence[AITrainingSample], decisions: Sequence[NewDecision]) -> list[Forecast]:
    return [
        Forecast(
            sample_id=sample.id,
            version_id=decision.model_version,
            score=decision.forecast.score,
            expected_return=decision.forecast.expected_return,
            confidence=decision.forecast.confidence,
            action=decision.action,
            role="active",
        )
        for sample, decision in zip(samples, decisions, strict=True)
        if decision.forecast is not None and decision.model_version is not None
    ]


def _shadow_forecasts(samples: Sequence[AITrainingSample], decisions: Sequence[NewDecision]) -> list[Forecast]:
    return [
        Forecast(
            sample_id=sample.id,
            version_id=shadow.version_id,
            score=shadow.forecast.score,
            expected_return=shadow.forecast.expected_return,
            confidence=shadow.forecast.confidence,
            action=shadow.action,
            role="shadow",
        )
        for sample, decision in zip(samples, decisions, strict=True)
        for shadow in decision.shadows
    ]
