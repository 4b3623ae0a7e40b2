"""Four outcomes in five lie inside, also after the market has become louder, also where windows overlap."""

from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_engine import conformal
from ai_engine.conformal import ENOUGH_OUTCOMES, ENOUGH_RESIDUALS, KEPT, Volatility


def walked(y: np.ndarray, *, delay: int) -> np.ndarray:
    """Which intervals of a stream held, when each outcome is known ``delay`` decisions later; expecting nothing."""
    known, miss_rate, residuals = Volatility(), conformal.MISS_RATE, np.empty(0, dtype=np.float32)
    waiting: deque[tuple[float, float | None, float | None]] = deque()
    inside = []
    for moved in y:
        if len(waiting) == delay:
            before, volatility, reached = waiting.popleft()
            if volatility is not None:
                residual = conformal.scaled(before, 0.0, volatility)
                residuals = conformal.kept(residuals, [residual])
                if reached is not None:
                    inside.append(residual <= reached)
                    miss_rate = conformal.adapted(miss_rate, float(residual > reached))
            known = known.after(abs(before))
        reached = conformal.reach(np.sort(residuals), miss_rate)
        waiting.append((float(moved), known.value, reached))
    return np.array(inside)


@pytest.mark.parametrize("louder", [1.0, 3.0, 0.25])
def test_the_interval_holds_what_it_promises_in_quiet_and_in_loud_markets(louder: float) -> None:
    rng = np.random.default_rng(1)
    y = rng.standard_t(4, size=2_000) * np.where(np.arange(2_000) < 1_000, 0.01, 0.01 * louder)

    inside = walked(y, delay=1)

    assert inside.mean() == pytest.approx(0.80, abs=0.03)
    assert inside[: len(inside) // 200 * 200].reshape(-1, 200).mean(axis=1).min() >= 0.65


def test_windows_that_overlap_and_are_known_late_are_held_too() -> None:
    """Twelve-step returns of every step of a walk: an outcome is known only after eleven more decisions."""
    steps = np.random.default_rng(2).standard_t(4, size=3_012) * 0.001
    walk = np.concatenate([[0.0], np.cumsum(steps)])

    inside = walked(walk[12:] - walk[:-12], delay=12)

    assert inside.mean() == pytest.approx(0.80, abs=0.03)
    assert inside[: len(inside) // 200 * 200].reshape(-1, 200).mean(axis=1).min() >= 0.65


def test_few_matured_forecasts_have_no_width() -> None:
    assert conformal.reach(np.ones(ENOUGH_RESIDUALS - 1, dtype=np.float32), 0.2) is None
    assert conformal.reach(np.ones(ENOUGH_RESIDUALS, dtype=np.float32), 0.2) == 1.0


@pytest.mark.parametrize(("miss_rate", "expected"), [(0.2, 80.0), (0.01, 99.0), (0.99, 1.0), (0.5, 50.0)])
def test_the_width_is_the_quantile_of_split_conformal_prediction(miss_rate: float, expected: float) -> None:
    assert conformal.reach(np.arange(1.0, 100.0, dtype=np.float32), miss_rate) == expected


def test_the_interval_lies_around_the_expected_return_and_no_price_falls_below_zero() -> None:
    assert conformal.interval(0.01, 0.001, 80.0) == pytest.approx((0.01 - 0.08, 0.01 + 0.08))
    assert conformal.interval(0.0, 0.5, 4.0) == (-1.0, 2.0)


def test_a_miss_widens_and_a_hit_narrows_within_bounds() -> None:
    assert conformal.adapted(0.2, 1.0) == pytest.approx(0.2 - 0.02 * 0.8)
    assert conformal.adapted(0.2, 0.0) == pytest.approx(0.2 + 0.02 * 0.2)
    assert conformal.adapted(0.2, 0.2) == pytest.approx(0.2)
    assert (conformal.adapted(0.011, 1.0), conformal.adapted(0.989, 0.0)) == (0.01, 0.99)


def test_the_newest_residuals_are_kept_in_their_order() -> None:
    before = np.arange(KEPT, dtype=np.float32)

    after = conformal.kept(before, [7.0, 8.0])

    assert after.dtype == np.float32
    np.testing.assert_array_equal(after, [*range(2, KEPT), 7, 8])


@given(st.lists(st.just(0.0) | st.floats(1e-4, 0.5), min_size=ENOUGH_OUTCOMES, max_size=80))
def test_the_volatility_is_the_weighted_mean_of_the_moves_that_happened(moves: list[float]) -> None:
    known = Volatility()
    for move in moves:
        known = known.after(move)
    weights = 0.5 ** (np.arange(len(moves))[::-1] / 48)

    if not any(moves):
        assert known.value is None
    else:
        assert known.value == pytest.approx(float(np.average(moves, weights=weights)))


def test_the_volatility_is_unknown_before_twelve_outcomes_and_where_nothing_moves() -> None:
    known, still = Volatility(), Volatility()
    for _ in range(ENOUGH_OUTCOMES):
        assert known.value is None
        known, still = known.after(0.01), still.after(0.0)

    assert known.value == pytest.approx(0.01)
    assert still.value is None


@pytest.mark.filterwarnings("error")
def test_a_price_that_stood_for_days_and_then_moves_leaves_every_interval_finite() -> None:
    moves = np.array([*[0.01] * 100, *[0.0] * 10_000, *[0.01] * 12])
    known, waiting, residuals = Volatility(), deque[float | None](maxlen=12), np.empty(0, dtype=np.float32)
    for moved in moves:
        if len(waiting) == 12 and waiting[0] is not None:
            residuals = conformal.kept(residuals, [conformal.scaled(float(moved), 0.0, waiting[0])])
        known = known.after(float(moved))
        waiting.append(known.value)

    reached = conformal.reach(np.sort(residuals), conformal.MISS_RATE_BOUNDS[0])

    assert reached is not None
    assert np.isfinite(conformal.interval(0.001, 0.01, reached)).all()
    assert np.isfinite(residuals).all()


def test_half_of_the_weight_lies_on_the_newest_48_outcomes() -> None:
    known = Volatility()
    for _ in range(2_000):
        known = known.after(0.01)
    for _ in range(48):
        known = known.after(0.03)

    assert known.value == pytest.approx(0.02)
