"""Fills are read against the trader: slippage, gaps, and the stop before the target inside one candle."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.trading.exits import (
    BUY,
    LARGEST_BARRIER,
    SELL,
    Bar,
    Barriers,
    Exit,
    OpenPosition,
    barrier_prices,
    barriers,
    direction,
    find_exit,
    opposite,
    slipped,
)

sides = st.sampled_from([BUY, SELL])
prices = st.floats(min_value=1e-6, max_value=1e6)
fractions = st.floats(min_value=1e-4, max_value=0.4)


@st.composite
def bars(draw: st.DrawFn, around: float = 100.0) -> Bar:
    """A consistent candle whose prices lie within a third of ``around``."""
    opened, closed, first, second = (
        draw(st.floats(min_value=around * 0.67, max_value=around * 1.33)) for _ in range(4)
    )
    return opened, max(opened, closed, first, second), min(opened, closed, first, second), closed, 1.0


def position(side: str = BUY, target: float = 110.0, stop: float = 95.0, due: str | None = None) -> OpenPosition:
    return OpenPosition(side=side, target_price=target, stop_price=stop, due=due)


def mirrored(bar: Bar) -> Bar:
    """The candle seen in a mirror at 100: what is good for a long becomes good for a short."""
    opened, high, low, closed, volume = bar
    return 200 - opened, 200 - low, 200 - high, 200 - closed, volume


def test_a_candle_between_stop_and_target_leaves_the_position_open() -> None:
    assert find_exit(position(), (100.0, 109.0, 96.0, 101.0, 1.0)) is None


def test_a_target_inside_the_candle_fills_at_its_price() -> None:
    assert find_exit(position(), (100.0, 112.0, 99.0, 111.0, 1.0)) == Exit(110.0, "target", at_open=False)


def test_a_stop_inside_the_candle_fills_at_its_price() -> None:
    assert find_exit(position(), (100.0, 101.0, 90.0, 92.0, 1.0)) == Exit(95.0, "stop", at_open=False)


def test_where_both_lie_in_one_candle_the_stop_came_first() -> None:
    assert find_exit(position(), (100.0, 120.0, 90.0, 115.0, 1.0)) == Exit(95.0, "stop", at_open=False)


def test_a_market_that_opens_beyond_the_stop_fills_at_the_open() -> None:
    assert find_exit(position(), (90.0, 112.0, 85.0, 100.0, 1.0)) == Exit(90.0, "stop", at_open=True)


def test_a_market_that_opens_beyond_the_target_pays_the_target_only() -> None:
    assert find_exit(position(), (115.0, 118.0, 113.0, 116.0, 1.0)) == Exit(110.0, "target", at_open=False)


def test_a_short_is_stopped_above_and_pays_below() -> None:
    short = position(SELL, target=90.0, stop=105.0)

    assert find_exit(short, (100.0, 106.0, 99.0, 100.0, 1.0)) == Exit(105.0, "stop", at_open=False)
    assert find_exit(short, (107.0, 108.0, 106.0, 107.0, 1.0)) == Exit(107.0, "stop", at_open=True)
    assert find_exit(short, (100.0, 101.0, 89.0, 95.0, 1.0)) == Exit(90.0, "target", at_open=False)
    assert find_exit(short, (100.0, 106.0, 89.0, 95.0, 1.0)) == Exit(105.0, "stop", at_open=False)


@pytest.mark.parametrize("reason", ["horizon", "signal"])
def test_a_close_that_is_due_happens_at_the_open_whatever_the_candle_does_later(reason: str) -> None:
    assert find_exit(position(due=reason), (100.0, 130.0, 70.0, 100.0, 1.0)) == Exit(100.0, reason, at_open=True)


@given(bar=bars(), target=fractions, stop=fractions, side=sides)
def test_an_exit_price_is_one_the_candle_traded_at_or_worse(bar: Bar, target: float, stop: float, side: str) -> None:
    target_price, stop_price = barrier_prices(side, 100.0, Barriers(target, stop))
    found = find_exit(position(side, target_price, stop_price), bar)

    if found is None:
        inside = min(target_price, stop_price) < bar[2] and bar[1] < max(target_price, stop_price)
        assert inside
        return
    gain = direction(side) * (found.price - 100.0)
    if found.reason == "stop":
        assert bar[2] <= found.price <= bar[1]
        assert gain <= -stop * 100 * (1 - 1e-12)
    else:
        assert gain == pytest.approx(target * 100)
        best = bar[1] if side == BUY else -bar[2]
        assert direction(side) * found.price <= best + 1e-9


@given(bar=bars(), target=fractions, stop=fractions)
def test_a_short_in_a_mirrored_market_ends_like_the_long(bar: Bar, target: float, stop: float) -> None:
    long = find_exit(position(BUY, 100 + 100 * target, 100 - 100 * stop), bar)
    short = find_exit(position(SELL, 100 - 100 * target, 100 + 100 * stop), mirrored(bar))

    assert (long is None) == (short is None)
    if long is not None and short is not None:
        assert (long.reason, long.at_open) == (short.reason, short.at_open)
        assert long.price == pytest.approx(200 - short.price)


@given(price=prices, bps=st.floats(min_value=0, max_value=500), side=sides)
def test_slippage_is_never_in_the_traders_favour(price: float, bps: float, side: str) -> None:
    paid = slipped(price, side, bps)

    assert direction(side) * (paid - price) >= 0
    assert abs(paid / price - 1) == pytest.approx(bps / 10_000, abs=1e-12)


@given(price=prices, side=sides, target=fractions, stop=fractions)
def test_target_and_stop_lie_on_their_own_side_of_the_entry(
    price: float, side: str, target: float, stop: float
) -> None:
    target_price, stop_price = barrier_prices(side, price, Barriers(target, stop))

    assert direction(side) * (target_price - price) > 0 > direction(side) * (stop_price - price)


def test_the_closing_side_is_the_other_one() -> None:
    assert (opposite(BUY), opposite(SELL)) == (SELL, BUY)
    with pytest.raises(ValueError, match="HOLD"):
        opposite("HOLD")


def test_barriers_scale_with_volatility_and_the_root_of_the_horizon() -> None:
    steps = np.where(np.arange(200) % 2 == 0, 0.01, -0.01)
    closes = 100 * np.exp(np.cumsum(steps))

    found = barriers(closes, horizon_candles=4, cost=0.0024)
    wider = barriers(closes, horizon_candles=16, cost=0.0024)

    assert found.target == pytest.approx(1.5 * 0.01 * 2)
    assert found.stop == pytest.approx(0.01 * 2)
    assert wider.target == pytest.approx(2 * found.target)


def test_a_quiet_market_keeps_the_barriers_beyond_the_costs() -> None:
    assert barriers(np.full(500, 42.0), 12, cost=0.0024) == Barriers(target=0.0048, stop=0.0024)


@given(slippage=st.floats(min_value=0, max_value=500), fee=st.floats(min_value=0, max_value=0.05), side=sides)
def test_an_entry_never_lies_beyond_its_own_stop(slippage: float, fee: float, side: str) -> None:
    found = barriers(np.full(500, 42.0), 12, cost=2 * (fee + slippage / 10_000))
    target_price, stop_price = barrier_prices(side, slipped(42.0, side, slippage), found)

    assert find_exit(position(side, target_price, stop_price), (42.0, 42.0, 42.0, 42.0, 1.0)) is None


def test_a_wild_market_keeps_the_stop_of_a_short_above_and_its_target_above_zero() -> None:
    closes = 100 * np.exp(np.cumsum(np.where(np.arange(200) % 2 == 0, 2.0, -2.0)))

    assert barriers(closes, 12, cost=0.0024) == Barriers(target=LARGEST_BARRIER, stop=LARGEST_BARRIER)


@given(scale=st.floats(min_value=1e-8, max_value=1e5))
def test_barriers_do_not_depend_on_the_price_scale(scale: float) -> None:
    closes = 100 * np.exp(np.cumsum(np.sin(np.arange(150)) / 100))

    assert barriers(closes * scale, 12, 0.0024).target == pytest.approx(barriers(closes, 12, 0.0024).target)


def test_a_price_that_is_not_positive_is_refused() -> None:
    with np.errstate(divide="ignore", invalid="ignore"), pytest.raises(ValueError, match="finite"):
        barriers(np.array([1.0, 0.0, 1.0]), 12, 0.0024)
    assert math.isfinite(barriers(np.array([1.0]), 12, 0.0024).stop)
