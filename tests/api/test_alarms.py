"""Alarms and events as they are answered, and the test that they arrive."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from backend.database import Database
from backend.env_file import SettingsError
from backend.main import create_app
from backend.operations.alarms import close_alarm, raise_alarm
from backend.operations.codes import CATALOGUE_OF_CODES, Code, Severity
from backend.scheduler import WATCH, WATCH_SECONDS, add_watch, build_scheduler
from tests.api.conftest import METRICS, NOW, TRADER, assert_problem, closed_samples, open_client, settings_in
from tests.receiver import Receiver, running_receiver

SECRET = "a-secret-for-signatures"


def database_of(client: TestClient) -> Database:
    database: Database = client.app.state.context.database  # type: ignore[attr-defined]
    return database


def sound(client: TestClient, code: Code, subject: str = "default") -> None:
    told: dict[str, Any] = {"strategy": subject, "severity": Severity.ERROR, "detail": f"{subject} is ill.", "at": NOW}
    database_of(client).write(raise_alarm, code, subject, **told)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as receiver:
        yield receiver


def test_at_first_no_alarm_is_open_and_nothing_was_told(client: TestClient) -> None:
    assert client.get("/ai/alarms").json() == {"status": "ok", "count": 0, "alarms": [], "next_cursor": None}
    assert client.get("/ai/events").json() == {
        "status": "ok",
        "count": 0,
        "total": 0,
        "events": [],
        "next_cursor": None,
    }


def test_an_open_alarm_is_shown_and_a_closed_one_when_asked_for(client: TestClient) -> None:
    sound(client, Code.CLOCK_SKEW)
    sound(client, Code.MARKET_FEED_STALE)
    database_of(client).write(close_alarm, Code.CLOCK_SKEW, "default", at=NOW)

    (alarm,) = client.get("/ai/alarms").json()["alarms"]
    by_state = {
        state: [one["code"] for one in client.get(f"/ai/alarms?state={state}").json()["alarms"]]
        for state in ("open", "closed", "all")
    }

    assert alarm == {
        "id": 2,
        "code": "market_feed_stale",
        "severity": "error",
        "strategy": "default",
        "subject": "default",
        "detail": "default is ill.",
        "remedy": CATALOGUE_OF_CODES[Code.MARKET_FEED_STALE].remedy,
        "raised_at": "2026-03-02T12:00:00Z",
        "closed_at": None,
    }
    assert by_state == {
        "open": ["market_feed_stale"],
        "closed": ["clock_skew"],
        "all": ["market_feed_stale", "clock_skew"],
    }


def test_pages_and_strategies(client: TestClient) -> None:
    for code in (Code.CLOCK_SKEW, Code.MARKET_FEED_STALE, Code.ARTIFACT_CORRUPT):
        sound(client, code)

    first = client.get("/ai/alarms?limit=2").json()
    rest = client.get(f"/ai/alarms?limit=2&cursor={first['next_cursor']}").json()
    events = client.get("/ai/events?limit=1&strategy=default").json()

    assert [one["code"] for one in first["alarms"] + rest["alarms"]] == [
        "artifact_corrupt", "market_feed_stale", "clock_skew",
    ]  # fmt: skip
    assert rest["next_cursor"] is None
    assert (events["count"], events["total"], events["events"][0]["code"]) == (1, 3, "artifact_corrupt")
    assert_problem(client.get("/ai/alarms?strategy=defualt"), 404, "unknown_strategy")
    assert_problem(client.get("/ai/events?strategy=defualt"), 404, "unknown_strategy")


@pytest.mark.parametrize("query", ["state=ajar", "limit=0", "cursor=x", "stat=open"])
def test_what_is_asked_wrongly_is_refused(client: TestClient, query: str) -> None:
    assert_problem(client.get(f"/ai/alarms?{query}"), 422, "invalid_input")


@pytest.mark.parametrize("token", [TRADER, METRICS])
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/ai/alarms"), ("GET", "/ai/events"), ("POST", "/ai/alarms/test")]
)
def test_the_admin_alone_asks(client: TestClient, token: dict[str, str], method: str, path: str) -> None:
    assert_problem(client.request(method, path, headers=token), 403, "forbidden")


def test_a_test_without_anybody_to_tell_says_so(client: TestClient) -> None:
    answer = client.post("/ai/alarms/test")

    assert answer.status_code == 200
    assert answer.json()["targets"] == []
    assert "QT_NOTIFY_URLS" in answer.json()["message"]


def test_a_test_reaches_everybody_within_seconds(tmp_path: Path, receiver: Receiver) -> None:
    settings = settings_in(
        tmp_path,
        QT_NOTIFY_URLS=receiver.apprise(),
        QT_WEBHOOK_URL=receiver.url(),
        QT_WEBHOOK_SECRET=SECRET,
    )
    with open_client(settings, lambda: NOW) as client:
        told = client.post("/ai/alarms/test").json()
        (posted,) = receiver.wait_for(1)
        receiver.wait_for(1, "/people")
        for _ in range(100):
            (event,) = client.get("/ai/events").json()["events"]
            if {one["state"] for one in event["deliveries"]} == {"sent"}:
                break
            time.sleep(0.05)

    assert posted.json["event_id"] == told["event_id"] == event["event_id"]
    assert posted.is_signed_with(SECRET)
    assert [one["setting"] for one in told["targets"]] == ["QT_NOTIFY_URLS, address 1 of 1", "QT_WEBHOOK_URL"]
    assert {one["channel"]: one["state"] for one in event["deliveries"]} == {"notify": "sent", "webhook": "sent"}
    assert {one["target"] for one in event["deliveries"]} == {one["target"] for one in told["targets"]}


def test_what_a_webhook_gets_is_what_the_list_shows(tmp_path: Path, receiver: Receiver) -> None:
    settings = settings_in(tmp_path, QT_WEBHOOK_URL=receiver.url(), QT_WEBHOOK_SECRET=SECRET)
    with open_client(settings, lambda: NOW) as client:
        sound(client, Code.CLOCK_SKEW)
        (posted,) = receiver.wait_for(1)
        (event,) = client.get("/ai/events").json()["events"]

    assert posted.json == {**{key: event[key] for key in event if key != "deliveries"}, "alarm_id": 1}


def test_a_retraining_over_http_is_news(client: TestClient) -> None:
    client.post("/ai/training-samples", json={"samples": closed_samples(120)})

    answer = client.post("/ai/retrain").json()

    (event,) = client.get("/ai/events?strategy=default").json()["events"]
    assert (event["code"], event["subject"]) == ("training_finished", answer["version_id"])
    assert event["sentence"] == answer["report"]["sentence"]


def test_an_address_that_cannot_be_used_stops_the_start_and_is_not_shown(tmp_path: Path) -> None:
    wrong = settings_in(tmp_path, QT_NOTIFY_URLS="json://127.0.0.1/x,jsson://topsecret/y")

    with pytest.raises(SettingsError, match="address 2 of 2") as refused:
        create_app(wrong)

    assert "topsecret" not in str(refused.value)


def test_the_service_looks_every_half_minute_and_not_at_once(client: TestClient) -> None:
    context = client.app.state.context  # type: ignore[attr-defined]
    scheduler = build_scheduler(context)
    add_watch(scheduler, context)
    scheduler.start(paused=True)

    job = scheduler.get_job(WATCH)

    assert job.trigger.interval.total_seconds() == WATCH_SECONDS == 30
    scheduler.shutdown()
