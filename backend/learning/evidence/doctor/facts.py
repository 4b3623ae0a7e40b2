"""What the doctor looks at: a handful of numbers about one strategy, read from one snapshot."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.learning.decisions.strategies import horizon_of
from backend.learning.evidence.status import active_model, market_state
from backend.learning.versions.activation import version_before
from backend.learning.versions.serving import Serving
from backend.models import AIModelVersion, AITrainingSample, JobRun, Strategy
from backend.operations import runs
from backend.settings import Settings

Sample = AITrainingSample

RECENT = 500
FEATURE_ROWS = 200


@dataclass(frozen=True, slots=True)
class Decisions:
    """The strategy's decisions: how many, and what the newest of them were."""

    total: int
    outcomes_known: int
    oldest_horizon_at: datetime | None
    recent_actions: dict[str, int]
    recent_hold_reasons: dict[str, int]
    recent_confidences: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Known outcomes: the newest moves, and the features that never changed in rows from the whole history."""

    moves: tuple[float, ...]
    feature_rows: int
    constant_features: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything a finding may rest on.

    ``damaged`` says what is wrong with the files of the active version and of the one a rollback would go to.
    """

    strategy: str
    now: datetime
    settings: Settings
    created_at: datetime | None
    decisions: Decisions
    outcomes: Outcomes
    last_run: dict[str, Any] | None
    last_due: datetime | None
    last_slot: datetime | None
    active: dict[str, Any]
    damaged: dict[str, str]
    live: dict[str, Any] | None
    market: dict[str, Any]


def read_facts(
    session: Session, strategy: str, settings: Settings, now: datetime, serving: Serving, last_due: datetime | None
) -> Facts:
    """The facts of one strategy; ``last_due`` is the newest scheduled slot that has passed."""
    row = session.get(Strategy, strategy)
    finished = select(JobRun).where(JobRun.strategy == strategy, JobRun.state.not_in(("running", "missed")))
    last_run = session.scalars(finished.order_by(JobRun.id.desc()).limit(1)).one_or_none()
    last_slot = session.scalars(
        select(func.max(JobRun.slot)).where(JobRun.strategy == strategy, JobRun.state != "missed")
    ).one()
    return Facts(
        strategy=strategy,
        now=now,
        settings=settings,
        created_at=row.created_at if row else None,
        decisions=(decisions := _decisions(session, strategy)),
        outcomes=_outcomes(session, strategy, decisions.outcomes_known),
        last_run=runs.public(last_run) if last_run else None,
        last_due=last_due,
        last_slot=last_slot,
        active=active_model(session, strategy, serving),
        damaged=_damaged(session, strategy, serving),
        live=_live(session, strategy),
        market=market_state(session, strategy, now),
    )


def _decisions(session: Session, strategy: str) -> Decisions:
    total, known, oldest = session.execute(
        select(func.count(), func.count().filter(Sample.outcome_known), func.min(Sample.horizon_at)).where(
            Sample.strategy == strategy
        )
    ).one()
    columns = (Sample.predicted_action, Sample.reason, Sample.prediction_confidence, Sample.model_version)
    recent = session.execute(
        select(*columns)
        .where(Sample.strategy == strategy, Sample.origin == "decision")
        .order_by(Sample.timestamp.desc(), Sample.id.desc())
        .limit(RECENT)
    ).all()
    holds = Counter(reason or "none given" for action, reason, _, _ in recent if action == "HOLD")
    by_model = [confidence for _, _, confidence, version in recent if version and confidence is not None]
    return Decisions(
        total=total,
        outcomes_known=known,
        oldest_horizon_at=oldest,
        recent_actions=dict(Counter(action for action, _, _, _ in recent)),
        recent_hold_reasons=dict(holds),
        recent_confidences=tuple(by_model),
    )


def _outcomes(session: Session, strategy: str, known_count: int) -> Outcomes:
    move = func.coalesce(Sample.forward_return, Sample.market_return)
    newest = Sample.timestamp.desc(), Sample.id.desc()
    known = (Sample.strategy == strategy, Sample.outcome_known, Sample.label_source != "synthetic")
    moves = session.scalars(select(move).where(*known, move.is_not(None)).order_by(*newest).limit(RECENT)).all()
    spread = Sample.id % max(1, known_count // FEATURE_ROWS) == 0  # a weekend is constant on a Tuesday, not over weeks
    rows = session.scalars(select(Sample).where(*known, spread).order_by(*newest).limit(2 * FEATURE_ROWS)).all()
    same_schema = [row for row in rows if row.feature_schema_id == rows[0].feature_schema_id]
    return Outcomes(
        moves=tuple(float(value) for value in moves),
        feature_rows=len(same_schema),
        constant_features=_constant(same_schema),
    )


def _constant(rows: Sequence[AITrainingSample]) -> tuple[str, ...]:
    if not rows:
        return ()
    matrix = np.stack([np.frombuffer(row.features_blob, dtype="<f4") for row in rows])
    constant = np.ptp(matrix, axis=0) == 0
    return tuple(name for name, same in zip(rows[0].feature_schema.names, constant, strict=True) if same)


def _damaged(session: Session, strategy: str, serving: Serving) -> dict[str, str]:
    needed = AIModelVersion.is_active | (AIModelVersion.version_id == version_before(session, strategy))
    versions = session.scalars(select(AIModelVersion).where(AIModelVersion.strategy == strategy, needed))
    faults = {version.version_id: serving.fault_on_disk(version) for version in versions}
    return {version_id: fault for version_id, fault in faults.items() if fault is not None}


def _live(session: Session, strategy: str) -> dict[str, Any] | None:
    version = session.scalars(
        select(AIModelVersion).where(AIModelVersion.strategy == strategy, AIModelVersion.is_active)
    ).one_or_none()
    if version is None:
        return None
    return {
        "version_id": version.version_id,
        "judged": version.matured_predictions - version.neutral_predictions,
        "correct": version.correct_predictions,
        "live_accuracy": version.live_accuracy,
        "windows": _windows(session, version),
    }


def _windows(session: Session, version: AIModelVersion) -> int:
    """How many horizons without overlap the matured forecasts span: symbols and neighbours move together."""
    row, strategy = AITrainingSample, session.get_one(Strategy, version.strategy)
    matured = (row.model_version == version.version_id, row.forward_return.is_not(None))
    first, last = session.execute(select(func.min(row.timestamp), func.max(row.timestamp)).where(*matured)).one()
    return 0 if first is None else (last - first) // horizon_of(strategy) + 1
