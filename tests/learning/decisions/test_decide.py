"""From observations to answers, without a database."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ai_engine.features.catalogue import FEATURE_NAMES
from ai_engine.policy import PolicySettings
from ai_engine.types import Forecasts
from backend.errors import ConflictError
from backend.learning.decisions.decide import DecisionContext, Observation, decide

POLICY = PolicySettings(min_confidence=0.5, require_edge=False, cost=0.0024, sides="long,short", exploration_rate=0.0)
CONTEXT = DecisionContext("bot", POLICY, enabled=True)


class Sum:
    """Scores a row by a weighted sum, and remembers how often it was asked."""

    def __init__(self, *names: str) -> None:
        self.feature_names = names
        self.calls = 0

    def forecast(self, X: np.ndarray) -> Forecasts:
        self.calls += 1
        scores = X @ np.arange(1, X.shape[1] + 1, dtype=np.float64)
        unknown = np.full(len(X), np.nan)
        return Forecasts(scores, scores, unknown + 0.6, None)


def serving(model: Any) -> Any:
    return SimpleNamespace(version_id="v1", model=model)


def seen(*values: float, names: tuple[str, ...] = ("a", "b")) -> Observation:
    return Observation("BTCUSDC", np.array(values, dtype=np.float32), names, None)


def test_all_observations_are_answered_by_one_call_in_order() -> None:
    model = Sum("a", "b")

    answers = decide([seen(1, 1), seen(-1, -1), seen(0, 0)], serving(model), CONTEXT)

    assert model.calls == 1
    assert [answer.choice.action for answer in answers] == ["BUY", "SELL", "HOLD"]
    assert [answer.forecast.score for answer in answers if answer.forecast] == [3.0, -3.0, 0.0]
    assert {answer.model_version for answer in answers} == {"v1"}


def test_nothing_seen_is_nothing_answered() -> None:
    assert decide([], serving(Sum("a")), CONTEXT) == []


def test_names_beyond_those_of_the_model_are_left_out() -> None:
    wide = seen(5, 9, 7, names=("a", "b", "c"))

    (answer,) = decide([wide], serving(Sum("a", "c")), CONTEXT)

    assert answer.forecast is not None
    assert answer.forecast.score == 1 * 5 + 2 * 7


def test_a_missing_name_is_a_conflict_that_names_it() -> None:
    with pytest.raises(ConflictError) as caught:
        decide([seen(1, 2)], serving(Sum("a", "z")), CONTEXT)

    assert (caught.value.reason, caught.value.extra["missing"]) == ("schema_mismatch", ["z"])


def test_switched_off_every_answer_is_hold_and_the_forecast_is_still_told() -> None:
    off = DecisionContext("bot", POLICY, enabled=False)

    (with_model,) = decide([seen(1, 1)], serving(Sum("a", "b")), off)
    (without,) = decide([seen(1, 1)], None, off)

    assert with_model.choice.reason == without.choice.reason == "ai_trading_disabled"
    assert with_model.choice.action == without.choice.action == "HOLD"
    assert with_model.forecast is not None


def test_without_a_model_own_features_are_held() -> None:
    (answer,) = decide([seen(1, 1)], None, CONTEXT)

    assert (answer.choice.action, answer.choice.reason) == ("HOLD", "no_active_model")
    assert (answer.forecast, answer.model_version) == (None, None)


def test_without_a_model_the_cold_start_rule_reads_the_catalogues_features() -> None:
    features = np.zeros(len(FEATURE_NAMES), dtype=np.float32)

    (answer,) = decide([Observation("BTCUSDC", features, FEATURE_NAMES, None)], None, CONTEXT)

    assert answer.choice.reason in {"cold_start_rule", "cold_start_no_trend"}
    assert answer.model_version is None
