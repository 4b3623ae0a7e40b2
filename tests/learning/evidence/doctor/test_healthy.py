"""A new installation on the simulated market is healthy from its first round on: what is normal is no warning."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backend.crontab import latest_slot, parse_schedule
from backend.database import Database
from backend.learning.evidence.doctor import diagnose, read_facts, unwritable
from backend.settings import Settings, load_settings
from tests.scenarios.test_deadlock import NOW, STRATEGY, House


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Every default but for the places that are written to."""
    return load_settings(
        environ={
            "QT_ADMIN_TOKEN": "an-admin-token-for-tests-only",
            "QT_DATABASE_URL": f"sqlite:///{tmp_path / 'quantum_trader.db'}",
            "QT_MODEL_DIR": str(tmp_path / "models"),
        },
        env_file=None,
    )


def looked_at(house: House) -> dict[str, Any]:
    """What the doctor says an hour after the night's retraining was due, as a service would ask it."""
    due = latest_slot(parse_schedule(house.settings.ai_retrain_schedule), NOW, timedelta(days=32))
    facts = house.database.read(read_facts, STRATEGY, house.settings, NOW, house.serving, due)
    return diagnose(facts, unwritable_because=unwritable(house.database))


@pytest.mark.slow
def test_nothing_is_wrong_in_the_first_days(database: Database, settings: Settings) -> None:
    house = House(database, settings)
    named: dict[int, list[str]] = {}
    taken = 0
    for rounds in (0, 1, 2, 4, 12, 13, 40, 150, 200):
        house.rounds(rounds - taken)
        taken = rounds
        told = looked_at(house)
        assert told["healthy"], told
        named[rounds] = [one["code"] for one in told["findings"]]

    assert named[0] == ["no_decisions"]
    assert named[2] in (["no_closed_outcomes"], ["only_hold", "no_closed_outcomes"])
    assert named[150] == named[200] == []


@pytest.mark.slow
def test_nothing_is_wrong_after_the_first_night(database: Database, settings: Settings) -> None:
    house = House(database, settings)
    house.rounds(150)
    night = house.retrain()
    house.activate(night)

    house.rounds(60)

    assert night["status"] == "success"
    told = looked_at(house)
    assert told["healthy"], told
    assert {one["code"] for one in told["findings"]} <= {"threshold_unreachable"}
