"""Events as rows: what people and programs are told. Stored in the transaction that saw it, delivered later."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NotRequired, TypedDict, Unpack
from uuid import uuid4

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.clock import iso
from backend.models import Alarm, Delivery, Event
from backend.operations.codes import Code, News, Severity
from backend.operations.paging import before_id, page_of

LONGEST_SENTENCE = 2000
LONGEST_SUBJECT = 128
NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Happening:
    """What an event says, whichever kind it is."""

    code: Code | News
    state: str
    severity: Severity
    strategy: str | None
    subject: str | None
    sentence: str
    detail: dict[str, Any]
    at: datetime


class Told(TypedDict):
    """What a piece of news says: ``sentence`` with its numbers, ``detail`` the same for programs."""

    strategy: str | None
    subject: str | None
    sentence: str
    detail: dict[str, Any]
    at: datetime
    severity: NotRequired[Severity]


def tell(session: Session, news: News, **told: Unpack[Told]) -> Event:
    """Store one piece of news; it is told exactly when the caller's transaction is kept."""
    severity = told.get("severity", Severity.INFO)
    of, about, sentence = told["strategy"], told["subject"], told["sentence"]
    return store(session, Happening(news, "news", severity, of, about, sentence, told["detail"], told["at"]))


def store(session: Session, happening: Happening, alarm: Alarm | None = None) -> Event:
    """Store an event, of an alarm where it has one."""
    event = Event(
        event_id=f"evt-{uuid4().hex}",
        code=str(happening.code),
        state=happening.state,
        severity=str(happening.severity),
        strategy=happening.strategy,
        subject=None if happening.subject is None else storable(happening.subject, LONGEST_SUBJECT),
        sentence=storable(happening.sentence),
        detail=happening.detail,
        alarm_id=alarm.id if alarm else None,
        at=happening.at,
    )
    session.add(event)
    return event


def storable(text: str, longest: int = LONGEST_SENTENCE) -> str:
    """The text as every database takes it: what an exchange answered may hold anything.

    >>> storable("cut" + chr(0) + "here")
    'cut?here'
    """
    return NOT_STORABLE.sub("?", text)[:longest]


def list_events(
    session: Session, *, strategy: str | None = None, limit: int = 100, cursor: str | None = None
) -> tuple[list[dict[str, Any]], str | None]:
    """Events newest first, each with its deliveries, and the cursor of the next page where there is one."""
    query = select(Event).order_by(Event.id.desc()).limit(limit + 1)
    if strategy is not None:
        query = query.where(Event.strategy == strategy)
    if cursor is not None:
        query = query.where(Event.id < before_id(cursor))
    events, next_cursor = page_of(session.scalars(query).all(), limit)
    return _with_deliveries(session, events), next_cursor


def count_events(session: Session, strategy: str | None = None) -> int:
    """How many are kept, of every strategy or of one; none is ever removed."""
    query = select(func.count()).select_from(Event)
    return session.scalars(query if strategy is None else query.where(Event.strategy == strategy)).one()


def get_event(session: Session, event_id: str) -> dict[str, Any]:
    """One event with its deliveries."""
    (found,) = _with_deliveries(session, session.scalars(select(Event).where(Event.event_id == event_id)).all())
    return found


def _with_deliveries(session: Session, events: Sequence[Event]) -> list[dict[str, Any]]:
    of = select(Delivery).where(Delivery.event_id.in_([event.event_id for event in events])).order_by(Delivery.id)
    deliveries: dict[str, list[dict[str, Any]]] = {}
    for delivery in session.scalars(of):
        deliveries.setdefault(delivery.event_id, []).append(_delivery(delivery))
    return [{**public(event), "deliveries": deliveries.get(event.event_id, [])} for event in events]


def public(event: Event) -> dict[str, Any]:
    """What the outside sees of an event; the webhook's body too."""
    return {
        "event_id": event.event_id,
        "code": event.code,
        "state": event.state,
        "severity": event.severity,
        "strategy": event.strategy,
        "subject": event.subject,
        "sentence": event.sentence,
        "detail": event.detail,
        "at": iso(event.at),
    }


def _delivery(delivery: Delivery) -> dict[str, Any]:
    return {
        "channel": delivery.channel,
        "target": delivery.target[:8],
        "state": delivery.state,
        "attempts": delivery.attempts,
        "next_attempt_at": iso(delivery.next_attempt_at) if delivery.next_attempt_at else None,
        "delivered_at": iso(delivery.delivered_at) if delivery.delivered_at else None,
        "last_error": delivery.last_error,
    }
