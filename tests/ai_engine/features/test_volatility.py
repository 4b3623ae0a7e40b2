"""Volatility features against their definitions in plain Python on raw prices."""

import math
import statistics
from collections.abc import Callable
from itertools import pairwise

import pytest

from ai_engine.candles import Candles
from ai_engine.features import volatility
from ai_engine.features.catalogue import FEATURE_NAMES
from ai_engine.features.compute import compute

Oracle = Callable[[Candles], float]


def logs(candles: Candles, count: int) -> list[float]:
    """The last ``count`` log returns."""
    return [math.log(after / before) for before, after in pairwise(candles.close[-count - 1 :].tolist())]


def sigma(candles: Candles, count: int) -> float:
    return statistics.pstdev(logs(candles, count))


def log_of(above: float, below: float) -> float:
    return math.log(above / below) if min(above, below) > 1e-12 else 0.0


def rows(candles: Candles, count: int) -> list[tuple[float, float, float, float]]:
    columns = (candles.open, candles.high, candles.low, candles.close)
    return list(zip(*(column[-count:].tolist() for column in columns), strict=True))


def atr(candles: Candles, period: int) -> float:
    """Wilder's mean of the true range over the last close."""
    ranges = []
    for (_, _, _, before), (_, high, low, _) in pairwise(rows(candles, 500)):
        ranges.append(max(high - low, abs(high - before), abs(low - before)))
    mean = math.fsum(ranges[:period]) / period
    for value in ranges[period:]:
        mean += (value - mean) / period
    return mean / candles.close[-1]


def realized_vol(period: int) -> Oracle:
    return lambda candles: sigma(candles, period)


def vol_ratio(short: int, long: int) -> Oracle:
    return lambda candles: log_of(sigma(candles, short), sigma(candles, long))


def parkinson(period: int) -> Oracle:
    return lambda candles: math.sqrt(
        math.fsum(math.log(high / low) ** 2 for _, high, low, _ in rows(candles, period)) / (period * 4 * math.log(2))
    )


def garman_klass(period: int) -> Oracle:
    def oracle(candles: Candles) -> float:
        terms = [
            math.log(high / low) ** 2 / 2 - (2 * math.log(2) - 1) * math.log(close / open_) ** 2
            for open_, high, low, close in rows(candles, period)
        ]
        return math.sqrt(max(statistics.fmean(terms), 0.0))

    return oracle


def rogers_satchell_20(candles: Candles) -> float:
    terms = [
        math.log(high / open_) * math.log(high / close) + math.log(low / open_) * math.log(low / close)
        for open_, high, low, close in rows(candles, 20)
    ]
    return math.sqrt(max(statistics.fmean(terms), 0.0))


def range_to_close_vol_20(candles: Candles) -> float:
    return log_of(parkinson(20)(candles), sigma(candles, 20))


def natr(period: int) -> Oracle:
    return lambda candles: atr(candles, period)


def atr_ratio_7_28(candles: Candles) -> float:
    return log_of(atr(candles, 7), atr(candles, 28))


def range_atr(candles: Candles) -> float:
    high, low = max(candles.high[-1], candles.close[-2]), min(candles.low[-1], candles.close[-2])
    return (high - low) / candles.close[-1] / atr(candles, 14)


def last_range(candles: Candles) -> float:
    return math.log(candles.high[-1]) - math.log(candles.low[-1])


def zscore(period: int) -> Oracle:
    def oracle(candles: Candles) -> float:
        closes = candles.close[-period:].tolist()
        return (closes[-1] - statistics.fmean(closes)) / statistics.pstdev(closes)

    return oracle


def band_width_20(candles: Candles) -> float:
    closes = candles.close[-20:].tolist()
    middle, spread = statistics.fmean(closes), 2 * statistics.pstdev(closes)
    return ((middle + spread) - (middle - spread)) / middle


def squeeze_20(candles: Candles) -> float:
    closes = [close / candles.close[-1] for close in candles.close[-20:]]
    return log_of(statistics.pstdev(closes), atr(candles, 14))


def block_sigmas(candles: Candles) -> list[float]:
    """Deviations of 24 blocks of 20 log returns, the newest first."""
    returns = logs(candles, 480)[::-1]
    return [statistics.pstdev(returns[start : start + 20]) for start in range(0, 480, 20)]


def vol_rank(candles: Candles) -> float:
    now, *before = block_sigmas(candles)
    points = [0.5 if math.isclose(then, now, rel_tol=1e-9, abs_tol=1e-12) else float(then < now) for then in before]
    return statistics.fmean(points)


def vol_of_vol(candles: Candles) -> float:
    sigmas = block_sigmas(candles)
    return statistics.pstdev(sigmas) / statistics.fmean(sigmas)


def moment(power: int) -> Oracle:
    def oracle(candles: Candles) -> float:
        returns = logs(candles, 100)
        middle, spread = statistics.fmean(returns), statistics.pstdev(returns)
        return statistics.fmean(((value - middle) / spread) ** power for value in returns)

    return oracle


def downside_share_50(candles: Candles) -> float:
    returns = logs(candles, 50)
    return math.fsum(value**2 for value in returns if value < 0) / math.fsum(value**2 for value in returns)


def drawdown_200(candles: Candles) -> float:
    deepest, peak = 0.0, 0.0
    for close in candles.close[-200:].tolist():
        peak = max(peak, close)
        deepest = min(deepest, math.log(close / peak))
    return deepest


def largest_share_50(candles: Candles) -> float:
    sizes = [abs(value) for value in logs(candles, 50)]
    return max(sizes) / math.fsum(sizes)


ORACLES: dict[str, Oracle] = {
    **{f"realized_vol_{period}": realized_vol(period) for period in (10, 20, 50, 200)},
    **{
        f"vol_ratio_{short}_{long}": vol_ratio(short, long) for short, long in ((5, 20), (10, 50), (20, 100), (50, 400))
    },
    **{f"parkinson_{period}": parkinson(period) for period in (20, 50)},
    **{f"garman_klass_{period}": garman_klass(period) for period in (20, 50)},
    **{f"natr_{period}": natr(period) for period in (14, 28)},
    **{f"zscore_{period}": zscore(period) for period in (20, 50, 100)},
    "skew_100": moment(3),
    "kurtosis_100": moment(4),
    "rogers_satchell_20": rogers_satchell_20,
    "range_to_close_vol_20": range_to_close_vol_20,
    "atr_ratio_7_28": atr_ratio_7_28,
    "range_atr": range_atr,
    "last_range": last_range,
    "band_width_20": band_width_20,
    "squeeze_20": squeeze_20,
    "vol_rank": vol_rank,
    "vol_of_vol": vol_of_vol,
    "downside_share_50": downside_share_50,
    "drawdown_200": drawdown_200,
    "largest_share_50": largest_share_50,
}


@pytest.mark.parametrize("name", [feature.name for feature in volatility.FEATURES])
def test_a_volatility_feature_is_its_formula(name: str, agrees: Callable[[str, Oracle], None]) -> None:
    agrees(name, ORACLES[name])


def test_a_market_that_wakes_up_is_seen_by_every_regime_feature(make_walk) -> None:
    calm = make_walk(480, seed=31, wild=0.2)
    waking = make_walk(20, seed=32, wild=4.0, price=float(calm.close[-1]))
    later = Candles(
        waking.open_time - waking.open_time[0] + calm.close_time[-1],
        waking.open,
        waking.high,
        waking.low,
        waking.close,
        waking.volume,
        waking.timeframe_ms,
    )

    row = dict(zip(FEATURE_NAMES, compute(calm.append(later)).tolist(), strict=True))

    assert row["vol_rank"] == 1.0
    for name in ("vol_ratio_10_50", "vol_ratio_20_100", "vol_ratio_50_400", "atr_ratio_7_28"):
        assert row[name] > 0.3
    assert row["vol_of_vol"] > 1.0
