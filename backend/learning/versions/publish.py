"""A trained version becomes a file and then a row; nothing is left of it where either fails."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ai_engine.pipeline import Trained
from backend.clock import Clock
from backend.database import Database
from backend.learning.versions import news, shadow
from backend.learning.versions.advice import what_now
from backend.learning.versions.find import active_id, locked
from backend.learning.versions.past import learned_until
from backend.learning.versions.store import ArtifactStore, NameTakenError
from backend.models import AIModelVersion, FeatureSchema, JobRun
from backend.operations import audit, runs

logger = logging.getLogger(__name__)

MODEL_TYPE = "xgboost_continuous"
NAMES_TRIED = 3600


@dataclass(frozen=True)
class Publication:
    """What is published: the version with all that its row says beside the report."""

    strategy: str
    run_id: str
    actor: str
    trained: Trained
    trained_at: datetime
    lineage: dict[str, Any]
    model_folder: str


def publish(database: Database, store: ArtifactStore, publication: Publication, clock: Clock) -> dict[str, Any]:
    """Write the file, read it back, then store row, audit entry and the finished run in one transaction."""
    trained = publication.trained
    version_id = _write_file(database, store, publication, clock)
    try:
        path = store.path_of(version_id)
        store.read_verified(path, sha256=trained.sha256, size=len(trained.artifact))
        answer = database.write(record, publication, version_id, clock())
    except BaseException:
        _take_back(database, store, version_id, publication.run_id)
        raise
    store.settle(version_id, publication.run_id)
    logger.info("New model trained: %s (strategy %s)", version_id, publication.strategy)
    return answer


def _take_back(database: Database, store: ArtifactStore, version_id: str, run_id: str) -> None:
    """Remove the file, unless its row was stored although the answer to that was an error."""
    if not database.read(_is_recorded, version_id):
        store.withdraw(version_id, run_id)


def _write_file(database: Database, store: ArtifactStore, publication: Publication, clock: Clock) -> str:
    """Publish under the wall clock's second, or the next one that neither a row nor a file has."""
    for version_id in _version_ids(clock()):
        if database.read(_is_recorded, version_id):
            continue
        try:
            store.write(version_id, publication.trained.artifact, publication.run_id)
        except NameTakenError:
            continue
        return version_id
    raise OSError(f"Every version name of the next {NAMES_TRIED} seconds is taken in {store.model_dir}.")


def _version_ids(moment: datetime) -> Iterator[str]:
    for seconds in range(NAMES_TRIED):
        yield f"v{moment + timedelta(seconds=seconds):%Y%m%d_%H%M%S}"


def _is_recorded(session: Session, version_id: str) -> bool:
    return session.scalar(select(AIModelVersion.id).where(AIModelVersion.version_id == version_id)) is not None


def record(session: Session, publication: Publication, version_id: str, now: datetime) -> dict[str, Any]:
    """Store the version, inactive; the run it came from must still be this process's."""
    trained, strategy = publication.trained, locked(session, publication.strategy)
    report = _as_things_stand(session, publication.strategy, trained.report)
    schema = session.scalars(select(FeatureSchema).where(FeatureSchema.hash == report["feature_schema_hash"])).one()
    strategy.looks += 1
    version = AIModelVersion(
        version_id=version_id,
        model_type=MODEL_TYPE,
        strategy=publication.strategy,
        trained_at=publication.trained_at,
        learned_until=learned_until(publication.lineage, publication.trained_at),
        **{name: report[name] for name in ANSWERED},
        verdict=report["verdict"],
        recommended=report["recommended"],
        notes=report["sentence"],
        model_path=f"{publication.model_folder}/xgb_model_{version_id}.pkl",
        artifact_sha256=trained.sha256,
        artifact_bytes=len(trained.artifact),
        feature_schema=schema,
        data_hash=trained.data_hash,
        report=report,
        lineage={**publication.lineage, "sha256": trained.sha256},
    )
    session.add(version)
    shadow.begin(session, version)
    session.flush()
    audit.append(
        session,
        at=now,
        actor=publication.actor,
        action="retrain",
        strategy=publication.strategy,
        subject=version_id,
        detail={"run_id": publication.run_id, "verdict": version.verdict, "sha256": trained.sha256},
    )
    news.training_finished(session, version, run_id=publication.run_id, actor=publication.actor, at=now)
    answer = success(version, publication.run_id, active_id(session, version.strategy))
    runs.finish(session, publication.run_id, now, "success", {k: v for k, v in answer.items() if k != "report"})
    return answer


def _as_things_stand(session: Session, strategy: str, report: dict[str, Any]) -> dict[str, Any]:
    """The report, which recommends nothing over a version that was activated since the training began."""
    active = active_id(session, strategy)
    compared_with = (report["comparison"] or {}).get("champion")
    if not report["recommended"] or active in (None, compared_with):
        return report
    reason = f"{active} was activated during the training and was not compared with"
    return report | {"recommended": False, "recommendation_reasons": [*report["recommendation_reasons"], reason]}


ANSWERED = (
    "training_samples",
    "validation_samples",
    "train_accuracy",
    "validation_accuracy",
    "train_mae",
    "validation_mae",
)


def success(version: AIModelVersion, run_id: str, active: str | None) -> dict[str, Any]:
    """The answer to a retraining that made a version; ``active`` is the one that decides."""
    return {
        "status": "success",
        "version_id": version.version_id,
        **{name: getattr(version, name) for name in ANSWERED},
        "model_path": version.model_path,
        "message": f"New model trained and saved. Activate via /ai/activate-model/{version.version_id}",
        "what_now": what_now(version, active),
        "strategy": version.strategy,
        "run_id": run_id,
        "report": version.report,
    }


def folder_name(model_dir: Path, root: Path) -> str:
    """The folder as the rows name it: relative to the project where it lies in it."""
    inside = model_dir.is_relative_to(root)
    return (model_dir.relative_to(root) if inside else model_dir).as_posix()


def undo_unsettled(database: Database, store: ArtifactStore) -> list[str]:
    """Take back the files of publications whose process ended before their row was stored.

    Only files whose run this database knows, and knows as over, are touched: the folder may serve others too.
    """
    withdrawn = []
    for version_id, run_id in store.unsettled():
        state = database.read(_state_of, run_id)
        if state is None or state == "running":
            continue
        if database.read(_is_recorded, version_id):
            store.settle(version_id, run_id)
        else:
            store.withdraw(version_id, run_id)
            withdrawn.append(version_id)
    return withdrawn


def _state_of(session: Session, run_id: str) -> str | None:
    return session.scalar(select(JobRun.state).where(JobRun.run_id == run_id))
