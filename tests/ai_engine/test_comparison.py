"""A copy is never better, a worse model never wins, and a better one is seen when there is enough to see it by."""

import numpy as np
import pytest
from scipy import stats

from ai_engine.comparison import FEWEST_BLOCKS, compare, net_returns

COST = 0.002


def world(seed: int, rounds: int, *, overlap: int, edge: float) -> tuple[np.ndarray, ...]:
    """Two models of equal noise; the challenger knows the direction ``edge`` more often."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(size=rounds + overlap) * 0.01
    y = np.array([steps[start : start + overlap].sum() for start in range(rounds)])
    ours = np.where(rng.random(rounds) < edge, y, rng.normal(size=rounds))
    theirs = rng.normal(size=rounds)
    times = np.arange(rounds)
    return times, times + overlap, net_returns(ours, y, cost=COST), net_returns(theirs, y, cost=COST)


def test_a_copy_cannot_be_told_apart() -> None:
    times, ends, ours, _ = world(1, 400, overlap=4, edge=0.3)

    found = compare(times, ends, ours, ours, name="v1")

    assert (found.verdict, found.mean_difference) == ("not_distinguishable", 0.0)


def test_equal_and_worse_models_are_rarely_called_better() -> None:
    called = [compare(*world(seed, 300, overlap=8, edge=0.0), name="v1").verdict == "better" for seed in range(100)]
    swapped = []
    for seed in range(40):
        times, ends, good, bad = world(seed, 300, overlap=8, edge=0.5)
        swapped.append(compare(times, ends, bad, good, name="v1").verdict)

    assert sum(called) <= 8
    assert "better" not in swapped


def test_a_better_model_is_seen() -> None:
    verdicts = [compare(*world(seed, 600, overlap=2, edge=0.5), name="v1").verdict for seed in range(20)]

    assert verdicts.count("better") >= 19


def test_the_interval_is_students_over_stretches_of_time() -> None:
    times, ends, ours, theirs = world(3, 240, overlap=4, edge=0.2)

    found = compare(times, ends, ours, theirs, name="v1")

    means = [np.mean((ours - theirs)[first : first + 8]) for first in range(0, 240, 8)]
    expected = stats.t.interval(0.95, 29, loc=np.mean(means), scale=stats.sem(means))
    assert found.blocks == 30
    assert found.ci95 == pytest.approx(expected, rel=0.003)


def test_little_shared_is_said_with_its_numbers() -> None:
    times, ends, ours, theirs = world(3, 4 * (FEWEST_BLOCKS - 1), overlap=2, edge=0.5)

    found = compare(times, ends, ours, theirs, name="v1")

    assert (found.verdict, found.ci95, found.mean_difference) == ("not_distinguishable", None, None)
    assert "36 outcomes in 9 stretches" in found.sentence
    nothing = np.empty(0)
    assert compare(nothing, nothing, nothing, nothing, name="v1").rows == 0


def test_no_direction_costs_nothing_and_earns_nothing() -> None:
    assert net_returns(np.array([1.0, -1.0, 0.0]), np.array([0.01, 0.01, 0.01]), cost=COST).tolist() == pytest.approx(
        [0.008, -0.012, 0.0]
    )


def test_better_is_never_said_without_what_one_night_is_worth() -> None:
    better = compare(*world(3, 600, overlap=2, edge=0.5), name="v1")
    times, ends, ours, theirs = world(3, 600, overlap=2, edge=0.5)
    worse = compare(times, ends, theirs, ours, name="v1")

    assert (better.verdict, worse.verdict) == ("better", "worse")
    assert "one night's look" in better.sentence
    assert "no reason to activate" in better.sentence
    assert "one night" not in worse.sentence
