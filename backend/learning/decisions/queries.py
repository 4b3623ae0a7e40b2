"""Stored decisions as answers: one, a page newest first, and the keys in which each is told."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.orm import Session, lazyload

from backend.clock import iso
from backend.errors import InvalidInputError
from backend.learning.decisions.outcomes import find_sample
from backend.models import AITrainingSample, Fill

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CURSOR = re.compile(r"([0-9]{1,16})-([0-9]{1,18})")
STATES = ("open", "pending", "closed", "unobservable")


@dataclass(frozen=True, slots=True)
class SampleFilter:
    """Which samples of one strategy; None leaves a field free. ``since`` and ``until`` include their own moment."""

    strategy: str
    symbol: str | None = None
    action: str | None = None
    target_class: str | None = None
    label_source: str | None = None
    model_version: str | None = None
    outcome_known: bool | None = None
    executed: bool | None = None
    state: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    cursor: str | None = None
    limit: int = 100
    features: bool = False


def list_samples(session: Session, chosen: SampleFilter) -> tuple[list[dict[str, Any]], str | None]:
    """A page of samples in the contract's keys, newest first, and the cursor of the next one where there is one."""
    row = AITrainingSample
    query = _chosen(chosen).order_by(row.timestamp.desc(), row.id.desc()).limit(chosen.limit + 1)
    if not chosen.features:
        query = query.options(lazyload(row.feature_schema))
    samples = list(session.scalars(query))
    page = samples[: chosen.limit]
    next_cursor = cursor_of(page[-1]) if len(samples) > chosen.limit else None
    return [sample_dict(sample, features=chosen.features) for sample in page], next_cursor


def list_decisions(session: Session, chosen: SampleFilter) -> tuple[list[dict[str, Any]], str | None]:
    """``list_samples`` with what a bot needs to go on: how much of each entered quantity has left."""
    decisions, next_cursor = list_samples(session, chosen)
    held = _exited(session, [decision["sample_id"] for decision in decisions])
    return [_with_exits(decision, held) for decision in decisions], next_cursor


def get_decision(session: Session, strategy: str, decision_id: str) -> dict[str, Any]:
    """One decision with its outcome so far, and how much of its entered quantity has left."""
    sample = find_sample(session, strategy, decision_id)
    return _with_exits(sample_dict(sample), _exited(session, [sample.id]))


def sample_dict(sample: AITrainingSample, *, features: bool = False) -> dict[str, Any]:
    """The sample in the keys of ``GET /ai/training-samples``, with more beside them."""
    told: dict[str, Any] = {
        "id": sample.id,
        "sample_id": sample.id,
        "decision_id": sample.decision_id,
        "strategy": sample.strategy,
        "symbol": sample.symbol,
        "timestamp": iso(sample.timestamp),
        "state": sample.state,
        "origin": sample.origin,
        "price": sample.price,
        **_decided(sample),
        **_traded(sample),
        **_earned(sample),
    }
    if features:
        told["features"] = sample.features
        told["feature_names"] = list(sample.feature_schema.names)
    return told


def decision_dict(sample: AITrainingSample) -> dict[str, Any]:
    """The answer to a posted decision."""
    return {
        "sample_id": sample.id,
        "decision_id": sample.decision_id,
        "strategy": sample.strategy,
        "symbol": sample.symbol,
        "timestamp": iso(sample.timestamp),
        "price": sample.price,
        **_decided(sample),
    }


def _decided(sample: AITrainingSample) -> dict[str, Any]:
    low, high = sample.expected_return_low, sample.expected_return_high
    return {
        "predicted_action": sample.predicted_action,
        "prediction_score": sample.prediction_score,
        "prediction_confidence": sample.prediction_confidence,
        "expected_return": sample.expected_return,
        "expected_return_interval": None if low is None or high is None else [low, high],
        "model_version": sample.model_version,
        "reason": sample.reason,
        "explored": sample.explored,
        "propensity": sample.propensity,
    }


def _traded(sample: AITrainingSample) -> dict[str, Any]:
    return {
        "executed": sample.executed,
        "execution_side": sample.execution_side,
        "entry_price": sample.entry_price,
        "quantity": sample.quantity,
        "fees": sample.fees,
        "fees_known": sample.fees_known,
        "entry_time": _time(sample.entry_time),
        "exit_price": sample.exit_price,
        "exit_time": _time(sample.exit_time),
        "exit_reason": sample.exit_reason,
        "realized_pnl": sample.realized_pnl,
        "reported_pnl": sample.reported_pnl,
        "warning": sample.warning,
    }


def _earned(sample: AITrainingSample) -> dict[str, Any]:
    return {
        "market_return": sample.market_return,
        "forward_return": sample.forward_return,
        "forward_return_source": sample.forward_return_source,
        "horizon_at": iso(sample.horizon_at),
        "target_label": sample.target_label,
        "target_class": sample.target_class,
        "label_source": sample.label_source,
        "outcome_known": sample.outcome_known,
        "quarantine_reason": sample.quarantine_reason,
        "quarantine_decision": sample.quarantine_decision,
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else iso(moment)


def _chosen(chosen: SampleFilter) -> Select[AITrainingSample]:
    row = AITrainingSample
    if chosen.state is not None and chosen.state not in STATES:
        raise InvalidInputError(f"state must be one of {', '.join(STATES)}; not {chosen.state!r}.", field="state")
    equal = {
        row.symbol: chosen.symbol,
        row.predicted_action: chosen.action,
        row.target_class: chosen.target_class,
        row.label_source: chosen.label_source,
        row.model_version: chosen.model_version,
        row.outcome_known: chosen.outcome_known,
        row.executed: chosen.executed,
        row.state: chosen.state,
    }
    query = select(row).where(row.strategy == chosen.strategy)
    query = query.where(*(column == value for column, value in equal.items() if value is not None))
    if chosen.since is not None:
        query = query.where(row.timestamp >= chosen.since)
    if chosen.until is not None:
        query = query.where(row.timestamp <= chosen.until)
    return query if chosen.cursor is None else after_cursor(query, chosen.cursor)


def after_cursor(query: Select[AITrainingSample], cursor: str) -> Select[AITrainingSample]:
    """The rows older than the last one shown."""
    row, match = AITrainingSample, CURSOR.fullmatch(cursor)
    if match is None:
        raise InvalidInputError("cursor is not one this service gave out. Leave it out to start again.", field="cursor")
    timestamp, last_id = EPOCH + timedelta(microseconds=int(match[1])), int(match[2])
    return query.where(or_(row.timestamp < timestamp, and_(row.timestamp == timestamp, row.id < last_id)))


def cursor_of(sample: AITrainingSample) -> str:
    """What a page that ends with the sample gives out, for the next to begin after it."""
    return f"{(sample.timestamp - EPOCH) // timedelta(microseconds=1)}-{sample.id}"


def _exited(session: Session, ids: list[int]) -> dict[int, float]:
    query = select(Fill.sample_id, func.sum(Fill.quantity)).where(Fill.sample_id.in_(ids), Fill.leg == "exit")
    return {sample_id: quantity or 0.0 for sample_id, quantity in session.execute(query.group_by(Fill.sample_id))}


def _with_exits(told: dict[str, Any], exited: dict[int, float]) -> dict[str, Any]:
    left = exited.get(told["sample_id"], 0.0) if told["state"] == "open" else None
    return {**told, "exited_quantity": left}
