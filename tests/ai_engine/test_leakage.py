"""A feature that is the outcome is found and named; honest ones are left alone."""

import numpy as np
import pytest
from scipy import stats

from ai_engine.features.catalogue import FEATURE_NAMES
from ai_engine.leakage import LARGEST_CORRELATION, correlated_with_target, named_after_outcomes


@pytest.mark.parametrize(
    "name",
    [
        "pnl",
        "realized_pnl",
        "exit_price",
        "target_label",
        "ExitPrice",
        "future_close",
        "forward_return",
        "market_return",
        "outcome",
        "label2",
    ],
)
def test_a_feature_named_after_an_outcome_is_suspected(name: str) -> None:
    assert named_after_outcomes((name,)) == [name]


@pytest.mark.parametrize("name", ["rsi_14", "exits_in_town", "labelled", "return_12", "futures_basis", "retargeting"])
def test_a_name_that_only_looks_alike_is_not(name: str) -> None:
    assert named_after_outcomes((name,)) == []


def test_none_of_our_own_features_is_named_after_an_outcome() -> None:
    assert named_after_outcomes(FEATURE_NAMES) == []


def test_a_feature_that_is_nearly_the_target_is_suspected_in_either_direction() -> None:
    rng = np.random.default_rng(1)
    y = rng.normal(size=300)
    X = np.stack([y, -(y**3), rng.normal(size=300), np.zeros(300)], axis=1).astype(np.float32)

    assert correlated_with_target(X, y, ("a", "b", "c", "d")) == ["a", "b"]


@pytest.mark.parametrize("noise", np.linspace(0.2, 0.7, 6))
def test_the_screen_is_spearmans_correlation(noise: float) -> None:
    rng = np.random.default_rng(2)
    y = np.round(rng.normal(size=200), 1)
    x = (y + noise * rng.normal(size=200)).astype(np.float32)

    found = correlated_with_target(x[:, None], y, ("x",)) == ["x"]

    assert found == bool(abs(stats.spearmanr(x, y).statistic) > LARGEST_CORRELATION)


def test_two_rows_say_nothing() -> None:
    assert correlated_with_target(np.array([[1.0], [2.0]], dtype=np.float32), np.array([1.0, 2.0]), ("x",)) == []
