"""Drift is held against what the same data does without drift."""

from collections.abc import Callable

import numpy as np
import pytest

from ai_engine.drift import (
    ADWIN_SMALLEST,
    LARGEST_ERROR,
    PAST_WINDOWS,
    STRETCH_WINDOWS,
    adwin,
    by_stretch,
    feature_shift,
)

WINDOW = 40
ENOUGH = (PAST_WINDOWS + 1) * WINDOW


def slow(seed: int, count: int, memory: float) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=count)
    for row in range(1, count):
        values[row] = memory * values[row - 1] + np.sqrt(1 - memory**2) * values[row]
    return values


@pytest.mark.parametrize("memory", [0.0, 0.98])
def test_a_feature_that_never_changes_rarely_alarms_however_slow_it_is(memory: float) -> None:
    alarms = [feature_shift(slow(seed, ENOUGH, memory), WINDOW).moved for seed in range(40)]

    assert sum(bool(alarm) for alarm in alarms) <= 2  # 1 in 200 is aimed at; three of forty have p = 0.001


@pytest.mark.parametrize("change", [lambda x: x + 2.0, lambda x: 3.0 * x, lambda x: np.round(x * 0.2)])
def test_a_feature_that_changed_is_seen(change: Callable[[np.ndarray], np.ndarray]) -> None:
    values = slow(1, ENOUGH, 0.3)
    values[-WINDOW:] = change(values[-WINDOW:])

    found = feature_shift(values, WINDOW)

    assert found.moved
    assert found.psi is not None
    assert found.largest_before is not None
    assert found.psi > found.largest_before


def test_the_index_is_that_of_the_formula_against_the_windows_but_two_before() -> None:
    values = slow(2, ENOUGH, 0.5)
    edges = np.quantile(values, np.arange(1, 10) / 10)
    share = lambda part: np.histogram(part, bins=[-np.inf, *edges, np.inf])[0] / len(part)  # noqa: E731
    now, rest = share(values[-WINDOW:]), share(values[: -3 * WINDOW])
    a, b = np.maximum(now, 0.001), np.maximum(rest, 0.001)

    assert feature_shift(values, WINDOW).psi == pytest.approx(((a - b) * np.log(a / b)).sum())


def test_older_values_than_those_of_the_windows_do_not_count() -> None:
    values = slow(4, ENOUGH, 0.5)

    assert feature_shift(np.append(np.full(1_000, 50.0), values), WINDOW) == feature_shift(values, WINDOW)


def test_not_enough_data_is_an_answer() -> None:
    found = feature_shift(np.zeros(ENOUGH - 1), WINDOW)

    assert (found.moved, found.psi, found.past_windows) == (None, None, PAST_WINDOWS - 1)
    assert feature_shift(np.empty(0), WINDOW).past_windows == 0


def test_a_constant_feature_has_not_moved() -> None:
    assert feature_shift(np.ones(ENOUGH), WINDOW).moved is False


@pytest.mark.parametrize("seed", range(5))
def test_adwin_is_silent_on_a_stable_stream(seed: int) -> None:
    assert adwin(np.abs(np.random.default_rng(seed).standard_t(5, 600))) is None


def test_adwin_finds_a_break_where_it_was_and_when_it_was_seen() -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate((np.abs(rng.normal(size=300)), 2.0 * np.abs(rng.normal(size=150))))

    found = adwin(values)

    assert found is not None
    assert 270 <= found.at <= 330
    assert found.at < found.seen < 400
    assert found.before < found.after


def test_a_break_that_was_seen_stays_seen_and_the_newest_is_named() -> None:
    rng = np.random.default_rng(1)
    larger = np.concatenate((np.abs(rng.normal(size=300)), 2.0 * np.abs(rng.normal(size=150))))
    back = np.concatenate((larger, 0.5 * np.abs(rng.normal(size=300))))

    found = adwin(back)

    assert found is not None
    assert found.at > 420
    assert found.before > found.after


def test_adwin_needs_some_values_on_both_sides() -> None:
    step = np.concatenate((np.zeros(ADWIN_SMALLEST), np.ones(ADWIN_SMALLEST - 1)))

    assert adwin(step) is None
    assert adwin(np.empty(0)) is None


def test_a_stretch_is_twice_the_window_and_the_newest_is_left_out() -> None:
    times = np.arange(0, 100, 10)
    errors = np.arange(10.0)

    found, means = by_stretch(times, times + 20, errors)

    assert STRETCH_WINDOWS * 20 == 40
    np.testing.assert_array_equal(found, [0, 40])
    np.testing.assert_array_equal(means, [1.5, 5.5])


def test_one_wild_error_counts_as_ten() -> None:
    times = np.array([0, 1, 2, 3])

    _, means = by_stretch(times, times + 1, np.array([1e9, 0.0, 1.0, 1.0]))

    assert means[0] == LARGEST_ERROR / 2


def test_nothing_known_makes_no_stretch() -> None:
    none = np.empty(0, dtype=np.int64)

    assert len(by_stretch(none, none, np.empty(0))[1]) == 0
