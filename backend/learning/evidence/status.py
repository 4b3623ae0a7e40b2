"""What ``/ai/status`` says: counts straight from the rows, all of one snapshot."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from ai_engine.candles import timeframe_ms
from ai_engine.types import Action
from backend.clock import iso
from backend.learning.versions.retrain import count_outcomes, required_new
from backend.learning.versions.serving import Serving
from backend.models import AITrainingSample, Feed, JobRun, Strategy
from backend.operations import runs
from backend.settings import Settings

Sample = AITrainingSample

DAY = timedelta(days=1)
STALE_AFTER_CANDLES = 3
STALE_AFTER_AT_LEAST = timedelta(seconds=15)


def status(session: Session, strategy: str, settings: Settings, now: datetime, serving: Serving) -> dict[str, Any]:
    """Everything one wants to know at a glance; ``retraining.next_run`` is the scheduler's to add."""
    market = market_state(session, strategy, now)
    return {
        "status": "ok",
        "strategy": strategy,
        "samples": _samples(session, strategy, now),
        "trades": _trades(session, strategy),
        "signals": _signals(session, strategy, market["market_time"] or now),
        "retraining": _retraining(session, strategy, settings),
        "active_model": active_model(session, strategy, serving),
        "market": {**market, "market_time": market["market_time"] and iso(market["market_time"])},
        "settings_in_force": settings.in_force(),
    }


def market_state(session: Session, strategy: str, now: datetime) -> dict[str, Any]:
    """The strategy's feed: its source, its state and how far it has come; ``off`` where it has none."""
    feed = session.get(Feed, strategy)
    if feed is None:
        return {"source": None, "state": "off", "market_time": None, "updated_at": None, "detail": None}
    row = session.get(Strategy, strategy)
    alive = feed.state in ("warming", "running")
    patience = stale_after(row.timeframe) if row else STALE_AFTER_AT_LEAST
    stale = alive and now - feed.updated_at > patience
    return {
        "source": feed.source,
        "state": "stale" if stale else feed.state,
        "market_time": feed.market_time,
        "updated_at": iso(feed.updated_at),
        "detail": feed.detail,
    }


def stale_after(timeframe: str) -> timedelta:
    """How long a feed may be silent: three candles, at least 15 seconds, beside the candle it is waiting for."""
    candle = timedelta(milliseconds=timeframe_ms(timeframe))
    return candle + max(STALE_AFTER_CANDLES * candle, STALE_AFTER_AT_LEAST)


def active_model(session: Session, strategy: str, serving: Serving) -> dict[str, Any]:
    """The version activated, the one that serves, and whether they differ because a file is damaged."""
    state = serving.state_of(session, strategy)
    return {
        "version_id": state.active_version_id,
        "serving_version_id": state.serving_version_id,
        "degraded": state.degraded,
    }


def samples_by(session: Session, strategy: str, column: Any, *where: ColumnElement[bool]) -> dict[Any, int]:
    """How many of the strategy's samples there are of each value of a column."""
    query = select(column, func.count()).where(Sample.strategy == strategy, *where).group_by(column)
    return dict(session.execute(query).all())


def _samples(session: Session, strategy: str, now: datetime) -> dict[str, Any]:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    known = _count(session, strategy, Sample.outcome_known.is_(True))
    total = _count(session, strategy)
    unobservable = _count(session, strategy, Sample.state == "unobservable", ~Sample.outcome_known)
    by_action = samples_by(session, strategy, Sample.predicted_action)
    by_source = samples_by(session, strategy, Sample.label_source, Sample.label_source.is_not(None))
    sources = ("executed", "counterfactual", "historical", "synthetic")
    return {
        "total": total,
        "outcome_known": known,
        "pending": total - known - unobservable,
        "unobservable": unobservable,
        "today": _count(session, strategy, Sample.created_at >= midnight),
        "by_action": {str(action): by_action.get(action, 0) for action in Action},
        "by_label_source": {source: by_source.get(source, 0) for source in sources},
    }


def _trades(session: Session, strategy: str) -> dict[str, Any]:
    closed = (Sample.executed, Sample.outcome_known, Sample.label_source == "executed")
    query = select(func.count(), func.sum(Sample.realized_pnl)).where(Sample.strategy == strategy, *closed)
    count, pnl = session.execute(query).one()
    total_pnl = pnl if pnl is not None else (None if count else 0.0)
    return {"open": _count(session, strategy, Sample.state == "open"), "closed": count, "total_pnl": total_pnl}


def _signals(session: Session, strategy: str, market_time: datetime) -> dict[str, int]:
    recent = (Sample.origin == "decision", Sample.timestamp > market_time - DAY, Sample.timestamp <= market_time)
    found = samples_by(session, strategy, Sample.predicted_action, *recent)
    return {str(action): found.get(action, 0) for action in Action}


def _retraining(session: Session, strategy: str, settings: Settings) -> dict[str, Any]:
    running = session.scalars(select(JobRun.run_id).where(JobRun.state == "running").order_by(JobRun.id)).all()
    last = session.scalars(_runs_of(strategy).where(JobRun.state != "running").limit(1)).one_or_none()
    return {
        "enabled": settings.ai_retraining_enabled,
        "schedule": settings.ai_retrain_schedule,
        "last_run": runs.public(last) if last else None,
        "running": list(running),
        "samples_until_next": _samples_until_next(session, strategy, settings),
    }


def _samples_until_next(session: Session, strategy: str, settings: Settings) -> int:
    """How many outcomes a scheduled retraining still waits for: enough in the window, and enough new ones."""
    own = (Sample.strategy == strategy, Sample.outcome_known.is_(True), Sample.origin != "synthetic")
    newest = session.scalars(select(func.max(Sample.timestamp)).where(*own)).one()
    if newest is None:
        return settings.ai_retrain_min_samples
    within = Sample.timestamp >= newest - timedelta(days=settings.ai_retrain_window_days)
    count = session.scalars(select(func.count()).where(*own, within)).one()
    _, new = count_outcomes(session, strategy)
    return max(settings.ai_retrain_min_samples - count, required_new(settings, count) - new, 0)


def _runs_of(strategy: str) -> Select[JobRun]:
    return select(JobRun).where(JobRun.strategy == strategy).order_by(JobRun.id.desc())


def _count(session: Session, strategy: str, *where: ColumnElement[bool]) -> int:
    query = select(func.count()).select_from(Sample).where(Sample.strategy == strategy, *where)
    return session.scalars(query).one()
