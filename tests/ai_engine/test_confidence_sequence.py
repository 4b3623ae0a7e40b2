"""Bounds of a mean that may be looked at as often as one likes."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_engine.confidence_sequence import FEWEST_STRETCHES, ConfidenceSequence, of_rounds

HOUR = 3_600_000


def looked_at(values: np.ndarray, overlap: int = 1) -> ConfidenceSequence:
    """One round an hour, each judged over so many hours."""
    times = HOUR * np.arange(len(values))
    return of_rounds(times, times + overlap * HOUR, values)


def once_each(values: np.ndarray) -> ConfidenceSequence:
    """Every value in a stretch of its own, which has closed."""
    times = 10 * HOUR * np.arange(len(values) + 1)
    return of_rounds(times, times + HOUR, np.append(values, 0.0))


def test_nothing_seen_is_nothing_known() -> None:
    assert looked_at(np.empty(0)) == ConfidenceSequence(0, 0)
    assert looked_at(np.ones(2)) == ConfidenceSequence(0, 0)


def test_rounds_are_averaged_within_stretches_twice_as_long_as_their_windows() -> None:
    found = looked_at(np.tile([2.0, 0.0], 60), overlap=3)

    assert (found.stretches, found.rounds, found.mean) == (19, 114, 1.0)


def test_the_stretch_that_is_still_open_does_not_count() -> None:
    values = np.random.default_rng(1).normal(size=121)

    before, extreme = looked_at(values), looked_at(np.append(values[:-1], 1e9))

    assert before == extreme
    assert (before.stretches, before.rounds) == (60, 120)


def test_the_bounds_are_those_of_the_formula() -> None:
    values = np.tile([3.0, -1.0, 1.0, -1.0], 25)
    m, n, mean = 61, 100, 0.5
    squares = sum((one - mean) ** 2 for one in values)
    shared = sum((x - mean) * (y - mean) for x, y in itertools.pairwise(values)) / squares
    c = (1 + 2 * max(shared, 0)) * (1 + m / n) * (2 * np.log(20) + np.log(1 + n / m))
    half = np.sqrt(c * squares / (n * (n - c)))

    found = once_each(values)

    assert shared < 0
    assert (found.low, found.high) == (pytest.approx(mean - half), pytest.approx(mean + half))


def test_neighbours_that_share_their_windows_widen_the_bounds() -> None:
    values = np.random.default_rng(2).normal(size=200)
    sorted_values = np.sort(values)

    apart, together = once_each(values), once_each(sorted_values)

    assert apart.mean == pytest.approx(together.mean)
    assert apart.high is not None
    assert together.high is not None
    assert together.high - together.mean > 1.5 * (apart.high - apart.mean)  # type: ignore[operator]


def test_before_fifty_stretches_there_is_a_mean_and_no_bound() -> None:
    found, next_one = once_each(np.tile([1.0, 0.5], 25)[:-1]), once_each(np.tile([1.0, 0.5], 25))

    assert (found.stretches, found.low, found.high, found.needed) == (FEWEST_STRETCHES - 1, None, None, 1)
    assert found.mean == pytest.approx(0.755, abs=0.001)
    assert next_one.low is not None
    assert next_one.low > 0
    assert next_one.needed == 0


def test_of_what_never_differed_no_bound_is_known() -> None:
    assert once_each(np.zeros(60)) == ConfidenceSequence(60, 60, 0.0)


def test_the_first_differences_of_two_that_seldom_differ_bound_nothing() -> None:
    values = np.zeros(400)
    values[40:400:40] = -0.01  # nine of 400

    assert (once_each(values).low, once_each(values).high) == (None, None)
    assert once_each(np.append(values, -0.01)).high is not None


def test_bounds_hold_at_every_look_where_versions_seldom_differ() -> None:
    """In 21 of these 40 they missed the true mean while what never differed yet was bounded by 0."""
    missed = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        values = np.where(rng.random(400) < 0.01, -0.01 + 0.003 * rng.normal(size=400), 0.0)
        looks = [once_each(values[:count]) for count in range(50, 401, 10)]
        missed += any(one.low is not None and not one.low <= -1e-4 <= (one.high or 0.0) for one in looks)
    assert missed <= 4


@pytest.mark.parametrize("value", [0.1, -0.0024, 1e-300])
def test_what_never_varies_says_nothing_about_how_far_it_may(value: float) -> None:
    found = once_each(np.full(70, value))

    assert (found.low, found.high, found.needed) == (None, None, None)
    assert found.mean == pytest.approx(value)


def test_as_many_further_values_as_are_said_to_be_needed_take_the_bounds_off_nothing() -> None:
    pattern = np.array([1.2, -0.8])
    now = once_each(np.tile(pattern, 60))
    assert now.low is not None
    assert now.low < 0
    assert now.needed is not None

    just_before = once_each(np.tile(pattern, (120 + now.needed) // 2 - 1))
    then = once_each(np.tile(pattern, (120 + now.needed) // 2 + 1))

    assert just_before.low is not None
    assert then.low is not None
    assert just_before.low < 0 < then.low


def test_a_difference_too_small_for_any_patience_is_not_promised() -> None:
    assert once_each(np.tile([1.0 + 1e-5, -1.0], 60)).needed is None


@given(st.floats(1e-6, 1e6), st.integers(0, 1000))
def test_the_unit_does_not_matter_and_the_mirror_image_is_mirrored(unit: float, seed: int) -> None:
    values = np.random.default_rng(seed).standard_t(3, size=80)

    one, other = once_each(values), once_each(-unit * values)

    assert one.low is not None
    assert other.high is not None
    assert other.high == pytest.approx(-unit * one.low, rel=1e-9, abs=1e-12 * unit)
    assert other.needed == one.needed


@pytest.mark.slow
@pytest.mark.parametrize("overlap", [1, 4])
def test_looking_at_every_tenth_value_misses_the_truth_in_less_than_one_stream_of_twenty(overlap: int) -> None:
    missed = 0
    for seed in range(100):
        noise = np.random.default_rng(seed).standard_t(4, size=1_500 + overlap)
        values = 0.3 + np.convolve(noise, np.ones(overlap), "valid")[:1_500]
        looks = [looked_at(values[:n], overlap) for n in range(100, 1_501, 10)]
        missed += any(not look.low <= 0.3 <= look.high for look in looks if look.low is not None)  # type: ignore[operator]

    assert missed <= 5
