"""Deliveries as rows: who still has to be told what. Each function is one short transaction of a worker.

A claim is a row in state ``sending`` with its owner, so that several processes send once. Attempts are counted when
they begin, so that a crash in the middle counts too.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, exists, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend import system
from backend.models import AuditEntry, Delivery, Event
from backend.operations import audit
from backend.operations.delivery_types import Channel, Outcome, Parcel, Result, Target
from backend.operations.events import public

ATTEMPTS = 5
FIRST_RETRY = timedelta(seconds=3)
RETRY_FACTOR = 6
CLAIMED_FOR = timedelta(minutes=10)
TOO_OLD = timedelta(days=1)
EVENTS_A_CLAIM = 20
EVENTS_A_LOOK = 500
MESSAGES_A_MINUTE = 5
MINUTE = timedelta(minutes=1)
NEWEST = 1000
TARGETS_CHANGED = "event_targets_changed"
ACTOR = "service"

STALE = "It was older than a day before it could be sent."
MAY_HAVE_ARRIVED = "It may have arrived, so it is not sent again."
INTERRUPTED = "The process ended while it was being sent."


@dataclass(frozen=True, slots=True)
class Place:
    """Where a target is set, from which event on it is told, and since when another one stands in that place."""

    label: str
    after: int
    replaced_at: datetime | None = None


def known_targets(session: Session) -> dict[str, Place]:
    """Every target there has been, by its digest.

    The audit trail holds it: whom the events go to is a change that somebody made. Services with other targets may
    share the database, so a target stays known when one of them does not name it: one that comes back gets what it
    missed, as after a restart, and nothing older than a day.
    """
    query = select(AuditEntry.at, AuditEntry.detail).where(AuditEntry.action == TARGETS_CHANGED)
    known: dict[str, Place] = {}
    for at, detail in session.execute(query.order_by(AuditEntry.id)).all():
        labels, after = detail["labels"], detail["after_event"]
        for digest, place in known.items():
            if place.label in labels.values() and digest not in labels:
                known[digest] = replace(place, replaced_at=at)
        known |= {digest: Place(label, int(after[digest])) for digest, label in labels.items()}
    return known


def add_targets(session: Session, targets: Sequence[Target], now: datetime) -> dict[str, int]:
    """Note whom events go to from now on; a target that is new does not get the past."""
    known, newest = known_targets(session), newest_event(session)
    after = {one.digest: known[one.digest].after if one.digest in known else newest for one in targets}
    labels = {target.digest: target.label for target in targets}
    detail = {"after_event": after, "labels": labels}
    audit.append(session, at=now, actor=ACTOR, action=TARGETS_CHANGED, detail=detail)
    return after


def has_work(session: Session, target: Target, after: int, now: datetime, owner: str) -> bool:
    """Whether there is anything to claim for the target: the cheap look before the write."""
    own = Delivery.target == target.digest
    due = select(Delivery.id).where(own, Delivery.state == "waiting", Delivery.next_attempt_at <= now).limit(1)
    found = (
        session.scalars(_untold(target, after).limit(1)).first() is not None
        or session.scalars(due).first() is not None
        or bool(_lost(session, target, now, owner))
    )
    return found and _room(session, target, now) > 0


def newest_event(session: Session) -> int:
    """The id of the newest event; 0 where there is none."""
    return session.scalars(select(func.max(Event.id))).one() or 0


def claim(session: Session, target: Target, after: int, now: datetime, owner: str) -> list[list[Parcel]]:
    """Take what is due for the target, the oldest first, one list a message; nobody else sends it meanwhile."""
    _spread(session, target, after, now)
    for delivery in _lost(session, target, now, owner):
        _settle(delivery, Outcome(Result.UNCERTAIN, INTERRUPTED), target.channel, now)
    session.flush()
    room = _room(session, target, now)
    parcels = _claimed(session, target, now, owner) if room > 0 else []
    return [[parcel] for parcel in parcels] if len(parcels) <= room else [parcels]


def _claimed(session: Session, target: Target, now: datetime, owner: str) -> list[Parcel]:
    due = (
        select(Delivery, Event)
        .join(Event, Event.event_id == Delivery.event_id)
        .where(Delivery.target == target.digest, Delivery.state == "waiting", Delivery.next_attempt_at <= now)
        .order_by(Event.id)
        .limit(max(target.at_once, EVENTS_A_CLAIM))
        .with_for_update(of=Delivery, skip_locked=True)
    )
    claimed = []
    for delivery, event in session.execute(due).all():
        if event.at < now - TOO_OLD:
            _give_up(delivery)
            continue
        delivery.state, delivery.owner, delivery.next_attempt_at = "sending", owner, now + CLAIMED_FOR
        delivery.attempts += 1
        claimed.append(Parcel(delivery.id, delivery.attempts, {**public(event), "alarm_id": event.alarm_id}))
    return claimed


def record(
    session: Session, parcels: Iterable[Parcel], outcome: Outcome, channel: Channel, now: datetime, owner: str
) -> None:
    """Store what came of an attempt; a claim that was lost meanwhile stays as its new owner left it."""
    for delivery in _own(session, parcels, owner):
        _settle(delivery, outcome, channel, now)


def give_back(session: Session, parcels: Iterable[Parcel], at: datetime, owner: str) -> None:
    """Return claims that were not attempted, to be tried from ``at`` on."""
    for delivery in _own(session, parcels, owner):
        delivery.state, delivery.owner, delivery.next_attempt_at = "waiting", None, at
        delivery.attempts -= 1


def retry_at(attempts: int, outcome: Outcome, now: datetime) -> datetime:
    """When the next attempt is due: after 3 s, 18 s, 108 s, 648 s; later where the target asks for it."""
    backoff = FIRST_RETRY * int(RETRY_FACTOR ** (attempts - 1))
    return now + max(backoff, outcome.retry_after or backoff)


def expired(session: Session, now: datetime) -> list[Delivery]:
    """What waits although it is older than a day, whoever it was for."""
    query = select(Delivery).join(Event, Event.event_id == Delivery.event_id)
    return list(session.scalars(query.where(Delivery.state == "waiting", Event.at < now - TOO_OLD)))


def expire(session: Session, now: datetime) -> None:
    """Give up what is older than a day."""
    for delivery in expired(session, now):
        _give_up(delivery)


def _give_up(delivery: Delivery) -> None:
    delivery.state, delivery.last_error, delivery.next_attempt_at = "failed", STALE, None


def _settle(delivery: Delivery, outcome: Outcome, channel: str, now: datetime) -> None:
    delivery.owner, delivery.next_attempt_at, delivery.last_error = None, None, outcome.error
    again = outcome.result is Result.AGAIN or (outcome.result is Result.UNCERTAIN and channel == Channel.WEBHOOK)
    if outcome.result is Result.SENT:
        delivery.state, delivery.delivered_at = "sent", now
    elif again and delivery.attempts < ATTEMPTS:
        delivery.state, delivery.next_attempt_at = "waiting", retry_at(delivery.attempts, outcome, now)
    else:
        delivery.state = "failed"
        if outcome.result is Result.UNCERTAIN and not again:
            delivery.last_error = f"{outcome.error} {MAY_HAVE_ARRIVED}"


def _untold(target: Target, after: int) -> Select[Event]:
    told = exists().where(Delivery.event_id == Event.event_id, Delivery.target == target.digest)
    return select(Event).where(Event.id > after, ~told).order_by(Event.id)


def _spread(session: Session, target: Target, after: int, now: datetime) -> None:
    """A row for each event that the target has none of yet; another process that does the same is let go first."""
    rows = [
        Delivery(
            event_id=event.event_id, channel=str(target.channel), target=target.digest, attempts=0, **_first(event, now)
        )
        for event in session.scalars(_untold(target, after).limit(EVENTS_A_LOOK))
    ]
    try:
        with session.begin_nested():
            session.add_all(rows)
    except IntegrityError:
        return


def _first(event: Event, now: datetime) -> dict[str, Any]:
    if event.at < now - TOO_OLD:
        return {"state": "failed", "last_error": STALE}
    return {"state": "waiting", "next_attempt_at": now}


def _lost(session: Session, target: Target, now: datetime, owner: str) -> list[Delivery]:
    """Claims whose process is gone, or that nobody finished for too long, or that this worker itself did not finish."""
    sending = select(Delivery).where(Delivery.target == target.digest, Delivery.state == "sending")
    return [
        one
        for one in session.scalars(sending)
        if one.owner in (None, owner)
        or system.is_gone(one.owner)
        or (one.next_attempt_at is not None and one.next_attempt_at <= now)
    ]


def _room(session: Session, target: Target, now: datetime) -> int:
    """How many messages the target may get now: people a few a minute, with the rest summed up; programs any number.

    Events that were summed up share the time at which they arrived.
    """
    if target.at_once == 1:
        return EVENTS_A_CLAIM
    newest = select(Delivery).order_by(Delivery.id.desc()).limit(NEWEST).subquery()
    lately = (newest.c.target == target.digest, newest.c.state == "sent", newest.c.delivered_at > now - MINUTE)
    told = session.scalars(select(func.count(newest.c.delivered_at.distinct())).where(*lately)).one()
    return max(MESSAGES_A_MINUTE - told, 0)


def _own(session: Session, parcels: Iterable[Parcel], owner: str) -> Sequence[Delivery]:
    ids = [parcel.delivery_id for parcel in parcels]
    own = (Delivery.id.in_(ids), Delivery.state == "sending", Delivery.owner == owner)
    return session.scalars(select(Delivery).where(*own).with_for_update()).all()
