"""A night and a morning with a real service: what happened is told to a program and to a person, each thing once."""

import signal
import sqlite3
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import closed_samples
from tests.receiver import HANG, Received, Receiver, running_receiver
from tests.service import Service, running_service

SECRET = "a-secret-for-signatures"
TOKEN = "a-token-in-an-address"


def by_code(receiver: Receiver) -> dict[str, Received]:
    return {one.json["code"]: one for one in receiver.at(f"/hook/{TOKEN}")}


def read(receiver: Receiver) -> str:
    """All that the person got."""
    return "\n".join(one.json["title"] + one.json["message"] for one in receiver.at(f"/people/{TOKEN}"))


def settings_for(receiver: Receiver) -> dict[str, str]:
    return {
        "QT_WEBHOOK_URL": receiver.url(f"/hook/{TOKEN}"),
        "QT_WEBHOOK_SECRET": SECRET,
        "QT_NOTIFY_URLS": receiver.apprise(f"/people/{TOKEN}"),
    }


def learned(service: Service, count: int, seed: int) -> dict[str, Any]:
    service.ok("POST", "/ai/training-samples", {"samples": closed_samples(count, seed)})
    answer = service.ok("POST", "/ai/retrain")
    assert answer["status"] == "success"
    return answer


@pytest.mark.slow
def test_a_night_is_told_to_a_program_and_a_person(tmp_path: Path) -> None:
    with running_receiver() as receiver:
        receiver.answer(500, path=f"/hook/{TOKEN}")
        with running_service(tmp_path, **settings_for(receiver)) as service:
            first = learned(service, 120, 1)
            second = learned(service, 60, 2)
            service.ok("POST", f"/ai/activate-model/{first['version_id']}")
            service.ok("POST", f"/ai/activate-model/{second['version_id']}")
            rolled_back = service.ok("POST", "/ai/rollback?reason=it%20lost%20money")
            service.ok("POST", "/ai/deactivate")

            posted = receiver.wait_for(7, f"/hook/{TOKEN}")
            events = service.ok("GET", "/ai/events")["events"]
            deadline = time.monotonic() + 20
            while "it lost money" not in read(receiver) and time.monotonic() < deadline:
                time.sleep(0.1)

        log = (tmp_path / "service.log").read_text()

    assert all(one.is_signed_with(SECRET) for one in posted)
    arrived = Counter(one.json["event_id"] for one in posted)
    assert sorted(arrived.values()) == [1, 1, 1, 1, 1, 2], "the one that was answered 500 came again, nothing else did"
    assert set(arrived) == {event["event_id"] for event in events}
    finished = [one.json for one in posted if one.json["code"] == "training_finished"]
    assert {one["sentence"] for one in finished} == {first["report"]["sentence"], second["report"]["sentence"]}
    assert by_code(receiver)["version_rolled_back"].json["subject"] == rolled_back["activated_version"]
    assert "it lost money" in by_code(receiver)["version_rolled_back"].json["sentence"]
    assert by_code(receiver)["version_deactivated"].json["detail"]["previous_version"] == first["version_id"]
    assert first["report"]["sentence"][:60] in read(receiver)
    assert "it lost money" in read(receiver)
    assert TOKEN not in log
    assert SECRET not in log


@pytest.mark.slow
def test_a_webhook_that_hangs_delays_neither_training_nor_the_end_and_gets_it_after_the_restart(tmp_path: Path) -> None:
    with running_receiver() as receiver:
        receiver.answer(HANG, path=f"/hook/{TOKEN}")
        with running_service(tmp_path, **settings_for(receiver)) as service:
            learned(service, 120, 1)
            receiver.wait_for(1, f"/hook/{TOKEN}")
            receiver.wait_for(1, f"/people/{TOKEN}")
            began = time.monotonic()
            service.ok("GET", "/ai/status")
            service.process.send_signal(signal.SIGTERM)
            service.process.wait(timeout=30)
            took = time.monotonic() - began
        receiver.released.set()

        with running_service(tmp_path, **settings_for(receiver)) as service:
            receiver.wait_for(2, f"/hook/{TOKEN}")
            deadline = time.monotonic() + 10
            while states(tmp_path) != ["sent", "sent"] and time.monotonic() < deadline:
                time.sleep(0.1)
            events = service.ok("GET", "/ai/events")["events"]

    assert took < 8
    assert len({one.json["event_id"] for one in receiver.at(f"/hook/{TOKEN}")}) == 1
    assert len(receiver.at(f"/people/{TOKEN}")) == 1
    assert [one["state"] for event in events for one in event["deliveries"]] == ["sent", "sent"]


def states(folder: Path) -> list[str]:
    with sqlite3.connect(folder / "quantum_trader.db") as connection:
        found = [state for (state,) in connection.execute("SELECT state FROM deliveries ORDER BY id")]
    connection.close()
    return found
