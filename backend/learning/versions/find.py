"""A version by its id, the one that decides, and the lock under which the versions of a strategy change."""

import difflib

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.errors import NotFoundError
from backend.models import AIModelVersion, Strategy

SCORES_BESIDE = AIModelVersion.is_shadow & ~AIModelVersion.is_active
"""Whoever decides is no shadow, even where its row says so: a process of the release before leaves the mark."""


def scores_beside(version: AIModelVersion) -> bool:
    """``SCORES_BESIDE`` of a row that was read."""
    return version.is_shadow and not version.is_active


def find_version(session: Session, version_id: str, strategy: str | None = None) -> AIModelVersion:
    """The version; 404 ``unknown_version`` with the nearest one, also where it is of another strategy."""
    query = select(AIModelVersion).where(AIModelVersion.version_id == version_id)
    version = session.scalars(query).one_or_none()
    if version is None:
        known = select(AIModelVersion.version_id).order_by(AIModelVersion.id.desc()).limit(1000)
        near = difflib.get_close_matches(version_id[:64], session.scalars(known).all(), n=1, cutoff=0.0)
        hint = f" The nearest is {near[0]}." if near else " Nothing is trained yet: POST /ai/retrain."
        raise NotFoundError(
            f"There is no version {version_id[:64]!r}.{hint}",
            reason="unknown_version",
            nearest=near[0] if near else None,
        )
    if strategy is not None and version.strategy != strategy:
        raise NotFoundError(
            f"{version_id} is a version of {version.strategy}, not of {strategy[:64]!r}. Leave ?strategy= out.",
            reason="unknown_version",
            strategy=version.strategy,
        )
    return version


def active_id(session: Session, strategy: str) -> str | None:
    """The version that decides; None where none does."""
    row = AIModelVersion
    return session.scalar(select(row.version_id).where(row.strategy == strategy, row.is_active))


def locked(session: Session, strategy: str) -> Strategy:
    """The strategy, on PostgreSQL held until the end of the transaction against all else that changes its versions.

    Not against rows that name it: a round has moved the versions' counters when it stores its decisions, and would
    wait for an activation that waits for those counters.
    """
    return session.get_one(Strategy, strategy, with_for_update={"key_share": True})


def look_up(session: Session, version_id: str, strategy: str | None = None) -> AIModelVersion:
    """``find_version`` for use after the read: the row's own columns stay readable."""
    version = find_version(session, version_id, strategy)
    session.expunge(version)
    return version
