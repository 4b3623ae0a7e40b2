"""The worlds of the self-audit: nothing to find in one, a known signal in the other, all else as it was."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from ai_engine.candles import Candles
from ai_engine.dataset import Rows
from ai_engine.placebo import flipped, planted, turned

Draw = Callable[..., Rows]
MINUTE = 60_000


def candles(seed: int, count: int = 400) -> Candles:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(size=count) * 0.01))
    opened = np.concatenate(([100.0], close[:-1])) * np.exp(rng.normal(size=count) * 0.001)
    return Candles(
        open_time=np.arange(count, dtype=np.int64) * MINUTE,
        open=opened,
        high=np.maximum(opened, close) * 1.002,
        low=np.minimum(opened, close) * 0.999,
        close=close,
        volume=rng.random(count),
        timeframe_ms=MINUTE,
    )


def moves(one: Candles) -> np.ndarray:
    return np.diff(np.log(one.close))


def test_moves_are_mirrored_in_blocks_of_time_the_same_for_every_symbol() -> None:
    before = {"A": candles(1), "B": candles(2)}

    after = flipped(before, block_ms=20 * MINUTE, seed=3)

    signs = {symbol: np.round(moves(after[symbol]) / moves(before[symbol]), 6) for symbol in before}
    assert set(signs["A"]) == {-1.0, 1.0}
    np.testing.assert_array_equal(signs["A"], signs["B"])
    for first in range(20, 400, 20):
        assert len(set(signs["A"][first - 1 : first + 19])) == 1


def test_a_mirrored_candle_is_a_candle_with_the_same_reach_and_volume() -> None:
    before = {"A": candles(1)}

    after = flipped(before, block_ms=20 * MINUTE, seed=3)["A"]

    assert np.all(after.high >= np.maximum(after.open, after.close) - 1e-9)
    assert np.all(after.low <= np.minimum(after.open, after.close) + 1e-9)
    np.testing.assert_allclose(np.log(after.high / after.low), np.log(before["A"].high / before["A"].low), atol=1e-12)
    np.testing.assert_array_equal(after.volume, before["A"].volume)


def test_mirroring_by_a_coin_that_always_keeps_changes_nothing() -> None:
    before = {"A": candles(1)}
    whole = 400 * MINUTE

    kept = [flipped(before, block_ms=whole, seed=seed)["A"] for seed in range(20)]

    same = [one for one in kept if np.allclose(one.close, before["A"].close)]
    mirrored = [one for one in kept if np.allclose(moves(one), -moves(before["A"]))]
    assert len(same) + len(mirrored) == 20
    assert same
    assert mirrored
    np.testing.assert_allclose(same[0].open, before["A"].open)


def test_turned_outcomes_are_the_same_outcomes_of_the_same_symbol(draw_rows: Draw, world: Draw) -> None:
    rows = draw_rows(world(rows=300, symbols=3, oracle=0.9))

    after = turned(rows, seed=1)

    symbols = np.array(rows.symbols)
    for symbol in set(rows.symbols):
        mine = symbols == symbol
        assert sorted(after.forward_returns[mine]) == sorted(rows.forward_returns[mine])
    signal = np.mean(np.sign(rows.X[:, 0]) == np.sign(rows.forward_returns))
    left = np.mean(np.sign(after.X[:, 0]) == np.sign(after.forward_returns))
    assert signal > 0.85
    assert left == pytest.approx(0.5, abs=0.1)


def test_symbols_of_a_round_stay_together(draw_rows: Draw, world: Draw) -> None:
    rows = draw_rows(world(rows=300, symbols=3))
    together = rows.forward_returns.copy()
    together[1::3] = together[2::3] = together[0::3]

    after = turned(replace(rows, forward_returns=together), seed=2)

    np.testing.assert_array_equal(after.forward_returns[0::3], after.forward_returns[1::3])


@pytest.mark.parametrize("accuracy", [0.6, 0.8])
def test_a_planted_feature_is_right_as_often_as_said_and_the_rest_is_untouched(
    draw_rows: Draw, world: Draw, accuracy: float
) -> None:
    rows = draw_rows(world(rows=3_000, oracle=0.5))

    after = planted(rows, accuracy=accuracy, seed=4)

    changed = np.flatnonzero(np.any(after.X != rows.X, axis=0))
    assert len(changed) == 1
    right = np.mean(np.sign(after.X[:, changed[0]]) == np.sign(rows.forward_returns))
    assert right == pytest.approx(accuracy, abs=0.03)
    np.testing.assert_array_equal(after.forward_returns, rows.forward_returns)
