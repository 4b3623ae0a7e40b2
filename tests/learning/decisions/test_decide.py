"""From observations to answers, without a database."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from ai_engine.features.catalogue import FEATURE_NAMES
from ai_engine.policy import PolicySettings
from ai_engine.types import Forecasts
from backend.learning.decisions.decide import DecisionContext, Observation, decide

POLICY = PolicySettings(min_confidence=0.5, require_edge=False, cost=0.0024, sides="long,short", exploration_rate=0.0)
CONTEXT = DecisionContext(POLICY, enabled=True)


class Sum:
    """Scores a row by a weighted sum, and remembers how often it was asked."""

    def __init__(self, *names: str) -> None:
        self.feature_names = names
        self.calls = 0

    def forecast(self, X: np.ndarray) -> Forecasts:
        self.calls += 1
        scores = X @ np.arange(1, X.shape[1] + 1, dtype=np.float64)
        unknown = np.full(len(X), np.nan)
        return Forecasts(scores, scores, unknown + 0.6)


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


def test_what_the_model_cannot_read_is_held_and_the_others_are_answered() -> None:
    model = Sum("a", "z")

    wrong, right = decide([seen(1, 2), seen(3, 4, names=("a", "z"))], serving(model), CONTEXT)

    assert (wrong.choice.action, wrong.choice.reason) == ("HOLD", "schema_mismatch")
    assert (wrong.forecast, wrong.model_version) == (None, None)
    assert (right.choice.action, right.model_version) == ("BUY", "v1")
    assert right.forecast is not None
    assert right.forecast.score == 1 * 3 + 2 * 4


def test_where_nothing_can_be_read_the_model_is_not_asked() -> None:
    model = Sum("z")

    (answer,) = decide([seen(1, 2)], serving(model), CONTEXT)

    assert (answer.choice.reason, model.calls) == ("schema_mismatch", 0)


def test_switched_off_every_answer_is_hold_and_the_forecast_is_still_told() -> None:
    off = DecisionContext(POLICY, enabled=False)

    (with_model,) = decide([seen(1, 1)], serving(Sum("a", "b")), off)
    (without,) = decide([seen(1, 1)], None, off)
    (mismatched,) = decide([seen(1, 1)], serving(Sum("z")), off)

    assert mismatched.choice.reason == with_model.choice.reason == without.choice.reason == "ai_trading_disabled"
    assert with_model.choice.action == without.choice.action == "HOLD"
    assert with_model.forecast is not None


def test_without_a_model_own_features_are_held() -> None:
    (answer,) = decide([seen(1, 1)], None, CONTEXT)

    assert (answer.choice.action, answer.choice.reason) == ("HOLD", "no_active_model")
    assert (answer.forecast, answer.model_version) == (None, None)


def test_a_model_that_cannot_be_verified_is_the_reason_where_no_rule_knows_the_features() -> None:
    context = DecisionContext(POLICY, enabled=True, no_model="no_verified_model")
    catalogue = Observation("BTCUSDC", np.zeros(len(FEATURE_NAMES), dtype=np.float32), FEATURE_NAMES, None)

    own, known = decide([seen(1, 1), catalogue], None, context)

    assert own.choice.reason == "no_verified_model"
    assert known.choice.reason in {"cold_start_rule", "cold_start_no_trend"}


def test_without_a_model_the_cold_start_rule_reads_the_catalogues_features() -> None:
    features = np.zeros(len(FEATURE_NAMES), dtype=np.float32)

    (answer,) = decide([Observation("BTCUSDC", features, FEATURE_NAMES, None)], None, CONTEXT)

    assert answer.choice.reason in {"cold_start_rule", "cold_start_no_trend"}
    assert answer.model_version is None


def beside(*names: str, version: str = "v0") -> Any:
    return SimpleNamespace(version_id=version, model=Sum(*names))


def test_shadows_answer_everything_too_each_by_one_call_and_change_no_answer() -> None:
    rows = [seen(1, 1), seen(-1, 0)]
    one, two = beside("a", "b"), beside("b", version="v2")

    answers = decide(rows, serving(Sum("a", "b")), CONTEXT, [one, two])

    assert (one.model.calls, two.model.calls) == (1, 1)
    assert [[(s.version_id, s.forecast.score, s.action) for s in answer.shadows] for answer in answers] == [
        [("v0", 3.0, "BUY"), ("v2", 1.0, "BUY")],
        [("v0", -1.0, "SELL"), ("v2", 0.0, "HOLD")],
    ]
    alone = decide(rows, serving(Sum("a", "b")), CONTEXT)
    assert [(one.choice, one.model_version) for one in answers] == [(one.choice, one.model_version) for one in alone]
    assert [one.shadows for one in alone] == [(), ()]


def test_where_no_version_decides_shadows_score_all_the_same() -> None:
    (answer,) = decide([seen(1, 1)], None, CONTEXT, [beside("a", "b")])

    assert (answer.model_version, answer.choice.reason) == (None, "no_active_model")
    assert [(one.version_id, one.action) for one in answer.shadows] == [("v0", "BUY")]


def test_the_version_that_decides_is_never_its_own_shadow() -> None:
    itself = beside("a", "b", version="v1")

    (answer,) = decide([seen(1, 1)], serving(Sum("a", "b")), CONTEXT, [itself])

    assert (answer.shadows, itself.model.calls) == ((), 0)


def test_a_shadow_that_lacks_a_feature_is_left_out_of_that_answer_only() -> None:
    wide = seen(1, 2, 3, names=("a", "b", "z"))

    narrow, full = decide([seen(1, 2), wide], serving(Sum("a", "b")), CONTEXT, [beside("z"), beside("a", version="v2")])

    assert [one.version_id for one in narrow.shadows] == ["v2"]
    assert [one.version_id for one in full.shadows] == ["v0", "v2"]
    assert narrow.choice.action == "BUY"


def test_a_shadow_scores_what_the_active_version_has_no_features_for() -> None:
    (answer,) = decide([seen(1, 2)], serving(Sum("z")), CONTEXT, [beside("a", "b")])

    assert answer.choice.reason == "schema_mismatch"
    assert [one.version_id for one in answer.shadows] == ["v0"]


def test_shadows_never_explore_and_keep_the_thresholds() -> None:
    strict = DecisionContext(replace(POLICY, require_edge=True, cost=9.0, exploration_rate=1.0), enabled=True)
    lucky = replace(seen(1, 1), uniform=0.0)

    (answer,) = decide([lucky], serving(Sum("a", "b")), strict, [beside("a", "b")])

    assert answer.choice.explored is True
    assert [one.action for one in answer.shadows] == ["HOLD"]


def test_with_trading_disabled_shadows_hold_too() -> None:
    (answer,) = decide([seen(1, 1)], None, DecisionContext(POLICY, enabled=False), [beside("a", "b")])

    assert [(one.action, one.forecast.score) for one in answer.shadows] == [("HOLD", 3.0)]
