"""How much was traded, on which side, and at what price, always against the window's own volume."""

from __future__ import annotations

import numpy as np
import talib

from ai_engine.features.feature import Feature, ema_warmup
from ai_engine.features.windows import Windows, close_location, correlation, indicator, log_ratio, ratio
from ai_engine.types import FloatArray

FAMILY = "volume"


def _relative(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        recent = windows.volume[:, -period:]
        return np.log2(1 + ratio(recent[:, -1], recent.mean(axis=1), neutral=1.0)) - 1

    formula = f"log2(1 + volume / mean volume of {period} candles) - 1"
    return Feature(f"relative_volume_{period}", FAMILY, formula, "0 at the mean, -1 at none", period, values)


def _mean_ratio(short: int, long: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        mean = windows.volume[:, -long:].mean(axis=1)
        return np.log2(1 + ratio(windows.volume[:, -short:].mean(axis=1), mean, neutral=1.0)) - 1

    formula = f"log2(1 + mean volume of {short} / of {long} candles) - 1"
    return Feature(f"volume_ratio_{short}_{long}", FAMILY, formula, "0 when equal, -1 at none", long, values)


def _zscore(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        recent = windows.volume[:, -period:]
        return ratio(recent[:, -1] - recent.mean(axis=1), recent.std(axis=1))

    formula = f"(volume - mean) / standard deviation of {period} candles"
    return Feature(f"volume_zscore_{period}", FAMILY, formula, "standard deviations", period, values)


def _rank(windows: Windows) -> FloatArray:
    now, before = windows.volume[:, -1:], windows.volume[:, -200:-1]
    return (1 + (before < now).mean(axis=1) - (before > now).mean(axis=1)) / 2


def _variation(windows: Windows) -> FloatArray:
    recent = windows.volume[:, -50:]
    return ratio(recent.std(axis=1), recent.mean(axis=1))


def _idle_share(windows: Windows) -> FloatArray:
    return (windows.volume[:, -50:] == 0).mean(axis=1)


def _trend(windows: Windows) -> FloatArray:
    recent = windows.volume[:, -20:]
    return correlation(recent, np.broadcast_to(np.arange(20.0), recent.shape))


def _obv_slope(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        signs = np.sign(np.diff(windows.close[:, -period - 1 :], axis=1))
        recent = windows.volume[:, -period:]
        return ratio((signs * recent).sum(axis=1), recent.sum(axis=1))

    formula = f"change of on-balance volume / volume, {period} candles"
    return Feature(f"obv_slope_{period}", FAMILY, formula, "-1 to 1", period + 1, values)


def _money_flow(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        typical = (windows.high + windows.low + windows.close)[:, -period - 1 :] / 3
        flow = typical[:, 1:] * windows.volume[:, -period:]
        signs = np.sign(np.diff(typical, axis=1))
        return ratio((signs * flow).sum(axis=1), (np.abs(signs) * flow).sum(axis=1))

    formula = f"Money Flow Index({period}) / 50 - 1 (Quong and Soudack 1989)"
    return Feature(f"money_flow_{period}", FAMILY, formula, "-1 to 1", period + 1, values)


def _chaikin_flow(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        recent = windows.volume[:, -period:]
        return ratio((close_location(windows)[:, -period:] * recent).sum(axis=1), recent.sum(axis=1))

    formula = f"Chaikin money flow: volume-weighted close location, {period} candles"
    return Feature(f"chaikin_flow_{period}", FAMILY, formula, "-1 to 1", period, values)


def _chaikin_oscillator(windows: Windows) -> FloatArray:
    columns = (windows.high, windows.low, windows.close, windows.volume)
    return ratio(indicator(talib.ADOSC, *columns), windows.volume[:, -50:].mean(axis=1))


def _vwap_distance(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        typical = (windows.high + windows.low + windows.close)[:, -period:] / 3
        recent = windows.volume[:, -period:]
        return -np.log(ratio((typical * recent).sum(axis=1), recent.sum(axis=1), neutral=1.0))

    formula = f"ln(close / volume-weighted typical price of {period} candles)"
    return Feature(f"vwap_distance_{period}", FAMILY, formula, "log ratio", period, values)


def _force(windows: Windows) -> FloatArray:
    force = indicator(talib.EMA, windows.returns * windows.volume, timeperiod=13)
    scale = np.abs(windows.returns[:, -50:]).mean(axis=1) * windows.volume[:, -50:].mean(axis=1)
    return ratio(force, scale)


def _size_correlation(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return correlation(np.abs(windows.returns[:, -period:]), windows.volume[:, -period:])

    formula = f"correlation of |log return| with volume, {period} candles"
    return Feature(f"move_volume_correlation_{period}", FAMILY, formula, "-1 to 1", period + 1, values)


def _signed_correlation(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return correlation(windows.returns[:, -period:], windows.volume[:, -period:])

    formula = f"correlation of log return with volume, {period} candles"
    return Feature(f"return_volume_correlation_{period}", FAMILY, formula, "-1 to 1", period + 1, values)


def _effort(windows: Windows) -> FloatArray:
    """How much the price moves per volume, lately against before."""
    sizes, volume = np.abs(windows.returns), windows.volume
    lately = log_ratio(sizes[:, -20:].sum(axis=1), volume[:, -20:].sum(axis=1))
    before = log_ratio(sizes[:, -200:].sum(axis=1), volume[:, -200:].sum(axis=1))
    known = (sizes[:, -20:].sum(axis=1) > 1e-12) & (volume[:, -20:].sum(axis=1) > 1e-12)
    return np.where(known, lately - before, 0.0)


FEATURES: tuple[Feature, ...] = (
    *(_relative(period) for period in (20, 50, 200)),
    *(_mean_ratio(short, long) for short, long in ((5, 20), (10, 50), (20, 100))),
    *(_zscore(period) for period in (20, 100)),
    Feature(
        "volume_rank_200",
        FAMILY,
        "share of 199 volumes before that were smaller, equal half",
        "0 to 1",
        200,
        _rank,
        0.5,
    ),
    Feature("volume_variation_50", FAMILY, "standard deviation / mean of 50 volumes", "ratio", 50, _variation),
    Feature("idle_share_50", FAMILY, "share of candles without volume among 50", "0 to 1", 50, _idle_share),
    Feature("volume_trend_20", FAMILY, "correlation of volume with time, 20 candles", "-1 to 1", 20, _trend),
    *(_obv_slope(period) for period in (10, 20)),
    *(_money_flow(period) for period in (14, 28)),
    *(_chaikin_flow(period) for period in (20, 50)),
    Feature(
        "chaikin_oscillator",
        FAMILY,
        "Chaikin oscillator(3, 10) / mean volume of 50 candles, TA-Lib ADOSC",
        "mean volumes",
        ema_warmup(10),
        _chaikin_oscillator,
    ),
    *(_vwap_distance(period) for period in (20, 100)),
    Feature(
        "force_13",
        FAMILY,
        "Elder's force: EMA(13) of log return x volume / (mean |log return| x mean volume of 50), TA-Lib EMA",
        "ratio",
        ema_warmup(13),
        _force,
    ),
    _size_correlation(50),
    _signed_correlation(50),
    Feature(
        "move_per_volume_20_200",
        FAMILY,
        "ln of (sum of |log return| / volume over 20 candles) over the same of 200",
        "log ratio",
        201,
        _effort,
    ),
)
