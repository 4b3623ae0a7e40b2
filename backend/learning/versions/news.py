"""What a retraining and a change of the active version tell people and programs, in the transaction that did it."""

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.models import AIModelVersion, JobRun
from backend.operations.alarms import close_alarm, raise_alarm
from backend.operations.codes import Code, News, Severity
from backend.operations.events import tell

REPLAY = "replay"
"""Who acts in a replay: its nights are history, and nobody is woken by them."""
CHANGES = {
    "activate": (News.VERSION_ACTIVATED, "{version} decides for {strategy} from now on, in place of {previous}."),
    "rollback": (News.VERSION_ROLLED_BACK, "{version} decides for {strategy} again; {previous} was rolled back."),
    "deactivate": (News.VERSION_DEACTIVATED, "No version decides for {strategy} any more; {previous} did."),
}


def training_finished(session: Session, version: AIModelVersion, *, run_id: str, actor: str, at: datetime) -> None:
    """A version was made: its report's sentence is told, and the alarm that retraining fails is over."""
    if actor != REPLAY:
        _tell_of(session, version, run_id=run_id, actor=actor, at=at)
    close_alarm(session, Code.RETRAINING_FAILED, version.strategy, at=at)


def _tell_of(session: Session, version: AIModelVersion, *, run_id: str, actor: str, at: datetime) -> None:
    detail = {
        "version_id": version.version_id,
        "run_id": run_id,
        "actor": actor,
        "verdict": version.verdict,
        "recommended": version.recommended,
        "training_samples": version.training_samples,
        "validation_samples": version.validation_samples,
        "validation_accuracy": version.validation_accuracy,
    }
    of: dict[str, Any] = {"strategy": version.strategy, "subject": version.version_id, "detail": detail, "at": at}
    tell(session, News.TRAINING_FINISHED, sentence=version.report["sentence"], **of)
    if version.recommended:
        way_on = f"POST /ai/activate-model/{version.version_id}"
        recommended = f"{version.version_id} of {version.strategy} is recommended. To let it decide: {way_on}"
        tell(session, News.VERSION_RECOMMENDED, sentence=recommended, **of)


def training_failed(session: Session, run_id: str, answer: dict[str, Any], at: datetime) -> None:
    """The alarm stays open until a retraining makes a version."""
    run = session.scalars(select(JobRun).where(JobRun.run_id == run_id)).one()
    if run.actor == REPLAY:
        return
    strategy = run.strategy
    reason = answer.get("reason", "training_failed")
    figures = {key: value for key, value in answer.items() if isinstance(value, int) and not isinstance(value, bool)}
    why = answer.get("detail") or ", ".join(f"{key} {value}" for key, value in figures.items())
    raise_alarm(
        session,
        Code.RETRAINING_FAILED,
        strategy,
        strategy=strategy,
        severity=Severity.ERROR if reason == "training_failed" else Severity.WARNING,
        detail=f"The retraining {run_id} of {strategy} ended with {reason}{f' ({why})' if why else ''}.",
        evidence={"run_id": run_id, **answer},
        remedy=f"Read GET /ai/retraining-runs/{run_id}, mend what it names, then run POST /ai/retrain again.",
        at=at,
    )


def version_changed(session: Session, action: str, strategy: str, told: dict[str, Any], at: datetime) -> None:
    """Another version decides, or none; ``told`` is the audit entry's detail with its version, actor and reason."""
    if told["actor"] == REPLAY:
        return
    news, sentence = CHANGES[action]
    now, before = told["version_id"], told["previous_version"]
    by = f"By {told['actor']}{': ' + told['reason'] if told['reason'] else ''}."
    said = sentence.format(version=now, strategy=strategy, previous=before or "the cold-start rule")
    tell(session, news, strategy=strategy, subject=now or before, sentence=f"{said} {by}", detail=told, at=at)
