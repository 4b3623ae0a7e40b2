"""The audit trail: who did what to what, when and why, written in the transaction that did it."""

from datetime import datetime
from typing import Any, NotRequired, TypedDict, Unpack

from sqlalchemy import select
from sqlalchemy.orm import Session
from structlog.contextvars import get_contextvars

from backend.clock import iso
from backend.models import AuditEntry
from backend.operations.paging import before_id, page_of


class Entry(TypedDict):
    """What an entry says; ``action`` is a stable snake_case code, ``subject`` what it was done to."""

    at: datetime
    actor: str
    action: str
    strategy: NotRequired[str | None]
    subject: NotRequired[str | None]
    reason: NotRequired[str | None]
    detail: NotRequired[dict[str, Any] | None]
    request_id: NotRequired[str | None]


def append(session: Session, **entry: Unpack[Entry]) -> AuditEntry:
    """Add one entry; it is kept exactly when the caller's transaction is.

    Within an HTTP request it carries that request's id, as every line of the log does.
    """
    bound: str | None = get_contextvars().get("request_id")
    row = AuditEntry(**{"request_id": bound, **entry})
    session.add(row)
    return row


def list_entries(
    session: Session, *, strategy: str | None = None, limit: int = 100, cursor: str | None = None
) -> tuple[list[dict[str, Any]], str | None]:
    """Entries newest first, and the cursor of the next page where there is one."""
    query = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit + 1)
    if strategy is not None:
        query = query.where(AuditEntry.strategy == strategy)
    if cursor is not None:
        query = query.where(AuditEntry.id < before_id(cursor))
    entries, next_cursor = page_of(session.scalars(query).all(), limit)
    return [_public(entry) for entry in entries], next_cursor


def _public(entry: AuditEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "at": iso(entry.at),
        "actor": entry.actor,
        "action": entry.action,
        "strategy": entry.strategy,
        "subject": entry.subject,
        "reason": entry.reason,
        "detail": entry.detail,
        "request_id": entry.request_id,
    }
