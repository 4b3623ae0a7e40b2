"""How much the price moves, by several estimators, and whether that is more than usual."""

from __future__ import annotations

import numpy as np

from ai_engine.features.feature import Feature, wilder_warmup
from ai_engine.features.measures import (
    SMALLEST_DENOMINATOR,
    atr,
    deviation,
    highest,
    log_ratio,
    lowest,
    mean,
    rank,
    ratio,
    standardized,
    total,
)
from ai_engine.features.windows import Windows
from ai_engine.types import FloatArray

FAMILY = "volatility"
BLOCKS = 24
BLOCK = 20
"""The window's last 480 log returns fall into 24 blocks of 20."""


def _realized_vol(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return deviation(windows.returns, period)

    formula = f"standard deviation of the last {period} log returns"
    return Feature(f"realized_vol_{period}", FAMILY, formula, "log ratio", period + 1, values)


def _vol_ratio(short: int, long: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return log_ratio(deviation(windows.returns, short), deviation(windows.returns, long))

    formula = f"ln(realized volatility of {short} candles / of {long} candles)"
    return Feature(f"vol_ratio_{short}_{long}", FAMILY, formula, "log ratio", long + 1, values)


def _log_range(windows: Windows, period: int) -> FloatArray:
    return np.log(windows.high[:, -period:] / windows.low[:, -period:])


def _parkinson_vol(windows: Windows, period: int) -> FloatArray:
    variance: FloatArray = mean(_log_range(windows, period) ** 2) / (4 * np.log(2))
    return np.sqrt(variance)


def _parkinson(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return _parkinson_vol(windows, period)

    formula = f"Parkinson (1980): sqrt(mean of ln(high / low)^2 / (4 ln 2)), {period} candles"
    return Feature(f"parkinson_{period}", FAMILY, formula, "log ratio", period, values)


def _garman_klass(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        body = np.log(windows.close[:, -period:] / windows.open[:, -period:])
        variance = mean(0.5 * _log_range(windows, period) ** 2 - (2 * np.log(2) - 1) * body**2)
        return np.sqrt(np.maximum(variance, 0.0))

    formula = f"Garman and Klass (1980): sqrt(mean of ln(h/l)^2 / 2 - (2 ln 2 - 1) ln(c/o)^2), {period} candles"
    return Feature(f"garman_klass_{period}", FAMILY, formula, "log ratio", period, values)


def _rogers_satchell(windows: Windows) -> FloatArray:
    open_, high, low, close = (
        np.log(column[:, -20:]) for column in (windows.open, windows.high, windows.low, windows.close)
    )
    variance = mean((high - open_) * (high - close) + (low - open_) * (low - close))
    return np.sqrt(np.maximum(variance, 0.0))


def _range_to_close_vol(windows: Windows) -> FloatArray:
    return log_ratio(_parkinson_vol(windows, 20), deviation(windows.returns, 20))


def _natr(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return atr(windows, period)

    formula = f"ATR({period}) / close, TA-Lib ATR"
    return Feature(f"natr_{period}", FAMILY, formula, "fraction", wilder_warmup(period), values)


def _atr_ratio(windows: Windows) -> FloatArray:
    return log_ratio(atr(windows, 7), atr(windows, 28))


def _range_atr(windows: Windows) -> FloatArray:
    return ratio(windows.true_range[:, -1], atr(windows, 14), neutral=1.0)


def _last_range(windows: Windows) -> FloatArray:
    return _log_range(windows, 1)[:, 0]


def _zscore(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return ratio(1 - mean(windows.close, period), deviation(windows.close, period))

    formula = f"(close - mean) / standard deviation of {period} closes: place between Bollinger's bands"
    return Feature(f"zscore_{period}", FAMILY, formula, "standard deviations", period, values)


def _band_width(windows: Windows) -> FloatArray:
    return 4 * deviation(windows.close, 20) / mean(windows.close, 20)


def _squeeze(windows: Windows) -> FloatArray:
    return log_ratio(deviation(windows.close, 20), atr(windows, 14))


def _block_vols(windows: Windows) -> FloatArray:
    """Return the realized volatility of each block, the newest last, shape (m, 24)."""
    returns = windows.returns[:, -BLOCKS * BLOCK :]
    return deviation(returns.reshape(-1, BLOCK)).reshape(-1, BLOCKS)


def _vol_rank(windows: Windows) -> FloatArray:
    vols = _block_vols(windows)
    return rank(vols[:, -1], vols[:, :-1])


def _vol_of_vol(windows: Windows) -> FloatArray:
    vols = _block_vols(windows)
    return ratio(deviation(vols), mean(vols))


def _moment(name: str, power: int, neutral: float) -> Feature:
    def values(windows: Windows) -> FloatArray:
        returns = windows.returns[:, -100:]
        return np.where(deviation(returns) > SMALLEST_DENOMINATOR, mean(standardized(returns) ** power), neutral)

    formula = f"mean of ((log return - mean) / standard deviation)^{power}, 100 candles"
    return Feature(name, FAMILY, formula, "pure number", 101, values, neutral)


def _downside_share(windows: Windows) -> FloatArray:
    returns = windows.returns[:, -50:]
    squares = ratio(np.abs(returns), highest(np.abs(returns))[:, None]) ** 2
    return ratio(total(np.where(returns < 0, squares, 0.0)), total(squares), neutral=0.5)


def _drawdown(windows: Windows) -> FloatArray:
    close = windows.close[:, -200:]
    return lowest(np.log(close / np.maximum.accumulate(close, axis=1)))


def _largest_share(windows: Windows) -> FloatArray:
    sizes = np.abs(windows.returns[:, -50:])
    return ratio(highest(sizes), total(sizes))


FEATURES: tuple[Feature, ...] = (
    *(_realized_vol(period) for period in (10, 20, 50, 200)),
    *(_vol_ratio(short, long) for short, long in ((5, 20), (10, 50), (20, 100), (50, 400))),
    *(_parkinson(period) for period in (20, 50)),
    *(_garman_klass(period) for period in (20, 50)),
    *(_natr(period) for period in (14, 28)),
    *(_zscore(period) for period in (20, 50, 100)),
    _moment("skew_100", 3, 0.0),
    _moment("kurtosis_100", 4, 3.0),
    Feature(
        "rogers_satchell_20",
        FAMILY,
        "Rogers and Satchell (1991): sqrt(mean of ln(h/o) ln(h/c) + ln(l/o) ln(l/c)), 20 candles",
        "log ratio",
        20,
        _rogers_satchell,
    ),
    Feature("range_to_close_vol_20", FAMILY, "ln(Parkinson(20) / realized(20))", "log ratio", 21, _range_to_close_vol),
    Feature("atr_ratio_7_28", FAMILY, "ln(ATR(7) / ATR(28)), TA-Lib ATR", "log ratio", wilder_warmup(28), _atr_ratio),
    Feature(
        "range_atr", FAMILY, "true range / ATR(14), TA-Lib ATR", "average ranges", wilder_warmup(14), _range_atr, 1.0
    ),
    Feature("last_range", FAMILY, "ln(high / low)", "log ratio", 1, _last_range),
    Feature(
        "band_width_20", FAMILY, "Bollinger: 4 standard deviations / mean of 20 closes", "fraction", 20, _band_width
    ),
    Feature(
        "squeeze_20",
        FAMILY,
        "ln(standard deviation of 20 closes / ATR(14)): Bollinger against Keltner, TA-Lib ATR",
        "log ratio",
        wilder_warmup(14),
        _squeeze,
    ),
    Feature(
        "vol_rank",
        FAMILY,
        "share of the 23 blocks of 20 candles before that were calmer than the last block, equal ones half",
        "0 to 1",
        481,
        _vol_rank,
        0.5,
    ),
    Feature(
        "vol_of_vol",
        FAMILY,
        "standard deviation / mean of the realized volatilities of 24 blocks of 20 candles",
        "ratio",
        481,
        _vol_of_vol,
    ),
    Feature(
        "downside_share_50",
        FAMILY,
        "squared falling log returns / all squared log returns, 50 candles",
        "0 to 1",
        51,
        _downside_share,
        0.5,
    ),
    Feature(
        "drawdown_200", FAMILY, "deepest ln(close / highest close so far), 200 candles", "log ratio", 200, _drawdown
    ),
    Feature("largest_share_50", FAMILY, "largest |log return| / sum of 50", "0 to 1", 51, _largest_share),
)
