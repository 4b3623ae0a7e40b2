"""The whole loop over history: the live round and the same retraining, with market time for a clock.

Rounds are taken in event order, several to a transaction; a retraining happens at each slot of the schedule in
market time. Whatever interrupts it, the next run goes on after the last stored round.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend import system
from backend.clock import Clock, iso
from backend.crontab import parse_schedule, slots_between
from backend.database import Database
from backend.errors import ConflictError, UnavailableError
from backend.learning.versions.activation import ActivationRequest, VersionService, activate
from backend.learning.versions.news import REPLAY
from backend.learning.versions.retrain import JOB, RetrainService, retrain
from backend.learning.versions.serving import Serving
from backend.learning.versions.store import ArtifactStore
from backend.learning.versions.trainer import Trainer
from backend.market.feed import Feed
from backend.models import AIModelVersion, JobRun
from backend.operations.runs import SlotTakenError, close_lost
from backend.settings import Settings
from backend.trading.batches import ROUNDS_A_TRANSACTION, nights
from backend.trading.context import TraderContext
from backend.trading.feed_state import say
from backend.trading.role import TraderRole
from backend.trading.round import Trader
from backend.trading.summary import Figures, figures

log = logging.getLogger(__name__)

ACTIVATE = ("recommended", "newest", "none")
LEASE_TTL = timedelta(minutes=10)


class Progress(Protocol):
    """Told after each batch, and before a retraining, which ``doing`` names."""

    def __call__(self, done: int, total: int, at: datetime, doing: str) -> None:
        """``done`` of ``total`` rounds are taken; the market stands ``at``."""


@dataclass(frozen=True, slots=True)
class ReplayService:
    """What a replay works with; ``clock`` is the wall clock."""

    database: Database
    settings: Settings
    store: ArtifactStore
    serving: Serving
    trainer: Trainer
    clock: Clock


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """``activate``: ``recommended`` leaves the choice to the evidence, ``newest`` imitates a person who always does."""

    strategy: str
    activate: str = "recommended"
    rounds_a_transaction: int = ROUNDS_A_TRANSACTION


@dataclass(frozen=True, slots=True)
class ReplaySummary:
    """What this run added, and what the strategy's rows say now."""

    rounds_taken: int
    duration_seconds: float
    figures: Figures

    def as_dict(self) -> dict[str, Any]:
        """JSON-safe."""
        return {
            "status": "ok",
            "rounds_taken": self.rounds_taken,
            "duration_seconds": round(self.duration_seconds, 3),
            **self.figures.as_dict(),
        }


def replay(service: ReplayService, feed: Feed, options: ReplayOptions, progress: Progress) -> ReplaySummary:
    """Take every round that the strategy has not taken yet; 409 where another process trades for it."""
    began = service.clock()
    role = TraderRole(service.database, options.strategy, service.clock, system.process_identity(), LEASE_TTL)
    if not role.take():
        raise ConflictError(
            f"Another process trades for strategy {options.strategy}. Stop it, or replay into another strategy with"
            " --strategy.",
            reason="trader_running",
        )
    try:
        taken = _Replay(service, feed, options, role).run(progress)
    finally:
        role.give_back()
    return ReplaySummary(
        rounds_taken=taken,
        duration_seconds=(service.clock() - began).total_seconds(),
        figures=service.database.read(figures, options.strategy),
    )


class _Replay:
    """One replay under way."""

    def __init__(self, service: ReplayService, feed: Feed, options: ReplayOptions, role: TraderRole) -> None:
        self._service = service
        self._options = options
        self._role = role
        context = TraderContext(
            database=service.database,
            settings=service.settings,
            serving=service.serving,
            feed=feed,
            strategy=options.strategy,
            clock=service.clock,
            guard=role.keep,
        )
        self._trader = Trader(context)

    def run(self, progress: Progress) -> int:
        """Take the rounds with the nights between them; how many rounds there were."""
        trader, size = self._trader, self._options.rounds_a_transaction
        times = [one.close_time for one in trader.feed.rounds(trader.after)]
        slots = self._slots(trader.after, times[-1] if times else trader.after)
        done = 0
        for batch, due in nights(trader.feed.rounds(trader.after), slots, size):
            self._role.take()
            if batch:
                trader.steps(batch)
                done += len(batch)
            progress(done, len(times), trader.after, "replaying")
            for slot in due:
                progress(done, len(times), slot, f"retraining {iso(slot)}")
                answer = self._night(slot)
                progress(done, len(times), slot, "replaying")
                if answer.get("reason") == "lost":
                    raise UnavailableError(
                        f"The retraining of {iso(slot)} was given up. Replay again to go on from there.",
                        reason="replay_interrupted",
                    )
        if times:
            self._finish()
        return done

    def _slots(self, after: datetime, until: datetime) -> list[datetime]:
        """The nights still to come; one exactly at the last stored round may have been interrupted."""
        settings = self._service.settings
        if not settings.ai_retraining_enabled:
            return []
        schedule = parse_schedule(settings.ai_retrain_schedule)
        return list(slots_between(schedule, after - timedelta(microseconds=1), until))

    def _night(self, slot: datetime) -> dict[str, Any]:
        """Retrain as the scheduler does at ``slot``; a slot that was run before is left alone."""
        service = self._service
        service.database.write(_allow_again, self._options.strategy, slot, service.clock())
        market = RetrainService(
            database=service.database,
            settings=service.settings,
            store=service.store,
            trainer=service.trainer,
            clock=lambda: slot,
            wall_clock=service.clock,
        )
        try:
            answer = retrain(market, strategy=self._options.strategy, actor=REPLAY, slot=slot)
        except SlotTakenError:
            answer = service.database.read(_answer_of, self._options.strategy, slot)
        if answer.get("status") == "success":
            self._consider(answer["version_id"])
        return answer

    def _consider(self, version_id: str) -> None:
        """Activate the new version where the options say that a person would; once, and never against the gate."""
        service, mode = self._service, self._options.activate
        recommended, activated = service.database.read(_standing, version_id)
        if activated or mode == "none" or (mode == "recommended" and not recommended):
            return
        versions = VersionService(service.database, service.settings, service.store, service.clock)
        try:
            activate(versions, ActivationRequest(version_id, REPLAY, reason=f"qt replay --activate {mode}"))
        except ConflictError as refused:
            log.info("Not activated: %s", refused.message)

    def _finish(self) -> None:
        strategy, source = self._options.strategy, self._trader.feed.source
        self._service.database.write(say, strategy, source, "finished", now=self._service.clock())


def _allow_again(session: Session, strategy: str, slot: datetime, now: datetime) -> None:
    """Let a night that was lost be taken over however often: here a person, not a crash, starts it anew."""
    close_lost(session, now)
    query = select(JobRun).where(JobRun.job == JOB, JobRun.strategy == strategy, JobRun.slot == slot)
    run = session.scalars(query).one_or_none()
    result = (run.result or {}) if run is not None else {}
    if run is not None and run.state == "error" and result.get("reason") == "lost":
        run.result = {name: value for name, value in result.items() if name != "taken_over"}


def _answer_of(session: Session, strategy: str, slot: datetime) -> dict[str, Any]:
    query = select(JobRun.result).where(JobRun.job == JOB, JobRun.strategy == strategy, JobRun.slot == slot)
    return session.scalars(query).one_or_none() or {}


def _standing(session: Session, version_id: str) -> tuple[bool, bool]:
    """Whether the version is recommended, and whether it has ever been active."""
    query = select(AIModelVersion.recommended, AIModelVersion.activated_at).where(
        AIModelVersion.version_id == version_id
    )
    recommended, activated_at = session.execute(query).one()
    return recommended, activated_at is not None
