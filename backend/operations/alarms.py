"""Alarms as rows: open once per code and subject, closed when the cause is gone; both are told as events."""

import re
from datetime import datetime
from typing import Any, NotRequired, TypedDict, Unpack

from sqlalchemy import Select, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend.clock import iso
from backend.models import Alarm
from backend.operations import events
from backend.operations.codes import Code, Severity, remedy_of
from backend.operations.events import LONGEST_SUBJECT, Happening, storable
from backend.operations.paging import before_id, page_of


class Condition(TypedDict):
    """What an alarm says: ``detail`` in one sentence with its numbers, ``evidence`` the same for programs.

    ``remedy`` is what to do here; left out, it is what helps in general.
    """

    strategy: str | None
    severity: Severity
    detail: str
    at: datetime
    evidence: NotRequired[dict[str, Any] | None]
    remedy: NotRequired[str]


def raise_alarm(session: Session, code: Code, subject: str, **condition: Unpack[Condition]) -> bool:
    """Open the alarm and tell it, or silently refresh what an open one says; whether it is a new one."""
    subject, detail = storable(subject, LONGEST_SUBJECT), storable(condition["detail"])
    severity, strategy, at = condition["severity"], condition["strategy"], condition["at"]
    alarm = _open_alarm(session, code, subject)
    if alarm is None:
        alarm = Alarm(code=str(code), subject=subject, strategy=strategy, raised_at=at)
        alarm.severity, alarm.detail = str(severity), detail
        if _added(session, alarm):
            said = {"evidence": condition.get("evidence") or {}, "remedy": condition.get("remedy") or remedy_of(code)}
            events.store(session, Happening(code, "raised", severity, strategy, subject, detail, said, at), alarm)
            return True
        alarm = _open_alarm(session, code, subject)  # another process was first
    if alarm is not None:
        alarm.severity, alarm.detail = str(severity), detail
    return False


def close_alarm(session: Session, code: Code, subject: str, *, at: datetime) -> bool:
    """Close the alarm and tell it; whether it was open."""
    alarm = _open_alarm(session, code, storable(subject, LONGEST_SUBJECT), lock=True)
    if alarm is None:
        return False
    alarm.closed_at = at
    sentence = f"Over since {iso(at)}; it began at {iso(alarm.raised_at)}. {alarm.detail}"
    said = {"raised_at": iso(alarm.raised_at), "closed_at": iso(at)}
    severity = Severity(alarm.severity)
    happening = Happening(code, "closed", severity, alarm.strategy, alarm.subject, sentence, said, at)
    events.store(session, happening, alarm)
    return True


def open_alarms(session: Session, *, strategy: str | None = None, code: Code | None = None) -> list[Alarm]:
    """Every open alarm, or those of one strategy or code, the oldest first."""
    query = select(Alarm).where(Alarm.closed_at.is_(None)).order_by(Alarm.raised_at, Alarm.id)
    if strategy is not None:
        query = query.where(Alarm.strategy == strategy)
    if code is not None:
        query = query.where(Alarm.code == str(code))
    return list(session.scalars(query))


def same_words(one: str, other: str) -> bool:
    """Whether two sentences say the same but for their figures: that these have moved on is no reason to write.

    Another version is no figure: an alarm that names one which decides no more would send people to it.

    >>> same_words("Right in 40 of 80 (50.0%).", "Right in 41 of 81 (50.6%).")
    True
    """
    return _wording(one) == _wording(other)


def _wording(detail: str) -> str:
    return re.sub(r"(?<!\w)v[0-9]{8}_[0-9]{6}|[0-9][0-9.,:TZ%_-]*", _word, detail)


def _word(found: re.Match[str]) -> str:
    return found[0] if found[0].startswith("v") else "#"


class Page(TypedDict):
    """Which alarms are asked for; ``state`` is ``open``, ``closed`` or ``all``."""

    state: NotRequired[str]
    strategy: NotRequired[str | None]
    limit: NotRequired[int]
    cursor: NotRequired[str | None]


def list_alarms(session: Session, **page: Unpack[Page]) -> tuple[list[dict[str, Any]], str | None]:
    """Alarms newest first, and the cursor of the next page where there is one."""
    limit, cursor, strategy = page.get("limit", 100), page.get("cursor"), page.get("strategy")
    query = _in_state(select(Alarm), page.get("state", "open")).order_by(Alarm.id.desc()).limit(limit + 1)
    if strategy is not None:
        query = query.where(Alarm.strategy == strategy)
    if cursor is not None:
        query = query.where(Alarm.id < before_id(cursor))
    alarms, next_cursor = page_of(session.scalars(query).all(), limit)
    return [public(alarm) for alarm in alarms], next_cursor


def public(alarm: Alarm) -> dict[str, Any]:
    """What the outside sees of an alarm."""
    return {
        "id": alarm.id,
        "code": alarm.code,
        "severity": alarm.severity,
        "strategy": alarm.strategy,
        "subject": alarm.subject,
        "detail": alarm.detail,
        "remedy": remedy_of(alarm.code),
        "raised_at": iso(alarm.raised_at),
        "closed_at": iso(alarm.closed_at) if alarm.closed_at else None,
    }


def _in_state(query: Select[Alarm], state: str) -> Select[Alarm]:
    if state == "open":
        return query.where(Alarm.closed_at.is_(None))
    return query.where(Alarm.closed_at.is_not(None)) if state == "closed" else query


def _added(session: Session, alarm: Alarm) -> bool:
    """Whether the row is the open one; False, with nothing else lost, where another process stored it first."""
    try:
        with session.begin_nested():
            session.add(alarm)
    except IntegrityError:
        return False
    return True


def _open_alarm(session: Session, code: Code, subject: str, *, lock: bool = False) -> Alarm | None:
    query = select(Alarm).where(Alarm.code == str(code), Alarm.subject == subject, Alarm.closed_at.is_(None))
    return session.scalars(query.with_for_update() if lock else query).one_or_none()
