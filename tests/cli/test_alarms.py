"""``qt alarms``: what is wrong, what was told, and whether it arrives."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from backend.database import Database
from backend.operations.alarms import close_alarm, raise_alarm
from backend.operations.codes import Code, Severity
from tests.postgres import free_port
from tests.receiver import Receiver, running_receiver

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SECRET = "a-secret-for-signatures"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as receiver:
        yield receiver


@pytest.fixture
def database(environ: dict[str, str], migrated: Any) -> Iterator[Database]:
    database = Database(environ["QT_DATABASE_URL"])
    yield database
    database.close()


def sound(database: Database, subject: str = "default") -> None:
    told: dict[str, Any] = {"strategy": "default", "severity": Severity.ERROR, "detail": "No candle came.", "at": NOW}
    database.write(raise_alarm, Code.MARKET_FEED_STALE, subject, **told)


def test_at_first_no_alarm_is_open(migrated: Any) -> None:
    answer = migrated("alarms")

    assert (answer.code, answer.out) == (0, "No alarm is open.\n")
    assert migrated("alarms", "--json").json == {"status": "ok", "count": 0, "alarms": [], "next_cursor": None}
    assert migrated("alarms", "--events").out == "Nothing was told yet.\n"


def test_alarms_are_a_table_by_state(migrated: Any, database: Database) -> None:
    sound(database)
    sound(database, "other")
    database.write(close_alarm, Code.MARKET_FEED_STALE, "other", at=NOW)

    shown = migrated("alarms").out
    closed = migrated("alarms", "--state", "closed", "--json").json

    assert "market_feed_stale" in shown
    assert "No candle came." in shown
    assert "other" not in shown
    assert [one["subject"] for one in closed["alarms"]] == ["other"]
    assert migrated("alarms", "--state", "all", "--strategy", "default", "--limit", 1, "--json").json["count"] == 1


def test_events_say_what_was_told_to_whom(migrated: Any, database: Database) -> None:
    sound(database)

    shown = migrated("alarms", "--events").out
    (event,) = migrated("alarms", "--events", "--json").json["events"]

    assert "nobody" in shown
    assert (event["state"], event["sentence"], event["deliveries"]) == ("raised", "No candle came.", [])


@pytest.mark.parametrize("option", [(), ("--events",)])
def test_an_unknown_strategy_is_one_sentence(migrated: Any, option: tuple[str, ...]) -> None:
    answer = migrated("alarms", *option, "--strategy", "nobody")

    assert answer.code == 1
    assert "nobody" in answer.err


def test_a_test_without_anybody_to_tell_is_one_sentence(migrated: Any) -> None:
    answer = migrated("alarms", "--test")

    assert answer.code == 1
    assert "QT_NOTIFY_URLS" in answer.err


def test_a_test_is_waited_for_and_shown(
    migrated: Any, environ: dict[str, str], receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QT_NOTIFY_URLS", receiver.apprise())
    monkeypatch.setenv("QT_WEBHOOK_URL", receiver.url())
    monkeypatch.setenv("QT_WEBHOOK_SECRET", SECRET)

    shown = migrated("alarms", "--test")
    told = migrated("alarms", "--test", "--json").json

    assert shown.code == 0
    assert shown.out.count("sent") == 2
    assert [(one["setting"], one["state"]) for one in told["deliveries"]] == [
        ("QT_NOTIFY_URLS, address 1 of 1", "sent"),
        ("QT_WEBHOOK_URL", "sent"),
    ]
    assert receiver.event_ids()[-1] == told["event_id"]
    assert len(receiver.at("/people")) == 2


def test_a_test_that_does_not_arrive_says_why_and_is_an_error(migrated: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QT_WEBHOOK_URL", f"http://127.0.0.1:{free_port()}/topsecret")
    monkeypatch.setenv("QT_WEBHOOK_SECRET", SECRET)

    answer = migrated("alarms", "--test")

    assert answer.code == 1
    assert "No connection" in answer.out
    assert "topsecret" not in answer.out + answer.err
