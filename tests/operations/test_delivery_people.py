"""Messages for people through the real apprise: what they read, and that no address is ever shown."""

import io
import logging
import threading
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from backend.operations.delivery_people import LONGEST_BODY, People, headline, message
from backend.operations.delivery_types import Parcel, Result
from tests.postgres import free_port
from tests.receiver import HANG, Receiver, load_apprise

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


load_apprise()


def event(**more: Any) -> dict[str, Any]:
    return {
        "event_id": "evt-1",
        "code": "market_feed_stale",
        "state": "raised",
        "severity": "error",
        "strategy": "default",
        "subject": "default",
        "sentence": "The feed binance is silent since 11:58.",
        "detail": {"remedy": "Check that it can be reached."},
        "at": "2026-03-02T12:00:00Z",
        **more,
    }


def parcels(*events: dict[str, Any]) -> list[Parcel]:
    return [Parcel(number, 1, one) for number, one in enumerate(events or (event(),))]


def test_a_person_reads_a_title_the_sentence_and_what_to_do(receiver: Receiver) -> None:
    assert People(receiver.apprise())(parcels(), NOW).result is Result.SENT

    (got,) = receiver.at("/people")
    assert got.json["title"] == "Quantum Trader: error: market feed stale (default)"
    assert got.json["message"].splitlines() == [
        "The feed binance is silent since 11:58.",
        "What to do: Check that it can be reached.",
        "Strategy default, 2026-03-02T12:00:00Z",
    ]
    assert got.json["type"] == "failure"


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"severity": "error"}, "failure"),
        ({"severity": "warning"}, "warning"),
        ({"severity": "info", "state": "news"}, "info"),
        ({"severity": "error", "state": "closed"}, "info"),
    ],
)
def test_the_kind_of_message_follows_the_severity(receiver: Receiver, changes: dict[str, str], kind: str) -> None:
    People(receiver.apprise())(parcels(event(**changes)), NOW)

    assert receiver.at("/people")[0].json["type"] == kind


def test_news_has_no_remedy_and_an_alarm_that_is_over_neither() -> None:
    for state in ("news", "closed"):
        _, body = message([event(state=state)])
        assert "What to do" not in body


def test_headlines_are_a_few_words() -> None:
    assert headline(event()) == "error: market feed stale (default)"
    assert headline(event(state="closed")) == "over: market feed stale (default)"
    assert headline(event(state="news", code="training_finished", subject="v1")) == "training finished (v1)"
    assert headline(event(state="news", code="test", subject=None)) == "test"


def test_several_events_are_one_message_that_says_how_many_it_left_out(receiver: Receiver) -> None:
    many = [event(sentence=f"Number {number}. {'x' * 200}") for number in range(50)]

    assert People(receiver.apprise())(parcels(*many), NOW).result is Result.SENT

    (got,) = receiver.at("/people")
    assert got.json["title"] == "Quantum Trader: 50 messages in one"
    lines = got.json["message"].splitlines()
    assert "Number 0." in lines[0]
    assert lines[-1] == f"And {50 - (len(lines) - 1)} more: GET /ai/events, or qt alarms --events."
    assert len(got.json["message"]) <= LONGEST_BODY


def test_a_few_events_are_all_there() -> None:
    _, body = message([event(sentence="One."), event(sentence="Two.")])

    assert [line.rpartition(". ")[2] for line in body.splitlines()] == ["One.", "Two."]


def test_one_endless_sentence_is_cut() -> None:
    _, body = message([event(sentence="y" * 5000)])

    assert len(body) <= LONGEST_BODY
    assert "What to do: Check" in body


def test_a_refusal_is_tried_again_and_says_why_without_the_address(receiver: Receiver) -> None:
    receiver.answer(500, path="/people/topsecret")

    outcome = People(receiver.apprise("/people/topsecret"))(parcels(), NOW)

    assert outcome.result is Result.AGAIN
    assert outcome.error is not None
    assert "500" in outcome.error
    assert "topsecret" not in outcome.error


def test_a_closed_port_is_tried_again_and_not_named() -> None:
    url = f"json://somebody:topsecret@127.0.0.1:{free_port()}/deeptoken"

    outcome = People(url)(parcels(), NOW)

    assert outcome.result is Result.AGAIN
    assert outcome.error
    assert not any(word in outcome.error for word in ("topsecret", "deeptoken", "somebody", "127.0.0.1"))


def test_one_that_does_not_answer_may_have_told_the_person(receiver: Receiver) -> None:
    receiver.answer(HANG, path="/people")
    people = People(receiver.apprise())
    assert people.usable()
    people._service[0].socket_read_timeout = 0.3
    began = time.monotonic()

    outcome = people(parcels(), NOW)

    assert outcome.result is Result.UNCERTAIN
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("url", ["nonsense", "jsson://host/topsecret", "discord://topsecret", "https://host/x", "://"])
def test_an_address_apprise_does_not_know_is_refused(url: str) -> None:
    people = People(url)

    assert not people.usable()
    assert people(parcels(), NOW).result is Result.REFUSED


def test_no_log_ever_shows_an_address(capfd: pytest.CaptureFixture[str]) -> None:
    text = io.StringIO()
    heard, root = logging.StreamHandler(text), logging.getLogger()
    level = root.level
    root.addHandler(heard)
    root.setLevel(logging.DEBUG)
    try:
        for url in ("jsson://host/topsecret", "discord://topsecret", f"json://127.0.0.1:{free_port()}/topsecret"):
            People(url)(parcels(), NOW)
        root.warning("heard")
    finally:
        root.removeHandler(heard)
        root.setLevel(level)

    out, err = capfd.readouterr()
    assert "heard" in text.getvalue()
    assert "topsecret" not in text.getvalue() + out + err


def test_apprise_starts_no_thread_of_its_own(receiver: Receiver) -> None:
    before = set(threading.enumerate())

    People(receiver.apprise())(parcels(), NOW)

    added = {thread.name for thread in set(threading.enumerate()) - before}
    assert not {name for name in added if "Pool" in name}
