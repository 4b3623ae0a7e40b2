"""Which versions score beside the active one: the newest candidates, the one replaced last, and those asked for.

A shadow forecasts every decision that the active version forecasts, from the same features, and acts on none. So two
versions can be compared on the same moments, and a candidate has a record of its own before anybody activates it.
"""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.clock import Clock
from backend.errors import ConflictError
from backend.learning.versions.find import SCORES_BESIDE, find_version, locked, look_up, scores_beside
from backend.learning.versions.gate import NEVER_BY_ITSELF
from backend.learning.versions.service import VersionService, lock_and_recheck, prove
from backend.models import AIModelVersion
from backend.operations import audit

AUTOMATIC, ASKED = "automatic", "asked"
NEWEST_CANDIDATES = 3
# Each shadow is one more call of a model at every decision.
MOST_SHADOWS = 8


def begin(session: Session, version: AIModelVersion) -> None:
    """Let a version that was just trained score by itself, unless its verdict speaks against any use of it."""
    if version.verdict not in NEVER_BY_ITSELF:
        _start(version, AUTOMATIC)
        _make_room(session, version.strategy)


def hand_over(session: Session, strategy: str, previous_id: str | None, active: AIModelVersion | None) -> None:
    """Whoever decides now is no shadow; the version it replaces scores on: the comparison goes on in reverse."""
    if active is not None:
        _end(active)
    if previous_id is not None and (active is None or previous_id != active.version_id):
        _start(find_version(session, previous_id), AUTOMATIC)
    _make_room(session, strategy)


def ask(service: VersionService, version_id: str, actor: str, strategy: str | None = None) -> dict[str, Any]:
    """Let the version score from the next decision on until it is stopped or activated.

    404 ``unknown_version``; 409 ``already_active``, ``too_many_shadows``, and what an activation checks of the file.
    """
    version = service.database.read(look_up, version_id, strategy)
    _check_inactive(version)
    prove(service, version)
    return service.database.write(_ask, version, actor, service.clock)


def stop(service: VersionService, version_id: str, actor: str, strategy: str | None = None) -> dict[str, Any]:
    """Let the version score no more; what it forecast stays. Nothing happens where it is no shadow."""
    return service.database.write(_stop, version_id, strategy, actor, service.clock)


def shadows_of(session: Session, strategy: str) -> list[AIModelVersion]:
    """The versions that score beside the active one, newest first."""
    row = AIModelVersion
    query = select(row).where(row.strategy == strategy, SCORES_BESIDE).order_by(row.id.desc())
    return list(session.scalars(query))


def _ask(session: Session, proved: AIModelVersion, actor: str, clock: Clock) -> dict[str, Any]:
    version = lock_and_recheck(session, proved)
    _check_inactive(version)
    if version.shadow_origin != ASKED:
        asked = [one.version_id for one in shadows_of(session, version.strategy) if one.shadow_origin == ASKED]
        if len(asked) >= MOST_SHADOWS:
            raise ConflictError(
                f"{len(asked)} versions score as shadows already, and each costs time at every decision. Stop one"
                f" first: DELETE /ai/models/{asked[-1]}/shadow.",
                reason="too_many_shadows",
                shadows=asked,
            )
        _start(version, ASKED)
        _make_room(session, version.strategy)
        _log(session, version, "shadow", actor, clock)
    return _answer(session, version, f"{version.version_id} scores every decision from the next one on.")


def _stop(session: Session, version_id: str, strategy: str | None, actor: str, clock: Clock) -> dict[str, Any]:
    version = find_version(session, version_id, strategy)
    locked(session, version.strategy)
    session.refresh(version)  # as it stands under the lock: it may have been activated, or stopped, meanwhile
    if scores_beside(version):
        _end(version)
        _log(session, version, "stop_shadow", actor, clock)
    return _answer(session, version, f"{version.version_id} scores no decision as a shadow.")


def _check_inactive(version: AIModelVersion) -> None:
    if version.is_active:
        raise ConflictError(
            f"{version.version_id} is active and scores every decision already. Ask for another version.",
            reason="already_active",
        )


def _start(version: AIModelVersion, origin: str) -> None:
    version.is_shadow, version.shadow_origin = True, origin


def _end(version: AIModelVersion) -> None:
    version.is_shadow, version.shadow_origin = False, None


def _make_room(session: Session, strategy: str) -> None:
    """Of those nobody asked for, the one replaced last and the newest candidates stay, as far as there is room."""
    session.flush()
    shadows = shadows_of(session, strategy)
    automatic = [one for one in shadows if one.shadow_origin == AUTOMATIC]
    candidates = [one for one in automatic if one.activated_at is None]
    times = [one.replaced_at for one in automatic if one.replaced_at is not None]
    replaced = [one for one in automatic if one.replaced_at is not None and one.replaced_at == max(times)]
    room = MOST_SHADOWS - (len(shadows) - len(automatic))
    staying = [*replaced[:1], *candidates[:NEWEST_CANDIDATES]][:room]
    for one in automatic:
        if one not in staying:
            _end(one)
    session.flush()


def _log(session: Session, version: AIModelVersion, action: str, actor: str, clock: Clock) -> None:
    audit.append(session, at=clock(), actor=actor, action=action, strategy=version.strategy, subject=version.version_id)


def _answer(session: Session, version: AIModelVersion, message: str) -> dict[str, Any]:
    return {
        "status": "success",
        "version_id": version.version_id,
        "strategy": version.strategy,
        "is_shadow": version.is_shadow,
        "shadow_origin": version.shadow_origin,
        "shadows": [one.version_id for one in shadows_of(session, version.strategy)],
        "message": message,
    }
