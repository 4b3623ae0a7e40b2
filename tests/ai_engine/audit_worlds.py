"""Candles, and rows that a trader would have made of them, for the tests of the self-audit."""

import numpy as np

from ai_engine.audit_ground import ground_of
from ai_engine.candles import Candles
from ai_engine.dataset import Dataset, Rows, build
from ai_engine.features.catalogue import FEATURE_NAMES, WINDOW
from ai_engine.pipeline import TrainingContext
from ai_engine.placebo import Ground
from ai_engine.self_audit import Task

CANDLE = 300_000


def candles(seed: int, count: int, momentum: float = 0.0) -> Candles:
    """A walk whose moves remember ``momentum`` of the move before."""
    rng = np.random.default_rng(seed)
    moved = 0.003 * rng.normal(size=count)
    for number in range(1, count):
        moved[number] += momentum * moved[number - 1]
    close = 100 * np.exp(np.cumsum(moved))
    opened = np.concatenate(([100.0], close[:-1])) * np.exp(0.0003 * rng.normal(size=count))
    return Candles(
        open_time=np.arange(count, dtype=np.int64) * CANDLE,
        open=opened,
        high=np.maximum(opened, close) * 1.001,
        low=np.minimum(opened, close) * 0.999,
        close=close,
        volume=0.1 + rng.random(count),
        timeframe_ms=CANDLE,
    )


def context(horizon: int) -> TrainingContext:
    """The terms of a strategy with this horizon, without costs."""
    return TrainingContext(
        strategy="bot", timeframe_ms=CANDLE, horizon_candles=horizon, cost=0.0, seed=1, looks=1, include_synthetic=False
    )


def decided(
    rounds: int, stride: int, horizon: int, symbols: int = 2, momentum: float = 0.0
) -> tuple[Dataset, dict[str, Candles]]:
    """A decision of every symbol each ``stride`` candles; worlds make features and outcomes anew."""
    length = WINDOW + rounds * stride + horizon + 2
    series = {f"S{number}": candles(number, length, momentum) for number in range(symbols)}
    times = np.repeat((WINDOW + np.arange(rounds, dtype=np.int64) * stride) * CANDLE, symbols)
    count = len(times)
    rows = Rows(
        decision_ids=tuple(f"d{number:06d}" for number in range(count)),
        symbols=tuple(series) * rounds,
        times=times,
        ends=times + horizon * CANDLE,
        X=np.zeros((count, len(FEATURE_NAMES)), dtype=np.float32),
        feature_names=FEATURE_NAMES,
        forward_returns=0.01 * np.random.default_rng(1).normal(size=count),
        market_returns=np.full(count, np.nan),
        label_sources=("counterfactual",) * count,
    )
    return build(rows), series


def ground(rounds: int, stride: int, horizon: int, symbols: int = 2, momentum: float = 0.0) -> Ground:
    """What worlds are made of, all rows used."""
    dataset, series = decided(rounds, stride, horizon, symbols, momentum)
    return ground_of(dataset, series, horizon_ms=horizon * CANDLE, most=len(dataset))


def task(made: Ground, *, placebos: int = 100, planted: int = 40, horizon: int = 6) -> Task:
    """An audit of these worlds, by default as many as the service asks for."""
    return Task(made, context(horizon), len(made.rows), placebos, planted, seed=7)
