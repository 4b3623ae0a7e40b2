"""Tests and intervals that know that windows overlap: compared with exhaustive and independent computations."""

import numpy as np
import pytest
from scipy import stats

from ai_engine.inference import (
    MAX_SHIFTS,
    Interval,
    Panel,
    accuracy_interval,
    circular_shift,
    mean_interval,
    raised_by_parts,
    share_not_above_zero,
    student_quantile,
    time_blocks,
    wilson,
)

COST = 0.002


def panel(y: np.ndarray, scores: np.ndarray, *, overlap: int = 1, symbols: int = 1) -> Panel:
    times = np.repeat(np.arange(len(y) // symbols), symbols)
    names = np.array([f"S{number % symbols}" for number in range(len(y))])
    return Panel(times, times + overlap, names, y, scores)


def noise(seed: int, rounds: int, *, overlap: int, symbols: int) -> Panel:
    rng = np.random.default_rng(seed)

    def walk() -> np.ndarray:
        steps = rng.normal(size=(rounds + overlap, 1)) * 0.9 + rng.normal(size=(rounds + overlap, symbols)) * 0.44
        return np.stack([steps[start : start + overlap].sum(axis=0) for start in range(rounds)]).ravel() * 0.01

    return panel(walk(), walk(), overlap=overlap, symbols=symbols)


def test_every_turn_of_one_symbol_is_counted_as_by_hand() -> None:
    rng = np.random.default_rng(3)
    y, scores = rng.normal(size=50) * 0.01, rng.normal(size=50)
    outside = np.abs(y) > COST

    found = circular_shift(panel(y, scores), cost=COST)

    hits = [np.mean((np.sign(np.roll(scores, -lag)) == np.sign(y))[outside]) for lag in range(50)]
    earned = [np.mean(np.sign(np.roll(scores, -lag)) * y) for lag in range(50)]
    assert found.shifts == 49
    assert found.p_accuracy == pytest.approx((1 + sum(h >= hits[0] - 1e-12 for h in hits[1:])) / 50)
    assert found.p_return == pytest.approx((1 + sum(e >= earned[0] - 1e-12 for e in earned[1:])) / 50)
    assert found.p_value == max(found.p_accuracy, found.p_return)


def test_all_symbols_of_a_round_turn_together() -> None:
    one = noise(5, 80, overlap=1, symbols=1)
    copies = 4
    together = Panel(
        np.repeat(one.times, copies),
        np.repeat(one.ends, copies),
        np.tile([f"S{number}" for number in range(copies)], len(one)),
        np.repeat(one.y, copies),
        np.repeat(one.scores, copies),
    )

    assert circular_shift(together, cost=COST) == circular_shift(one, cost=COST)


@pytest.mark.parametrize(("overlap", "symbols"), [(1, 1), (6, 3)])
def test_noise_is_called_significant_about_as_often_as_promised(overlap: int, symbols: int) -> None:
    low = [
        circular_shift(noise(s, 200, overlap=overlap, symbols=symbols), cost=COST).p_value <= 0.05 for s in range(120)
    ]

    assert np.mean(low) <= 0.10


def test_always_up_in_a_rising_market_ranks_in_the_middle() -> None:
    y = np.abs(np.random.default_rng(2).normal(size=100)) * 0.01

    assert circular_shift(panel(y, np.ones(100)), cost=COST).p_value == 1.0


def test_a_real_signal_ranks_first() -> None:
    rng = np.random.default_rng(4)
    y = rng.normal(size=200) * 0.01
    scores = np.where(rng.random(200) < 0.4, y, rng.normal(size=200) * 0.01)

    assert circular_shift(panel(y, scores), cost=COST).p_value < 0.01


def test_shifts_begin_beyond_the_overlap_and_are_at_most_999() -> None:
    assert circular_shift(noise(1, 60, overlap=12, symbols=2), cost=COST).shifts == 60 - 2 * 12 + 1
    assert circular_shift(noise(1, 3_000, overlap=2, symbols=1), cost=COST).shifts == MAX_SHIFTS
    assert circular_shift(noise(1, 10, overlap=8, symbols=1), cost=COST).shifts == 0


def uneven(seed: int, *, rounds: int = 200) -> Panel:
    """Five symbols that share most of their moves and of their forecasts; three are listed late, one has a gap."""
    rng = np.random.default_rng(seed)
    y, scores = (rng.normal(size=(rounds, 1)) * 0.9 + rng.normal(size=(rounds, 5)) * 0.44 for _ in range(2))
    there = np.ones((rounds, 5), dtype=bool)
    there[: rounds // 2, 1] = there[: rounds // 3, 2] = there[: rounds // 4, 3] = False
    there[60:90, 4] = False
    times, symbols = np.nonzero(there)
    return Panel(times, times + 1, np.array([f"S{one}" for one in symbols]), y[there] * 0.01, scores[there])


def test_rounds_stay_together_where_symbols_were_listed_late_or_paused() -> None:
    panel = uneven(3)
    rounds = 200
    table: dict[tuple[str, int], float] = dict(
        zip(zip(panel.symbols, panel.times, strict=True), np.sign(panel.scores), strict=True)
    )

    def latest(symbol: str, at: int) -> float | None:
        return next((table[symbol, back] for back in range(at, -1, -1) if (symbol, back) in table), None)

    def statistics(lag: int) -> tuple[float, float]:
        met = [
            (latest(symbol, (time + lag) % rounds), y)
            for symbol, time, y in zip(panel.symbols, panel.times.tolist(), panel.y.tolist(), strict=True)
        ]
        pairs = [(sign, y) for sign, y in met if sign is not None]
        hits = [sign == np.sign(y) for sign, y in pairs if abs(y) > COST]
        return float(np.mean(hits)), float(np.mean([sign * y for sign, y in pairs]))

    true = statistics(0)
    wrong = np.array([statistics(lag) for lag in range(1, rounds)])
    found = circular_shift(panel, cost=COST)

    assert found.shifts == rounds - 1
    assert found.p_accuracy == pytest.approx((1 + np.sum(wrong[:, 0] >= true[0] - 1e-12)) / rounds)
    assert found.p_return == pytest.approx((1 + np.sum(wrong[:, 1] >= true[1] - 1e-12)) / rounds)


def test_noise_of_uneven_histories_is_called_significant_no_more_often_than_promised() -> None:
    assert np.mean([circular_shift(uneven(seed), cost=COST).p_value <= 0.05 for seed in range(100)]) <= 0.10


def test_symbols_decided_at_different_times_turn_too() -> None:
    rng = np.random.default_rng(6)
    times = np.arange(300)
    names = np.where(times % 3 == 0, "A", "B")
    found = circular_shift(Panel(times, times + 1, names, rng.normal(size=300), rng.normal(size=300)), cost=COST)

    assert found.shifts >= 190


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 8, 15, 40, 200])
def test_students_quantile_is_that_of_scipy(degrees: int) -> None:
    assert student_quantile(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), rel=0.003)


@pytest.mark.parametrize(("hits", "scored"), [(38, 62), (0, 10), (10, 10), (500, 1000)])
def test_wilsons_interval_is_that_of_scipy(hits: int, scored: int) -> None:
    expected = stats.binomtest(hits, scored).proportion_ci(method="wilson")

    found = wilson(hits, scored)

    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_wilsons_interval_ends_exactly_where_a_share_does() -> None:
    assert [wilson(0, scored).low for scored in (7, 100)] == [0.0, 0.0]
    assert [wilson(scored, scored).high for scored in (7, 100)] == [1.0, 1.0]


def test_wilson_is_only_for_one_symbol_without_overlap() -> None:
    methods = [
        accuracy_interval(noise(1, 200, overlap=overlap, symbols=symbols), cost=COST)
        for overlap, symbols in ((1, 1), (2, 1), (1, 2))
    ]

    assert [one.method for one in methods if one] == ["wilson", "block_bootstrap", "block_bootstrap"]


def test_the_block_interval_is_wider_where_windows_overlap_and_covers() -> None:
    covered = []
    for seed in range(60):
        found = accuracy_interval(noise(seed, 400, overlap=8, symbols=2), cost=COST)
        assert found is not None
        covered.append(found.low <= 0.5 <= found.high)
        assert found.high - found.low > 0.08

    assert np.mean(covered) >= 0.85


def test_no_move_outside_the_costs_leaves_nothing_to_say() -> None:
    assert accuracy_interval(panel(np.zeros(50), np.ones(50)), cost=COST) is None


def test_few_stretches_of_time_have_no_interval() -> None:
    assert mean_interval(np.ones(4), np.array([0, 0, 1, 1])) is None
    assert share_not_above_zero(np.ones(4), np.array([0, 0, 1, 1])) is None


def test_stretches_are_twice_as_long_as_the_median_window() -> None:
    times = np.arange(40)

    blocks = time_blocks(times, times + 5)

    assert np.bincount(blocks).tolist() == [10, 10, 10, 10]


def test_a_gain_in_every_stretch_leaves_no_doubt_and_none_leaves_all() -> None:
    blocks = np.repeat(np.arange(10), 5)

    assert share_not_above_zero(np.ones(50), blocks) == pytest.approx(1 / 2001)
    assert share_not_above_zero(-np.ones(50), blocks) == 1.0


def test_an_interval_reaches_up_to_what_the_parts_learned_and_keeps_its_lower_end() -> None:
    accuracies = [0.50, 0.55, 0.60, 0.65, 0.70]
    hits = np.concatenate([np.repeat([1.0, 0.0], [round(100 * one), 100 - round(100 * one)]) for one in accuracies])
    parts = np.repeat(np.arange(5), 100)

    raised = raised_by_parts(wilson(300, 500), hits, parts)

    low, high = stats.t.interval(0.95, 4, loc=0.6, scale=np.std(accuracies, ddof=1) / np.sqrt(5))
    assert raised.low == wilson(300, 500).low > low
    assert raised.high == pytest.approx(high, rel=1e-3)
    assert raised.high > wilson(300, 500).high
    assert raised.method == "wilson_raised"


@pytest.mark.parametrize("parts", [np.repeat([0, 1, 2, 3], 3), np.repeat([0, 3], 6)], ids=["alike", "too few"])
def test_an_interval_stays_where_the_parts_show_nothing_more(parts: np.ndarray) -> None:
    plain = Interval(0.3, 0.6, "wilson")

    assert raised_by_parts(plain, np.tile([1.0, 0.0, 0.0], 4), parts) == plain


def test_no_interval_reaches_above_one() -> None:
    hits = np.array([0.0] * 4 + [1.0] * 8)

    assert raised_by_parts(Interval(0.4, 0.8, "wilson"), hits, np.repeat([0, 1, 2], 4)).high == 1.0


def test_how_many_draws_are_held_together_changes_no_interval() -> None:
    random = np.random.default_rng(3)
    stretches = 1_501
    blocks, values = np.repeat(np.arange(stretches), 2), random.random(2 * stretches)

    low, high = mean_interval(values, blocks) or (0.0, 0.0)

    sums = values.reshape(-1, 2).sum(axis=1)
    drawn = np.random.default_rng(0).integers(0, stretches, size=(2_000, stretches))
    spread = float(np.std(sums[drawn].sum(axis=1) / (2.0 * stretches))) * np.sqrt(stretches / (stretches - 1))
    assert (low + high) / 2 == pytest.approx(values.mean())
    assert (high - low) / 2 == pytest.approx(stats.t.ppf(0.975, stretches - 1) * spread, rel=3e-3)
