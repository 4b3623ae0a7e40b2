"""What a monitoring system is told: figures counted from the rows of one snapshot, so that every process says the same.

What a later fact can take back is a gauge. A counter counts what stays, so it never falls, not over a restart either.
What is not known has no value.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from backend.learning.evidence.metric_families import Durations, Family, Names
from backend.learning.evidence.metric_samples import sample_families
from backend.learning.evidence.status import market_state
from backend.learning.versions.serving import Serving
from backend.models import AIModelVersion, Alarm, Delivery, Event, Feed, JobRun, Strategy
from backend.operations.codes import CATALOGUE_OF_CODES
from backend.settings import Settings

MOST_STRATEGIES = 100
FEED_STATES = ("warming", "running", "finished", "stale", "off")
FEED_MOVES = ("warming", "running", "stale")
ENDED = ("success", "skipped", "error", "missed")
SIZE = {
    "sqlite": "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
    "postgresql": "SELECT pg_database_size(current_database())",
}
CHANNELS = ("notify", "webhook")
DELIVERY_STATES = ("waiting", "sending", "sent", "failed")
BY_STRATEGY = ("strategy",)


@dataclass(frozen=True, slots=True)
class View:
    """What the figures depend on beside the rows; the retraining's slots are None where no schedule is in force."""

    settings: Settings
    serving: Serving
    now: datetime
    last_retraining: datetime | None
    next_retraining: datetime | None


def figures(session: Session, view: View) -> list[Family | Durations]:
    """Every figure, of one snapshot."""
    names = _names(session, view.settings)
    return [
        *sample_families(session, names),
        *_models(session, view, names),
        *_runs(session, view, names),
        *_feeds(session, view, names),
        *_alarms(session, names),
        *_news(session),
        _size(session),
    ]


def _names(session: Session, settings: Settings) -> Names:
    oldest = select(Strategy.name).order_by(Strategy.created_at, Strategy.name).limit(MOST_STRATEGIES)
    return Names(frozenset({"default", settings.strategy, *session.scalars(oldest)}))


def _models(session: Session, view: View, names: Names) -> list[Family]:
    version = AIModelVersion
    versions = Family(
        "model_versions",
        "gauge",
        "Trained versions by verdict, and whether they are recommended.",
        ("strategy", "verdict", "recommended"),
    )
    kinds = (version.strategy, version.verdict, version.recommended)
    for strategy, verdict, recommended, count in session.execute(select(*kinds, func.count()).group_by(*kinds)):
        versions.add((names.of(strategy), verdict, str(recommended).lower()), count)
    active = session.scalars(select(version).where(version.is_active, version.strategy.in_(names.known))).all()
    degraded = Family(
        "active_model_degraded",
        "gauge",
        "1 where the active version's file is damaged, so that another one or none answers.",
        BY_STRATEGY,
    )
    for one in active:
        degraded.put((one.strategy,), view.serving.state_of(session, one.strategy).degraded)
    return [versions, *_live(active), degraded]


def _live(active: Sequence[AIModelVersion]) -> list[Family]:
    about = Family(
        "active_model_info", "gauge", "The version that is active, as labels.", ("strategy", "version_id", "verdict")
    )
    activated = Family(
        "active_model_activated_timestamp_seconds", "gauge", "When the active version was activated.", BY_STRATEGY
    )
    predictions = Family(
        "active_model_predictions",
        "gauge",
        "The active version's decisions: right or wrong in direction, neutral (moved less than a round trip costs), or"
        " not judged yet.",
        ("strategy", "judged"),
    )
    live = Family(
        "live_accuracy_ratio",
        "gauge",
        "Share of right directions among the active version's judged decisions; none before the first.",
        BY_STRATEGY,
    )
    validation = Family(
        "validation_accuracy_ratio", "gauge", "The same share on the newest fifth of its training data.", BY_STRATEGY
    )
    trades = Family("active_model_trades", "gauge", "Closed trades that the active version decided.", BY_STRATEGY)
    pnl = Family("active_model_pnl_quote", "gauge", "What they earned in quote currency, fees paid.", BY_STRATEGY)
    for one in active:
        key = (one.strategy,)
        about.put((one.strategy, one.version_id, one.verdict), 1)
        activated.put(key, one.activated_at.timestamp() if one.activated_at else None)
        judged = one.matured_predictions - one.neutral_predictions
        predictions.put((*key, "right"), one.correct_predictions)
        predictions.put((*key, "wrong"), judged - one.correct_predictions)
        predictions.put((*key, "neutral"), one.neutral_predictions)
        predictions.put((*key, "not_yet"), one.total_predictions - one.matured_predictions)
        live.put(key, one.live_accuracy)
        validation.put(key, one.validation_accuracy)
        trades.put(key, one.total_trades)
        pnl.put(key, one.total_pnl)
    return [about, activated, predictions, live, validation, trades, pnl]


def _runs(session: Session, view: View, names: Names) -> list[Family | Durations]:
    ended = Family(
        "runs",
        "counter",
        "Ended runs of jobs by state and reason; a run lost with its process stays counted when it is taken over.",
        ("strategy", "task", "state", "reason"),
    )
    running = Family("runs_running", "gauge", "Runs going on now.", ("strategy", "task"))
    reason, retaken = JobRun.result["reason"].as_string(), JobRun.result["taken_over"].as_string()
    kinds = (JobRun.strategy, JobRun.job, JobRun.state, reason, retaken.is_not(None))
    for strategy, task, state, why, taken_over, count in session.execute(select(*kinds, func.count()).group_by(*kinds)):
        key = (names.of(strategy), task)
        if taken_over:
            ended.add((*key, "error", "lost"), count)
        if state in ENDED:
            ended.add((*key, state, why), count)
        running.add(key, count if state == "running" else 0)
    return [ended, running, *_times_of_runs(session, view, names)]


def _times_of_runs(session: Session, view: View, names: Names) -> list[Family | Durations]:
    last = Family(
        "run_last_end_timestamp_seconds",
        "gauge",
        "When the newest run that ended in this state ended; none before the first.",
        ("strategy", "task", "state"),
    )
    kinds = (JobRun.strategy, JobRun.job, JobRun.state)
    newest = select(*kinds, func.max(JobRun.finished_at)).where(JobRun.state.in_(ENDED)).group_by(*kinds)
    for strategy, task, state, at in session.execute(newest):
        if strategy in names.known:
            last.put((strategy, task, state), at.timestamp() if at else None)
    took = Durations("run_duration_seconds", "How long successful runs took.", ("task",))
    successful = select(JobRun.job, JobRun.started_at, JobRun.finished_at).where(JobRun.state == "success")
    for task, started_at, finished_at in session.execute(successful):
        if finished_at is not None:
            took.add((task,), max((finished_at - started_at).total_seconds(), 0.0))
    return [last, took, *_schedule(view)]


def _schedule(view: View) -> list[Family]:
    due = Family(
        "retraining_due_timestamp_seconds",
        "gauge",
        "When the newest scheduled retraining was due; none without a schedule.",
    )
    due.put((), view.last_retraining.timestamp() if view.last_retraining else None)
    following = Family(
        "retraining_next_timestamp_seconds",
        "gauge",
        "When the next scheduled retraining is due; none without a schedule.",
    )
    following.put((), view.next_retraining.timestamp() if view.next_retraining else None)
    return [due, following]


def _feeds(session: Session, view: View, names: Names) -> list[Family]:
    states = Family("feed_state", "gauge", "1 for the state that the market feed is in.", ("strategy", "state"))
    lag = Family(
        "feed_lag_seconds",
        "gauge",
        "How far the newest decided candle's close lies behind the market's time; none where no more are awaited.",
        BY_STRATEGY,
    )
    offset = Family(
        "market_clock_offset_seconds",
        "gauge",
        "The exchange's time minus this machine's; none where the market has no clock of its own.",
        BY_STRATEGY,
    )
    for feed in session.scalars(select(Feed).where(Feed.strategy.in_(names.known))):
        told = market_state(session, feed.strategy, view.now)
        for state in FEED_STATES:
            states.put((feed.strategy, state), state == told["state"])
        ahead = feed.clock_offset_seconds
        if told["state"] in FEED_MOVES and feed.market_time is not None:
            lag.put((feed.strategy,), (view.now - feed.market_time).total_seconds() + (ahead or 0.0))
        offset.put((feed.strategy,), ahead)
    return [states, lag, offset]


def _alarms(session: Session, names: Names) -> list[Family]:
    now_open = Family(
        "alarms_open", "gauge", "Open alarms; 0 for a code of which none is.", ("code", "severity", "strategy")
    )
    raised = Family("alarms_raised", "counter", "Alarms ever raised, closed ones too.", ("code",))
    kinds = (Alarm.code, Alarm.severity, Alarm.strategy)
    for code, severity, strategy, count in session.execute(
        select(*kinds, func.count()).where(Alarm.closed_at.is_(None)).group_by(*kinds)
    ):
        now_open.add((code, severity, names.of(strategy)), count)
    for code, count in session.execute(select(Alarm.code, func.count()).group_by(Alarm.code)):
        raised.add((code,), count)
    for code, entry in CATALOGUE_OF_CODES.items():
        if entry.alarms:
            raised.add((code,), 0)
            if not any(labels[0] == code for labels in now_open.values):
                now_open.add((code, entry.severity, None), 0)
    return [now_open, raised]


def _news(session: Session) -> list[Family]:
    events = Family("events", "counter", "Events stored for delivery, by what they tell.", ("code", "state"))
    deliveries = Family(
        "deliveries", "gauge", "Deliveries of events: waiting, sending, sent, or failed for good.", ("channel", "state")
    )
    for code, state, count in session.execute(
        select(Event.code, Event.state, func.count()).group_by(Event.code, Event.state)
    ):
        events.add((code, state), count)
    for labels in product(CHANNELS, DELIVERY_STATES):
        deliveries.add(labels, 0)
    for channel, state, count in session.execute(
        select(Delivery.channel, Delivery.state, func.count()).group_by(Delivery.channel, Delivery.state)
    ):
        deliveries.add((channel, state), count)
    return [events, deliveries]


def _size(session: Session) -> Family:
    family = Family("database_size_bytes", "gauge", "What the database takes on its disk.")
    size = session.execute(text(SIZE[session.get_bind().dialect.name])).scalar_one()
    family.put((), float(size))
    return family
