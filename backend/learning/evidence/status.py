"""What ``/ai/status`` says: counts straight from the rows, all of one snapshot."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, and_, func, select, true
from sqlalchemy.orm import Session

from ai_engine.candles import timeframe_ms
from ai_engine.types import Action, LabelSource
from backend.clock import iso
from backend.learning.versions.retrain import JOB, count_outcomes, required_new
from backend.learning.versions.serving import Serving
from backend.models import AITrainingSample, Feed, JobRun, Strategy
from backend.operations import runs
from backend.operations.codes import Code
from backend.settings import Settings

Sample = AITrainingSample

ACTIONS = tuple(str(action) for action in Action)
ORIGINS = ("decision", "import", "historical", "synthetic")
SOURCES = tuple(str(source) for source in LabelSource)
DAY = timedelta(days=1)
STALE_AFTER_CANDLES = 3
STALE_AFTER_AT_LEAST = timedelta(seconds=15)
STOPPED = "The service was stopped."


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
        unknown = dict.fromkeys(("market_time", "updated_at", "detail", "clock_offset_seconds"))
        return {"source": None, "state": "off", **unknown}
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
        "clock_offset_seconds": feed.clock_offset_seconds,
    }


def trader_trouble(session: Session, settings: Settings) -> Code | None:
    """Why the built-in trader, which these settings ask for, does not trade; None where nothing is known against it."""
    feed = session.get(Feed, settings.strategy)
    if feed is None or settings.market == "off":
        return None
    if refused(feed.state, feed.detail):
        return Code.TRADER_STOPPED
    return Code.MARKET_FEED_STALE if feed.state == "stale" else None


def refused(state: str, detail: str | None) -> bool:
    """Whether the trader would not begin, as told apart from one that was stopped or never ran."""
    return state == "off" and detail not in (None, STOPPED)


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


def _samples(session: Session, strategy: str, now: datetime) -> dict[str, Any]:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    decided = Sample.origin == "decision"
    lost = and_(Sample.state == "unobservable", ~Sample.outcome_known)
    counted = {
        "total": true(),
        "outcome_known": Sample.outcome_known,
        "unobservable": lost,
        "quarantined": and_(Sample.quarantine_reason.is_not(None), Sample.quarantine_decision.is_(None)),
        "today": Sample.created_at >= midnight,
        **{action: Sample.predicted_action == action for action in ACTIONS},
        **{source: Sample.label_source == source for source in SOURCES},
        **{f"of_{origin}": Sample.origin == origin for origin in ORIGINS},
        "decided_known": and_(decided, Sample.outcome_known),
        "decided_unobservable": and_(decided, lost),
        "decided_today": and_(decided, Sample.created_at >= midnight),
    }
    columns = [func.count().filter(condition).label(name) for name, condition in counted.items()]
    found = session.execute(select(*columns).where(Sample.strategy == strategy)).one()._asdict()
    return {
        "total": found["total"],
        "outcome_known": found["outcome_known"],
        "pending": found["total"] - found["outcome_known"] - found["unobservable"],
        "unobservable": found["unobservable"],
        "quarantined": found["quarantined"],
        "today": found["today"],
        "by_action": {action: found[action] for action in ACTIONS},
        "by_label_source": {source: found[source] for source in SOURCES},
        "by_origin": {origin: found[f"of_{origin}"] for origin in ORIGINS},
        "decisions": _decisions(found),
    }


def _decisions(found: dict[str, int]) -> dict[str, int]:
    """The same counts of what was really decided here; imported, historical and demo rows are none of it."""
    known, lost = found["decided_known"], found["decided_unobservable"]
    return {
        "total": found["of_decision"],
        "outcome_known": known,
        "pending": found["of_decision"] - known - lost,
        "unobservable": lost,
        "today": found["decided_today"],
    }


def _trades(session: Session, strategy: str) -> dict[str, Any]:
    closed = (Sample.executed, Sample.outcome_known, Sample.label_source == "executed")
    query = select(func.count(), func.sum(Sample.realized_pnl)).where(Sample.strategy == strategy, *closed)
    count, pnl = session.execute(query).one()
    total_pnl = pnl if pnl is not None else (None if count else 0.0)
    opened = select(func.count()).where(Sample.strategy == strategy, Sample.state == "open")
    return {"open": session.scalars(opened).one(), "closed": count, "total_pnl": total_pnl}


def _signals(session: Session, strategy: str, market_time: datetime) -> dict[str, int]:
    recent = (Sample.origin == "decision", Sample.timestamp > market_time - DAY, Sample.timestamp <= market_time)
    query = select(Sample.predicted_action, func.count()).where(Sample.strategy == strategy, *recent)
    found = dict(session.execute(query.group_by(Sample.predicted_action)).all())
    return {action: found.get(action, 0) for action in ACTIONS}


def _retraining(session: Session, strategy: str, settings: Settings) -> dict[str, Any]:
    running = session.scalars(
        select(JobRun.run_id).where(JobRun.job == JOB, JobRun.state == "running").order_by(JobRun.id)
    ).all()
    last = session.scalars(_runs_of(strategy).where(JobRun.state != "running").limit(1)).one_or_none()
    success = session.scalars(_runs_of(strategy).where(JobRun.state == "success").limit(1)).one_or_none()
    return {
        "enabled": settings.ai_retraining_enabled,
        "schedule": settings.ai_retrain_schedule,
        "last_run": runs.public(last) if last else None,
        "last_success": runs.public(success) if success else None,
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
    return select(JobRun).where(JobRun.job == JOB, JobRun.strategy == strategy).order_by(JobRun.id.desc())
