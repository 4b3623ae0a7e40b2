"""Which version decides: a person activates, rolls back or deactivates; the row is the truth."""

import logging
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from backend.clock import Clock
from backend.database import Database
from backend.errors import ConflictError, InvalidInputError
from backend.learning.decisions.strategies import get_strategy
from backend.learning.versions import gate, news
from backend.learning.versions.find import find_version, look_up
from backend.learning.versions.store import ArtifactStore
from backend.models import Activation, AIModelVersion, FeatureSchema, Strategy
from backend.operations import audit
from backend.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class VersionService:
    """What a change of the active version needs."""

    database: Database
    settings: Settings
    store: ArtifactStore
    clock: Clock


@dataclass(frozen=True)
class ActivationRequest:
    """Who wants which version to decide; ``force`` overrides the gate and needs a reason."""

    version_id: str
    actor: str
    force: bool = False
    reason: str | None = None
    strategy: str | None = None


@dataclass(frozen=True)
class _Change:
    """Who changes the active version of a strategy, how and why."""

    strategy: str
    actor: str
    action: str
    reason: str | None
    force: bool = False


def activate(service: VersionService, request: ActivationRequest) -> dict[str, Any]:
    """Make the version decide from the next decision on; 404, or 409 with the reason why it must not."""
    if request.force and not (request.reason or "").strip():
        raise InvalidInputError("force needs a reason: say why with ?force=true&reason=...", field="reason")
    version = service.database.read(look_up, request.version_id, request.strategy)
    _prove(service, version)
    gate.check(version, mode=service.settings.activation_gate, force=request.force)
    change = _Change(version.strategy, request.actor, "activate", request.reason, request.force)
    answer = service.database.write(_activate, version, change, service.clock)
    logger.info("Model activated: %s (strategy %s)", version.version_id, version.strategy)
    return answer


def rollback(service: VersionService, strategy: str, actor: str, reason: str | None = None) -> dict[str, Any]:
    """Activate the version that was active before the present one; 409 ``nothing_to_roll_back``."""
    version = service.database.read(look_up, service.database.read(_rollback_target, strategy, service.settings))
    _prove(service, version)
    change = _Change(strategy, actor, "rollback", reason)
    answer = service.database.write(_roll_back, version, change, service)
    logger.info("Rolled back to %s (strategy %s)", version.version_id, strategy)
    return answer


def deactivate(service: VersionService, strategy: str, actor: str, reason: str | None = None) -> dict[str, Any]:
    """Let no version decide: the cold-start rule does until one is activated."""
    service.database.read(get_strategy, strategy, settings=service.settings)
    return service.database.write(_deactivate, _Change(strategy, actor, "deactivate", reason), service.clock)


def _prove(service: VersionService, version: AIModelVersion) -> None:
    """Read the file as serving will, with no transaction open."""
    model = service.store.load(version.model_path, sha256=version.artifact_sha256, size=version.artifact_bytes)
    known = service.database.read(_current_names, version.strategy)
    unknown = sorted(set(model.feature_names) - known)
    if unknown:
        raise ConflictError(
            f"{version.version_id} needs features that decisions of {version.strategy} no longer have:"
            f" {', '.join(unknown[:10])}. Retrain, or admit a schema that has them.",
            reason="schema_mismatch",
            missing=unknown,
        )


def _current_names(session: Session, strategy: str) -> frozenset[str]:
    row = session.get_one(Strategy, strategy)
    schema = session.get(FeatureSchema, row.feature_schema_id) if row.feature_schema_id else None
    return frozenset(schema.names if schema else ())


def _activate(session: Session, proved: AIModelVersion, change: _Change, clock: Clock) -> dict[str, Any]:
    version = _lock_and_recheck(session, proved)
    history = _history(session, version.strategy)
    if version.is_active:
        return _answer(version, _version_before(history, version.version_id), change)
    previous = _switch(session, change.strategy, version, clock)
    session.add(
        Activation(
            strategy=change.strategy,
            version_id=version.version_id,
            activated_at=clock(),
            actor=change.actor,
            reason=change.reason,
        )
    )
    _log_change(session, change, version, previous, clock)
    return _answer(version, previous, change)


def _roll_back(session: Session, proved: AIModelVersion, change: _Change, service: VersionService) -> dict[str, Any]:
    version = _lock_and_recheck(session, proved)
    if _rollback_target(session, change.strategy, service.settings) != version.version_id:
        raise ConflictError(
            f"The active version of {change.strategy} was changed meanwhile. Look at it and try again.",
            reason="activation_changed",
        )
    for entry in _history(session, change.strategy):
        if entry.version_id == version.version_id:
            break
        entry.undone_at = service.clock()
    previous = _switch(session, change.strategy, version, service.clock)
    _log_change(session, change, version, previous, service.clock)
    return _answer(version, previous, change)


def _deactivate(session: Session, change: _Change, clock: Clock) -> dict[str, Any]:
    if session.get(Strategy, change.strategy, with_for_update=True) is None:
        return _nothing_active(None)
    previous = _switch(session, change.strategy, None, clock)
    if previous is not None:
        session.add(
            Activation(
                strategy=change.strategy,
                version_id=None,
                activated_at=clock(),
                actor=change.actor,
                reason=change.reason,
            )
        )
        _log_change(session, change, None, previous, clock)
    return _nothing_active(previous)


def _lock_and_recheck(session: Session, proved: AIModelVersion) -> AIModelVersion:
    """The row again, in the write: still there, still naming the file that was proved."""
    session.get_one(Strategy, proved.strategy, with_for_update=True)
    version = find_version(session, proved.version_id)
    if version.artifact_sha256 != proved.artifact_sha256:
        raise ConflictError(
            f"The row of {version.version_id} changed while its file was checked. Try again.",
            reason="activation_changed",
        )
    return version


def _history(session: Session, strategy: str) -> list[Activation]:
    query = select(Activation).where(Activation.strategy == strategy, Activation.undone_at.is_(None))
    return list(session.scalars(query.order_by(Activation.id.desc())))


def _active_id(session: Session, strategy: str) -> str | None:
    query = select(AIModelVersion.version_id).where(AIModelVersion.strategy == strategy, AIModelVersion.is_active)
    return session.scalar(query)


def _version_before(history: list[Activation], current: str | None) -> str | None:
    return next((entry.version_id for entry in history if entry.version_id not in (None, current)), None)


def version_before(session: Session, strategy: str) -> str | None:
    """The version that a rollback would make decide."""
    return _version_before(_history(session, strategy), _active_id(session, strategy))


def _rollback_target(session: Session, name: str, settings: Settings) -> str:
    target = version_before(session, get_strategy(session, name, settings=settings).name)
    if target is None:
        raise ConflictError(
            f"No other version of {name} was active before. Activate one: POST /ai/activate-model/VERSION.",
            reason="nothing_to_roll_back",
        )
    return target


def _switch(session: Session, strategy: str, version: AIModelVersion | None, clock: Clock) -> str | None:
    """Move the active mark; the version that had it."""
    previous = _active_id(session, strategy)
    now = clock()
    session.execute(
        update(AIModelVersion)
        .where(AIModelVersion.strategy == strategy, AIModelVersion.is_active)
        .values(is_active=False, replaced_at=now)
    )
    if version is not None:
        version.is_active, version.activated_at, version.replaced_at = True, now, None
        session.flush()
    return previous


def _log_change(
    session: Session, change: _Change, version: AIModelVersion | None, previous: str | None, clock: Clock
) -> None:
    detail: dict[str, Any] = {"previous_version": previous}
    if version is not None:
        detail |= {"verdict": version.verdict, "recommended": version.recommended, "forced": change.force}
    audit.append(
        session,
        at=clock(),
        actor=change.actor,
        action=change.action,
        strategy=change.strategy,
        subject=version.version_id if version else previous,
        reason=change.reason,
        detail=detail,
    )
    told = {"version_id": version and version.version_id, "actor": change.actor, "reason": change.reason, **detail}
    news.version_changed(session, change.action, change.strategy, told, clock())


def _answer(version: AIModelVersion, previous: str | None, change: _Change) -> dict[str, Any]:
    return {
        "status": "success",
        "activated_version": version.version_id,
        "previous_version": previous,
        "model_type": version.model_type,
        "train_accuracy": version.train_accuracy,
        "validation_accuracy": version.validation_accuracy,
        "message": "Model activated. The next decision is made by it.",
        "warning": gate.warning(version),
        "strategy": change.strategy,
    }


def _nothing_active(previous: str | None) -> dict[str, Any]:
    return {
        "status": "success",
        "activated_version": None,
        "previous_version": previous,
        "model_type": None,
        "train_accuracy": None,
        "validation_accuracy": None,
        "message": "No model is active. The cold-start rule makes the next decision.",
        "warning": None,
    }
