"""The table of jobs: APScheduler ticks, the rows decide what runs, so that several processes run a slot once."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend.clock import Clock, utc_now
from backend.crontab import Schedule, ScheduleError, latest_slot, next_slot, parse_schedule, slots_between
from backend.database import Database
from backend.learning.decisions.settle import settle_strategies, waiting_strategies
from backend.learning.evidence.live_evidence import LiveEvidence, look
from backend.learning.evidence.self_audit import AuditService
from backend.learning.evidence.self_audit_state import audit_due
from backend.learning.evidence.watch import WatchService, watch
from backend.learning.versions.publish import undo_unsettled
from backend.learning.versions.retrain import JOB, RetrainService, retrain
from backend.learning.versions.store import ArtifactStore
from backend.learning.versions.trainer import Trainer
from backend.models import JobRun, Strategy
from backend.operations import runs
from backend.settings import Settings

__all__ = [
    "JOB",
    "Due",
    "ScheduleError",
    "add_live_evidence",
    "add_self_audits",
    "add_watch",
    "build_scheduler",
    "due_slots",
    "housekeeping",
    "latest_slot",
    "next_slot",
    "parse_schedule",
    "run_due",
    "slots_between",
]

logger = logging.getLogger(__name__)

ACTOR = "scheduler"
HOUSEKEEPING = "housekeeping"
CATCH_UP = f"{JOB}-catch-up"
HOUSEKEEPING_SECONDS = 5
SETTLEMENT = "settlement"
SETTLEMENT_SECONDS = 1
WATCH = "watch"
WATCH_SECONDS = 30
LIVE_EVIDENCE = "live-evidence"
LIVE_EVIDENCE_SECONDS = 60
SELF_AUDIT_SECONDS = 60
CAUGHT_UP = timedelta(hours=24)


class SchedulerContext(Protocol):
    """What the jobs need of the service that runs them."""

    @property
    def database(self) -> Database: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def store(self) -> ArtifactStore: ...
    @property
    def trainer(self) -> Trainer: ...
    @property
    def clock(self) -> Clock: ...


@dataclass(frozen=True)
class Due:
    """What a strategy's schedule asks for: slots to run, oldest first, and slots that nobody will run any more."""

    strategy: str
    to_run: tuple[datetime, ...]
    missed: tuple[datetime, ...]


class SlotTrigger(BaseTrigger):  # type: ignore[misc]
    """Fires at each slot of a schedule."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """The first slot after the last one that fired, or after now."""
        return next_slot(self._schedule, previous_fire_time or now)

    def __str__(self) -> str:
        return f"{self._schedule.text} (UTC)"


def build_scheduler(context: SchedulerContext) -> BackgroundScheduler:
    """A scheduler with its jobs, not started; ScheduleError names the setting where the schedule is wrong."""
    settings = context.settings
    service = RetrainService(context.database, settings, context.store, context.trainer, context.clock)
    scheduler = BackgroundScheduler(
        timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
    )
    schedule = parse_schedule(settings.ai_retrain_schedule) if settings.ai_retraining_enabled else None
    if schedule is not None:
        scheduler.add_job(run_due, SlotTrigger(schedule), args=(service, schedule), id=JOB, name="AI retraining")
    scheduler.add_job(
        _keep_house,
        "interval",
        seconds=HOUSEKEEPING_SECONDS,
        next_run_time=utc_now(),
        args=(scheduler, service, schedule),
        id=HOUSEKEEPING,
    )
    scheduler.add_job(settle_waiting, "interval", seconds=SETTLEMENT_SECONDS, args=(service,), id=SETTLEMENT)
    return scheduler


def add_watch(scheduler: BackgroundScheduler, service: WatchService) -> None:
    """Look for what is to be alarmed every half minute; the first time when what is starting has had time to start."""
    scheduler.add_job(watch, "interval", seconds=WATCH_SECONDS, args=(service,), id=WATCH)


def add_live_evidence(scheduler: BackgroundScheduler, service: LiveEvidence) -> None:
    """Look every minute whether what an active version showed still holds."""
    scheduler.add_job(look, "interval", seconds=LIVE_EVIDENCE_SECONDS, args=(service,), id=LIVE_EVIDENCE)


def add_self_audits(scheduler: BackgroundScheduler, service: AuditService) -> None:
    """Look every minute which weekly self-audit is due; each runs in a thread of its own, one at a time."""
    scheduler.add_job(audit_due, "interval", seconds=SELF_AUDIT_SECONDS, args=(service,), id=runs.SELF_AUDIT)


def settle_waiting(service: RetrainService) -> None:
    """Outcomes of bots' decisions whose horizon has passed; what a trader's market prices, the trader settles."""
    now = service.wall()
    waiting = service.database.read(waiting_strategies, now, market=service.settings.market)
    if waiting:
        service.database.write(settle_strategies, waiting, settings=service.settings, now=now)


def _keep_house(scheduler: Any, service: RetrainService, schedule: Schedule | None) -> None:
    """Close what lost processes left, and catch up in a job of its own what they or a pause left undone."""
    housekeeping(service)
    if schedule is not None and service.database.read(due_slots, schedule, service.wall()):
        scheduler.add_job(run_due, args=(service, schedule), id=CATCH_UP, replace_existing=True)


def housekeeping(service: RetrainService) -> None:
    """Close lost runs with their leases, and take back files whose row was never stored."""
    closed = service.database.write(runs.close_lost, service.wall())
    if closed:
        logger.warning("Runs lost with their process: %s", ", ".join(closed))
    withdrawn = undo_unsettled(service.database, service.store)
    if withdrawn:
        logger.warning("Half published files removed: %s", ", ".join(withdrawn))


def run_due(service: RetrainService, schedule: Schedule) -> None:
    """Retrain every strategy whose newest slot nobody ran, or whose slot was lost with its process."""
    for due in service.database.read(due_slots, schedule, service.wall()):
        if due.missed:
            _record_missed(service, due)
        for slot in due.to_run:
            _run_slot(service, due.strategy, slot)


def _record_missed(service: RetrainService, due: Due) -> None:
    new = runs.NewRun(JOB, due.strategy, ACTOR)
    try:
        service.database.write(runs.mark_missed, new, due.missed, service.wall())
    except IntegrityError:
        logger.info("Another process recorded the missed slots of %s.", due.strategy)


def _run_slot(service: RetrainService, strategy: str, slot: datetime) -> None:
    try:
        answer = retrain(service, strategy=strategy, actor=ACTOR, slot=slot)
    except (runs.SlotTakenError, runs.RunInProgressError) as error:
        logger.info("Slot not run here: %s", error.message)
    except Exception:
        logger.exception("The scheduled retraining of %s failed.", strategy)
    else:
        outcome = answer.get("version_id") or answer.get("reason")
        logger.info("Scheduled retraining of %s: %s (%s)", strategy, answer["status"], outcome)


def due_slots(session: Session, schedule: Schedule, now: datetime) -> list[Due]:
    """What is due for each strategy, of the slots since it began, at most a day back.

    First comes whoever has waited longest: since its last run, or since it began. By name, whoever makes many
    strategies would hold up all whose names come later.
    """
    found = []
    last_run = select(func.max(JobRun.started_at)).where(JobRun.job == JOB, JobRun.strategy == Strategy.name)
    waits_since = func.coalesce(last_run.scalar_subquery(), Strategy.created_at)
    for strategy in session.scalars(select(Strategy).order_by(waits_since, Strategy.created_at, Strategy.name)):
        since = max(strategy.created_at, now - CAUGHT_UP)
        recorded = session.scalars(
            select(JobRun).where(JobRun.job == JOB, JobRun.strategy == strategy.name, JobRun.slot > since)
        ).all()
        due = _due(strategy.name, list(slots_between(schedule, since, now)), recorded)
        if due.to_run or due.missed:
            found.append(due)
    return found


def _due(strategy: str, slots: list[datetime], recorded: Iterable[JobRun]) -> Due:
    """The newest slot runs if nobody ran it; older ones without a run are missed; lost ones run once more."""
    by_slot = {run.slot: run for run in recorded}
    lost = [slot for slot, run in by_slot.items() if slot is not None and runs.may_be_taken_over(run)]
    unrun = [slot for slot in slots if slot not in by_slot]
    newest = [slot for slot in unrun if slot == slots[-1]]
    return Due(strategy, (*sorted(lost), *newest), tuple(slot for slot in unrun if slot not in newest))
