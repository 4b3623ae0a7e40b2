"""Accuracy, errors, costs and the worth of overlapping rows, each against another way of computing it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import stats

from ai_engine import metrics
from ai_engine.baselines import fit_majority, zero_forecast
from ai_engine.dataset import Dataset, Rows, build

COST = 0.002
RETURNS = st.floats(-0.2, 0.2)


@st.composite
def judged(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    count = draw(st.integers(1, 40))
    column = npst.arrays(np.float64, count, elements=RETURNS)
    return draw(column), draw(column)


@given(judged())
def test_accuracy_counts_right_directions_of_moves_beyond_the_costs(pair: tuple[np.ndarray, np.ndarray]) -> None:
    scores, y = pair
    hits = sum((s > 0 and r > 0) or (s < 0 and r < 0) for s, r in zip(scores, y, strict=True) if abs(r) > COST)
    neutral = sum(abs(r) <= COST for r in y)

    accuracy = metrics.directional_accuracy(scores, y, cost=COST)

    assert (accuracy.hits, accuracy.neutral, accuracy.scored) == (hits, neutral, len(y) - neutral)
    assert accuracy.value == (hits / (len(y) - neutral) if neutral < len(y) else None)


@pytest.mark.parametrize("move", [0.002, -0.002])
def test_a_move_of_exactly_the_costs_is_neutral(move: float) -> None:
    assert metrics.directional_accuracy(np.ones(1), np.array([move]), cost=COST).neutral == 1


def test_a_score_of_zero_is_never_right() -> None:
    accuracy = metrics.directional_accuracy(zero_forecast(2), np.array([0.01, -0.01]), cost=COST)

    assert (accuracy.hits, accuracy.value) == (0, 0.0)


@given(judged())
def test_rank_correlation_is_spearmans(pair: tuple[np.ndarray, np.ndarray]) -> None:
    scores, y = pair
    if len(np.unique(scores)) < 2 or len(np.unique(y)) < 2:
        assert metrics.rank_correlation(scores, y) is None
    else:
        assert metrics.rank_correlation(scores, y) == pytest.approx(stats.spearmanr(scores, y).statistic)


def test_the_error_of_no_rows_is_unknown() -> None:
    assert metrics.mean_absolute_error(np.empty(0), np.empty(0)) is None
    assert metrics.mean_absolute_error(np.array([0.01, 0.0]), np.array([0.0, -0.03])) == pytest.approx(0.02)


def test_net_return_pays_the_costs_of_every_trade_and_of_no_other_row() -> None:
    scores, y = np.array([1.0, -1.0, 0.0]), np.array([0.01, 0.02, 0.5])

    assert metrics.net_return_per_trade(scores, y, cost=COST) == pytest.approx((0.01 - 0.02) / 2 - COST)
    assert metrics.net_return_per_trade(np.zeros(3), y, cost=COST) is None


@pytest.mark.parametrize(
    ("move", "expected"), [(0.01, 0.6), (0.004, 0.75), (0.0020001, 0.99998), (0.002, None), (0.001, None), (0.0, None)]
)
def test_break_even_accuracy_is_null_where_no_accuracy_pays(move: float, expected: float | None) -> None:
    y = np.array([move, -move])

    assert metrics.break_even_accuracy(y, cost=COST) == (
        None if expected is None else pytest.approx(expected, abs=1e-5)
    )


def test_trading_at_the_break_even_accuracy_earns_nothing() -> None:
    y = np.full(1_000, 0.008)
    break_even = metrics.break_even_accuracy(y, cost=COST)
    assert break_even is not None
    scores = np.where(np.arange(1_000) < break_even * 1_000, 1.0, -1.0)

    assert metrics.net_return_per_trade(scores, y, cost=COST) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(("samples", "expected"), [(62, 0.655), (400, 0.562), (1_000, 0.539)])
def test_the_detectable_accuracy_is_the_textbook_one(samples: int, expected: float) -> None:
    assert metrics.min_detectable_accuracy(samples) == pytest.approx(expected, abs=0.001)


@given(st.integers(20, 5_000))
def test_at_the_detectable_accuracy_the_test_has_eighty_per_cent_power(samples: int) -> None:
    accuracy = metrics.min_detectable_accuracy(samples)
    assert accuracy is not None
    critical = 0.5 + stats.norm.ppf(0.95) * 0.5 / math.sqrt(samples)

    power = stats.norm.sf((critical - accuracy) / math.sqrt(accuracy * (1 - accuracy) / samples))

    assert power == pytest.approx(0.8, abs=1e-6)


@pytest.mark.parametrize("samples", [0.0, 1.0, 2.0])
def test_hardly_any_outcome_shows_nothing(samples: float) -> None:
    assert metrics.min_detectable_accuracy(samples) is None


def test_windows_that_do_not_overlap_are_counted_greedily() -> None:
    times = np.array([0, 1, 2, 5, 5, 6])

    assert metrics.non_overlapping_windows(times, np.array([5, 4, 9, 6, 20, 7])) == 3
    assert metrics.non_overlapping_windows(np.empty(0, int), np.empty(0, int)) == 0


def dataset(rows: Rows) -> Dataset:
    return build(rows)


def everything(part: Dataset) -> float:
    return metrics.effective_samples(part, np.ones(len(part), dtype=bool))


def test_one_symbol_without_overlap_is_worth_its_rows(draw_rows, world) -> None:  # type: ignore[no-untyped-def]
    assert everything(dataset(draw_rows(world(rows=200)))) == pytest.approx(200)


def test_overlapping_rows_are_worth_the_windows_they_span(draw_rows, world) -> None:  # type: ignore[no-untyped-def]
    assert everything(dataset(draw_rows(world(rows=240, horizon=12)))) == pytest.approx(240 / 12, rel=0.15)


def test_symbols_that_move_as_one_are_worth_one(draw_rows, world) -> None:  # type: ignore[no-untyped-def]
    rows = draw_rows(world(rows=600, symbols=3))
    together = np.repeat(rows.forward_returns[::3], 3)
    copies = type(rows)(**{name: getattr(rows, name) for name in rows.__slots__} | {"forward_returns": together})

    assert everything(dataset(rows)) == pytest.approx(600, rel=0.15)
    assert everything(dataset(copies)) == pytest.approx(200, rel=0.01)


def test_rows_that_do_not_count_are_worth_nothing(draw_rows, world) -> None:  # type: ignore[no-untyped-def]
    part = dataset(draw_rows(world(rows=100)))

    assert metrics.effective_samples(part, np.arange(100) < 30) == pytest.approx(30)
    assert metrics.effective_samples(part, np.zeros(100, dtype=bool)) == 0.0


@pytest.mark.parametrize(
    ("y", "direction"), [([-0.01, -0.01, 0.5], -1), ([0.01, -0.01], 1), ([-0.001, -0.001, 0.01], 1)]
)
def test_the_majority_is_counted_among_moves_beyond_the_costs(y: list[float], direction: int) -> None:
    majority = fit_majority(np.array(y), cost=COST)

    assert majority.predict(3).tolist() == [direction] * 3
