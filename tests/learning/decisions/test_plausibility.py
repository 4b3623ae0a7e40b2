"""Bursts of alike returns: which trades are held, and which are not."""

from collections import Counter
from datetime import timedelta
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from sqlalchemy import event

from backend.learning.decisions.plausibility import ALIKE_AT_LEAST
from tests.learning.decisions.conftest import T0, VERSION

LEFT = T0 + timedelta(minutes=20)


def trade(bench: Any, name: str, seconds: float = 0.0, exit_price: float = 101.0, **fields: Any) -> None:
    """A decision that was entered at 100 and left so many seconds after ``LEFT``."""
    left = {"side": "BUY", "entry_price": 100.0, "quantity": 1.0, "entry_time": T0}
    bench.decide(name, T0, price=None, **fields)
    bench.tell(name, exit_price=exit_price, exit_time=LEFT + timedelta(seconds=seconds), **left)


def held(bench: Any, names: Any) -> set[str]:
    return {name for name in names if bench.sample(name).quarantine_reason == "alike_returns"}


def test_ten_alike_returns_within_a_minute_hold_all_ten(bench: Any) -> None:
    names = [f"d{number}" for number in range(10)]
    for second, name in enumerate(names[:9]):
        trade(bench, name, 6.0 * second)
    assert held(bench, names[:9]) == set()

    trade(bench, names[9], 60.0)

    assert held(bench, names) == set(names)


def test_the_eleventh_is_held_as_it_comes(bench: Any) -> None:
    names = [f"d{number}" for number in range(11)]
    for second, name in enumerate(names):
        trade(bench, name, float(second))

    assert held(bench, names) == set(names)


@pytest.mark.parametrize(
    ("seconds", "price", "symbol"),
    [
        (61.0, 101.0, "BTCUSDC"),
        (5.0, 101.0 + 1e-5, "BTCUSDC"),
        (5.0, 101.0, "ETHUSDC"),
        (5.0, 99.0, "BTCUSDC"),
    ],
    ids=["a second too late", "another price", "another symbol", "the other way"],
)
def test_a_tenth_that_differs_makes_no_burst(bench: Any, seconds: float, price: float, symbol: str) -> None:
    names = [f"d{number}" for number in range(9)]
    for name in names:
        trade(bench, name)

    trade(bench, "other", seconds, price, symbol=symbol)

    assert held(bench, [*names, "other"]) == set()


def test_flat_returns_are_never_alike(bench: Any) -> None:
    names = [f"d{number}" for number in range(12)]
    for name in names:
        trade(bench, name, exit_price=100.0)

    assert held(bench, names) == set()


def test_returns_that_differ_by_rounding_alone_are_alike(bench: Any) -> None:
    names = [f"d{number}" for number in range(10)]
    for number, name in enumerate(names):
        trade(bench, name, exit_price=101.0 * (1 + 1e-12 * number))

    assert held(bench, names) == set(names)


def test_another_strategy_is_not_touched(bench: Any) -> None:
    names = [f"d{number}" for number in range(9)]
    for name in names:
        trade(bench, name)
    bench.strategy = "somebody-else"
    for name in names:
        trade(bench, name)

    assert held(bench, names) == set()
    bench.strategy = "bot"
    assert held(bench, names) == set()


def test_the_built_in_traders_own_trades_are_not_judged(bench: Any) -> None:
    names = [f"d{number}" for number in range(12)]
    for name in names:
        bench.decide(name, T0, price=None)
        bench.execute(name)
        bench.leave(name, exit_price=101.0, exit_time=LEFT)

    assert held(bench, names) == set()


def oracle(seconds: list[float]) -> set[int]:
    """By definition: a trade is held if some minute that holds it holds ten."""
    found = set()
    for begin in seconds:
        within = {index for index, second in enumerate(seconds) if begin <= second <= begin + 60.0}
        if len(within) >= ALIKE_AT_LEAST:
            found |= within
    return found


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))])
def test_whatever_the_order_of_arrival_those_are_held_that_share_a_minute_with_nine(bench: Any, seed: int) -> None:
    random = np.random.default_rng(seed)
    seconds = [float(second) for second in random.choice([0, 0, 0, 5, 20, 40, 59, 60, 61, 80, 100, 121, 140], size=30)]
    for index in random.permutation(len(seconds)):
        trade(bench, f"d{index}", seconds[index])

    assert held(bench, [f"d{index}" for index in range(len(seconds))]) == {f"d{index}" for index in oracle(seconds)}


def test_counters_keep_all_forecasts_of_a_burst_and_its_money(bench: Any) -> None:
    bench.add_version()
    names = [f"d{number}" for number in range(10)]
    for name in names[:9]:
        bench.forecast(name, -0.01)
    bench.forecast("later", -0.01, T0 + timedelta(minutes=60), price=102.0)
    entered = {"side": "BUY", "entry_price": 100.0, "quantity": 1.0, "entry_time": T0}
    for name in names[:9]:
        bench.tell(name, exit_price=98.0, exit_time=LEFT, **entered)
    before = bench.counters(VERSION)
    assert (before["matured_predictions"], before["total_pnl"]) == (9, pytest.approx(-18.0))

    bench.forecast(names[9], -0.01)
    bench.tell(names[9], exit_price=98.0, exit_time=LEFT, **entered)

    after = bench.counters(VERSION)
    assert held(bench, names) == set(names)
    assert (after["matured_predictions"], after["correct_predictions"]) == (10, 0), "losses are not told away"
    assert (after["total_trades"], after["total_pnl"]) == (10, pytest.approx(-20.0))


def test_a_burst_is_held_once_a_better_price_ended_another_reason(bench: Any) -> None:
    names = [f"d{number}" for number in range(10)]
    for name in names:
        bench.decide(name)
    bench.decide("wrong", T0 + timedelta(minutes=64), price=100_000.0)
    assert Counter(bench.sample(name).quarantine_reason for name in names) == {"return_out_of_bounds": 10}

    entered = {"side": "BUY", "entry_price": 100.0, "quantity": 1.0, "entry_time": T0}
    for name in names:
        bench.tell(name, exit_price=101.0, exit_time=LEFT, **entered)
    assert held(bench, names) == set(), "what takes the forecast out as well goes before"
    bench.decide("right", T0 + timedelta(minutes=61), price=101.0)

    assert held(bench, names) == set(names)


def test_a_burst_goes_before_what_a_better_price_of_the_trade_would_end(bench: Any) -> None:
    names = [f"d{number}" for number in range(10)]
    for name in names:
        trade(bench, name, exit_price=250.0)

    assert held(bench, names) == set(names)


def test_each_outcome_of_a_burst_looks_at_no_more_rows_than_the_first(bench: Any) -> None:
    lines: list[str] = []
    event.listen(bench.database.engine, "before_cursor_execute", lambda *told: lines.append(told[2]))
    for number in range(10):
        trade(bench, f"d{number}")
    lines.clear()
    trade(bench, "next")

    asked = [line for line in lines if "market_return BETWEEN" in line]

    assert len(asked) == 2
    assert all("LIMIT" in line for line in asked)
    plan = bench.database.read(
        lambda session: session.connection().exec_driver_sql(
            "EXPLAIN QUERY PLAN SELECT id FROM ai_training_samples WHERE strategy = 'bot' AND symbol = 'BTCUSDC'"
            " AND exit_time > '2026-03-01' AND exit_time <= '2026-03-02' AND market_return BETWEEN 0.01 AND 0.02"
            " ORDER BY exit_time LIMIT 9"
        )
    ).all()
    assert "ix_ai_training_samples_left" in plan[0][3]
    assert len(plan) == 1, "it is sorted by the index"


def test_ties_in_any_order_agree_with_the_definition() -> None:
    assert oracle([0.0] * 9 + [60.0]) == set(range(10))
    assert all(oracle([0.0] * 8 + [*two]) == set() for two in permutations((30.0, 61.0)))
