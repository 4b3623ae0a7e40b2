"""From candles to X: one path, finite, without scale."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ai_engine.candles import COLUMNS, Candles
from ai_engine.features.catalogue import FEATURE_NAMES, WINDOW
from ai_engine.features.compute import compute, compute_history
from ai_engine.features.windows import windows_at

FIVE_MINUTES = 300_000


def named(row: np.ndarray) -> dict[str, float]:
    return dict(zip(FEATURE_NAMES, row.tolist(), strict=True))


def rescaled(candles: Candles, price: float, volume: float) -> Candles:
    prices = {name: getattr(candles, name) * price for name in ("open", "high", "low", "close")}
    return replace(candles, volume=candles.volume * volume, **prices)


@st.composite
def any_candles(draw: st.DrawFn) -> Candles:
    """Any 510 valid candles: pieces of markets of every kind, one after the other."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    close, volume = np.empty(510), np.empty(510)
    for start in [0, *sorted(draw(st.lists(st.integers(1, 509), max_size=4)))]:
        step = draw(st.sampled_from([0.0, 1e-9, 1e-4, 0.01, 1.0]))
        level = draw(st.sampled_from([-np.inf, -20.0, 0.0, 20.0]))
        close[start:] = np.exp(draw(st.floats(-12, 12)) + np.cumsum(rng.normal(0, step, 510 - start)))
        volume[start:] = np.exp(level + rng.normal(0, draw(st.sampled_from([0.0, 1.0, 5.0])), 510 - start))
    open_ = np.where(rng.random(510) < draw(st.floats(0, 1)), np.roll(close, 1), close)
    wick = draw(st.sampled_from([0.0, 1e-5, 0.02]))
    high = np.maximum(open_, close) * (1 + wick * rng.random(510))
    low = np.minimum(open_, close) / (1 + wick * rng.random(510))
    steps = 1 + rng.poisson(draw(st.sampled_from([0.0, 0.1, 30.0])), 510)
    return Candles(np.cumsum(steps) * FIVE_MINUTES, open_, high, low, close, volume, FIVE_MINUTES)


def test_a_row_is_float32_in_the_order_of_the_names(make_walk: Callable[..., Candles]) -> None:
    candles = make_walk(WINDOW)

    row = compute(candles)

    assert (row.dtype, row.shape) == (np.float32, (len(FEATURE_NAMES),))
    assert named(row)["log_return_1"] == pytest.approx(np.log(candles.close[-1] / candles.close[-2]), rel=1e-6)
    assert named(row)["close_to_sma_50"] == pytest.approx(
        np.log(candles.close[-1] / candles.close[-50:].mean()), rel=1e-5
    )


def test_fewer_than_five_hundred_candles_are_refused(make_walk: Callable[..., Candles]) -> None:
    with pytest.raises(ValueError, match="need 500 closed candles; there are 499"):
        compute(make_walk(WINDOW - 1))


@pytest.mark.parametrize("end", [-1, WINDOW - 2, 600])
def test_a_window_that_does_not_fit_is_refused(end: int, make_walk: Callable[..., Candles]) -> None:
    with pytest.raises(ValueError, match="between 499 and 599"):
        compute_history(make_walk(600), np.array([550, end]))


def test_no_windows_make_no_rows(make_walk: Callable[..., Candles]) -> None:
    assert compute_history(make_walk(600), np.array([], dtype=np.int64)).shape == (0, len(FEATURE_NAMES))


def test_rows_come_in_the_order_of_the_ends_across_batches(make_walk: Callable[..., Candles]) -> None:
    candles = make_walk(1_100)
    ends = np.random.default_rng(0).permutation(np.arange(WINDOW - 1, 1_100))

    X = compute_history(candles, ends)

    for position in (0, 255, 256, 511, 512, len(ends) - 1):
        window = candles.rows(slice(0, int(ends[position]) + 1))
        np.testing.assert_allclose(X[position], compute(window), rtol=1e-6, atol=1e-6)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(candles=any_candles(), seed=st.integers(0, 2**32 - 1))
def test_only_the_last_five_hundred_candles_count(candles: Candles, seed: int) -> None:
    rng = np.random.default_rng(seed)
    older = np.arange(len(candles)) < len(candles) - WINDOW
    prices = {
        name: np.where(older, getattr(candles, name) * np.exp(rng.normal(0, 5)), getattr(candles, name))
        for name in ("open", "high", "low", "close")
    }

    other = replace(candles, volume=np.where(older, 1e9, candles.volume), **prices)

    np.testing.assert_array_equal(compute(candles), compute(other))
    np.testing.assert_allclose(
        compute_history(candles, np.array([len(candles) - 1]))[0],
        compute_history(other, np.arange(WINDOW + 5, len(candles)))[-1],
        rtol=1e-6,
        atol=1e-6,
    )


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(candles=any_candles())
def test_every_feature_is_finite_and_the_same_in_history(candles: Candles) -> None:
    ends = np.arange(len(candles) - 4, len(candles))

    X = compute_history(candles, ends)

    assert np.isfinite(X).all()
    one_by_one = [compute(candles.rows(slice(0, int(end) + 1))) for end in ends]
    np.testing.assert_allclose(X, one_by_one, rtol=1e-6, atol=1e-6)


def test_every_feature_is_finite_in_awkward_markets(awkward_candles: Candles) -> None:
    X = compute_history(awkward_candles, np.arange(WINDOW - 1, len(awkward_candles)))

    assert np.isfinite(X).all()
    assert np.abs(X).max() <= 1e12


@settings(max_examples=60, deadline=None)
@given(price=st.floats(-25, 25), volume=st.floats(-25, 25), seed=st.integers(0, 20))
def test_features_have_no_scale(price: float, volume: float, seed: int, make_walk: Callable[..., Candles]) -> None:
    candles = make_walk(WINDOW, seed=seed)

    other = rescaled(candles, np.exp(price), np.exp(volume))

    np.testing.assert_allclose(compute(other), compute(candles), rtol=1e-5, atol=1e-6)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(candles=any_candles(), exponent=st.integers(-30, 30), traded=st.integers(-30, 30))
def test_any_market_has_no_scale(candles: Candles, exponent: int, traded: int) -> None:
    other = rescaled(candles, 2.0**exponent, 2.0**traded)

    np.testing.assert_allclose(compute(other), compute(candles), rtol=1e-6, atol=1e-6)


def test_shib_and_bitcoin_look_alike(make_walk: Callable[..., Candles]) -> None:
    shib, bitcoin = make_walk(800, price=1e-5, volume=1e9), make_walk(800, price=1e5, volume=1e-2)
    ends = np.arange(WINDOW - 1, 800, 50)

    np.testing.assert_allclose(compute_history(shib, ends), compute_history(bitcoin, ends), rtol=1e-5, atol=1e-6)


def test_awkward_markets_have_no_scale(awkward_candles: Candles) -> None:
    candles = awkward_candles.tail(WINDOW)
    middle = np.exp((np.log(candles.close.max()) + np.log(candles.close.min())) / 2)

    other = rescaled(candles, 3.3 / middle, 4.0 if candles.volume.max() < 1 else 0.25)

    np.testing.assert_allclose(compute(other), compute(candles), rtol=1e-4, atol=1e-5)


@pytest.mark.market_data
@pytest.mark.parametrize("name", ["SHIBUSDT-5m", "PEPEUSDT-5m", "WBTCUSDT-5m", "BTCUSDT-5m", "RENDERUSDT-5m"])
def test_real_markets_of_any_price_look_alike(name: str, real_candles: Callable[[str], Candles]) -> None:
    candles = real_candles(f"binance-spot/{name}.csv.gz")
    ends = np.arange(WINDOW - 1, len(candles), 7)

    X = compute_history(candles, ends)

    assert np.isfinite(X).all()
    assert np.abs(X).max() < 100
    np.testing.assert_allclose(X, compute_history(rescaled(candles, 1e7, 1e-6), ends), rtol=1e-4, atol=1e-5)
    informative = (X.std(axis=0) > 1e-9).mean()
    assert informative > 0.95


def test_the_windows_are_seen_from_their_own_last_candle(make_walk: Callable[..., Candles]) -> None:
    candles = make_walk(700, seed=4)

    windows = windows_at(candles, np.array([WINDOW - 1, 650]))

    np.testing.assert_array_equal(windows.close[:, -1], [1.0, 1.0])
    np.testing.assert_allclose(windows.high[1] * candles.close[650], candles.high[151:651])
    np.testing.assert_allclose(windows.returns[0, 1:], np.diff(np.log(candles.close[:WINDOW])), atol=1e-12)
    np.testing.assert_allclose(windows.volume.mean(axis=1), 1.0)
    assert windows.close_time.tolist() == candles.close_time[[WINDOW - 1, 650]].tolist()
    assert windows.missing[0, 1:].tolist() == (np.diff(candles.open_time[:WINDOW]) // FIVE_MINUTES - 1).tolist()


def test_the_inputs_are_left_as_they_were(make_walk: Callable[..., Candles]) -> None:
    candles = make_walk(600)
    before = {name: getattr(candles, name).copy() for name in COLUMNS}

    compute_history(candles, np.arange(WINDOW - 1, 600))

    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(candles, name), before[name])
