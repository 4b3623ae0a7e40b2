"""What is fitted for how much data, and that nothing random or foreign enters the fit."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from ai_engine.recipes import RECIPE_VERSION, column_odds, fit, fit_scaling, for_rows

RNG = np.random.default_rng(5)
X = RNG.normal(size=(120, 6)).astype(np.float32)
Y = 0.01 * (X[:, 0] + RNG.normal(size=120))
ONES = np.ones(120)


@pytest.mark.parametrize(
    ("rows", "name", "trees", "depth", "members"),
    [(10, "small", 70, 1, 5), (999, "small", 70, 1, 5), (1_000, "large", 100, 3, 2), (43_000, "large", 100, 3, 1)],
)
def test_the_recipe_grows_with_the_data(rows: int, name: str, trees: int, depth: int, members: int) -> None:
    recipe = for_rows(rows, seed=3)

    assert (recipe.name, recipe.trees, recipe.depth) == (name, trees, depth)
    assert recipe.seeds == tuple(range(3, 3 + members))


@given(st.integers(1, 10**6))
def test_a_child_may_always_hold_a_fifth_of_the_rows(rows: int) -> None:
    recipe = for_rows(rows, seed=0)

    assert 1.0 <= recipe.min_child_weight <= max(1.0, rows / 10)
    assert recipe.min_child_weight == 10.0 or rows < 100 or rows > 500


def test_the_recipe_is_recorded_in_plain_values() -> None:
    recorded = for_rows(50, seed=1).as_dict()

    assert recorded["version"] == RECIPE_VERSION
    assert recorded["seeds"] == [1, 2, 3, 4, 5]
    assert recorded["l2"] == 10.0


@given(npst.arrays(np.float64, st.integers(1, 60), elements=st.floats(-0.5, 0.5)))
def test_the_scaled_target_keeps_order_and_has_deviation_one(y: np.ndarray) -> None:
    scaling = fit_scaling(y, winsor_mad=4.0)
    scaled = scaling.apply(y)

    assert np.isfinite(scaled).all()
    assert (np.diff(scaled[np.argsort(y)]) >= 0).all()
    if np.std(np.clip(y, scaling.low, scaling.high)) > 1e-12:
        assert scaled.std() == pytest.approx(1.0)
    else:
        assert scaling.deviation == 1.0


def test_an_outlier_is_pulled_to_four_median_deviations() -> None:
    y = np.array([-2.0, -1.0, 0.0, 1.0, 2.0, 100.0, -100.0]) / 100

    scaling = fit_scaling(y, winsor_mad=4.0)

    assert (scaling.low, scaling.high) == pytest.approx((-0.08, 0.08))


def test_a_target_that_mostly_stands_still_is_not_clipped_away() -> None:
    """With more than half of the returns equal the median deviation is 0."""
    y = np.array([0.0] * 8 + [0.03, -0.02])

    scaling = fit_scaling(y, winsor_mad=4.0)

    assert scaling.apply(y)[8] > 0 > scaling.apply(y)[9]


def test_the_same_rows_and_seed_give_the_same_trees_and_another_seed_others() -> None:
    first = fit(X, Y, ONES, for_rows(120, seed=1))

    assert fit(X.copy(), Y.copy(), ONES.copy(), for_rows(120, seed=1)).boosters == first.boosters
    assert fit(X, Y, ONES, for_rows(120, seed=9)).boosters != first.boosters


def test_scores_are_returns_and_follow_the_signal() -> None:
    scores = fit(X, Y, ONES, for_rows(120, seed=1)).predict(X)

    assert np.corrcoef(scores, X[:, 0])[0, 1] > 0.8
    assert 0.2 < scores.std() / Y.std() < 1.0


def test_the_bag_answers_with_the_mean_of_its_members() -> None:
    fitted = fit(X, Y, ONES, for_rows(120, seed=1))
    members = [type(fitted)(boosters=(blob,), scaling=fitted.scaling).predict(X) for blob in fitted.boosters]

    np.testing.assert_allclose(fitted.predict(X), np.mean(members, axis=0), rtol=1e-12)


def test_weights_move_the_fit() -> None:
    """Two halves with opposite rules: the half that weighs more decides."""
    y = np.where(np.arange(120) < 60, 1, -1) * np.sign(X[:, 0]) * 0.01
    weights = np.where(np.arange(120) < 60, 1.8, 0.2)

    scores = fit(X, y, weights, for_rows(120, seed=1)).predict(X)

    assert np.corrcoef(scores, X[:, 0])[0, 1] > 0.5


@pytest.mark.parametrize("rows", [10, 15, 40])
def test_few_rows_may_still_split(rows: int) -> None:
    scores = fit(X[:rows], np.sign(X[:rows, 0]) * 0.01, ONES[:rows], for_rows(rows, seed=1)).predict(X[:rows])

    assert np.ptp(scores) > 0


def test_extreme_but_finite_features_fit() -> None:
    wild = X.copy()
    wild[:3, 1] = (3e38, -3e38, 1e-38)

    assert np.isfinite(fit(wild, Y, ONES, for_rows(120, seed=1)).predict(wild)).all()


def test_a_feature_that_goes_with_the_target_is_offered_more_often_and_none_is_shut_out() -> None:
    wild = X.copy()
    wild[:, 4] = 7.0
    odds = column_odds(wild, Y)

    assert odds[0] > 5 * odds[1:].max()
    assert odds.min() > 0
    assert odds[4] == pytest.approx(1e-6)


def test_one_wild_value_does_not_choose_the_columns() -> None:
    wild = np.column_stack((X[:, 0], X[:, 1])).astype(np.float32)
    wild[np.argmax(Y), 1] = 1e6

    odds = column_odds(wild, Y)

    assert odds[0] > odds[1]


def test_odds_do_not_depend_on_the_last_bits_of_a_sum() -> None:
    order = np.random.default_rng(0).permutation(120)

    assert np.array_equal(column_odds(X[order], Y[order]), column_odds(X, Y))


@pytest.mark.parametrize(("drift", "kept"), [(0.0, 0.0), (2.0, 1.0)])
def test_a_mean_is_forecast_only_as_far_as_chance_does_not_make_it(drift: float, kept: float) -> None:
    """Without a rule the forecast is the mean: none within a standard error of 0, all where it is clear."""
    noise = np.tile([1.0, -1.0, 0.5, -0.5], 30) + 0.05
    y = 0.01 * (noise + drift)
    useless = np.zeros((120, 2), dtype=np.float32)

    answer = fit(useless, y, ONES, for_rows(120, seed=1)).predict(useless)[0]

    assert answer / y.mean() == pytest.approx(kept, abs=0.1)


def test_no_rows_give_no_scores() -> None:
    assert fit(X, Y, ONES, for_rows(120, seed=1)).predict(X[:0]).shape == (0,)


def test_importing_the_engine_does_not_import_xgboost() -> None:
    program = (
        "import sys, ai_engine.pipeline, ai_engine.policy, ai_engine.artifact;"
        "sys.exit(any(name in sys.modules for name in ('xgboost', 'sklearn')))"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
