"""Confidence is a probability and the expected return is never worse than expecting nothing, out of sample."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from ai_engine import calibration
from ai_engine.calibration import Calibration

COST = 0.002


def fit(scores: np.ndarray, y: np.ndarray, *, overlap: float = 1.0) -> Calibration:
    scale = calibration.score_scale(scores)
    return calibration.fit(
        scores, y, scales=np.full(len(scores), scale), shipped_scale=scale, cost=COST, overlap=overlap
    )


def outcomes(count: int, accuracies: tuple[float, float, float], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores of three sizes, each size right in its own share of the rows."""
    rng = np.random.default_rng(seed)
    tercile = np.arange(count) % 3
    scores = rng.choice([-1.0, 1.0], count) * (0.001 + 0.001 * tercile + rng.uniform(0, 0.0005, count))
    right = np.where(rng.random(count) < np.asarray(accuracies)[tercile], 1.0, -1.0)
    return scores, right * np.sign(scores) * rng.uniform(0.003, 0.02, count)


def test_confidence_is_the_shrunk_hit_rate_of_each_strength() -> None:
    scores, y = outcomes(6_000, (0.52, 0.6, 0.7))

    learned = fit(scores, y)

    assert learned.confidence(np.array([0.0012, 0.0022, 0.0032])) == pytest.approx([0.52, 0.6, 0.7], abs=0.03)
    assert learned.confidence(np.array([-0.0032])) == learned.confidence(np.array([0.0032]))


@pytest.mark.parametrize(("count", "overlap"), [(90, 1.0), (1_080, 12.0)])
def test_overlapping_rows_count_as_the_outcomes_they_are_worth(count: int, overlap: float) -> None:
    scores, y = outcomes(count, (1.0, 1.0, 1.0))

    learned = fit(scores, y, overlap=overlap)

    overall = (20 + 90) / (40 + 90)
    assert learned.confidences == pytest.approx(((20 * overall + 30) / (20 + 30),) * 3)


def test_without_skill_everything_is_a_coin() -> None:
    scores, y = outcomes(600, (0.45, 0.5, 0.52))
    bad = fit(scores, -np.abs(y) * np.sign(scores))

    assert bad.confidences == (0.5, 0.5, 0.5)
    assert bad.shrink == 0.0


def test_a_lucky_strength_earns_nothing_where_there_is_no_skill_over_all() -> None:
    scores, y = outcomes(3_000, (0.3, 0.4, 0.7))

    assert fit(scores, y).confidences == (0.5, 0.5, 0.5)


def test_a_strength_without_skill_stays_a_coin_beside_one_with_skill() -> None:
    scores, y = outcomes(3_000, (0.4, 0.5, 0.8))

    learned = fit(scores, y)

    assert learned.confidences[0] == 0.5
    assert learned.confidences[2] > 0.75


@pytest.mark.parametrize("count", [0, 5])
def test_moves_inside_the_costs_teach_nothing(count: int) -> None:
    scores = np.full(count, 0.01)

    assert fit(scores, np.full(count, COST)) == calibration.without_skill(calibration.score_scale(scores))


def test_few_rows_of_a_strength_borrow_from_all_rows() -> None:
    """An equal skill of every strength, 87 rows of each: the parts lie nearer to the truth than they alone would."""
    errors, alone = [], []
    for seed in range(200):
        scores, y = outcomes(261, (0.65, 0.65, 0.65), seed)
        hits = (np.sign(scores) == np.sign(y)).reshape(-1, 3).mean(axis=0)
        errors.append(np.mean(np.abs(np.array(fit(scores, y).confidences) - 0.65)))
        alone.append(np.mean(np.abs((20 + 87 * hits) / (40 + 87) - 0.65)))

    assert np.mean(errors) < 0.03 < np.mean(alone)


@given(st.lists(st.tuples(st.floats(0.3, 0.9), st.floats(1.0, 500.0)), min_size=1, max_size=5))
def test_rates_in_the_wrong_order_share_their_mean(parts: list[tuple[float, float]]) -> None:
    rates, weights = [rate for rate, _ in parts], [weight for _, weight in parts]

    rising = calibration._rising(rates, weights)

    assert all(left <= right + 1e-12 for left, right in pairwise(rising))
    assert np.dot(rising, weights) == pytest.approx(np.dot(rates, weights))
    assert rising == pytest.approx(rates) or rates != sorted(rates)


def test_a_stronger_score_is_never_given_less() -> None:
    scores, y = outcomes(3_000, (0.6, 0.7, 0.55))

    first, second, third = fit(scores, y).confidences

    assert 0.57 < first < second == third


def test_a_skill_that_the_newest_third_does_not_show_is_a_coin() -> None:
    scores, y = outcomes(900, (0.7, 0.7, 0.7))
    turned = np.where(np.arange(900) < 700, y, -y)

    assert fit(scores, y).confidences[0] > 0.6
    assert np.mean(np.sign(scores) == np.sign(turned)) > 0.6
    assert fit(scores, turned).confidences == (0.5, 0.5, 0.5)


def test_a_newest_third_inside_the_costs_takes_nothing_back() -> None:
    scores, y = outcomes(900, (0.7, 0.7, 0.7))

    assert fit(scores, np.where(np.arange(900) < 600, y, 0.0)).confidences[0] > 0.6


def test_a_score_of_zero_is_a_coin() -> None:
    scores, y = outcomes(3_000, (0.8, 0.8, 0.8))

    assert fit(scores, y).confidence(np.zeros(1)) == [0.5]


def test_mean_confidence_on_noise_is_close_to_a_coin() -> None:
    means = []
    for seed in range(60):
        scores, y = outcomes(62, (0.5, 0.5, 0.5), seed)
        means.append(fit(scores, y).confidence(scores).mean())

    assert 0.5 <= np.mean(means) <= 0.53


def test_strength_is_comparable_between_models_of_different_scale() -> None:
    """What the older model's scores taught applies to a model that answers three times as loudly."""
    scores, y = outcomes(6_000, (0.52, 0.6, 0.7))
    learned = fit(scores, y)
    louder = Calibration(3 * learned.score_scale, learned.strength_edges, learned.confidences, learned.shrink)

    np.testing.assert_array_equal(louder.confidence(3 * scores), learned.confidence(scores))


@given(
    npst.arrays(np.float64, st.integers(2, 40), elements=st.floats(-0.3, 0.3)),
    st.integers(0, 1_000),
    st.floats(1.0, 12.0),
)
@settings(max_examples=200)
def test_the_shrunk_forecast_is_never_worse_than_zero_on_the_rows_that_taught_it(
    y: np.ndarray, seed: int, overlap: float
) -> None:
    scores = np.random.default_rng(seed).normal(size=len(y)) * 0.1 + 0.5 * y

    factor = calibration.fit_shrink(scores, y, overlap=overlap)
    forecast = factor * scores

    assert 0.0 <= factor <= 1.0
    assert np.mean(np.abs(y - forecast)) <= np.mean(np.abs(y)) + 1e-15
    assert np.mean((y - forecast) ** 2) <= np.mean(y**2) + 1e-15


def test_a_perfect_forecast_is_left_as_it_is() -> None:
    y = np.random.default_rng(1).normal(size=200) * 0.01

    assert calibration.fit_shrink(y, y, overlap=1.0) == 1.0


def test_an_overconfident_forecast_is_pulled_to_its_slope() -> None:
    rng = np.random.default_rng(2)
    signal = rng.normal(size=5_000) * 0.01

    factor = calibration.fit_shrink(4 * signal, signal + rng.normal(size=5_000) * 0.002, overlap=1.0)

    assert factor == pytest.approx(0.25, abs=0.01)


def test_shrinkage_keeps_fresh_noise_from_being_forecast_worse_than_zero() -> None:
    """Averaged over many small validation parts the shrunk noise costs almost nothing on fresh rows."""
    rng = np.random.default_rng(3)
    raw, shrunk = [], []
    for _ in range(300):
        scores, y, fresh_scores, fresh = rng.normal(size=(4, 62))
        factor = calibration.fit_shrink(scores, y, overlap=1.0)
        raw.append(np.mean((fresh - fresh_scores) ** 2) - np.mean(fresh**2))
        shrunk.append(np.mean((fresh - factor * fresh_scores) ** 2) - np.mean(fresh**2))

    assert np.mean(raw) > 0.9
    assert np.mean(shrunk) < 0.01


def test_it_survives_being_written_down() -> None:
    scores, y = outcomes(300, (0.5, 0.6, 0.7))
    learned = fit(scores, y)

    assert calibration.from_dict(learned.as_dict()) == learned
