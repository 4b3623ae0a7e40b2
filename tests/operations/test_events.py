"""Events are kept exactly when what they tell of is, and are read newest first with their deliveries."""

import re
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from backend.database import Database
from backend.models import Delivery
from backend.operations.codes import News, Severity
from backend.operations.events import LONGEST_SENTENCE, count_events, get_event, list_events, storable, tell


def told(database: Database, now: datetime, sentence: str = "It happened.", strategy: str | None = "bot") -> str:
    def news(session: Session) -> str:
        event = tell(
            session,
            News.VERSION_ACTIVATED,
            strategy=strategy,
            subject="v1",
            sentence=sentence,
            detail={"a": 1},
            at=now,
            severity=Severity.WARNING,
        )
        return event.event_id

    return database.write(news)


def test_an_event_says_what_happened_to_what_and_when(database: Database, now: datetime) -> None:
    event_id = told(database, now)

    ((event,), more) = database.read(list_events)

    assert event == {
        "event_id": event_id,
        "code": "version_activated",
        "state": "news",
        "severity": "warning",
        "strategy": "bot",
        "subject": "v1",
        "sentence": "It happened.",
        "detail": {"a": 1},
        "at": "2026-03-02T12:00:00Z",
        "deliveries": [],
    }
    assert more is None
    assert re.fullmatch(r"evt-[0-9a-f]{32}", event_id)


def test_what_is_taken_back_is_not_told(database: Database, now: datetime) -> None:
    def fail(session: Session) -> None:
        tell(session, News.TEST, strategy=None, subject=None, sentence="x", detail={}, at=now)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        database.write(fail)

    assert database.read(count_events) == 0


def test_events_come_newest_first_page_by_page_and_by_strategy(database: Database, now: datetime) -> None:
    for number in range(5):
        told(database, now, f"{number}", "ab"[number % 2])

    first, cursor = database.read(list_events, limit=3)
    rest, none_left = database.read(list_events, limit=3, cursor=cursor)
    of_b, _ = database.read(list_events, strategy="b")

    assert [event["sentence"] for event in first + rest] == ["4", "3", "2", "1", "0"]
    assert none_left is None
    assert [event["sentence"] for event in of_b] == ["3", "1"]
    assert (database.read(count_events), database.read(count_events, "b")) == (5, 2)


def test_an_event_shows_its_deliveries_without_their_addresses(database: Database, now: datetime) -> None:
    event_id, other = told(database, now), told(database, now)

    def deliver(session: Session) -> None:
        for event, target in ((event_id, "a" * 64), (event_id, "b" * 64), (other, "c" * 64)):
            row = Delivery(event_id=event, channel="webhook", target=target, state="sent", attempts=2)
            row.delivered_at = now
            session.add(row)

    database.write(deliver)

    event = database.read(get_event, event_id)

    assert [one["target"] for one in event["deliveries"]] == ["aaaaaaaa", "bbbbbbbb"]
    assert event["deliveries"][0] == {
        "channel": "webhook",
        "target": "aaaaaaaa",
        "state": "sent",
        "attempts": 2,
        "next_attempt_at": None,
        "delivered_at": "2026-03-02T12:00:00Z",
        "last_error": None,
    }


@given(st.text(st.characters(codec=None), max_size=50))
def test_whatever_an_exchange_answers_can_be_stored(text: str) -> None:
    kept = storable(text)

    assert "\0" not in kept
    assert kept.encode("utf-8").decode("utf-8") == kept
    assert len(kept) == len(text)


def test_a_sentence_has_an_end() -> None:
    assert len(storable("x" * 10_000)) == LONGEST_SENTENCE
