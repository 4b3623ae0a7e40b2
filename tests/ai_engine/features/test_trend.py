"""Trend features against textbook recursions in plain Python on raw prices."""

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import pytest

from ai_engine.candles import Candles
from ai_engine.features import trend
from ai_engine.features.catalogue import FEATURE_NAMES
from ai_engine.features.compute import compute

Oracle = Callable[[Candles], float]


def smooth(values: Iterable[float], weight: float) -> list[float]:
    """Exponential mean with this weight of each new value, begun at the first."""
    means: list[float] = []
    for value in values:
        means.append(value if not means else means[-1] + weight * (value - means[-1]))
    return means


def ema(values: Iterable[float], period: int) -> list[float]:
    return smooth(values, 2 / (period + 1))


def atr(candles: Candles, period: int) -> float:
    rows = list(zip(candles.high.tolist(), candles.low.tolist(), candles.close.tolist(), strict=True))
    ranges = [
        max(high - low, abs(high - before), abs(low - before)) for (_, _, before), (high, low, _) in pairwise(rows)
    ]
    return smooth(ranges, 1 / period)[-1]


def over(above: float, below: float) -> float:
    return above / below if below > 1e-12 else 0.0


def line(values: Sequence[float]) -> tuple[float, float]:
    """Slope of the least-squares line over 0, 1, 2, ..., and the correlation with them."""
    n = len(values)
    x_mean, y_mean = (n - 1) / 2, math.fsum(values) / n
    xy = math.fsum((x - x_mean) * (y - y_mean) for x, y in enumerate(values))
    xx = math.fsum((x - x_mean) ** 2 for x in range(n))
    yy = math.fsum((y - y_mean) ** 2 for y in values)
    return xy / xx, over(xy, math.sqrt(xx * yy))


def close_to_ema(period: int) -> Oracle:
    return lambda candles: math.log(candles.close[-1] / ema(candles.close, period)[-1])


def ema_slope(period: int) -> Oracle:
    return lambda candles: math.log(ema(candles.close, period)[-1] / ema(candles.close, period)[-6])


def ema_spread(fast: int, slow: int) -> Oracle:
    return lambda candles: math.log(ema(candles.close, fast)[-1] / ema(candles.close, slow)[-1])


def close_to_sma(period: int) -> Oracle:
    return lambda candles: math.log(candles.close[-1] * period / math.fsum(candles.close[-period:]))


def close_to_ema_20_atr(candles: Candles) -> float:
    return over(candles.close[-1] - ema(candles.close, 20)[-1], atr(candles, 14))


def close_to_dema_20(candles: Candles) -> float:
    once = ema(candles.close, 20)
    return 1 - (2 * once[-1] - ema(once, 20)[-1]) / candles.close[-1]


def close_to_tema_20(candles: Candles) -> float:
    once = ema(candles.close, 20)
    twice = ema(once, 20)
    return 1 - (3 * once[-1] - 3 * twice[-1] + ema(twice, 20)[-1]) / candles.close[-1]


def macd_line(candles: Candles) -> list[float]:
    return [fast - slow for fast, slow in zip(ema(candles.close, 12), ema(candles.close, 26), strict=True)]


def macd_atr(candles: Candles) -> float:
    return over(macd_line(candles)[-1], atr(candles, 14))


def macd_histogram_atr(candles: Candles) -> float:
    macd = macd_line(candles)
    return over(macd[-1] - ema(macd, 9)[-1], atr(candles, 14))


def directional(candles: Candles, period: int) -> list[tuple[float, float]]:
    """+DI and -DI of every candle by Wilder's book; steps that differ by less than a billionth are equal."""
    plus, minus, ranges = [], [], []
    for now in range(1, len(candles)):
        up, down = candles.high[now] - candles.high[now - 1], candles.low[now - 1] - candles.low[now]
        tie = abs(up - down) <= 1e-9 * candles.close[-1]
        plus.append(up if up > down and up > 0 and not tie else 0.0)
        minus.append(down if down > up and down > 0 and not tie else 0.0)
        before = candles.close[now - 1]
        ranges.append(max(candles.high[now], before) - min(candles.low[now], before))
    smoothed = (smooth(values, 1 / period) for values in (plus, minus, ranges))
    return [(over(p, r), over(m, r)) for p, m, r in zip(*smoothed, strict=True)]


def di_spread(period: int) -> Oracle:
    def oracle(candles: Candles) -> float:
        plus, minus = directional(candles, period)[-1]
        return plus - minus

    return oracle


def adx(period: int) -> Oracle:
    return lambda candles: smooth(
        [over(abs(plus - minus), plus + minus) for plus, minus in directional(candles, period)], 1 / period
    )[-1]


def aroon(period: int) -> Oracle:
    def oracle(candles: Candles) -> float:
        highs, lows = candles.high[-period - 1 :].tolist(), candles.low[-period - 1 :].tolist()
        newest_high = max(place for place, high in enumerate(highs) if high == max(highs))
        newest_low = max(place for place, low in enumerate(lows) if low == min(lows))
        return (newest_high - newest_low) / period

    return oracle


def linreg_slope(period: int) -> Oracle:
    return lambda candles: line(candles.close[-period:].tolist())[0] * period / candles.close[-1]


def trend_fit(period: int) -> Oracle:
    return lambda candles: line([math.log(close) for close in candles.close[-period:]])[1]


def efficiency(period: int) -> Oracle:
    def oracle(candles: Candles) -> float:
        logs = [math.log(close) for close in candles.close[-period - 1 :]]
        return over(logs[-1] - logs[0], math.fsum(abs(b - a) for a, b in pairwise(logs)))

    return oracle


def trix_15(candles: Candles) -> float:
    triple = ema(ema(ema(candles.close, 15), 15), 15)
    return triple[-1] / triple[-2] - 1


def vortex_14(candles: Candles) -> float:
    up = down = ranges = 0.0
    for now in range(len(candles) - 14, len(candles)):
        up += abs(candles.high[now] - candles.low[now - 1])
        down += abs(candles.low[now] - candles.high[now - 1])
        before = candles.close[now - 1]
        ranges += max(
            candles.high[now] - candles.low[now], abs(candles.high[now] - before), abs(candles.low[now] - before)
        )
    return over(up - down, ranges)


ORACLES: dict[str, Oracle] = {
    **{f"close_to_ema_{period}": close_to_ema(period) for period in (5, 10, 20, 50)},
    **{f"ema_slope_{period}": ema_slope(period) for period in (20, 50)},
    **{f"ema_spread_{fast}_{slow}": ema_spread(fast, slow) for fast, slow in ((5, 20), (10, 50), (20, 50))},
    **{f"close_to_sma_{period}": close_to_sma(period) for period in (50, 100, 200)},
    "close_to_ema_20_atr": close_to_ema_20_atr,
    "close_to_dema_20": close_to_dema_20,
    "close_to_tema_20": close_to_tema_20,
    "macd_atr": macd_atr,
    "macd_histogram_atr": macd_histogram_atr,
    **{f"adx_{period}": adx(period) for period in (7, 14)},
    **{f"di_spread_{period}": di_spread(period) for period in (14, 28)},
    **{f"aroon_{period}": aroon(period) for period in (14, 25)},
    **{f"linreg_slope_{period}": linreg_slope(period) for period in (20, 50)},
    **{f"trend_fit_{period}": trend_fit(period) for period in (20, 50)},
    **{f"efficiency_{period}": efficiency(period) for period in (10, 50)},
    "trix_15": trix_15,
    "vortex_14": vortex_14,
}


@pytest.mark.parametrize("name", [feature.name for feature in trend.FEATURES])
def test_a_trend_feature_is_its_formula(name: str, agrees: Callable[[str, Oracle], None]) -> None:
    agrees(name, ORACLES[name])


@pytest.mark.parametrize(("drift", "sign"), [(0.001, 1), (-0.001, -1)])
def test_trend_features_point_where_the_price_goes(drift: float, sign: int, make_walk, change) -> None:
    calm = make_walk(500, seed=9, wild=0.1)
    factors = [math.exp(drift * place) for place in range(500)]
    rising = Candles(
        calm.open_time,
        *(column * factors for column in (calm.open, calm.high, calm.low, calm.close)),
        volume=calm.volume,
        timeframe_ms=calm.timeframe_ms,
    )

    row = dict(zip(FEATURE_NAMES, compute(rising).tolist(), strict=True))

    for name in ("ema_spread_10_50", "close_to_sma_200", "macd_atr", "di_spread_28", "trend_fit_50", "linreg_slope_50"):
        assert row[name] * sign > 0
    assert row["adx_14"] > 0.3
