"""Versions and strategies as the outside sees them."""

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.clock import iso
from backend.learning.versions.find import find_version, scores_beside
from backend.models import Activation, AIModelVersion, AITrainingSample, AuditEntry, FeatureSchema, Strategy
from backend.operations.paging import before_id, page_of

SHOWN_NAMES = 10
CHANGES = ("activate", "rollback", "deactivate")


def list_models(
    session: Session, *, strategy: str | None = None, limit: int = 100, cursor: str | None = None
) -> tuple[list[dict[str, Any]], str | None]:
    """Versions newest first, and the cursor of the next page where there is one."""
    query = select(AIModelVersion).order_by(AIModelVersion.id.desc()).limit(limit + 1)
    if strategy is not None:
        query = query.where(AIModelVersion.strategy == strategy)
    if cursor is not None:
        query = query.where(AIModelVersion.id < before_id(cursor))
    versions, next_cursor = page_of(session.scalars(query).all(), limit)
    return [summary(version) for version in versions], next_cursor


def summary(version: AIModelVersion) -> dict[str, Any]:
    """One row of ``GET /ai/models``."""
    return {
        "version_id": version.version_id,
        "model_type": version.model_type,
        "strategy": version.strategy,
        "trained_at": iso(version.trained_at),
        "training_samples": version.training_samples,
        "validation_samples": version.validation_samples,
        "train_accuracy": version.train_accuracy,
        "validation_accuracy": version.validation_accuracy,
        "train_mae": version.train_mae,
        "validation_mae": version.validation_mae,
        "verdict": version.verdict,
        "recommended": version.recommended,
        "is_active": version.is_active,
        "is_shadow": scores_beside(version),
        "shadow_origin": version.shadow_origin if scores_beside(version) else None,
        "activated_at": iso(version.activated_at) if version.activated_at else None,
        "replaced_at": iso(version.replaced_at) if version.replaced_at else None,
        "total_predictions": version.total_predictions,
        "correct_predictions": version.correct_predictions,
        "live_accuracy": version.live_accuracy,
        "total_pnl": version.total_pnl,
        "notes": version.notes,
    }


def schema_warning(session: Session, strategy: Strategy) -> str | None:
    """What an admitted schema means for decisions while the active version needs features that it lacks."""
    row = AIModelVersion
    active = session.scalars(select(row).where(row.strategy == strategy.name, row.is_active)).one_or_none()
    schema = session.get(FeatureSchema, strategy.feature_schema_id) if strategy.feature_schema_id else None
    if active is None or schema is None:
        return None
    missing = sorted(set(active.feature_schema.names) - set(schema.names))
    if not missing:
        return None
    shown = ", ".join(missing[:SHOWN_NAMES]) + (" and more" if len(missing) > SHOWN_NAMES else "")
    return (
        f"{active.version_id} is active and cannot serve this schema: it needs {shown}. Until a version of this schema"
        " is active, decisions are stored as HOLD with reason schema_mismatch. Retrain once enough of their outcomes"
        " are known and activate that version, or admit the names it needs again."
    )


def get_model(session: Session, version_id: str, strategy: str | None = None) -> dict[str, Any]:
    """All of one version: report, lineage, live metrics, and who activated it when and why."""
    version = find_version(session, version_id, strategy)
    schema = version.feature_schema
    return {
        "status": "ok",
        **summary(version),
        "model_path": version.model_path,
        "report": version.report,
        "lineage": {
            **version.lineage,
            "data_hash": version.data_hash,
            "feature_schema_hash": schema.hash,
            "feature_names": schema.names,
            "sha256": version.artifact_sha256,
            "artifact_bytes": version.artifact_bytes,
        },
        "live": _live(version),
        "activations": _activations(session, version.version_id),
        "history": _history(session, version),
    }


def _live(version: AIModelVersion) -> dict[str, Any]:
    return {
        "total_predictions": version.total_predictions,
        "matured_predictions": version.matured_predictions,
        "pending_predictions": version.total_predictions - version.matured_predictions,
        "neutral_predictions": version.neutral_predictions,
        "correct_predictions": version.correct_predictions,
        "live_accuracy": version.live_accuracy,
        "total_trades": version.total_trades,
        "total_pnl": version.total_pnl,
    }


def _activations(session: Session, version_id: str) -> list[dict[str, Any]]:
    query = select(Activation).where(Activation.version_id == version_id).order_by(Activation.id.desc())
    return [
        {
            "activated_at": iso(entry.activated_at),
            "actor": entry.actor,
            "reason": entry.reason,
            "undone_at": iso(entry.undone_at) if entry.undone_at else None,
        }
        for entry in session.scalars(query)
    ]


def _history(session: Session, version: AIModelVersion) -> list[dict[str, Any]]:
    """Every change of the deciding version that it was part of, newest first, from the audit trail."""
    query = select(AuditEntry).where(AuditEntry.strategy == version.strategy, AuditEntry.action.in_(CHANGES))
    told = []
    for entry in session.scalars(query.order_by(AuditEntry.id.desc())):
        before = (entry.detail or {}).get("previous_version")
        now = None if entry.action == "deactivate" else entry.subject
        if version.version_id in (now, before):
            one = {"at": iso(entry.at), "action": entry.action, "actor": entry.actor, "reason": entry.reason}
            told.append({**one, "version_id": now, "previous_version": before})
    return told


def list_strategies(
    session: Session, *, limit: int = 100, cursor: str | None = None
) -> tuple[list[dict[str, Any]], str | None]:
    """Strategies, the newest first, with what each is fixed to and which version is active."""
    offset = before_id(cursor) if cursor is not None else 0
    query = select(Strategy).order_by(Strategy.created_at.desc(), Strategy.name)
    strategies = session.scalars(query.offset(offset).limit(limit + 1)).all()
    next_cursor = str(offset + limit) if len(strategies) > limit else None
    return [_strategy(session, strategy) for strategy in strategies[:limit]], next_cursor


def _strategy(session: Session, strategy: Strategy) -> dict[str, Any]:
    schema = session.get(FeatureSchema, strategy.feature_schema_id) if strategy.feature_schema_id else None
    active = select(AIModelVersion.version_id).where(AIModelVersion.strategy == strategy.name, AIModelVersion.is_active)
    samples = select(func.count()).where(AITrainingSample.strategy == strategy.name)
    return {
        "name": strategy.name,
        "market": strategy.market,
        "timeframe": strategy.timeframe,
        "horizon_candles": strategy.horizon_candles,
        "sides": strategy.sides,
        "feature_schema_hash": schema.hash if schema else None,
        "features": len(schema.names) if schema else None,
        "active_version": session.scalar(active),
        "samples": session.scalar(samples) or 0,
        "looks": strategy.looks,
        "created_at": iso(strategy.created_at),
    }
