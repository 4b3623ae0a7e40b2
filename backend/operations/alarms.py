"""Alarms as rows: open once per code and subject, closed when the cause is gone. Delivery reads them."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.models import Alarm


def raise_alarm(session: Session, code: str, subject: str, *, severity: str, detail: str, at: datetime) -> bool:
    """Open the alarm, or refresh what an open one says; whether it is a new one."""
    alarm = _open_alarm(session, code, subject)
    if alarm is not None:
        alarm.severity, alarm.detail = severity, detail
        return False
    session.add(Alarm(code=code, subject=subject, severity=severity, detail=detail, raised_at=at))
    session.flush()
    return True


def close_alarm(session: Session, code: str, subject: str, *, at: datetime) -> bool:
    """Close the alarm; whether it was open."""
    alarm = _open_alarm(session, code, subject)
    if alarm is None:
        return False
    alarm.closed_at = at
    return True


def open_alarms(session: Session) -> list[Alarm]:
    """Every open alarm, the oldest first."""
    query = select(Alarm).where(Alarm.closed_at.is_(None)).order_by(Alarm.raised_at, Alarm.id)
    return list(session.scalars(query))


def _open_alarm(session: Session, code: str, subject: str) -> Alarm | None:
    query = select(Alarm).where(Alarm.code == code, Alarm.subject == subject, Alarm.closed_at.is_(None))
    return session.scalars(query).one_or_none()
