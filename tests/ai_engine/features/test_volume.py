"""Volume features against their definitions in plain Python on raw prices and volumes."""

import math
import statistics
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from ai_engine.candles import Candles
from ai_engine.features import volume
from ai_engine.features.catalogue import FEATURE_NAMES
from ai_engine.features.compute import compute

Oracle = Callable[[Candles], float]


def volumes(candles: Candles, count: int) -> list[float]:
    return candles.volume[-count:].tolist()


def logs(candles: Candles, count: int) -> list[float]:
    """The last ``count`` log returns."""
    return [math.log(after / before) for before, after in pairwise(candles.close[-count - 1 :].tolist())]


def typical(candles: Candles, count: int) -> list[float]:
    columns = (candles.high, candles.low, candles.close)
    return [sum(row) / 3 for row in zip(*(column[-count:].tolist() for column in columns), strict=True)]


def against_mean(value: float, mean: float) -> float:
    return math.log2(1 + value / mean) - 1 if mean > 0 else 0.0


def relative_volume(period: int) -> Oracle:
    return lambda candles: against_mean(candles.volume[-1], statistics.fmean(volumes(candles, period)))


def volume_ratio(short: int, long: int) -> Oracle:
    return lambda candles: against_mean(
        statistics.fmean(volumes(candles, short)), statistics.fmean(volumes(candles, long))
    )


def volume_zscore(period: int) -> Oracle:
    def oracle(candles: Candles) -> float:
        recent = volumes(candles, period)
        spread = statistics.pstdev(recent)
        return (recent[-1] - statistics.fmean(recent)) / spread if spread else 0.0

    return oracle


def volume_rank_200(candles: Candles) -> float:
    *before, now = volumes(candles, 200)
    return statistics.fmean(0.5 if then == now else float(then < now) for then in before)


def volume_variation_50(candles: Candles) -> float:
    return statistics.pstdev(volumes(candles, 50)) / statistics.fmean(volumes(candles, 50))


def idle_share_50(candles: Candles) -> float:
    return volumes(candles, 50).count(0.0) / 50


def volume_trend_20(candles: Candles) -> float:
    recent = volumes(candles, 20)
    return statistics.correlation(recent, range(20)) if len(set(recent)) > 1 else 0.0


def obv_slope(period: int) -> Oracle:
    def oracle(candles: Candles) -> float:
        balance = 0.0
        for (before, after), traded in zip(
            pairwise(candles.close[-period - 1 :].tolist()), volumes(candles, period), strict=True
        ):
            balance += traded if after > before else -traded if after < before else 0.0
        return balance / math.fsum(volumes(candles, period))

    return oracle


def money_flow(period: int) -> Oracle:
    """The index between 0 and 100, moved to -1 to 1; changes below a billionth of the price are none."""

    def oracle(candles: Candles) -> float:
        up = down = 0.0
        tie = 1e-9 * candles.close[-1]
        prices = typical(candles, period + 1)
        for (before, after), traded in zip(pairwise(prices), volumes(candles, period), strict=True):
            up += after * traded if after - before > tie else 0.0
            down += after * traded if before - after > tie else 0.0
        return 100 * up / (up + down) / 50 - 1 if up + down else 0.0

    return oracle


def flow_shares(candles: Candles) -> list[float]:
    """Close location of every candle, 0 where it has no range."""
    rows = zip(candles.high.tolist(), candles.low.tolist(), candles.close.tolist(), strict=True)
    return [((close - low) - (high - close)) / (high - low) if high > low else 0.0 for high, low, close in rows]


def chaikin_flow(period: int) -> Oracle:
    def oracle(candles: Candles) -> float:
        flows = [share * traded for share, traded in zip(flow_shares(candles), candles.volume.tolist(), strict=True)]
        return math.fsum(flows[-period:]) / math.fsum(volumes(candles, period))

    return oracle


def chaikin_oscillator(candles: Candles) -> float:
    line = fast = slow = 0.0
    for share, traded in zip(flow_shares(candles), candles.volume.tolist(), strict=True):
        line += share * traded
        fast, slow = fast + (line - fast) * 2 / 4, slow + (line - slow) * 2 / 11
    return (fast - slow) / statistics.fmean(volumes(candles, 50))


def vwap_distance(period: int) -> Oracle:
    def oracle(candles: Candles) -> float:
        traded = volumes(candles, period)
        mean = math.fsum(p * v for p, v in zip(typical(candles, period), traded, strict=True)) / math.fsum(traded)
        return math.log(candles.close[-1] / mean)

    return oracle


def force_13(candles: Candles) -> float:
    force = 0.0
    for change, traded in zip(logs(candles, 499), volumes(candles, 499), strict=True):
        force += (change * traded - force) * 2 / 14
    sizes = [abs(change) for change in logs(candles, 50)]
    return force / (statistics.fmean(sizes) * statistics.fmean(volumes(candles, 50)))


def pearson(left: list[float], right: list[float]) -> float:
    flat = max(right) == min(right) or max(left) - min(left) < 1e-12
    return 0.0 if flat else statistics.correlation(left, right)


def move_volume_correlation_50(candles: Candles) -> float:
    return pearson([abs(change) for change in logs(candles, 50)], volumes(candles, 50))


def return_volume_correlation_50(candles: Candles) -> float:
    return pearson(logs(candles, 50), volumes(candles, 50))


def move_per_volume_20_200(candles: Candles) -> float:
    lately, before = (
        math.fsum(abs(change) for change in logs(candles, count)) / math.fsum(volumes(candles, count))
        for count in (20, 200)
    )
    return math.log(lately / before)


ORACLES: dict[str, Oracle] = {
    **{f"relative_volume_{period}": relative_volume(period) for period in (20, 50, 200)},
    **{f"volume_ratio_{short}_{long}": volume_ratio(short, long) for short, long in ((5, 20), (10, 50), (20, 100))},
    **{f"volume_zscore_{period}": volume_zscore(period) for period in (20, 100)},
    **{f"obv_slope_{period}": obv_slope(period) for period in (10, 20)},
    **{f"money_flow_{period}": money_flow(period) for period in (14, 28)},
    **{f"chaikin_flow_{period}": chaikin_flow(period) for period in (20, 50)},
    **{f"vwap_distance_{period}": vwap_distance(period) for period in (20, 100)},
    "volume_rank_200": volume_rank_200,
    "volume_variation_50": volume_variation_50,
    "idle_share_50": idle_share_50,
    "volume_trend_20": volume_trend_20,
    "chaikin_oscillator": chaikin_oscillator,
    "force_13": force_13,
    "move_volume_correlation_50": move_volume_correlation_50,
    "return_volume_correlation_50": return_volume_correlation_50,
    "move_per_volume_20_200": move_per_volume_20_200,
}


@pytest.mark.parametrize("name", [feature.name for feature in volume.FEATURES])
def test_a_volume_feature_is_its_formula(name: str, agrees: Callable[[str, Oracle], None]) -> None:
    agrees(name, ORACLES[name])


def test_a_burst_of_volume_is_seen(make_walk, change) -> None:
    candles = make_walk(500, seed=41)
    quiet = np.ones(500)
    quiet[-1] = 9.0

    row = dict(zip(FEATURE_NAMES, compute(change(candles, volume=quiet)).tolist(), strict=True))

    assert row["volume_rank_200"] == 1.0
    assert row["volume_zscore_100"] > 9
    assert row["relative_volume_50"] == pytest.approx(math.log2(1 + 9 / (58 / 50)) - 1)
    assert row["idle_share_50"] == 0.0


def test_without_any_volume_every_feature_of_it_is_neutral(make_walk, change) -> None:
    row = dict(zip(FEATURE_NAMES, compute(change(make_walk(500), volume=np.zeros(500))).tolist(), strict=True))

    for feature in volume.FEATURES:
        assert row[feature.name] == pytest.approx(feature.neutral, abs=1e-6)
