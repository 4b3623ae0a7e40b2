"""A version's live counters from its rows alone: the oracle of what ``learning.decisions.counters`` moves."""

from typing import Any

from sqlalchemy import and_, case, func, select
from sqlalchemy.orm import Session

from backend.models import AIModelVersion, AITrainingSample


def recompute(session: Session, version_id: str, cost: float) -> dict[str, Any]:
    """The counters of a version, from its rows alone, in SQL; ``cost`` for rows that keep none."""
    row, counted_by = AITrainingSample, func.coalesce(AITrainingSample.counted_cost, cost)
    learned = session.scalar(select(AIModelVersion.learned_until).where(AIModelVersion.version_id == version_id))
    held_for = func.replace(func.coalesce(row.quarantine_reason, "trade_"), "alike_", "trade_")
    matured = and_(held_for.startswith("trade_"), row.forward_return.is_not(None))
    matured = matured if learned is None else and_(matured, row.timestamp >= learned)
    neutral = and_(matured, func.abs(row.forward_return) <= counted_by)
    correct = and_(matured, func.abs(row.forward_return) > counted_by, row.prediction_score * row.forward_return > 0)
    traded = and_(row.executed, row.outcome_known)
    counts = [func.coalesce(func.sum(case((rule, 1), else_=0)), 0) for rule in (matured, neutral, correct, traded)]
    pnl = func.coalesce(func.sum(case((traded, row.realized_pnl), else_=0.0)), 0.0)
    query = select(func.count(), *counts, pnl).where(row.model_version == version_id)
    total, matured_n, neutral_n, correct_n, trades, total_pnl = session.execute(query).one()
    judged = matured_n - neutral_n
    return {
        "total_predictions": total,
        "matured_predictions": matured_n,
        "neutral_predictions": neutral_n,
        "correct_predictions": correct_n,
        "live_accuracy": correct_n / judged if judged else None,
        "total_trades": trades,
        "total_pnl": float(total_pnl),
    }
