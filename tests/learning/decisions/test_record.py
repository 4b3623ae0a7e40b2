"""Decisions into rows: what was seen, what was answered, by which version."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ai_engine.types import Forecast as ModelForecast
from backend.errors import InvalidInputError
from backend.learning.decisions.decide import ShadowForecast
from backend.learning.decisions.record import NewDecision, record
from backend.models import AIModelVersion, AITrainingSample, Forecast

VERSION = "v20260301_000000"


def store(bench: Any, *decisions: NewDecision) -> list[int]:
    def use_case(session: Session) -> list[int]:
        return [one.id for one in record(session, bench.begin(session), decisions, now=bench.now)]

    return bench.database.write(use_case)


def test_a_hold_is_a_row_like_any_other(bench: Any, minutes: Any, draft: Any) -> None:
    store(bench, draft("d1", minutes(0), action="HOLD", reason="zero_score", explored=False))

    sample = bench.sample("d1")
    assert (sample.predicted_action, sample.reason, sample.state, sample.origin) == (
        "HOLD",
        "zero_score",
        "pending",
        "decision",
    )
    assert sample.horizon_at == minutes(60)
    assert (sample.outcome_known, sample.executed, sample.fees, sample.target_label) == (False, False, None, None)
    assert sample.created_at == bench.now


def test_features_are_kept_as_float32_under_their_names(bench: Any, minutes: Any, draft: Any) -> None:
    values = np.array([0.1, -1e30], dtype=np.float32)

    store(bench, draft("d1", minutes(0), features=values))

    sample = bench.sample("d1")
    np.testing.assert_array_equal(np.array(sample.features, dtype=np.float32), values)
    assert sample.feature_schema.names == ["alpha", "beta"]


def test_a_versions_forecast_is_kept_beside_the_decision_and_counted(bench: Any, minutes: Any, draft: Any) -> None:
    bench.add_version()
    forecast = ModelForecast(0.02, 0.004, 0.55)
    told = {"forecast": forecast, "model_version": VERSION}

    ids = store(bench, *(draft(f"d{i}", minutes(i), **told) for i in range(3)), draft("own", minutes(9)))

    sample = bench.sample("d0")
    assert (sample.prediction_score, sample.prediction_confidence, sample.expected_return) == (0.02, 0.55, 0.004)
    assert (sample.volatility, sample.expected_return_low, sample.expected_return_high) == (None, None, None)
    kept = bench.database.read(
        lambda session: [
            (one.sample_id, one.version_id, one.score, one.action, one.role)
            for one in session.scalars(select(Forecast).order_by(Forecast.sample_id))
        ]
    )
    assert kept == [(sample_id, VERSION, 0.02, "BUY", "active") for sample_id in ids[:3]]
    assert bench.counters()["total_predictions"] == 3


def test_a_list_is_stored_whole_or_not_at_all(bench: Any, minutes: Any, draft: Any) -> None:
    other_names = draft("d2", minutes(5), feature_names=("gamma",), features=np.zeros(1, dtype=np.float32))

    with pytest.raises(InvalidInputError):
        store(bench, draft("d1", minutes(0)), other_names)
    with pytest.raises(IntegrityError):
        store(bench, draft("d1", minutes(0)), draft("d1", minutes(5)))

    assert bench.database.read(lambda session: session.scalars(select(AITrainingSample)).all()) == []


def test_the_horizon_is_the_strategys(bench: Any, minutes: Any, draft: Any) -> None:
    bench.database.write(lambda session: setattr(bench.begin(session), "horizon_candles", 3))

    store(bench, draft("d1", minutes(0)))

    assert bench.sample("d1").horizon_at - bench.sample("d1").timestamp == timedelta(minutes=15)


def test_what_shadows_said_is_kept_beside_and_counts_for_nobody(bench: Any, minutes: Any, draft: Any) -> None:
    bench.add_version()
    bench.add_version("v20260301_000001")
    own = ModelForecast(0.02, 0.004, 0.55)
    other = ShadowForecast("v20260301_000001", ModelForecast(-0.03, -0.001, 0.6), "SELL")

    store(
        bench,
        draft("d1", minutes(0), forecast=own, model_version=VERSION, shadows=(other,)),
        draft("d2", minutes(5), shadows=(other,)),
    )

    def told(session: Session) -> list[tuple[Any, ...]]:
        row = Forecast
        query = select(row.role, row.version_id, row.score, row.expected_return, row.confidence, row.action)
        return [tuple(one) for one in session.execute(query.order_by(row.sample_id, row.role))]

    shadowed = ("shadow", "v20260301_000001", -0.03, -0.001, 0.6, "SELL")
    assert bench.database.read(told) == [("active", VERSION, 0.02, 0.004, 0.55, "BUY"), shadowed, shadowed]
    counts = select(AIModelVersion.version_id, AIModelVersion.total_predictions)
    assert bench.database.read(lambda s: dict(s.execute(counts).all())) == {VERSION: 1, other.version_id: 0}
    assert bench.sample("d2").prediction_score is None
