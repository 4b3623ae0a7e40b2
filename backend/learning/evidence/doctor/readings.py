"""The queries behind the doctor's facts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from ai_engine.features.catalogue import SCHEMA_HASH
from backend.learning.decisions.settle import UNOBSERVABLE
from backend.learning.decisions.strategies import horizon_of
from backend.learning.evidence.skill import skill_of
from backend.learning.versions.activation import version_before
from backend.learning.versions.past import learned_until
from backend.learning.versions.serving import Serving
from backend.models import AIModelVersion, AITrainingSample, Alarm, Strategy
from backend.settings import Settings

Sample = AITrainingSample

RECENT = 500
PRESENT = 20
FEATURE_ROWS = 200
MAY_STAND_STILL = 0.1
"""The part of our own features that may: a few measure what need not happen, as gaps, idle candles and weekends do."""


@dataclass(frozen=True, slots=True)
class Decisions:
    """The strategy's decisions: how many, and what the newest of them were.

    ``present_hold_reason`` is the commonest of the very newest HOLDs: what keeps it from trading now. ``total`` counts
    what was really decided, live or by an imported trade; ``historical`` rows come from candles of
    the past and count beside it. ``outcomes_known`` are those that may train, the historical ones among them.
    """

    total: int
    historical: int
    outcomes_known: int
    own_outcomes_known: int
    oldest_horizon_at: datetime | None
    oldest_pending: str | None
    recent_actions: dict[str, int]
    recent_hold_reasons: dict[str, int]
    present_hold_reason: str | None
    recent_confidences: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Known outcomes: the newest moves, and the features that never changed in rows from the whole history."""

    moves: tuple[float, ...]
    historical_moves: int
    feature_rows: int
    constant_features: tuple[str, ...]


def read_decisions(session: Session, strategy: str) -> Decisions:
    """How many decisions there are, and what the newest said."""
    own = Sample.origin.in_(("decision", "import"))
    trains = Sample.origin != "synthetic"
    total, historical, known, own_known, oldest = session.execute(
        select(
            func.count().filter(own),
            func.count().filter(Sample.origin == "historical"),
            func.count().filter(Sample.outcome_known, trains),
            func.count().filter(Sample.outcome_known, own),
            func.min(Sample.horizon_at).filter(own),
        ).where(Sample.strategy == strategy)
    ).one()
    columns = (Sample.predicted_action, Sample.reason, Sample.prediction_confidence, Sample.model_version)
    decided = (Sample.strategy == strategy, Sample.origin == "decision")
    newest = select(*columns).where(*decided).order_by(Sample.timestamp.desc(), Sample.id.desc()).limit(RECENT)
    recent = session.execute(newest).all()
    pending = select(Sample.decision_id).where(*decided, ~Sample.outcome_known).order_by(Sample.horizon_at, Sample.id)
    holds = [reason or "none given" for action, reason, _, _ in recent if action == "HOLD"]
    by_model = [confidence for _, _, confidence, version in recent if version and confidence is not None]
    return Decisions(
        total=total,
        historical=historical,
        outcomes_known=known,
        own_outcomes_known=own_known,
        oldest_horizon_at=oldest,
        oldest_pending=session.scalars(pending.limit(1)).one_or_none() if total > own_known else None,
        recent_actions=dict(Counter(action for action, _, _, _ in recent)),
        recent_hold_reasons=dict(Counter(holds)),
        present_hold_reason=Counter(holds[:PRESENT]).most_common(1)[0][0] if holds else None,
        recent_confidences=tuple(by_model),
    )


def read_outcomes(session: Session, strategy: str, known_count: int) -> Outcomes:
    """The newest moves, and the features that stood still throughout."""
    move = func.coalesce(Sample.forward_return, Sample.market_return)
    newest = Sample.timestamp.desc(), Sample.id.desc()
    known = (Sample.strategy == strategy, Sample.outcome_known, Sample.label_source != "synthetic")
    told = select(move, Sample.origin).where(*known, move.is_not(None)).order_by(*newest).limit(RECENT)
    moves = session.execute(told).all()
    spread = Sample.id % max(1, known_count // FEATURE_ROWS) == 0  # a weekend is constant on a Tuesday, not over weeks
    rows = session.scalars(select(Sample).where(*known, spread).order_by(*newest).limit(2 * FEATURE_ROWS)).all()
    same_schema = [row for row in rows if row.feature_schema_id == rows[0].feature_schema_id]
    return Outcomes(
        moves=tuple(float(value) for value, _ in moves),
        historical_moves=sum(origin == "historical" for _, origin in moves),
        feature_rows=len(same_schema),
        constant_features=_constant(same_schema),
    )


def read_without_price(session: Session, strategy: str, window_days: int) -> dict[str, tuple[int, int]]:
    """By symbol: decisions that found no price at their horizon, and all whose horizon has passed."""
    decided = (Sample.strategy == strategy, Sample.origin == "decision")
    newest = session.scalar(select(func.max(Sample.timestamp)).where(*decided))
    if newest is None:
        return {}
    lost = Sample.forward_return_source == UNOBSERVABLE
    passed = lost | Sample.forward_return.is_not(None)
    counts = select(Sample.symbol, func.count().filter(lost), func.count().filter(passed))
    within = counts.where(*decided, Sample.timestamp >= newest - timedelta(days=window_days))
    found = session.execute(within.group_by(Sample.symbol).order_by(Sample.symbol)).all()
    return {symbol: (without, of) for symbol, without, of in found if without}


def _constant(rows: Sequence[AITrainingSample]) -> tuple[str, ...]:
    if not rows:
        return ()
    schema = rows[0].feature_schema
    matrix = np.stack([np.frombuffer(row.features_blob, dtype="<f4") for row in rows])
    constant = np.ptp(matrix, axis=0) == 0
    names = tuple(name for name, same in zip(schema.names, constant, strict=True) if same)
    if schema.hash == SCHEMA_HASH and len(names) <= MAY_STAND_STILL * len(schema.names):
        return ()
    return names


def read_damaged(session: Session, strategy: str, serving: Serving) -> dict[str, str]:
    """What is wrong with the files of the active version and of the one a rollback would go to."""
    needed = AIModelVersion.is_active | (AIModelVersion.version_id == version_before(session, strategy))
    versions = session.scalars(select(AIModelVersion).where(AIModelVersion.strategy == strategy, needed))
    faults = {version.version_id: serving.fault_on_disk(version) for version in versions}
    return {version_id: fault for version_id, fault in faults.items() if fault is not None}


def read_live(session: Session, strategy: str) -> dict[str, Any] | None:
    """The active version's matured forecasts, and the version that a rollback would go to."""
    version = _active(session, strategy)
    if version is None:
        return None
    return {
        "version_id": version.version_id,
        "previous": version_before(session, strategy),
        "judged": version.matured_predictions - version.neutral_predictions,
        "correct": version.correct_predictions,
        "live_accuracy": version.live_accuracy,
        "windows": _windows(session, version),
    }


def read_skill(session: Session, strategy: str, settings: Settings) -> dict[str, Any] | None:
    """What speaks against the active version."""
    version = _active(session, strategy)
    return skill_of(session, version, settings.cost).as_dict() if version else None


def _active(session: Session, strategy: str) -> AIModelVersion | None:
    row = AIModelVersion
    return session.scalars(select(row).where(row.strategy == strategy, row.is_active)).one_or_none()


def _windows(session: Session, version: AIModelVersion) -> int:
    """How many horizons without overlap the judged forecasts span: symbols and neighbours move together."""
    row, strategy = AITrainingSample, session.get_one(Strategy, version.strategy)
    later = row.timestamp >= learned_until(version.lineage, version.trained_at)
    matured = (row.model_version == version.version_id, row.forward_return.is_not(None), later)
    first, last = session.execute(select(func.min(row.timestamp), func.max(row.timestamp)).where(*matured)).one()
    return 0 if first is None else (last - first) // horizon_of(strategy) + 1


def read_alarms(session: Session, strategy: str) -> dict[str, tuple[str, ...]]:
    """What the open alarms of the strategy, and those of no strategy, say: by code, the oldest first."""
    mine = or_(Alarm.strategy == strategy, Alarm.strategy.is_(None))
    query = select(Alarm.code, Alarm.detail).where(mine, Alarm.closed_at.is_(None)).order_by(Alarm.id)
    told: dict[str, tuple[str, ...]] = {}
    for code, detail in session.execute(query):
        told[code] = (*told.get(code, ()), detail)
    return told
