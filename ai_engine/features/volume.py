"""How much was traded, on which side, and at what price, always against the window's own volume."""

from __future__ import annotations

import numpy as np

from ai_engine.features.feature import Feature, ema_warmup
from ai_engine.features.measures import (
    close_location,
    correlation,
    deviation,
    directions,
    indicator,
    log_ratio,
    mean,
    rank,
    ratio,
    sign,
    ta_lib,
    total,
    typical_price,
)
from ai_engine.features.windows import Windows
from ai_engine.types import FloatArray

FAMILY = "volume"


def _relative_volume(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return np.log2(1 + ratio(windows.volume[:, -1], mean(windows.volume, period), neutral=1.0)) - 1

    formula = f"log2(1 + volume / mean volume of {period} candles) - 1"
    return Feature(f"relative_volume_{period}", FAMILY, formula, "0 at the mean, -1 at none", period, values)


def _volume_ratio(short: int, long: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return np.log2(1 + ratio(mean(windows.volume, short), mean(windows.volume, long), neutral=1.0)) - 1

    formula = f"log2(1 + mean volume of {short} candles / of {long}) - 1"
    return Feature(f"volume_ratio_{short}_{long}", FAMILY, formula, "0 where equal, -1 at none", long, values)


def _volume_zscore(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return ratio(windows.volume[:, -1] - mean(windows.volume, period), deviation(windows.volume, period))

    formula = f"(volume - mean) / standard deviation of {period} volumes"
    return Feature(f"volume_zscore_{period}", FAMILY, formula, "standard deviations", period, values)


def _volume_rank(windows: Windows) -> FloatArray:
    return rank(windows.volume[:, -1], windows.volume[:, -200:-1])


def _volume_variation(windows: Windows) -> FloatArray:
    return ratio(deviation(windows.volume, 50), mean(windows.volume, 50))


def _idle_share(windows: Windows) -> FloatArray:
    return mean((windows.volume == 0).astype(np.float64), 50)


def _volume_trend(windows: Windows) -> FloatArray:
    return correlation(windows.volume[:, -20:], np.arange(20.0)[None, :])


def _obv_slope(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        signed = directions(windows, period) * windows.volume[:, -period:]
        return ratio(total(signed), total(windows.volume, period))

    formula = f"change of on-balance volume / volume, {period} candles"
    return Feature(f"obv_slope_{period}", FAMILY, formula, "-1 to 1", period + 1, values)


def _money_flow(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        typical = typical_price(windows, period + 1)
        signs = sign(np.diff(typical, axis=1))
        flow = typical[:, 1:] * windows.volume[:, -period:]
        return ratio(total(signs * flow), total(np.abs(signs) * flow))

    formula = f"Money Flow Index({period}) / 50 - 1 (Quong and Soudack 1989)"
    return Feature(f"money_flow_{period}", FAMILY, formula, "-1 to 1", period + 1, values)


def _chaikin_flow(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        flow = close_location(windows, period) * windows.volume[:, -period:]
        return ratio(total(flow), total(windows.volume, period))

    formula = f"Chaikin money flow: close location weighted with volume, {period} candles"
    return Feature(f"chaikin_flow_{period}", FAMILY, formula, "-1 to 1", period, values)


def _chaikin_oscillator(windows: Windows) -> FloatArray:
    columns = (windows.high, windows.low, windows.close, windows.volume)
    return ratio(indicator(ta_lib().ADOSC, *columns), mean(windows.volume, 50))


def _vwap_distance(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        traded = total(typical_price(windows, period) * windows.volume[:, -period:])
        return -np.log(ratio(traded, total(windows.volume, period), neutral=1.0))

    formula = f"ln(close / volume-weighted typical price), {period} candles"
    return Feature(f"vwap_distance_{period}", FAMILY, formula, "log ratio", period, values)


def _force(windows: Windows) -> FloatArray:
    force = indicator(ta_lib().EMA, windows.returns * windows.volume, timeperiod=13)
    return ratio(force, mean(np.abs(windows.returns), 50) * mean(windows.volume, 50))


def _move_correlation(windows: Windows) -> FloatArray:
    return correlation(np.abs(windows.returns[:, -50:]), windows.volume[:, -50:])


def _return_correlation(windows: Windows) -> FloatArray:
    return correlation(windows.returns[:, -50:], windows.volume[:, -50:])


def _move_per_volume(windows: Windows) -> FloatArray:
    sizes = np.abs(windows.returns)
    return log_ratio(
        total(sizes, 20) * total(windows.volume, 200),
        total(sizes, 200) * total(windows.volume, 20),
    )


FEATURES: tuple[Feature, ...] = (
    *(_relative_volume(period) for period in (20, 50, 200)),
    *(_volume_ratio(short, long) for short, long in ((5, 20), (10, 50), (20, 100))),
    *(_volume_zscore(period) for period in (20, 100)),
    *(_obv_slope(period) for period in (10, 20)),
    *(_money_flow(period) for period in (14, 28)),
    *(_chaikin_flow(period) for period in (20, 50)),
    *(_vwap_distance(period) for period in (20, 100)),
    Feature(
        "volume_rank_200",
        FAMILY,
        "share of the 199 volumes before that were smaller, equal ones half",
        "0 to 1",
        200,
        _volume_rank,
        0.5,
    ),
    Feature("volume_variation_50", FAMILY, "standard deviation / mean of 50 volumes", "ratio", 50, _volume_variation),
    Feature("idle_share_50", FAMILY, "share of candles without volume, 50 candles", "0 to 1", 50, _idle_share, 1.0),
    Feature("volume_trend_20", FAMILY, "correlation of volume with time, 20 candles", "-1 to 1", 20, _volume_trend),
    Feature(
        "chaikin_oscillator",
        FAMILY,
        "Chaikin oscillator(3, 10) / mean of 50 volumes, TA-Lib ADOSC",
        "mean volumes",
        ema_warmup(10),
        _chaikin_oscillator,
    ),
    Feature(
        "force_13",
        FAMILY,
        "Elder's force: EMA(13) of log return x volume / (mean |log return| x mean volume of 50), TA-Lib EMA",
        "ratio",
        ema_warmup(13),
        _force,
    ),
    Feature(
        "move_volume_correlation_50",
        FAMILY,
        "correlation of |log return| with volume, 50 candles",
        "-1 to 1",
        51,
        _move_correlation,
    ),
    Feature(
        "return_volume_correlation_50",
        FAMILY,
        "correlation of log return with volume, 50 candles",
        "-1 to 1",
        51,
        _return_correlation,
    ),
    Feature(
        "move_per_volume_20_200",
        FAMILY,
        "ln of (sum of |log return| / volume, 20 candles) / (the same, 200 candles)",
        "log ratio",
        201,
        _move_per_volume,
    ),
)
