"""Runs of jobs as rows: one running per job and strategy, one a slot, and none left behind by a lost process."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from backend import system
from backend.clock import iso
from backend.errors import ConflictError, NotFoundError
from backend.models import JobRun
from backend.operations import leases
from backend.operations.paging import before_id, page_of

RETRAINING, SELF_AUDIT = "ai-retraining", "self-audit"
RESTARTED_AFTER = timedelta(seconds=8)
UNREACHABLE_AFTER = timedelta(seconds=60)


@dataclass(frozen=True)
class NewRun:
    """A run about to start; ``slot`` is None for one that somebody asked for."""

    job: str
    strategy: str
    actor: str
    slot: datetime | None = None


class RunInProgressError(ConflictError):
    """The job already runs for this strategy."""

    def __init__(self, job: str, strategy: str, run_id: str | None) -> None:
        audit = job == SELF_AUDIT
        what, where = ("self-audit", "self-audit") if audit else ("retraining", f"retraining-runs/{run_id}")
        super().__init__(
            f"A {what} of {strategy} is running. Wait for it: GET /ai/{where}.",
            reason="self_audit_in_progress" if audit else "retraining_in_progress",
            run_id=run_id,
        )


class SlotTakenError(ConflictError):
    """Another process has run, or runs, this slot."""

    def __init__(self, strategy: str, slot: datetime) -> None:
        super().__init__(f"The slot {iso(slot)} of {strategy} was run before.", reason="slot_taken")


class RunLostError(ConflictError):
    """The run was closed, or taken over, while this process still worked on it."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"The run {run_id} was closed while it worked; its result is dropped.", reason="lost")


def start(session: Session, new: NewRun, now: datetime) -> str:
    """Record a running run and return its id; a slot whose first run was lost is taken over once."""
    close_lost(session, now)
    running = session.scalars(_running(new.job, new.strategy)).one_or_none()
    if running is not None:
        raise RunInProgressError(new.job, new.strategy, running.run_id)
    run = _of_slot(session, new) if new.slot else None
    if run is None:
        run = JobRun(run_id=f"run-{uuid4().hex[:20]}", job=new.job, strategy=new.strategy, slot=new.slot)
        session.add(run)
    elif new.slot is not None and not may_be_taken_over(run):
        raise SlotTakenError(new.strategy, new.slot)
    else:
        run.result, run.finished_at = {"taken_over": True}, None
    run.state, run.stage, run.progress = "running", "starting", 0.0
    run.actor, run.owner = new.actor, system.process_identity()
    run.started_at = run.heartbeat_at = now
    session.flush()
    return run.run_id


def may_be_taken_over(run: JobRun) -> bool:
    """Whether the slot's run was lost with its process, for the first time."""
    result = run.result or {}
    return run.state == "error" and result.get("reason") == "lost" and not result.get("taken_over")


def _of_slot(session: Session, new: NewRun) -> JobRun | None:
    query = select(JobRun).where(JobRun.job == new.job, JobRun.strategy == new.strategy, JobRun.slot == new.slot)
    return session.scalars(query).one_or_none()


def _running(job: str, strategy: str) -> Any:
    return select(JobRun).where(JobRun.job == job, JobRun.strategy == strategy, JobRun.state == "running")


def running_run_id(session: Session, job: str, strategy: str) -> str | None:
    """The id of the run in progress."""
    run: JobRun | None = session.scalars(_running(job, strategy)).one_or_none()
    return run.run_id if run else None


def progress(session: Session, run_id: str, now: datetime, stage: str, fraction: float) -> bool:
    """Say that the run lives and how far it is; False where it is no longer this process's."""
    return _change_own(session, run_id, heartbeat_at=now, stage=stage, progress=min(max(float(fraction), 0.0), 1.0))


def finish(session: Session, run_id: str, now: datetime, state: str, result: dict[str, Any]) -> None:
    """Close this process's run; RunLostError where somebody else closed it before."""
    before = session.scalars(select(JobRun.result).where(JobRun.run_id == run_id)).one_or_none() or {}
    kept = {"taken_over": True} if before.get("taken_over") else {}
    done = {"stage": "done", "progress": 1.0} if state != "error" else {}
    closed = _change_own(
        session, run_id, state=state, finished_at=now, heartbeat_at=now, result={**result, **kept}, **done
    )
    if not closed:
        raise RunLostError(run_id)


def _change_own(session: Session, run_id: str, **values: Any) -> bool:
    own = (JobRun.run_id == run_id, JobRun.state == "running", JobRun.owner == system.process_identity())
    answer = session.execute(update(JobRun).where(*own).values(**values))
    return isinstance(answer, CursorResult) and answer.rowcount == 1


def close_lost(session: Session, now: datetime) -> list[str]:
    """Close the runs whose process is gone, and end its leases; the ids of the runs."""
    leases.release_lost(session, now)
    running = session.scalars(select(JobRun).where(JobRun.state == "running")).all()
    lost = [run for run in running if _is_lost(run, now)]
    return _lose(session, lost, now, "The process that ran it ended.")


def own_running(session: Session) -> list[str]:
    """The ids of the runs that this process works on."""
    return [run.run_id for run in _own(session)]


def close_own(session: Session, now: datetime) -> list[str]:
    """Close the runs of this process, which is about to end; their ids."""
    return _lose(session, _own(session), now, "The service stopped while it ran.")


def _own(session: Session) -> Sequence[JobRun]:
    own = (JobRun.state == "running", JobRun.owner == system.process_identity())
    return session.scalars(select(JobRun).where(*own)).all()


def _lose(session: Session, lost: Sequence[JobRun], now: datetime, detail: str) -> list[str]:
    for run in lost:
        run.state, run.finished_at = "error", now
        run.result = {**(run.result or {}), "status": "error", "reason": "lost", "detail": detail}
    session.flush()
    return [run.run_id for run in lost]


def _is_lost(run: JobRun, now: datetime) -> bool:
    if run.owner is None:
        return True
    gone = system.is_gone(run.owner)
    if gone is None:
        patience = RESTARTED_AFTER if system.same_host(run.owner) else UNREACHABLE_AFTER
        return now - run.heartbeat_at > patience
    return gone


def mark_missed(session: Session, new: NewRun, slots: Iterable[datetime], now: datetime) -> None:
    """Record slots that nobody ran and nobody will."""
    for slot in slots:
        session.add(
            JobRun(
                run_id=f"run-{uuid4().hex[:20]}",
                job=new.job,
                strategy=new.strategy,
                slot=slot,
                state="missed",
                actor=new.actor,
                started_at=now,
                heartbeat_at=now,
                finished_at=now,
            )
        )
    session.flush()


def list_runs(
    session: Session, *, strategy: str | None = None, limit: int = 100, cursor: str | None = None, job: str = RETRAINING
) -> tuple[list[dict[str, Any]], str | None]:
    """Runs of one job newest first, and the cursor of the next page where there is one."""
    query = select(JobRun).where(JobRun.job == job).order_by(JobRun.id.desc()).limit(limit + 1)
    if strategy is not None:
        query = query.where(JobRun.strategy == strategy)
    if cursor is not None:
        query = query.where(JobRun.id < before_id(cursor))
    rows, next_cursor = page_of(session.scalars(query).all(), limit)
    return [public(run) for run in rows], next_cursor


def get_run(session: Session, run_id: str) -> dict[str, Any]:
    """One run; 404 ``unknown_run``."""
    run = session.scalars(select(JobRun).where(JobRun.run_id == run_id)).one_or_none()
    if run is None:
        raise NotFoundError(f"There is no run {run_id}. GET /ai/retraining-runs lists them.", reason="unknown_run")
    return public(run)


def public(run: JobRun) -> dict[str, Any]:
    """What the outside sees of a run; one that was missed never started."""
    started = run.state != "missed"
    return {
        "run_id": run.run_id,
        "job": run.job,
        "strategy": run.strategy,
        "slot": iso(run.slot) if run.slot else None,
        "state": run.state,
        "reason": (run.result or {}).get("reason"),
        "actor": run.actor,
        "started_at": iso(run.started_at) if started else None,
        "finished_at": iso(run.finished_at) if run.finished_at else None,
        "stage": run.stage,
        "progress": run.progress,
        "result": run.result,
    }
