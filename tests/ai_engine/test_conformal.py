"""Four outcomes in five lie inside, also after the market has become louder."""

import numpy as np
import pytest

from ai_engine.conformal import COVERAGE, ENOUGH, adapted, volatilities, width


def walked(seed: int, louder: float) -> tuple[float, float]:
    """Coverage over all of a stream whose noise grows in the middle, and over its worst block of 200."""
    rng = np.random.default_rng(seed)
    y = rng.standard_t(4, size=3_000) * np.where(np.arange(3_000) < 1_500, 0.01, 0.01 * louder)
    times = np.arange(3_000)
    known = volatilities(times, times + 1, y)
    miss_rate, inside, scaled = 0.2, [], []
    for row in range(1, 3_000):
        found = width(np.array(scaled), miss_rate)
        residual = abs(y[row]) / known[row]
        if found is not None:
            hit = residual <= found.quantile
            inside.append(hit)
            miss_rate = adapted(miss_rate, float(not hit))
        scaled.append(residual)
    blocks = np.array(inside[: len(inside) // 200 * 200]).reshape(-1, 200).mean(axis=1)
    return float(np.mean(inside)), float(blocks.min())


@pytest.mark.parametrize("louder", [1.0, 3.0])
def test_the_interval_holds_what_it_promises_in_quiet_and_in_loud_markets(louder: float) -> None:
    mean, worst = walked(1, louder)

    assert mean == pytest.approx(COVERAGE, abs=0.03)
    assert worst >= 0.65


def test_few_matured_forecasts_have_no_interval() -> None:
    assert width(np.ones(ENOUGH - 1), 0.2) is None
    assert width(np.ones(ENOUGH), 0.2) is not None


def test_the_width_is_the_quantile_of_the_newest_residuals() -> None:
    found = width(np.arange(1.0, 100.0), 0.2)

    assert found is not None
    assert (found.quantile, found.matured) == (80.0, 99)
    assert found.interval(0.01, 0.001) == pytest.approx((0.01 - 0.08, 0.01 + 0.08))


def test_a_miss_widens_and_a_hit_narrows() -> None:
    assert adapted(0.2, 1.0) < 0.2 < adapted(0.2, 0.0)


def test_the_volatility_at_a_decision_knows_only_outcomes_known_by_then() -> None:
    times = np.arange(10)
    y = np.full(10, 0.01)
    changed = np.where(times >= 6, 0.5, y)

    before, after = volatilities(times, times + 3, y), volatilities(times, times + 3, changed)

    assert np.isnan(before[:3]).all()
    np.testing.assert_array_equal(before[:9], after[:9])
    assert after[9] > before[9]
    assert before[5] == pytest.approx(0.01)
