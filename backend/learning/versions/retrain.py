"""One retraining of one strategy, by call or by schedule: the same function, the same answers."""

import math
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, NotRequired, TypedDict, Unpack

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ai_engine import pipeline
from ai_engine.candles import timeframe_ms
from ai_engine.dataset import Dataset, data_hash
from ai_engine.pipeline import Refused, Trained, TrainingContext
from backend.clock import Clock
from backend.database import Database
from backend.learning.decisions.rows import TrainingRead, read_training_rows
from backend.learning.decisions.strategies import get_strategy
from backend.learning.versions import audited, news
from backend.learning.versions.lineage import lineage_of
from backend.learning.versions.past import read_past
from backend.learning.versions.publish import Publication, folder_name, publish
from backend.learning.versions.store import ArtifactStore
from backend.learning.versions.trainer import Trainer
from backend.models import AIModelVersion, AITrainingSample
from backend.operations import runs
from backend.operations.jobs import Answer, Begun, Job, Progress
from backend.settings import Settings

JOB = runs.RETRAINING
SEED = 20_251_112
MIN_NEW_SHARE = 0.02


@dataclass(frozen=True)
class RetrainService:
    """What a retraining needs. ``wall_clock`` differs from ``clock`` only where that tells market time."""

    database: Database
    settings: Settings
    store: ArtifactStore
    trainer: Trainer
    clock: Clock
    wall_clock: Clock | None = None

    def wall(self) -> datetime:
        """The wall clock's time: versions are named after it and runs are dated by it."""
        return (self.wall_clock or self.clock)()


class RetrainOptions(TypedDict):
    """Who retrains what: a scheduled run has a ``slot`` and must find enough new outcomes."""

    strategy: str
    actor: str
    min_samples: NotRequired[int | None]
    slot: NotRequired[datetime | None]
    include_synthetic: NotRequired[bool]
    progress: NotRequired[Progress | None]


@dataclass(frozen=True)
class _Reading:
    """What the one short read transaction brought."""

    rows: TrainingRead
    context: TrainingContext
    known_outcomes: int
    new_outcomes: int


def retrain(service: RetrainService, **options: Unpack[RetrainOptions]) -> Answer:
    """Retrain now and answer as ``POST /ai/retrain`` does; 409 while one of this strategy runs."""
    job, begun = _begin(service, options)
    return job.carry_out(begun, partial(_train, service, options, begun.run_id), options.get("progress"))


def start_retrain(service: RetrainService, **options: Unpack[RetrainOptions]) -> str:
    """Begin a retraining, which goes on in a thread, and return its run's id."""
    job, begun = _begin(service, options)
    job.start(begun, partial(_train, service, options, begun.run_id), options.get("progress"))
    return begun.run_id


def _begin(service: RetrainService, options: RetrainOptions) -> tuple[Job, Begun]:
    strategy = options["strategy"]
    service.database.read(get_strategy, strategy, settings=service.settings)
    job = Job(
        service.database, service.wall, JOB, "training", failed="training_failed", close=_close, success_is_closed=True
    )
    return job, job.begin(strategy, options["actor"], options.get("slot"))


def _close(session: Session, begun: Begun, answer: Answer, now: datetime) -> None:
    runs.finish(session, begun.run_id, now, answer["status"], answer)
    if answer["status"] == "error" and answer["reason"] != "lost":  # a lost slot is run again first
        news.training_failed(session, begun.run_id, answer, now)


def _train(service: RetrainService, options: RetrainOptions, run_id: str, progress: Progress) -> Answer:
    progress("reading", 0.0)
    reading = service.database.read(_read, service.settings, options)
    refusal = _too_few(service.settings, options, reading) or service.database.read(
        _refusal, options["strategy"], pipeline.prepare(reading.rows.rows, reading.context), reading
    )
    if refusal is not None:
        return refusal
    before = read_past(service.database, service.store, options["strategy"])
    trained = service.trainer(reading.rows.rows, reading.context, progress, before.past)
    if isinstance(trained, Refused):
        return _refused(trained, reading)
    progress("publishing", 1.0)
    audit = service.database.read(audited.in_report, options["strategy"])
    trained = replace(trained, report=_completed(trained, reading, before.uncompared) | {"self_audit": audit})
    publication = Publication(
        strategy=options["strategy"],
        run_id=run_id,
        actor=options["actor"],
        trained=trained,
        trained_at=service.clock(),
        lineage=lineage_of(reading.rows, reading.context, trained, reading.known_outcomes),
        model_folder=folder_name(service.settings.model_dir, service.settings.root),
    )
    return publish(service.database, service.store, publication, service.wall)


def _read(session: Session, settings: Settings, options: RetrainOptions) -> _Reading:
    strategy = get_strategy(session, options["strategy"], settings=settings)
    include_synthetic = options.get("include_synthetic", False)
    known, new = count_outcomes(session, strategy.name)
    return _Reading(
        rows=read_training_rows(
            session,
            strategy,
            window_days=settings.ai_retrain_window_days,
            include_synthetic=include_synthetic,
        ),
        context=TrainingContext(
            strategy=strategy.name,
            timeframe_ms=timeframe_ms(strategy.timeframe),
            horizon_candles=strategy.horizon_candles,
            cost=settings.cost,
            seed=SEED,
            looks=strategy.looks + 1,
            include_synthetic=include_synthetic,
        ),
        known_outcomes=known,
        new_outcomes=new,
    )


def count_outcomes(session: Session, strategy: str) -> tuple[int, int]:
    """Known outcomes of the strategy, demo rows left out, and how many of them its newest version had not seen."""
    row = AITrainingSample
    counted = (row.strategy == strategy, row.outcome_known.is_(True), row.origin != "synthetic")
    known = session.scalar(select(func.count()).where(*counted)) or 0
    newest = select(AIModelVersion.lineage).where(AIModelVersion.strategy == strategy)
    lineage = session.scalars(newest.order_by(AIModelVersion.id.desc()).limit(1)).first() or {}
    return known, max(known - int(lineage.get("known_outcomes", 0)), 0)


def required_new(settings: Settings, samples_count: int) -> int:
    """How many new outcomes a scheduled retraining waits for: the setting, or 2 % of the window."""
    if settings.ai_retrain_min_new is not None:
        return settings.ai_retrain_min_new
    return max(math.ceil(MIN_NEW_SHARE * samples_count), 1)


def _too_few(settings: Settings, options: RetrainOptions, reading: _Reading) -> dict[str, Any] | None:
    count = reading.rows.samples_count
    required = options.get("min_samples") or settings.ai_retrain_min_samples
    if count < required:
        return {
            "status": "skipped",
            "reason": "insufficient_samples",
            "samples_count": count,
            "required": required,
            "outcomes_pending": reading.rows.outcomes_pending,
            "outcomes_unobservable": reading.rows.outcomes_unobservable,
        }
    wanted = required_new(settings, count)
    if options.get("slot") is not None and reading.new_outcomes < wanted:
        return {
            "status": "skipped",
            "reason": "too_few_new_samples",
            "new_samples": reading.new_outcomes,
            "required": wanted,
        }
    return None


def _refusal(session: Session, strategy: str, prepared: Dataset | Refused, reading: _Reading) -> dict[str, Any] | None:
    if isinstance(prepared, Refused):
        return _refused(prepared, reading)
    digest = data_hash(prepared)
    query = select(AIModelVersion.version_id).where(
        AIModelVersion.strategy == strategy, AIModelVersion.data_hash == digest
    )
    version_id = session.scalar(query)
    if version_id is None:
        return None
    return {"status": "skipped", "reason": "no_new_samples", "version_id": version_id, "data_hash": digest}


def _refused(refused: Refused, reading: _Reading) -> dict[str, Any]:
    detail = refused.detail
    return {
        "status": "error",
        "reason": refused.reason,
        **detail,
        "rejected": _kept_out(reading.rows, detail.get("rejected", {})),
        "outcomes_pending": reading.rows.outcomes_pending,
        "outcomes_unobservable": reading.rows.outcomes_unobservable,
    }


def _completed(trained: Trained, reading: _Reading, uncompared: str | None) -> dict[str, Any]:
    """The report with what only the service knows: rows that never reached the engine, a comparison that failed."""
    report = {**trained.report, "quarantined": _kept_out(reading.rows, trained.report["quarantined"])}
    if uncompared is None:
        return report
    return report | {
        "recommended": False,
        "recommendation_reasons": [*report["recommendation_reasons"], uncompared],
    }


def _kept_out(read: TrainingRead, rejected: dict[str, int]) -> dict[str, int]:
    """Every row of the window that did not train, by reason: quarantined, of another schema, or unusable."""
    counts = Counter(rejected) + Counter(read.quarantined) + Counter({"other_schema": read.other_schema})
    return dict(sorted(counts.items()))
