"""Alarms: open once per code and subject, and again after they were closed."""

from datetime import datetime

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend.database import Database
from backend.models import Alarm
from backend.operations.alarms import close_alarm, open_alarms, raise_alarm
from backend.operations.codes import Code, Severity


def sound(database: Database, subject: str, now: datetime, detail: str = "silent") -> bool:
    return database.write(
        raise_alarm, Code.MARKET_FEED_STALE, subject, strategy=None, severity=Severity.WARNING, detail=detail, at=now
    )


def shown(session: Session) -> list[tuple[str, str]]:
    return [(alarm.subject, alarm.detail) for alarm in open_alarms(session)]


def test_an_alarm_opens_once_and_says_the_newest(database: Database, now: datetime) -> None:
    assert sound(database, "BTCUSDC", now) is True
    assert sound(database, "BTCUSDC", now, "silent for longer") is False

    assert database.read(shown) == [("BTCUSDC", "silent for longer")]


def test_subjects_have_alarms_of_their_own(database: Database, now: datetime) -> None:
    sound(database, "BTCUSDC", now)
    sound(database, "ETHUSDC", now)

    assert [subject for subject, _ in database.read(shown)] == ["BTCUSDC", "ETHUSDC"]


def test_a_closed_alarm_may_open_again(database: Database, now: datetime) -> None:
    sound(database, "BTCUSDC", now)

    assert database.write(close_alarm, Code.MARKET_FEED_STALE, "BTCUSDC", at=now) is True
    assert database.write(close_alarm, Code.MARKET_FEED_STALE, "BTCUSDC", at=now) is False
    assert database.read(shown) == []
    assert sound(database, "BTCUSDC", now) is True


def test_the_table_itself_holds_one_open_alarm(database: Database, now: datetime) -> None:
    def twice(session: Session) -> None:
        for _ in range(2):
            session.add(Alarm(code="c", subject="s", severity="info", detail="", raised_at=now))

    with pytest.raises(IntegrityError):
        database.write(twice)
