"""The service audits itself: the installed pipeline on its own data, with nothing to find in it and with something."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, NotRequired, TypedDict, Unpack

from sqlalchemy.orm import Session

from ai_engine import pipeline
from ai_engine.audit_ground import ground_of
from ai_engine.audit_result import result
from ai_engine.pipeline import Refused
from ai_engine.recipes import RECIPE_VERSION
from ai_engine.self_audit import Task
from backend.clock import Clock, iso
from backend.database import Database
from backend.learning.decisions.strategies import get_strategy
from backend.learning.evidence.audit_ground import Reading, read_ground
from backend.learning.evidence.auditor import Auditor
from backend.learning.versions.audited import newest_run
from backend.operations import runs
from backend.operations.alarms import close_alarm, raise_alarm
from backend.operations.codes import CATALOGUE_OF_CODES, Code
from backend.operations.jobs import Answer, Begun, Job, Progress
from backend.operations.runs import SELF_AUDIT
from backend.settings import Settings

PLACEBOS, PLANTED = 100, 40
FEWEST, MOST = 10, 1_000
SEED = 20_251_112


@dataclass(frozen=True)
class AuditService:
    """What a self-audit needs."""

    database: Database
    settings: Settings
    auditor: Auditor
    clock: Clock


class AuditOptions(TypedDict):
    """Who audits what with how many worlds; a scheduled audit has a ``slot`` and must find new outcomes."""

    strategy: str
    actor: str
    placebos: NotRequired[int]
    planted: NotRequired[int]
    slot: NotRequired[datetime | None]
    progress: NotRequired[Progress | None]


def self_audit(service: AuditService, **options: Unpack[AuditOptions]) -> Answer:
    """Audit now and answer as ``POST /ai/self-audit`` does; 409 while one of this strategy runs."""
    job, begun = _begin(service, options)
    return job.carry_out(begun, partial(_audit, service, options), options.get("progress"))


def start_self_audit(service: AuditService, **options: Unpack[AuditOptions]) -> str:
    """Begin an audit, which goes on in a thread, and return its run's id."""
    job, begun = _begin(service, options)
    job.start(begun, partial(_audit, service, options), options.get("progress"))
    return begun.run_id


def _begin(service: AuditService, options: AuditOptions) -> tuple[Job, Begun]:
    strategy = options["strategy"]
    service.database.read(get_strategy, strategy, settings=service.settings)
    job = Job(service.database, service.clock, SELF_AUDIT, "self-audit", failed="audit_failed", close=_close)
    return job, job.begin(strategy, options["actor"], options.get("slot"))


def _audit(service: AuditService, options: AuditOptions, progress: Progress) -> Answer:
    started = service.clock()
    progress("reading", 0.0)
    reading = service.database.read(_read, service.settings, options["strategy"])
    refusal = service.database.read(_refusal, service.settings, options, reading)
    if refusal is not None:
        return refusal
    prepared = pipeline.prepare(reading.rows.rows, reading.context)
    if isinstance(prepared, Refused):
        return {"status": "error", "reason": prepared.reason, **prepared.detail}
    horizon_ms = reading.context.horizon_candles * reading.context.timeframe_ms
    task = Task(
        ground=ground_of(prepared, reading.candles, horizon_ms=horizon_ms),
        context=reading.context,
        rows_available=len(prepared),
        placebos=options.get("placebos", PLACEBOS),
        planted=options.get("planted", PLANTED),
        seed=SEED,
    )
    judged, libraries = service.auditor(task, progress)
    return {
        "status": "success",
        **result(task, judged),
        "recipe_version": RECIPE_VERSION,
        "libraries": libraries,
        "known_outcomes": reading.known_outcomes,
        "started_at": iso(started),
        "finished_at": iso(service.clock()),
    }


def _read(session: Session, settings: Settings, name: str) -> Reading:
    return read_ground(session, get_strategy(session, name, settings=settings), settings, seed=SEED)


def _refusal(session: Session, settings: Settings, options: AuditOptions, reading: Reading) -> dict[str, Any] | None:
    count, required = reading.rows.samples_count, settings.ai_retrain_min_samples
    if count < required:
        return {
            "status": "skipped",
            "reason": "insufficient_samples",
            "samples_count": count,
            "required": required,
            "outcomes_pending": reading.rows.outcomes_pending,
            "outcomes_unobservable": reading.rows.outcomes_unobservable,
        }
    before = newest_run(session, options["strategy"], state="success") if options.get("slot") is not None else None
    told = before.result or {} if before is not None else {}
    if (told.get("known_outcomes"), told.get("recipe_version")) == (reading.known_outcomes, RECIPE_VERSION):
        return {"status": "skipped", "reason": "no_new_samples", "samples_count": count}
    return None


def _close(session: Session, begun: Begun, answer: Answer, now: datetime) -> None:
    runs.finish(session, begun.run_id, now, answer["status"], answer)
    if answer["status"] != "success":
        return
    if answer["holds"] is None:  # nothing could be judged: nothing says that what was wrong is mended
        return
    if answer["holds"]:
        close_alarm(session, Code.SELF_AUDIT_FAILED, begun.strategy, at=now)
        return
    said = ("false_approval_rate", "false_approval_ci95", "placebo_accuracy", "placebos", "faults")
    raise_alarm(
        session,
        Code.SELF_AUDIT_FAILED,
        begun.strategy,
        strategy=begun.strategy,
        severity=CATALOGUE_OF_CODES[Code.SELF_AUDIT_FAILED].severity,
        detail=answer["sentence"],
        evidence={"run_id": begun.run_id, **{name: answer[name] for name in said}},
        at=now,
    )
