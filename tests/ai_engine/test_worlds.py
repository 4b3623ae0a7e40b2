"""The worlds of the benchmarks are what they say: a benchmark on a wrong world proves nothing."""

from dataclasses import replace

import numpy as np
import pytest

from ai_engine.past import Matured, Past, evidence_of_nights
from ai_engine.sequential import ENOUGH
from benchmarks.many_nights import A_DAY, BEFORE, Nights, stream
from benchmarks.random_walk import draw as draw_history
from benchmarks.random_walk import rows_of
from benchmarks.worlds import CANDLE, World, draw, walk


@pytest.mark.parametrize("kind", ["sign", "linear"])
def test_an_oracle_is_as_often_right_as_promised(kind: str) -> None:
    rows = draw(World(rows=20_000, features=6, oracle=0.70, kind=kind))
    rule = rows.X[:, 0] if kind == "sign" else rows.X[:, :5].sum(axis=1)

    assert np.mean(np.sign(rule) == np.sign(rows.forward_returns)) == pytest.approx(0.70, abs=0.01)


def test_a_walks_windows_overlap_and_its_symbols_move_together() -> None:
    rows = walk(1, rounds=4_000, horizon=12, symbols=5, correlation=0.8, features=2)
    returns = rows.forward_returns.reshape(4_000, 5)

    assert np.all(rows.ends - rows.times == 12 * CANDLE)
    assert np.all(np.diff(rows.times[::5]) == CANDLE)
    assert np.corrcoef(returns.T)[0, 1:] == pytest.approx(0.8, abs=0.08)
    assert np.corrcoef(returns[:-1, 0], returns[1:, 0])[0, 1] == pytest.approx(11 / 12, abs=0.03)
    assert abs(np.corrcoef(rows.X[:, 0], rows.forward_returns)[0, 1]) < 0.1


def test_a_history_tells_the_engine_what_the_market_did_until_the_horizon() -> None:
    history = draw_history(3, 10)

    rows = rows_of(history, 3)

    assert rows.forward_returns[4] == pytest.approx(history.prices[60] / history.prices[48] - 1)
    assert np.array_equal(rows.ends[:-1], rows.times[1:])


@pytest.mark.slow
def test_nights_on_a_rule_reach_evidence_and_are_then_judged_in_full() -> None:
    found = stream(draw(World(rows=BEFORE + 10 * A_DAY, features=4, oracle=0.85, seed=2)), 2)

    assert found.most >= ENOUGH
    assert 0 < found.judged < 10


def test_a_stream_of_one_night_has_nothing_to_bet_on() -> None:
    assert stream(draw(World(rows=BEFORE + A_DAY, features=4, seed=2)), 2) == Nights(
        recommended=False, judged=0, most=1.0
    )


def test_nothing_matured_is_no_evidence() -> None:
    assert evidence_of_nights(replace(Past(), matured=None), cost=0.002) is None


def test_where_no_forecast_met_a_move_larger_than_the_costs_evidence_is_unknown_and_not_one() -> None:
    times = np.arange(3)
    neutral, unforecast = np.array([0.001, -0.001, 0.03]), np.array([1.0, 1.0, np.nan])

    assert evidence_of_nights(Past(Matured(times, times + 1, neutral, unforecast)), cost=0.002) is None
    assert evidence_of_nights(Past(Matured(times, times + 1, neutral, np.ones(3))), cost=0.002) is not None
