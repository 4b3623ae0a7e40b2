"""Thresholds can only turn a direction into HOLD, exploration only a HOLD into a trade."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_engine.features.catalogue import FEATURE_NAMES
from ai_engine.features.compute import compute_history
from ai_engine.policy import RULE_FEATURES, PolicySettings, choose, cold_start
from ai_engine.types import Forecast
from backend.market.simulated import SimulatedMarket

OPEN = PolicySettings(min_confidence=0.5, require_edge=False, cost=0.0024, sides="long,short", exploration_rate=0.0)
RATE = 0.02


def forecast(score: float = 0.004, expected: float | None = 0.001, confidence: float | None = 0.5) -> Forecast:
    return Forecast(score=score, expected_return=expected, confidence=confidence)


@pytest.mark.parametrize(("score", "action"), [(1e-300, "BUY"), (-1e-300, "SELL"), (0.2, "BUY"), (-0.2, "SELL")])
@pytest.mark.parametrize("min_confidence", [0.5, 0.3, 0.0])
def test_at_or_below_one_half_every_non_zero_score_passes(score: float, action: str, min_confidence: float) -> None:
    policy = replace(OPEN, min_confidence=min_confidence)

    choice = choose(forecast(score, confidence=0.5), policy, uniform=None)

    assert (choice.action, choice.reason, choice.propensity) == (action, None, 1.0)


@pytest.mark.parametrize("score", [0.0, -0.0])
def test_a_score_of_exactly_zero_has_no_direction(score: float) -> None:
    choice = choose(forecast(score), OPEN, uniform=None)

    assert (choice.action, choice.reason) == ("HOLD", "zero_score")


@pytest.mark.parametrize(("confidence", "action"), [(0.51, "BUY"), (0.5099, "HOLD"), (0.6, "BUY"), (None, "HOLD")])
def test_confidence_must_reach_the_threshold(confidence: float | None, action: str) -> None:
    policy = replace(OPEN, min_confidence=0.51)

    choice = choose(forecast(confidence=confidence), policy, uniform=None)

    assert choice.action == action
    assert choice.reason == (None if action == "BUY" else "below_min_confidence")


@pytest.mark.parametrize(
    ("expected", "action"),
    [(0.0024, "HOLD"), (0.00241, "BUY"), (-0.00241, "BUY"), (0.0, "HOLD"), (None, "HOLD")],
)
def test_an_edge_may_be_required_beyond_the_costs(expected: float | None, action: str) -> None:
    policy = replace(OPEN, require_edge=True)

    choice = choose(forecast(expected=expected), policy, uniform=None)

    assert choice.action == action
    assert choice.reason == (None if action == "BUY" else "below_break_even")


def test_the_direction_is_that_of_the_raw_score_even_where_nothing_is_expected() -> None:
    assert choose(forecast(-0.001, expected=0.0), OPEN, uniform=None).action == "SELL"


def test_a_long_only_strategy_may_still_answer_sell() -> None:
    assert choose(forecast(-0.001), replace(OPEN, sides="long"), uniform=None).action == "SELL"


@pytest.mark.parametrize(
    ("uniform", "sides", "action", "propensity"),
    [
        (0.0, "long,short", "BUY", RATE / 2),
        (0.0099, "long,short", "BUY", RATE / 2),
        (0.0101, "long,short", "SELL", RATE / 2),
        (0.0199, "long,short", "SELL", RATE / 2),
        (0.02, "long,short", "HOLD", 1 - RATE),
        (0.9, "long,short", "HOLD", 1 - RATE),
        (0.0199, "long", "BUY", RATE),
        (None, "long,short", "HOLD", 1.0),
    ],
)
def test_the_draw_decides_whether_a_hold_is_explored_and_on_which_side(
    uniform: float | None, sides: str, action: str, propensity: float
) -> None:
    policy = replace(OPEN, exploration_rate=RATE, sides=sides)

    choice = choose(forecast(0.0), policy, uniform=uniform)

    assert choice.action == action
    assert choice.explored == (action != "HOLD")
    assert choice.reason == ("zero_score" if action == "HOLD" else "explored")
    assert choice.propensity == pytest.approx(propensity)


@given(st.floats(0, 1, exclude_max=True), st.floats(-1, 1).filter(bool))
def test_a_direction_is_never_randomised(uniform: float, score: float) -> None:
    policy = replace(OPEN, exploration_rate=1.0)

    choice = choose(forecast(score), policy, uniform=uniform)

    assert not choice.explored
    assert choice.propensity == 1.0


def test_the_propensities_are_the_frequencies() -> None:
    policy = replace(OPEN, exploration_rate=0.3)
    draws = (np.arange(10_000) + 0.5) / 10_000

    choices = [choose(forecast(0.0), policy, uniform=float(draw)) for draw in draws]

    shares = {action: count / 10_000 for action, count in Counter(choice.action for choice in choices).items()}
    assert shares == pytest.approx({choice.action: choice.propensity for choice in choices})
    assert sum(shares.values()) == pytest.approx(1.0)


def rule_row(spread: float, volatility: float, unrest: float) -> tuple[np.ndarray, tuple[str, ...]]:
    return np.array([spread, 7.0, volatility, unrest], dtype=np.float32), (
        RULE_FEATURES[0],
        "something_else",
        *RULE_FEATURES[1:],
    )


@pytest.mark.parametrize(
    ("spread", "volatility", "unrest", "action", "reason"),
    [
        (0.01, 0.001, 0.0, "BUY", "cold_start_rule"),
        (-0.01, 0.001, 0.0, "SELL", "cold_start_rule"),
        (0.0015, 0.001, 0.0, "HOLD", "cold_start_no_trend"),
        (0.01, 0.001, 0.5, "HOLD", "cold_start_no_trend"),
        (0.01, 0.0, 0.0, "HOLD", "cold_start_no_trend"),
        (0.0, 0.0, 0.0, "HOLD", "cold_start_no_trend"),
    ],
)
def test_without_a_model_a_clear_trend_in_a_calm_market_is_followed(
    spread: float, volatility: float, unrest: float, action: str, reason: str
) -> None:
    features, names = rule_row(spread, volatility, unrest)

    choice = cold_start(features, names, OPEN, uniform=None)

    assert (choice.action, choice.reason, choice.propensity) == (action, reason, 1.0)


def test_features_that_the_rule_does_not_know_hold() -> None:
    choice = cold_start(np.zeros(2, dtype=np.float32), ("rsi", "my_signal"), OPEN, uniform=None)

    assert (choice.action, choice.reason) == ("HOLD", "no_rule_for_these_features")


def test_the_rule_needs_only_names_of_the_catalogue() -> None:
    assert set(RULE_FEATURES) <= set(FEATURE_NAMES)


@pytest.mark.parametrize("symbol", ["BTCUSDC", "ETHUSDC", "SOLUSDC"])
def test_on_the_simulated_market_every_action_occurs_regularly(symbol: str) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    market = SimulatedMarket((symbol,), "5m", now=lambda: now)
    candles = market.history(symbol, now, 2_000)
    matrix = compute_history(candles, np.arange(499, len(candles)))

    actions = Counter(cold_start(row, FEATURE_NAMES, OPEN, uniform=None).action for row in matrix)

    assert min(actions[action] for action in ("BUY", "SELL", "HOLD")) >= 0.1 * len(matrix)
