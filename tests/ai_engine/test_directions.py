"""Live directions: each figure beside the accuracy is of the very same rows."""

from dataclasses import replace

import numpy as np
import pytest

from ai_engine import metrics
from ai_engine.directions import NO_OTHERS, Outcomes, evidence, judge
from ai_engine.inference import Panel, wilson
from ai_engine.sequential import against_majority, e_process

COST = 0.0024


def panel(seed: int, count: int = 300, horizon: int = 12, symbols: int = 3, skill: float = 0.0) -> Panel:
    """Rounds of several symbols whose windows overlap ``horizon`` times; the score is right more often by ``skill``."""
    random = np.random.default_rng(seed)
    times = np.arange(count) // symbols * 5
    y = 0.01 * random.normal(size=count)
    right = random.random(count) < 0.5 + skill
    names = np.array([f"S{number % symbols}" for number in range(count)])
    return Panel(times, times + 5 * horizon, names, y, np.where(right, y, -y))


@pytest.mark.parametrize("seed", range(3))
def test_accuracy_baseline_and_break_even_are_of_the_same_rows(seed: int) -> None:
    seen = panel(seed)

    found = judge(seen, cost=COST)

    moves = [(float(score), float(y)) for score, y in zip(seen.scores, seen.y, strict=True) if abs(y) > COST]
    up = sum(y > 0 for _, y in moves)
    assert (found.matured, found.judged, found.neutral) == (300, len(moves), 300 - len(moves))
    assert found.correct == sum(score * y > 0 for score, y in moves)
    assert found.accuracy == found.correct / len(moves)
    assert found.baseline_accuracy == max(up, len(moves) - up) / len(moves)
    assert found.baseline_name == ("always_up" if 2 * up >= len(moves) else "always_down")
    assert found.edge == found.accuracy - found.baseline_accuracy
    assert found.break_even_accuracy == pytest.approx(0.5 + 0.5 * COST / np.mean(np.abs(seen.y)))
    assert found.costs_exceed_moves is False


def test_rows_that_overlap_are_worth_less_than_they_are_many() -> None:
    overlapping, apart = judge(panel(1), cost=COST), judge(panel(1, horizon=1, symbols=1), cost=COST)

    assert overlapping.ci_method == "block_bootstrap"
    assert overlapping.effective_samples < 40
    assert (apart.ci_method, apart.effective_samples) == ("wilson", apart.judged)
    assert apart.accuracy_ci95 == (wilson(apart.correct, apart.judged).low, wilson(apart.correct, apart.judged).high)
    assert apart.min_detectable_accuracy == metrics.min_detectable_accuracy(apart.judged)


def test_a_forecast_without_a_direction_is_a_miss() -> None:
    seen = panel(1)

    found = judge(Panel(seen.times, seen.ends, seen.symbols, seen.y, np.zeros(300)), cost=COST)

    assert (found.correct, found.accuracy) == (0, 0.0)


def test_moves_within_the_costs_judge_nobody() -> None:
    seen = panel(1)

    found = judge(Panel(seen.times, seen.ends, seen.symbols, seen.y / 1e3, seen.scores), cost=COST)

    assert (found.neutral, found.judged, found.accuracy, found.accuracy_ci95, found.edge) == (300, 0, None, None, None)
    assert (found.costs_exceed_moves, found.break_even_accuracy, found.effective_samples) == (True, None, 0)
    assert evidence(replace(seen, y=seen.y / 1e3), NO_OTHERS, cost=COST) is None


def test_of_no_row_nothing_is_said() -> None:
    nothing = panel(1, count=0)

    found = judge(nothing, cost=COST)

    assert (found.matured, found.accuracy, found.baseline_name, found.costs_exceed_moves) == (0, None, None, None)
    assert evidence(nothing, NO_OTHERS, cost=COST) is None


def test_evidence_is_the_e_process_against_the_majority_known_before() -> None:
    seen = panel(2, skill=0.2)
    bets = against_majority(seen.times, seen.ends, seen.y, seen.scores, cost=COST)

    assert evidence(seen, NO_OTHERS, cost=COST) == e_process(bets.payoffs, bets.starts, bets.ends).e_value > 1


def test_the_commoner_direction_counts_outcomes_that_somebody_else_forecast() -> None:
    times = np.arange(40)
    always_up = Panel(times + 100, times + 101, np.full(40, "S"), np.full(40, 0.01), np.ones(40))
    down, up = (Outcomes(times, times + 1, np.full(40, move)) for move in (-0.01, 0.01))

    against_down = evidence(always_up, down, cost=COST)

    assert evidence(always_up, up, cost=COST) == evidence(always_up, NO_OTHERS, cost=COST) == 1.0
    assert against_down is not None
    assert against_down > 20, "until as many rose as had fallen, 'always down' was the commoner"
