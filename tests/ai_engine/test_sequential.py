"""The e-process keeps its promise at every look: 20 where there is no skill in at most one stream of twenty."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_engine.sequential import (
    ENOUGH,
    STAKES,
    against_majority,
    e_process,
    phases,
)

COST = 0.002


def stream(seed: int, rounds: int, *, overlap: int, symbols: int, accuracy: float, drift: float = 0.0) -> tuple:
    """Correlated symbols with overlapping outcomes, and forecasts as persistent as the outcomes."""
    rng = np.random.default_rng(seed)

    def walk() -> np.ndarray:
        common = rng.normal(size=(rounds + overlap, 1)) * np.sqrt(0.8)
        steps = common + rng.normal(size=(rounds + overlap, symbols)) * np.sqrt(0.2)
        return np.stack([steps[start : start + overlap].sum(axis=0) for start in range(rounds)])

    y = (walk() + drift * overlap) * 0.01
    knows = rng.random((rounds, symbols)) < 2 * accuracy - 1
    scores = np.where(knows, y, walk())
    times = np.repeat(np.arange(rounds), symbols)
    return times, times + overlap, y.ravel(), scores.ravel()


def ever(seed: int, **world: float) -> bool:
    """Whether the wealth reached 20 at any of the looks."""
    times, ends, y, scores = stream(seed, 600, **world)  # type: ignore[arg-type]
    bets = against_majority(times, ends, y, scores, cost=COST)
    looks = range(50, len(bets.starts) + 1, 50)
    return any(e_process(bets.payoffs[:n], bets.starts[:n], bets.ends[:n]).e_value >= ENOUGH for n in looks)


@pytest.mark.parametrize(
    "world",
    [
        {"overlap": 1, "symbols": 1, "accuracy": 0.5},
        {"overlap": 12, "symbols": 5, "accuracy": 0.5},
        {"overlap": 4, "symbols": 3, "accuracy": 0.5, "drift": 0.3},
    ],
)
def test_streams_without_skill_rarely_reach_20_at_any_look(world: dict[str, float]) -> None:
    assert sum(ever(seed, **world) for seed in range(40)) <= 5  # 5 % of 40, and room for chance (p = 0.003)


def test_skill_is_seen() -> None:
    assert sum(ever(seed, overlap=1, symbols=1, accuracy=0.65) for seed in range(20)) >= 18


def test_the_wealth_is_that_of_each_phase_computed_by_hand() -> None:
    payoffs = np.array([1.0, -1.0, 0.5, 0.25])
    starts = np.array([0, 1, 2, 3])

    found = e_process(payoffs, starts, starts + 2)

    by_hand = [
        np.mean([(1 + s * 1.0) * (1 + s * 0.5) for s in STAKES]),
        np.mean([(1 - s) * (1 + s / 4) for s in STAKES]),
    ]
    assert found.phases == 2
    assert found.e_value == pytest.approx(np.mean(by_hand))


def test_nothing_to_bet_on_is_worth_one() -> None:
    nothing = np.empty(0, dtype=np.int64)

    assert e_process(np.empty(0), nothing, nothing).e_value == 1.0


@given(
    gaps=st.lists(st.integers(1, 5), min_size=1, max_size=60),
    lengths=st.lists(st.integers(1, 12), min_size=60, max_size=60),
)
def test_windows_within_a_phase_never_overlap_and_no_phase_is_wasted(gaps: list[int], lengths: list[int]) -> None:
    starts = np.cumsum(gaps)
    ends = starts + np.array(lengths[: len(starts)])

    phase = phases(starts, ends)

    for number in range(phase.max() + 1):
        mine = phase == number
        assert np.all(starts[mine][1:] >= ends[mine][:-1])
    open_at_once = max(int(((starts <= moment) & (ends > moment)).sum()) for moment in starts)
    assert phase.max() + 1 <= open_at_once


@settings(max_examples=50)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40), st.integers(0, 39))
def test_a_phase_depends_on_the_past_only(payoffs: list[float], cut: int) -> None:
    starts = np.arange(len(payoffs))
    ends = starts + 3

    assert phases(starts, ends)[: cut + 1].tolist() == phases(starts[: cut + 1], ends[: cut + 1]).tolist()


def test_the_majority_is_that_of_the_outcomes_known_at_the_decision() -> None:
    times = np.array([0, 1, 2, 3])
    ends = np.array([2, 3, 4, 5])
    y = np.array([-0.01, -0.01, -0.01, -0.01])

    bets = against_majority(times, ends, y, y, cost=COST)

    # At 0 and 1 nothing is known: the majority says up and is wrong. From 2 on it says down, as the forecasts do.
    assert bets.payoffs.tolist() == [1.0, 1.0, 0.0, 0.0]


def test_the_majority_knows_outcomes_that_nobody_forecast_and_only_forecasts_are_bet_on() -> None:
    times = np.array([0, 0, 1, 2, 3])
    y = np.array([-0.01, -0.01, -0.01, -0.01, -0.01])
    scores = np.array([np.nan, np.nan, np.nan, -1.0, 1.0])

    bets = against_majority(times, times + 1, y, scores, cost=COST)

    # Three falls were known before the first forecast: the majority says down, and to say so too earns nothing.
    assert bets.starts.tolist() == [2, 3]
    assert bets.payoffs.tolist() == [0.0, -1.0]
    assert bets.judged == 2


@pytest.mark.parametrize("seed", range(5))
def test_starts_ends_and_phases_of_bets_do_not_depend_on_outcomes(seed: int) -> None:
    times, ends, y, scores = stream(seed, 60, overlap=4, symbols=3, accuracy=0.5)
    random = np.random.default_rng(seed)
    scores = np.where(random.random(len(y)) < 0.3, np.nan, scores)
    small = np.where(random.random(len(y)) < 0.5, 0.0, -y)

    one, other = (against_majority(times, ends, known, scores, cost=COST) for known in (y, small))

    assert one.starts.tolist() == other.starts.tolist() == np.unique(times[~np.isnan(scores)]).tolist()
    assert one.ends.tolist() == other.ends.tolist()
    assert phases(one.starts, one.ends).tolist() == phases(other.starts, other.ends).tolist()
    assert other.judged < one.judged


def test_a_round_is_one_bet_and_small_moves_are_none() -> None:
    times = np.array([0, 0, 0, 1])
    y = np.array([0.01, -0.01, 0.001, 0.0])
    scores = np.array([1.0, -1.0, 1.0, 1.0])

    bets = against_majority(times, times + 1, y, scores, cost=COST)

    assert bets.starts.tolist() == [0, 1]
    assert bets.payoffs.tolist() == [0.5, 0.0]


@pytest.mark.parametrize("seed", range(20))
def test_a_round_joins_the_first_phase_that_is_free(seed: int) -> None:
    random = np.random.default_rng(seed)
    starts = np.sort(random.integers(0, 300, 120))
    ends = starts + random.integers(1, 40, 120)

    free_from: list[int] = []
    for start, end, phase in zip(starts.tolist(), ends.tolist(), phases(starts, ends).tolist(), strict=True):
        first = next((number for number, free in enumerate(free_from) if free <= start), len(free_from))
        assert phase == first
        free_from[first : first + 1] = [end]
