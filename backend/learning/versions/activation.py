"""Which version decides: a person activates, rolls back or deactivates; the row is the truth."""

import logging
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from backend.clock import Clock
from backend.errors import ConflictError, InvalidInputError
from backend.learning.decisions.strategies import get_strategy
from backend.learning.versions import gate, news, shadow
from backend.learning.versions.find import active_id, locked, look_up
from backend.learning.versions.service import VersionService, lock_and_recheck, prove
from backend.models import Activation, AIModelVersion, Strategy
from backend.operations import audit
from backend.settings import Settings

__all__ = ["ActivationRequest", "VersionService", "activate", "deactivate", "rollback", "version_before"]

logger = logging.getLogger(__name__)

ACTIVE_ALREADY = (
    "{} is active already: nothing has changed, and what speaks against it counts on. To have that begin anew,"
    " deactivate it and activate it again."
)


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
    only_from: str | None = None


def activate(service: VersionService, request: ActivationRequest) -> dict[str, Any]:
    """Make the version decide from the next decision on; 404, or 409 with the reason why it must not."""
    if request.force and not (request.reason or "").strip():
        raise InvalidInputError("force needs a reason: say why with ?force=true&reason=...", field="reason")
    version = service.database.read(look_up, request.version_id, request.strategy)
    prove(service, version)
    gate.check(version, mode=service.settings.activation_gate, force=request.force)
    change = _Change(version.strategy, request.actor, "activate", request.reason, request.force)
    answer = service.database.write(_activate, version, change, service)
    if answer["changed"]:
        logger.info("Model activated: %s (strategy %s)", version.version_id, version.strategy)
    return answer


def rollback(
    service: VersionService, strategy: str, actor: str, reason: str | None = None, *, only_from: str | None = None
) -> dict[str, Any]:
    """Activate the version that was active before the present one; 409 ``nothing_to_roll_back``.

    ``only_from`` names the version that is to go: where another decides by now, 409 ``activation_changed``.
    """
    service.database.read(_check_active, strategy, only_from)
    version = service.database.read(look_up, service.database.read(_rollback_target, strategy, service.settings))
    prove(service, version)
    change = _Change(strategy, actor, "rollback", reason, only_from=only_from)
    answer = service.database.write(_roll_back, version, change, service)
    logger.info("Rolled back to %s (strategy %s)", version.version_id, strategy)
    return answer


def deactivate(service: VersionService, strategy: str, actor: str, reason: str | None = None) -> dict[str, Any]:
    """Let no version decide: the cold-start rule does until one is activated."""
    service.database.read(get_strategy, strategy, settings=service.settings)
    return service.database.write(_deactivate, _Change(strategy, actor, "deactivate", reason), service.clock)


def _activate(session: Session, proved: AIModelVersion, change: _Change, service: VersionService) -> dict[str, Any]:
    version, clock = lock_and_recheck(session, proved), service.clock
    history = _history(session, version.strategy)
    if version.is_active:
        replaced = history[1].version_id if len(history) > 1 else None
        unmet = gate.never_met(version, replaced)
        answer = _answer(version, _version_before(history, version.version_id), change, unmet)
        return {**answer, "message": ACTIVE_ALREADY.format(version.version_id), "changed": False}
    # Under the lock: another version may have been activated since the file was proved.
    unmet = gate.never_met(version, active_id(session, version.strategy))
    gate.check(version, mode=service.settings.activation_gate, force=change.force, unmet=unmet)
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
    return _answer(version, previous, change, unmet)


def _roll_back(session: Session, proved: AIModelVersion, change: _Change, service: VersionService) -> dict[str, Any]:
    version = lock_and_recheck(session, proved)
    _check_active(session, change.strategy, change.only_from)
    if _rollback_target(session, change.strategy, service.settings) != version.version_id:
        raise _changed_meanwhile(change.strategy)
    for entry in _history(session, change.strategy):
        if entry.version_id == version.version_id:
            break
        entry.undone_at = service.clock()
    previous = _switch(session, change.strategy, version, service.clock)
    _log_change(session, change, version, previous, service.clock)
    return _answer(version, previous, change)


def _deactivate(session: Session, change: _Change, clock: Clock) -> dict[str, Any]:
    if session.get(Strategy, change.strategy) is None:
        return _nothing_active(None)
    locked(session, change.strategy)
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


def _history(session: Session, strategy: str) -> list[Activation]:
    query = select(Activation).where(Activation.strategy == strategy, Activation.undone_at.is_(None))
    return list(session.scalars(query.order_by(Activation.id.desc())))


def _version_before(history: list[Activation], current: str | None) -> str | None:
    return next((entry.version_id for entry in history if entry.version_id not in (None, current)), None)


def version_before(session: Session, strategy: str) -> str | None:
    """The version that a rollback would make decide."""
    return _version_before(_history(session, strategy), active_id(session, strategy))


def _check_active(session: Session, strategy: str, wanted: str | None) -> None:
    if wanted is not None and active_id(session, strategy) != wanted:
        raise _changed_meanwhile(strategy)


def _changed_meanwhile(strategy: str) -> ConflictError:
    return ConflictError(
        f"The active version of {strategy} was changed meanwhile. Look at it and try again.",
        reason="activation_changed",
    )


def _rollback_target(session: Session, name: str, settings: Settings) -> str:
    target = version_before(session, get_strategy(session, name, settings=settings).name)
    if target is None:
        raise ConflictError(
            f"No other version of {name} was active before. To let no version decide: POST /ai/deactivate."
            " To activate one: POST /ai/activate-model/VERSION.",
            reason="nothing_to_roll_back",
        )
    return target


def _switch(session: Session, strategy: str, version: AIModelVersion | None, clock: Clock) -> str | None:
    """Move the active mark; the version that had it."""
    previous = active_id(session, strategy)
    now = clock()
    session.execute(
        update(AIModelVersion)
        .where(AIModelVersion.strategy == strategy, AIModelVersion.is_active)
        .values(is_active=False, replaced_at=now)
    )
    if version is not None:
        version.is_active, version.activated_at, version.replaced_at = True, now, None
        session.flush()
    shadow.hand_over(session, strategy, previous, version)
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


def _answer(version: AIModelVersion, previous: str | None, change: _Change, unmet: str | None = None) -> dict[str, Any]:
    return {
        "status": "success",
        "activated_version": version.version_id,
        "previous_version": previous,
        "model_type": version.model_type,
        "train_accuracy": version.train_accuracy,
        "validation_accuracy": version.validation_accuracy,
        "message": "Model activated. The next decision is made by it.",
        "changed": True,
        "warning": gate.warning(version, unmet),
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
        "changed": previous is not None,
        "warning": None,
    }
