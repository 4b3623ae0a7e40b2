"""Momentum features against their definitions in plain Python on raw prices."""

import math
import statistics
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest

from ai_engine.candles import Candles
from ai_engine.features import momentum
from ai_engine.features.catalogue import FEATURE_NAMES
from ai_engine.features.compute import compute

Oracle = Callable[[Candles], float]


def over(above: float, below: float, neutral: float = 0.0) -> float:
    return above / below if below > 0 else neutral


def logs(candles: Candles, count: int) -> list[float]:
    """The last ``count`` log returns."""
    return [math.log(after / before) for before, after in pairwise(candles.close[-count - 1 :].tolist())]


def wilder(values: Sequence[float], period: int) -> list[float]:
    """Wilder's mean, begun with the plain mean of the first ``period`` values."""
    means = [math.fsum(values[:period]) / period]
    for value in values[period:]:
        means.append((means[-1] * (period - 1) + value) / period)
    return means


def rsi_series(candles: Candles, period: int) -> list[float]:
    """Wilder's RSI between 0 and 100, 50 where nothing moved."""
    changes = [after - before for before, after in pairwise(candles.close.tolist())]
    gains = wilder([max(change, 0.0) for change in changes], period)
    losses = wilder([max(-change, 0.0) for change in changes], period)
    return [100 * over(gain, gain + loss, 0.5) for gain, loss in zip(gains, losses, strict=True)]


def place(value: float, low: float, high: float) -> float:
    """-1 at the low, 1 at the high, 0 where there is no range."""
    return 2 * over(value - low, high - low, 0.5) - 1


def atr_14(candles: Candles) -> float:
    ranges = [
        max(candles.high[now], candles.close[now - 1]) - min(candles.low[now], candles.close[now - 1])
        for now in range(1, len(candles))
    ]
    return wilder(ranges, 14)[-1]


def log_return(lag: int) -> Oracle:
    return lambda candles: math.log(candles.close[-1]) - math.log(candles.close[-1 - lag])


def simple_return(lag: int) -> Oracle:
    return lambda candles: (candles.close[-1] - candles.close[-1 - lag]) / candles.close[-1 - lag]


def return_sigmas(lag: int) -> Oracle:
    return lambda candles: over(log_return(lag)(candles), statistics.pstdev(logs(candles, 100)) * math.sqrt(lag))


def acceleration(lag: int) -> Oracle:
    def oracle(candles: Candles) -> float:
        newest, middle, oldest = (candles.close[-1 - steps * lag] for steps in range(3))
        return math.log(newest / middle) - math.log(middle / oldest)

    return oracle


def rsi(period: int) -> Oracle:
    return lambda candles: rsi_series(candles, period)[-1] / 50 - 1


def stochastic_rsi_14(candles: Candles) -> float:
    recent = rsi_series(candles, 14)[-14:]
    return place(recent[-1], min(recent), max(recent))


def cci(period: int) -> Oracle:
    def oracle(candles: Candles) -> float:
        rows = zip(candles.high[-period:], candles.low[-period:], candles.close[-period:], strict=True)
        typical = [(high + low + close) / 3 for high, low, close in rows]
        middle = statistics.fmean(typical)
        return over((typical[-1] - middle) / 0.015, statistics.fmean(abs(price - middle) for price in typical)) / 100

    return oracle


def range_position(period: int) -> Oracle:
    return lambda candles: place(candles.close[-1], min(candles.low[-period:]), max(candles.high[-period:]))


def slow_stochastic_14(candles: Candles) -> float:
    return statistics.fmean(range_position(14)(candles.rows(slice(0, 500 - ago))) for ago in range(3))


def to_high(period: int) -> Oracle:
    return lambda candles: math.log(candles.close[-1] / max(candles.high[-period:]))


def to_low(period: int) -> Oracle:
    return lambda candles: math.log(candles.close[-1] / min(candles.low[-period:]))


def up_share(period: int) -> Oracle:
    def oracle(candles: Candles) -> float:
        steps = list(pairwise(candles.close[-period - 1 :]))
        return (sum(a < b for a, b in steps) - sum(a > b for a, b in steps)) / period

    return oracle


def streak(candles: Candles) -> float:
    length, direction = 0, 0
    for before, after in reversed(list(pairwise(candles.close[-21:].tolist()))):
        step = (after > before) - (after < before)
        if length and step != direction:
            break
        direction, length = step, length + 1
    return direction * length / 20


def autocorrelation_100(candles: Candles) -> float:
    returns = logs(candles, 101)
    return statistics.correlation(returns[1:], returns[:-1])


def ultimate(candles: Candles) -> float:
    """Williams' oscillator between 0 and 100, moved to -1 to 1."""

    def share(period: int) -> float:
        pressure = ranges = 0.0
        for now in range(500 - period, 500):
            floor = min(candles.low[now], candles.close[now - 1])
            pressure += candles.close[now] - floor
            ranges += max(candles.high[now], candles.close[now - 1]) - floor
        return over(pressure, ranges, 0.5)

    return 100 * (4 * share(7) + 2 * share(14) + share(28)) / 7 / 50 - 1


def shape(candles: Candles, ago: int = 0) -> tuple[float, float, float, float]:
    """Open, high, low and close of one candle."""
    at = -1 - ago
    return candles.open[at], candles.high[at], candles.low[at], candles.close[at]


def body(candles: Candles, ago: int = 0) -> float:
    open_, high, low, close = shape(candles, ago)
    return over(close - open_, high - low)


def body_mean_14(candles: Candles) -> float:
    return statistics.fmean(body(candles, ago) for ago in range(14))


def body_atr(candles: Candles) -> float:
    return over(candles.close[-1] - candles.open[-1], atr_14(candles))


def upper_wick(candles: Candles) -> float:
    open_, high, low, close = shape(candles)
    return over(high - max(open_, close), high - low)


def lower_wick(candles: Candles) -> float:
    open_, high, low, close = shape(candles)
    return over(min(open_, close) - low, high - low)


def close_location(candles: Candles) -> float:
    _, high, low, close = shape(candles)
    return over((close - low) - (high - close), high - low)


def open_gap(candles: Candles) -> float:
    return math.log(candles.open[-1] / candles.close[-2])


ORACLES: dict[str, Oracle] = {
    **{f"log_return_{lag}": log_return(lag) for lag in (1, 3, 6, 12, 24, 48, 96, 288)},
    **{f"return_{lag}": simple_return(lag) for lag in (1, 6, 24)},
    **{f"return_sigmas_{lag}": return_sigmas(lag) for lag in (1, 12, 48)},
    **{f"acceleration_{lag}": acceleration(lag) for lag in (6, 24)},
    **{f"rsi_{period}": rsi(period) for period in (7, 14, 28)},
    **{f"cci_{period}": cci(period) for period in (20, 50)},
    **{f"range_position_{period}": range_position(period) for period in (14, 50, 200, 500)},
    **{f"to_high_{period}": to_high(period) for period in (50, 200)},
    **{f"to_low_{period}": to_low(period) for period in (50, 200)},
    **{f"up_share_{period}": up_share(period) for period in (20, 50)},
    "stochastic_rsi_14": stochastic_rsi_14,
    "slow_stochastic_14": slow_stochastic_14,
    "streak": streak,
    "autocorrelation_100": autocorrelation_100,
    "ultimate": ultimate,
    "body": body,
    "body_mean_14": body_mean_14,
    "body_atr": body_atr,
    "upper_wick": upper_wick,
    "lower_wick": lower_wick,
    "close_location": close_location,
    "open_gap": open_gap,
}


@pytest.mark.parametrize("name", [feature.name for feature in momentum.FEATURES])
def test_a_momentum_feature_is_its_formula(name: str, agrees: Callable[[str, Oracle], None]) -> None:
    agrees(name, ORACLES[name])


def test_a_candle_is_read_as_it_is_drawn(make_still, change) -> None:
    flat = make_still(500, price=100.0)
    last = {"open": 101.0, "high": 104.0, "low": 99.0, "close": 103.0}
    columns = {name: getattr(flat, name).copy() for name in last}
    for name, price in last.items():
        columns[name][-1] = price

    row = dict(zip(FEATURE_NAMES, compute(change(flat, **columns)).tolist(), strict=True))

    assert row["body"] == pytest.approx(2 / 5)
    assert row["upper_wick"] == pytest.approx(1 / 5)
    assert row["lower_wick"] == pytest.approx(2 / 5)
    assert row["close_location"] == pytest.approx(3 / 5)
    assert row["open_gap"] == pytest.approx(math.log(1.01))
    assert row["log_return_1"] == pytest.approx(math.log(1.03))
    assert row["rsi_14"] == pytest.approx(1.0)
    assert row["streak"] == pytest.approx(1 / 20)


def test_strength_is_full_where_every_candle_rises(make_still, change) -> None:
    rising = [100.0 * 1.001**place for place in range(500)]
    candles = make_still(500)
    candles = Candles(candles.open_time, rising, rising, rising, rising, candles.volume, candles.timeframe_ms)

    row = dict(zip(FEATURE_NAMES, compute(candles).tolist(), strict=True))

    for name in ("rsi_7", "rsi_28", "streak", "up_share_50", "range_position_200"):
        assert row[name] == pytest.approx(1.0, abs=1e-6)
