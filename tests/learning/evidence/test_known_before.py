"""A bot that posts its past again: what a version learned by heart says nothing about how it fares."""

from datetime import datetime
from typing import Any

import numpy as np
import pytest
from sqlalchemy import inspect
from sqlalchemy.orm import Session

from backend.database import Database
from backend.learning.evidence.version_page import version_page
from backend.learning.versions.serving import Serving
from backend.learning.versions.store import ArtifactStore
from backend.models import AIModelVersion, AITrainingSample, Forecast
from backend.settings import Settings
from tests.learning.evidence.live import LiveHouse
from tests.learning.versions.house import Planted

ROWS = 200


@pytest.fixture
def house(database: Database, settings: Settings, now: datetime) -> LiveHouse:
    """A version that decides and was trained on nothing but noise."""
    store = ArtifactStore(settings.model_dir)
    house = LiveHouse(database, settings, store, Serving(store), now)
    house.plant(Planted(count=ROWS))
    house.database.write(_make_noise)
    house.activate(str(house.train()["version_id"]))
    house.change_reports()
    return house


def _make_noise(session: Session) -> None:
    random = np.random.default_rng(5)
    for row in session.query(AITrainingSample):
        row.forward_return = row.market_return = float(0.01 * random.normal())


def post_again(house: LiveHouse, version: AIModelVersion, *, role: str) -> float:
    """Its training rows as new decisions with their old times; the share it then has right, by heart."""
    past = house.rows(AITrainingSample)[:ROWS]
    X = np.stack([np.frombuffer(row.features_blob, dtype="<f4") for row in past])
    scores = house.serving.load(version).scores(X)
    columns = [one.key for one in inspect(AITrainingSample).column_attrs if one.key not in ("id", "decision_id")]
    decided = version.version_id if role == "active" else None

    def add(session: Session) -> None:
        for row, score in zip(past, scores.tolist(), strict=True):
            copied: dict[str, Any] = {name: getattr(row, name) for name in columns}
            anew = {"decision_id": f"again-{row.decision_id}", "model_version": decided, "created_at": house.time}
            again = AITrainingSample(**copied | anew | {"prediction_score": score, "expected_return": score})
            session.add(again)
            session.flush()
            told = {"version_id": version.version_id, "score": score, "action": "BUY", "role": role}
            session.add(Forecast(sample_id=again.id, **told))

    house.database.write(add)
    y = np.array([row.forward_return for row in past])
    moved = np.abs(y) > house.settings.cost
    return float((np.sign(scores) == np.sign(y))[moved].mean())


def page(house: LiveHouse, version: AIModelVersion) -> dict[str, Any]:
    return house.database.read(version_page, version.version_id, serving=house.serving, cost=house.settings.cost)


def test_its_own_training_rows_posted_again_make_no_version_look_skilled(house: LiveHouse) -> None:
    (version,) = house.rows(AIModelVersion)
    before = page(house, version)

    by_heart = post_again(house, version, role="active")

    after = page(house, version)
    live = after["live"]
    assert by_heart > 0.6
    assert (live["forecasts"]["total"], live["forecasts"]["known_before"], live["forecasts"]["matured"]) == (
        ROWS,
        ROWS,
        0,
    )
    for name in ("accuracy", "accuracy_ci95", "live_accuracy", "edge", "e_value", "effective_samples"):
        assert live[name] == before["live"][name] in (None, 0), name
    assert live["skill"] == before["live"]["skill"]
    assert "none has matured yet" in live["skill"]["sentence"]
    assert live["drift"]["errors"] == before["live"]["drift"]["errors"]


def test_what_it_decides_later_is_judged_as_if_the_past_had_not_been_posted(house: LiveHouse) -> None:
    (version,) = house.rows(AIModelVersion)
    house.decide(version.version_id, [True, False, False] * 8)
    before = page(house, version)["live"]

    post_again(house, version, role="active")

    live = page(house, version)["live"]
    assert (live["forecasts"]["known_before"], live["accuracy"]) == (ROWS, pytest.approx(1 / 3))
    for name in ("accuracy_ci95", "baseline_accuracy", "edge", "e_value", "effective_samples", "skill"):
        assert live[name] == before[name], name


def test_a_shadow_is_not_judged_by_what_it_learned_either(house: LiveHouse) -> None:
    (version,) = house.rows(AIModelVersion)

    post_again(house, version, role="shadow")

    shadow = page(house, version)["shadow"]
    assert (shadow["forecasts"], shadow["known_before"], shadow["matured"]) == (ROWS, ROWS, 0)
    assert (shadow["accuracy"], shadow["accuracy_ci95"], shadow["e_value"]) == (None, None, None)
