"""The worlds of the self-audit: nothing to find in one, a known signal in the other, all else as it was."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from ai_engine.candles import Candles
from ai_engine.dataset import Rows, build
from ai_engine.features.catalogue import FEATURE_NAMES
from ai_engine.features.compute import compute
from ai_engine.placebo import Ground, flipped, placebo, planted, recomputed, tossed, turned
from ai_engine.split import chronological
from tests.ai_engine.audit_worlds import CANDLE, candles, ground

Draw = Callable[..., Rows]


def moves(one: Candles) -> np.ndarray:
    return np.diff(np.log(one.close))


def flip(before: dict[str, Candles], block: int = 1, seed: int = 3) -> dict[str, Candles]:
    return flipped(before, block_ms=block * CANDLE, rng=np.random.default_rng(seed))


def test_every_move_is_kept_or_mirrored_the_same_for_every_symbol() -> None:
    before = {"A": candles(1, 400), "B": candles(2, 400)}

    after = flip(before)

    signs = {symbol: np.round(moves(after[symbol]) / moves(before[symbol]), 6) for symbol in before}
    assert set(signs["A"]) == {-1.0, 1.0}
    np.testing.assert_array_equal(signs["A"], signs["B"])
    assert abs(signs["A"].mean()) < 0.2


def test_moves_of_one_block_of_time_share_their_coin() -> None:
    before = {"A": candles(1, 400)}

    after = flip(before, block=20)["A"]

    signs = np.round(moves(after) / moves(before["A"]), 6)
    for first in range(20, 400, 20):
        assert len(set(signs[first - 1 : first + 19])) == 1


def test_symbols_stay_tied_as_they_were() -> None:
    one = candles(1, 600)
    half = {name: getattr(one, name) ** 0.5 for name in ("open", "high", "low", "close")}
    before = {"A": one, "B": replace(one, **half)}

    after = flip(before)

    np.testing.assert_allclose(moves(after["B"]), 0.5 * moves(after["A"]), atol=1e-12)


def test_a_mirrored_candle_is_a_candle_with_the_same_reach_and_volume() -> None:
    before = {"A": candles(1, 400)}

    after = flip(before)["A"]

    assert np.all(after.high >= np.maximum(after.open, after.close))
    assert np.all(after.low <= np.minimum(after.open, after.close))
    np.testing.assert_allclose(np.abs(moves(after)), np.abs(moves(before["A"])), atol=1e-12)
    np.testing.assert_allclose(np.log(after.high / after.low), np.log(before["A"].high / before["A"].low), atol=1e-12)
    np.testing.assert_array_equal(after.volume, before["A"].volume)
    np.testing.assert_array_equal(after.open_time, before["A"].open_time)


def test_momentum_survives_long_blocks_and_not_single_candles() -> None:
    before = {"A": candles(1, 20_000, momentum=0.5)}

    def memory(block: int) -> float:
        after = moves(flip(before, block=block)["A"])
        return float(np.corrcoef(after[1:], after[:-1])[0, 1])

    assert memory(1) == pytest.approx(0.0, abs=0.03)
    assert memory(13) > 0.4


def test_candles_left_alone_give_the_features_and_outcomes_of_the_live_path() -> None:
    made = ground(rounds=12, stride=5, horizon=6)

    rows = recomputed(made, made.candles)

    for number in (0, 7, len(rows) - 1):
        series = made.candles[rows.symbols[number]]
        known = series.upto(int(rows.times[number]))
        at = int(np.flatnonzero(series.close_time == rows.times[number] + 6 * CANDLE)[0])
        np.testing.assert_array_equal(rows.X[number], compute(known))
        assert rows.forward_returns[number] == pytest.approx(series.close[at] / series.open[len(known)] - 1)


def test_no_feature_of_a_mirrored_world_forecasts_its_direction() -> None:
    made = ground(rounds=200, stride=4, horizon=2, momentum=0.7)

    def strongest(rows: Rows) -> float:
        direction = np.sign(rows.forward_returns)
        moving = rows.X[:, np.ptp(rows.X, axis=0) > 0]
        return float(np.abs([np.corrcoef(column, direction)[0, 1] for column in moving.T]).max())

    real = strongest(recomputed(made, made.candles))
    mirrored = [strongest(placebo(made, number=number, seed=1)) for number in range(4)]

    assert real > 0.4
    assert max(mirrored) < 0.3


def test_each_number_is_another_world_and_the_same_one_every_time() -> None:
    made = ground(rounds=5, stride=5, horizon=6)

    first, again, other = (placebo(made, number=number, seed=9) for number in (0, 0, 1))

    np.testing.assert_array_equal(first.X, again.X)
    np.testing.assert_array_equal(first.forward_returns, again.forward_returns)
    assert np.any(first.forward_returns != other.forward_returns)
    assert first.feature_names == FEATURE_NAMES


def test_turned_rows_keep_their_outcomes_and_lose_the_signal(draw_rows: Draw, world: Draw) -> None:
    rows = draw_rows(world(rows=300, symbols=3, oracle=0.9))

    after = turned(rows, share=0.4)

    signal = np.mean(np.sign(rows.X[:, 0]) == np.sign(rows.forward_returns))
    left = np.mean(np.sign(after.X[:, 0]) == np.sign(after.forward_returns))
    assert signal > 0.85
    assert left == pytest.approx(0.5, abs=0.1)
    np.testing.assert_array_equal(after.forward_returns, rows.forward_returns)


def test_rows_of_a_round_take_their_features_from_one_other_round(draw_rows: Draw, world: Draw) -> None:
    rows = draw_rows(world(rows=300, symbols=3))
    marked = replace(rows, X=np.repeat(rows.times[:, None] % 9_999_991, 20, axis=1).astype(np.float32))

    after = turned(marked, share=0.3)

    np.testing.assert_array_equal(after.X[0::3], after.X[1::3])
    np.testing.assert_array_equal(after.X[0::3], after.X[2::3])
    assert np.all(after.X[:, 0] != marked.X[:, 0])


@pytest.mark.parametrize("share", [0.25, 0.41, 0.75])
def test_turned_rows_are_purged_as_the_real_ones_are(draw_rows: Draw, world: Draw, share: float) -> None:
    rows = draw_rows(world(rows=300, symbols=3, horizon=12))
    lengths = np.where(np.arange(300) % 2, 1.0, 0.25)
    rows = replace(rows, ends=(rows.times + lengths * (rows.ends - rows.times)).astype(np.int64))

    after = turned(rows, share=share)
    before, purged = build(rows), build(after)

    np.testing.assert_array_equal(after.times, rows.times)
    np.testing.assert_array_equal(after.ends, rows.ends)
    np.testing.assert_array_equal(purged.weights, before.weights)
    one, other = (chronological(part.times, part.ends, timeframe_ms=CANDLE) for part in (before, purged))
    np.testing.assert_array_equal(one.purged, other.purged)
    assert len(one.purged) > 0


def test_outcomes_of_a_rising_market_are_tossed_by_the_window_for_all_symbols(draw_rows: Draw, world: Draw) -> None:
    rows = draw_rows(world(rows=3_000, symbols=3, horizon=5, drift=0.02))

    after = tossed(rows, rng=np.random.default_rng(1))

    coins = after.forward_returns / rows.forward_returns
    windows = (rows.times - rows.times[0]) // (5 * CANDLE)
    assert set(coins) == {-1.0, 1.0}
    assert all(len(set(coins[windows == window])) == 1 for window in range(200))
    assert np.mean(rows.forward_returns > 0) > 0.95
    assert np.mean(after.forward_returns > 0) == pytest.approx(0.5, abs=0.1)
    np.testing.assert_array_equal(after.market_returns, coins * rows.market_returns)
    np.testing.assert_array_equal(after.X, rows.X)


def test_each_posted_world_has_coins_of_its_own(draw_rows: Draw, world: Draw) -> None:
    rows = draw_rows(world(rows=400, features=1, drift=0.05))
    posted = Ground(rows, {}, np.full(400, -1), np.full(400, -1))

    signs = [np.sign(placebo(posted, number=number, seed=5).forward_returns) for number in range(6)]

    assert np.all(rows.forward_returns > 0)
    assert [float(np.mean(one > 0)) for one in signs] == [pytest.approx(0.5, abs=0.1)] * 6
    assert max(abs(np.corrcoef(signs)[np.triu_indices(6, 1)])) < 0.2


@pytest.mark.parametrize("begins", [768, 777, 781])
def test_what_was_known_before_a_block_begins_shares_no_coin_with_it(draw_rows: Draw, world: Draw, begins: int) -> None:
    """The exact reason why chance is 0.5: and without a purge the last rows would share one."""
    rows = draw_rows(world(rows=1_000, horizon=24))
    coins = placebo_coins(rows)
    known = rows.ends <= rows.times[begins]

    assert known.sum() == begins - 23
    assert not set(coins[known]) & set(coins[begins:])
    assert (set(coins[:begins]) & set(coins[begins:])) == ({coins[begins]} if begins % 24 else set())


def placebo_coins(rows: Rows) -> np.ndarray:
    """The number of the stretch that each row's coin is drawn for, read off a toss of numbered outcomes."""
    found = np.zeros(len(rows))
    for seed in range(16):
        tosses = tossed(replace(rows, forward_returns=np.ones(len(rows))), rng=np.random.default_rng(seed))
        found = 2 * found + (tosses.forward_returns > 0)
    return found


def test_outcomes_are_never_turned_by_less_than_a_quarter(draw_rows: Draw, world: Draw) -> None:
    rows = draw_rows(world(rows=200, features=1))
    rows = replace(rows, X=np.arange(200, dtype=np.float32)[:, None])
    posted = Ground(rows, {}, np.full(200, -1), np.full(200, -1))

    found = np.array([(placebo(posted, number=number, seed=5).X[0, 0]) for number in range(100)])

    assert found.min() >= 50
    assert found.max() <= 150
    assert len(set(found)) > 60


@pytest.mark.parametrize("accuracy", [0.6, 0.8])
def test_a_planted_feature_is_right_as_often_as_said_and_the_rest_is_untouched(
    draw_rows: Draw, world: Draw, accuracy: float
) -> None:
    rows = draw_rows(world(rows=3_000, oracle=0.5))

    after = planted(rows, accuracy=accuracy, rng=np.random.default_rng(4))

    changed = np.flatnonzero(np.any(after.X != rows.X, axis=0))
    assert len(changed) == 1
    right = np.mean(np.sign(after.X[:, changed[0]]) == np.sign(rows.forward_returns))
    assert right == pytest.approx(accuracy, abs=0.03)
    np.testing.assert_array_equal(after.forward_returns, rows.forward_returns)


def test_a_planted_signal_is_right_or_wrong_for_a_whole_window_of_all_symbols(draw_rows: Draw, world: Draw) -> None:
    rows = draw_rows(world(rows=300, symbols=3, horizon=5, features=1))

    after = planted(rows, accuracy=0.6, rng=np.random.default_rng(4))

    right = np.sign(after.X[:, 0]) == np.sign(rows.forward_returns)
    stretches = (rows.times - rows.times.min()) // (5 * CANDLE)
    assert all(len(set(right[stretches == one])) == 1 for one in np.unique(stretches))
    assert 0 < right.mean() < 1
