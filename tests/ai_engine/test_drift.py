"""Drift is held against what the same data does without drift."""

import numpy as np
import pytest

from ai_engine.drift import ADWIN_SMALLEST, PAST_WINDOWS, adwin, feature_shift

WINDOW = 40
ENOUGH = (PAST_WINDOWS + 1) * WINDOW


def slow(seed: int, count: int, memory: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=count)
    for row in range(1, count):
        values[row] = memory * values[row - 1] + np.sqrt(1 - memory**2) * values[row]
    return values


@pytest.mark.parametrize("memory", [0.0, 0.95])
def test_a_feature_that_never_changes_rarely_alarms_however_slow_it_is(memory: float) -> None:
    alarms = [feature_shift(slow(seed, ENOUGH, memory), WINDOW).moved for seed in range(100)]

    assert sum(bool(alarm) for alarm in alarms) <= 4


@pytest.mark.parametrize("change", [lambda x: x + 2.0, lambda x: 3.0 * x, lambda x: np.round(x * 0.2)])
def test_a_feature_that_changed_is_seen(change: object) -> None:
    values = slow(1, ENOUGH, 0.3)
    values[-WINDOW:] = change(values[-WINDOW:])  # type: ignore[operator]

    found = feature_shift(values, WINDOW)

    assert found.moved
    assert found.psi is not None
    assert found.largest_before is not None
    assert found.psi > found.largest_before


def test_not_enough_data_is_an_answer() -> None:
    found = feature_shift(np.zeros(ENOUGH - 1), WINDOW)

    assert (found.moved, found.psi, found.past_windows) == (None, None, PAST_WINDOWS - 1)


def test_a_constant_feature_has_not_moved() -> None:
    assert feature_shift(np.ones(ENOUGH), WINDOW).moved is False


@pytest.mark.parametrize("seed", range(20))
def test_adwin_is_silent_on_a_stable_stream(seed: int) -> None:
    assert adwin(np.random.default_rng(seed).random(1_000)) is None


def test_adwin_finds_a_break_and_where() -> None:
    rng = np.random.default_rng(1)

    found = adwin(np.concatenate((np.abs(rng.normal(size=600)), 1.6 * np.abs(rng.normal(size=400)))))

    assert found is not None
    assert 500 <= found.at <= 700
    assert found.before < found.after


def test_adwin_needs_some_values_on_both_sides() -> None:
    step = np.concatenate((np.zeros(ADWIN_SMALLEST), np.ones(ADWIN_SMALLEST - 1)))

    assert adwin(step) is None
