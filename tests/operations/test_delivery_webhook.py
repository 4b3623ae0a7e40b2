"""Webhooks against a real server: signed, judged by the status, never redirected, never waited for too long."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from backend.operations.delivery_types import Outcome, Parcel, Result
from backend.operations.delivery_webhook import Webhook, judged, signature
from tests.operations.conftest import SECRET
from tests.postgres import free_port
from tests.receiver import DROP, HANG, Receiver

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
EVENT = {"event_id": "evt-1", "code": "training_finished", "sentence": "Näher an 0,5 – nichts gelernt.", "detail": {}}


def post(receiver: Receiver, path: str = "/hook", *, patience: float = 5.0) -> Outcome:
    webhook = Webhook(receiver.url(path), SecretStr(SECRET), timeout_seconds=patience)
    return webhook([Parcel(1, 1, EVENT)], NOW)


def test_a_program_gets_the_event_as_json_signed_and_dated(receiver: Receiver) -> None:
    assert post(receiver) == Outcome(Result.SENT)

    (got,) = receiver.received
    assert got.json == EVENT
    assert got.headers["content-type"] == "application/json"
    assert got.headers["x-qt-event-id"] == "evt-1"
    assert got.headers["x-qt-timestamp"] == str(int(NOW.timestamp()))
    assert got.is_signed_with(SECRET)
    assert not got.is_signed_with("another secret")


def test_the_signature_changes_with_the_body_and_the_time() -> None:
    signatures = {signature("k", time, body) for time in ("1", "2") for body in (b"{}", b"[]")}

    assert len(signatures) == 4


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (200, Result.SENT), (202, Result.SENT), (204, Result.SENT), (299, Result.SENT),
        (301, Result.REFUSED), (302, Result.REFUSED), (307, Result.REFUSED), (308, Result.REFUSED),
        (400, Result.REFUSED), (401, Result.REFUSED), (404, Result.REFUSED), (410, Result.REFUSED),
        (408, Result.AGAIN), (429, Result.AGAIN), (500, Result.AGAIN), (502, Result.AGAIN), (503, Result.AGAIN),
    ],
)  # fmt: skip
def test_the_status_says_whether_another_attempt_is_worth_it(receiver: Receiver, status: int, result: Result) -> None:
    receiver.answer(status)

    outcome = post(receiver)

    assert outcome.result is result
    assert (outcome.error is None) is (result is Result.SENT)
    assert outcome.error is None or str(status) in outcome.error


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.headers["Location"] = receiver.url("/elsewhere")
    receiver.answer(307)

    assert post(receiver).result is Result.REFUSED
    assert [one.path for one in receiver.received] == ["/hook"]


def test_who_asks_for_time_gets_it_within_reason() -> None:
    assert judged(429, "120") == Outcome(Result.AGAIN, "It answered 429.", timedelta(seconds=120), pause=True)
    assert judged(503, "999999").retry_after == timedelta(hours=1)
    assert judged(503, "Wed, 21 Oct 2026 07:28:00 GMT").retry_after is None
    assert judged(503).pause is False


def test_a_receiver_that_hangs_is_left_in_time_and_may_have_got_it(receiver: Receiver) -> None:
    receiver.answer(HANG)
    began = time.monotonic()

    outcome = post(receiver, patience=0.3)

    assert outcome.result is Result.UNCERTAIN
    assert outcome.error == "No answer within 0.3 s."
    assert outcome.pause
    assert time.monotonic() - began < 3


def test_a_receiver_that_hangs_up_may_have_got_it(receiver: Receiver) -> None:
    receiver.answer(DROP)

    assert post(receiver).result is Result.UNCERTAIN


def test_a_closed_port_got_nothing() -> None:
    port = free_port()
    webhook = Webhook(f"http://127.0.0.1:{port}/token-in-the-path", SecretStr(SECRET))

    outcome = webhook([Parcel(1, 1, EVENT)], NOW)

    assert outcome.result is Result.AGAIN
    assert outcome.pause
    assert "token-in-the-path" not in str(outcome.error)


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999/x", "http://no such host/x", "http://[::1/x"])
def test_an_address_nobody_can_post_to_is_an_answer_not_a_crash(url: str) -> None:
    outcome = Webhook(url, SecretStr(SECRET), timeout_seconds=1.0)([Parcel(1, 1, EVENT)], NOW)

    assert outcome.result in (Result.REFUSED, Result.AGAIN)
    assert outcome.error is not None
    assert url not in outcome.error


def test_the_secret_is_not_shown() -> None:
    assert SECRET not in repr(Webhook("http://127.0.0.1/x", SecretStr(SECRET)))
