"""How the self-audit of a strategy stands, and which one is due: Sundays at 05:00 UTC, one at a time."""

import logging
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.crontab import latest_slot, parse_schedule
from backend.learning.decisions.strategies import get_strategy
from backend.learning.evidence.self_audit import AuditService, start_self_audit
from backend.learning.versions.audited import newest_run
from backend.models import JobRun, Strategy
from backend.operations import runs
from backend.operations.runs import RETRAINING, SELF_AUDIT
from backend.settings import Settings

logger = logging.getLogger(__name__)

WEEKLY = parse_schedule("0 5 * * sun")
WEEK = timedelta(days=7)
ACTOR = "scheduler"
HISTORY = 10
STATES = {"running": "running", "success": "done", "skipped": "skipped", "error": "error"}


def state_of(session: Session, strategy: str, settings: Settings) -> dict[str, Any]:
    """The answer of ``GET /ai/self-audit``: the newest run, the newest result, and a few before."""
    name = get_strategy(session, strategy, settings=settings).name
    run, done = newest_run(session, name), newest_run(session, name, state="success")
    query = select(JobRun).where(JobRun.job == SELF_AUDIT, JobRun.strategy == name, JobRun.state != "missed")
    newest = session.scalars(query.order_by(JobRun.id.desc()).limit(HISTORY)).all()
    return {
        "status": "ok",
        "strategy": name,
        "state": STATES[run.state] if run else "never",
        "reason": (run.result or {}).get("reason") if run else None,
        "run_id": run.run_id if run else None,
        "stage": run.stage if run else None,
        "progress": run.progress if run else None,
        "result": {**(done.result or {}), "run_id": done.run_id} if done else None,
        "history": [_line(one) for one in newest],
    }


def _line(run: JobRun) -> dict[str, Any]:
    told, result = runs.public(run), run.result or {}
    kept = ("run_id", "state", "reason", "actor", "slot", "started_at", "finished_at")
    figures = ("placebos", "false_approval_rate", "false_approval_ci95", "holds")
    return {name: told[name] for name in kept} | {name: result.get(name) for name in figures}


def audit_due(service: AuditService) -> str | None:
    """Begin the audit that is due, if one is; its run's id."""
    due = service.database.read(next_due, service.clock())
    if due is None:
        return None
    strategy, slot = due
    try:
        return start_self_audit(service, strategy=strategy, actor=ACTOR, slot=slot)
    except (runs.SlotTakenError, runs.RunInProgressError) as error:
        logger.info("Self-audit not run here: %s", error.message)
        return None


def next_due(session: Session, now: datetime) -> tuple[str, datetime] | None:
    """A strategy whose newest slot nobody ran, or whose run of it was lost, and the slot.

    None while another audit runs anywhere, and no strategy in the middle of its retraining: what is due waits. The one
    that began first comes first, so that none is put off by however many a bot begins, whatever it calls them.
    """
    slot = latest_slot(WEEKLY, now, WEEK)
    running = select(JobRun).where(JobRun.state == "running", JobRun.job.in_((RETRAINING, SELF_AUDIT)))
    at_work = session.scalars(running).all()
    if slot is None or any(run.job == SELF_AUDIT for run in at_work):
        return None
    of_slot = select(JobRun).where(JobRun.job == SELF_AUDIT, JobRun.slot == slot)
    done = {run.strategy for run in session.scalars(of_slot) if not runs.may_be_taken_over(run)}
    busy = {run.strategy for run in at_work}
    began = select(Strategy.name).where(Strategy.created_at < slot).order_by(Strategy.created_at, Strategy.name)
    waiting = [name for name in session.scalars(began) if name not in done | busy]
    return (waiting[0], slot) if waiting else None
