"""A running service whose version turns wrong: QT_AUTO_ROLLBACK=1 goes back once, through restarts; 0 never does."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient

from backend import scheduler
from backend.database import Database
from backend.learning.versions.serving import Serving
from backend.learning.versions.store import ArtifactStore
from backend.settings import Settings
from tests.api.conftest import open_client
from tests.learning.evidence.live import LiveHouse


@pytest.fixture
def house(
    database: Database, settings: Settings, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> tuple[LiveHouse, str, str]:
    """Two versions, the second decides and was wrong sixty times; the service's job looks ten times a second."""
    monkeypatch.setattr(scheduler, "LIVE_EVIDENCE_SECONDS", 0.1)
    store = ArtifactStore(settings.model_dir)
    house = LiveHouse(database, settings, store, Serving(store), now)
    first, second = house.train_two()
    house.activate(first)
    house.activate(second)
    house.decide(second, [False] * 60)
    return house, first, second


def served(house: LiveHouse, auto_rollback: bool, until: Callable[[TestClient], bool]) -> dict[str, Any]:
    """Let a service run until then; its alarms and audit at the end."""
    settings = replace(house.settings, auto_rollback=auto_rollback, ai_retraining_enabled=False)
    with open_client(settings, house.clock) as client:
        ends = time.monotonic() + 20
        while not until(client):
            assert time.monotonic() < ends, "nothing happened in 20 seconds"
            time.sleep(0.05)
        time.sleep(0.5)
        alarms = client.get("/ai/alarms?state=all").json()["alarms"]
        audit = client.get("/ai/audit").json()["entries"]
    return {
        "alarms": [(one["code"], one["closed_at"] is not None) for one in alarms if one["code"] == "skill_lost"],
        "rollbacks": [(one["actor"], one["subject"]) for one in audit if one["action"] == "rollback"],
    }


def alarmed(client: TestClient) -> bool:
    return any(one["code"] == "skill_lost" for one in client.get("/ai/alarms?state=all").json()["alarms"])


def test_the_service_goes_back_once_and_a_restart_does_nothing_more(house: tuple[LiveHouse, str, str]) -> None:
    living, first, second = house

    once = served(living, True, lambda client: client.get(f"/ai/models/{first}").json()["is_active"])
    again = served(living, True, alarmed)

    assert once == again == {"alarms": [("skill_lost", True)], "rollbacks": [("auto-rollback", first)]}
    assert (living.active(), living.served()) == (first, first)
    assert second != first


@pytest.mark.slow
def test_by_default_the_alarm_is_all_that_follows_until_it_is_switched_on(house: tuple[LiveHouse, str, str]) -> None:
    living, first, second = house

    once = served(living, False, alarmed)
    again = served(living, False, alarmed)
    kept = living.active()
    switched_on = served(living, True, lambda client: client.get(f"/ai/models/{first}").json()["is_active"])

    assert once == again == {"alarms": [("skill_lost", False)], "rollbacks": []}
    assert kept == second
    assert switched_on == {"alarms": [("skill_lost", True)], "rollbacks": [("auto-rollback", first)]}
