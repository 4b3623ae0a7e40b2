"""Markets for the features: a walk like a real one, and the awkward ones that exchanges also show."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ai_engine.candles import COLUMNS, Candles, clean, timeframe_ms
from ai_engine.features.catalogue import FEATURE_NAMES
from ai_engine.features.compute import compute

FIVE_MINUTES = 300_000
FRIDAY_NOON = 1_772_798_400_000
"""2026-03-06 12:00 UTC."""


def walk(count: int, *, seed: int = 0, price: float = 100.0, volume: float = 1.0, wild: float = 1.0) -> Candles:
    """A random walk with clustered volatility, gaps between candles, equal closes and candles without volume."""
    rng = np.random.default_rng(seed)
    sigma = 0.002 * wild * np.exp(np.cumsum(rng.normal(0, 0.05, count)) * 0.5)
    moves = rng.standard_t(4, count) * sigma * (rng.random(count) > 0.05)
    close = price * np.exp(np.cumsum(moves))
    open_ = np.roll(close, 1) * np.exp(rng.normal(0, 0.0005, count) * (rng.random(count) > 0.5))
    open_[0] = price
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0, 1, count)) * sigma)
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0, 1, count)) * sigma)
    traded = volume * rng.lognormal(0, 1, count) * (rng.random(count) > 0.05)
    steps = np.where(rng.random(count) < 0.06, rng.integers(2, 9, count), 1)
    open_time = FRIDAY_NOON + (np.cumsum(steps) - steps[0]) * FIVE_MINUTES
    return Candles(open_time, open_, high, low, close, traded, FIVE_MINUTES)


def changed(candles: Candles, **columns: np.ndarray) -> Candles:
    """The same candles with other columns; high and low are widened to hold open and close."""
    held = {name: getattr(candles, name).copy() for name in COLUMNS} | columns
    body = np.stack([held["open"], held["close"]])
    held["high"] = np.maximum(held["high"], body.max(axis=0))
    held["low"] = np.minimum(held["low"], body.min(axis=0))
    return Candles(**held, timeframe_ms=candles.timeframe_ms)


def still(count: int, volume: float = 0.0, price: float = 3.7) -> Candles:
    """Nothing moves."""
    prices = np.full(count, price)
    times = FRIDAY_NOON + np.arange(count) * FIVE_MINUTES
    return Candles(times, prices, prices, prices, prices, np.full(count, volume), FIVE_MINUTES)


def scaled(candles: Candles, factors: np.ndarray) -> Candles:
    """Every price times its candle's factor."""
    prices = {name: getattr(candles, name) * factors for name in ("open", "high", "low", "close")}
    return Candles(candles.open_time, volume=candles.volume, timeframe_ms=candles.timeframe_ms, **prices)


def awkward(name: str, count: int = 620) -> Candles:
    """One of the awkward markets by name."""
    base = walk(count, seed=11)
    late = np.arange(count) >= count - 300
    ramp = np.exp(np.linspace(0.0, 2.0, count))
    spike = np.where(np.arange(count) == count - 250, 1e9, 1.0)
    return {
        "still": lambda: still(count),
        "still_but_traded": lambda: still(count, volume=5.0),
        "moves_then_stands_still": lambda: base.rows(slice(0, 20)).append(
            changed(still(count - 20), open_time=base.open_time[19] + (1 + np.arange(count - 20)) * FIVE_MINUTES)
        ),
        "stands_still_then_moves": lambda: scaled(still(count, 2.0), np.where(late, base.close, base.close[0])),
        "never_traded": lambda: changed(base, volume=np.zeros(count)),
        "traded_once": lambda: changed(base, volume=np.where(np.arange(count) == count - 9, 1e12, 0.0)),
        "rises_only": lambda: scaled(still(count, 1.0), ramp),
        "falls_only": lambda: scaled(still(count, 1.0), 1 / ramp),
        "two_prices": lambda: scaled(still(count, 1.0), np.where(np.arange(count) % 2 == 0, 1.0, 1.01)),
        "one_jump_up": lambda: scaled(base, np.where(late, 1e7, 1.0)),
        "one_jump_down": lambda: scaled(base, np.where(late, 1e-7, 1.0)),
        "one_spike": lambda: scaled(base, spike),
        "tiny_prices": lambda: scaled(base, np.full(count, 1e-300)),
        "vast_prices": lambda: scaled(base, np.full(count, 1e300)),
        "vast_jump": lambda: scaled(base, np.where(late, 1e300, 1e-300)),
        "tiny_moves": lambda: walk(count, seed=5, wild=1e-6),
        "wild_moves": lambda: walk(count, seed=6, wild=100.0),
        "vast_volumes": lambda: changed(base, volume=np.where(base.volume > 0, 1e308, 0.0)),
        "tiny_volumes": lambda: changed(base, volume=base.volume * 1e-320),
        "long_gaps": lambda: changed(base, open_time=FRIDAY_NOON + np.arange(count) ** 2 * FIVE_MINUTES),
    }[name]()


AWKWARD = (
    "still",
    "still_but_traded",
    "moves_then_stands_still",
    "stands_still_then_moves",
    "never_traded",
    "traded_once",
    "rises_only",
    "falls_only",
    "two_prices",
    "one_jump_up",
    "one_jump_down",
    "one_spike",
    "tiny_prices",
    "vast_prices",
    "vast_jump",
    "tiny_moves",
    "wild_moves",
    "vast_volumes",
    "tiny_volumes",
    "long_gaps",
)


@pytest.fixture(scope="session")
def make_walk() -> Callable[..., Candles]:
    return walk


@pytest.fixture(scope="session")
def make_still() -> Callable[..., Candles]:
    return still


@pytest.fixture(scope="session")
def change() -> Callable[..., Candles]:
    return changed


@pytest.fixture(params=AWKWARD, scope="session")
def awkward_candles(request: pytest.FixtureRequest) -> Candles:
    """Each awkward market in turn."""
    return awkward(request.param)


@pytest.fixture
def real_candles(market_data: Path) -> Callable[[str], Candles]:
    """Read a real file by its path under the market data folder."""

    def read(name: str) -> Candles:
        path = market_data / name
        with gzip.open(path, "rt") as lines:
            table = np.loadtxt(lines, delimiter=",", usecols=range(6), max_rows=3_000)
        columns = {column: table[:, position] for position, column in enumerate(COLUMNS)}
        return clean(columns, timeframe_ms(path.name.split("-")[1].split(".")[0]))[0]

    return read


@pytest.fixture(scope="session")
def computed() -> list[tuple[Candles, dict[str, float]]]:
    """Five windows of different markets with their feature rows by name."""
    windows = [
        walk(500, seed=21, price=43_000.0, volume=3.0),
        walk(560, seed=22, price=2e-5, volume=1e8).tail(500),
        walk(500, seed=23, wild=8.0),
        awkward("two_prices").tail(500),
        scaled(walk(500, seed=24), np.where(np.arange(500) < 440, 1.0, 0.4)),
    ]
    return [(window, dict(zip(FEATURE_NAMES, compute(window).tolist(), strict=True))) for window in windows]


@pytest.fixture(scope="session")
def agrees(computed: list[tuple[Candles, dict[str, float]]]) -> Callable[[str, Callable[[Candles], float]], None]:
    """Compare one feature with an oracle that is written another way, on raw prices and volumes."""

    def check(name: str, oracle: Callable[[Candles], float]) -> None:
        for window, row in computed:
            assert row[name] == pytest.approx(oracle(window), rel=2e-5, abs=2e-6)

    return check
