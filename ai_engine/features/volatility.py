"""How much the price moves, by several estimators, and whether that is more than usual."""

from __future__ import annotations

import numpy as np

from ai_engine.features.feature import Feature, wilder_warmup
from ai_engine.features.windows import Windows, atr, log_ratio, ratio
from ai_engine.types import FloatArray

FAMILY = "volatility"
BLOCK = 20
"""Candles in a block of the window that recent volatility is ranked among."""


def _deviation(windows: Windows, period: int) -> FloatArray:
    return windows.returns[:, -period:].std(axis=1)


def _realized(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return _deviation(windows, period)

    formula = f"standard deviation of the last {period} log returns"
    return Feature(f"realized_vol_{period}", FAMILY, formula, "log ratio per candle", period + 1, values)


def _vol_ratio(short: int, long: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return log_ratio(_deviation(windows, short), _deviation(windows, long))

    formula = f"ln(realized volatility of {short} candles / of {long} candles)"
    return Feature(f"vol_ratio_{short}_{long}", FAMILY, formula, "log ratio", long + 1, values)


def _parkinson_variance(windows: Windows, period: int) -> FloatArray:
    spread = np.log(windows.high[:, -period:] / windows.low[:, -period:])
    return (spread**2).mean(axis=1) / (4 * np.log(2))


def _parkinson(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return np.sqrt(_parkinson_variance(windows, period))

    formula = f"Parkinson (1980): sqrt(mean of ln(high / low)^2 / (4 ln 2)) over {period} candles"
    return Feature(f"parkinson_{period}", FAMILY, formula, "log ratio per candle", period, values)


def _garman_klass(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        spread = np.log(windows.high[:, -period:] / windows.low[:, -period:])
        body = np.log(windows.close[:, -period:] / windows.open[:, -period:])
        variance = (0.5 * spread**2 - (2 * np.log(2) - 1) * body**2).mean(axis=1)
        return np.sqrt(np.maximum(variance, 0.0))

    formula = f"Garman and Klass (1980): sqrt(mean of ln(h/l)^2 / 2 - (2 ln 2 - 1) ln(c/o)^2) over {period} candles"
    return Feature(f"garman_klass_{period}", FAMILY, formula, "log ratio per candle", period, values)


def _rogers_satchell(windows: Windows) -> FloatArray:
    open_, close = windows.open[:, -20:], windows.close[:, -20:]
    high, low = np.log(windows.high[:, -20:]), np.log(windows.low[:, -20:])
    rise, fall = high - np.log(open_), low - np.log(open_)
    variance = (rise * (high - np.log(close)) + fall * (low - np.log(close))).mean(axis=1)
    return np.sqrt(np.maximum(variance, 0.0))


def _range_to_close_vol(windows: Windows) -> FloatArray:
    return log_ratio(np.sqrt(_parkinson_variance(windows, 20)), _deviation(windows, 20))


def _natr(period: int) -> Feature:
    formula = f"ATR({period}) / close, TA-Lib ATR"
    return Feature(f"natr_{period}", FAMILY, formula, "fraction", wilder_warmup(period), lambda w: atr(w, period))


def _atr_ratio(windows: Windows) -> FloatArray:
    return log_ratio(atr(windows, 7), atr(windows, 28))


def _range_atr(windows: Windows) -> FloatArray:
    return ratio(windows.true_range[:, -1], atr(windows, 14), neutral=1.0)


def _last_range(windows: Windows) -> FloatArray:
    return np.log(windows.high[:, -1] / windows.low[:, -1])


def _zscore(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        close = windows.close[:, -period:]
        return ratio(1 - close.mean(axis=1), close.std(axis=1))

    formula = f"(close - mean) / standard deviation of the last {period} closes: place between Bollinger's bands"
    return Feature(f"zscore_{period}", FAMILY, formula, "standard deviations", period, values)


def _band_width(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        close = windows.close[:, -period:]
        return 4 * close.std(axis=1) / close.mean(axis=1)

    formula = f"Bollinger band width: 4 standard deviations / mean of the last {period} closes"
    return Feature(f"band_width_{period}", FAMILY, formula, "fraction", period, values)


def _squeeze(windows: Windows) -> FloatArray:
    return log_ratio(windows.close[:, -20:].std(axis=1), atr(windows, 14))


def _blocks(windows: Windows) -> FloatArray:
    """Return the deviations of the last 24 blocks of 20 log returns, the newest last, shape (m, 24)."""
    return windows.returns[:, -24 * BLOCK :].reshape(len(windows.returns), 24, BLOCK).std(axis=2)


def _vol_rank(windows: Windows) -> FloatArray:
    """Equal volatilities count half; equal is within 1e-9, so that rounding does not move the rank."""
    blocks = _blocks(windows)
    now, before = blocks[:, -1:], blocks[:, :-1]
    less, more = before < now * (1 - 1e-9), before > now * (1 + 1e-9)
    return (1 + less.mean(axis=1) - more.mean(axis=1)) / 2


def _vol_of_vol(windows: Windows) -> FloatArray:
    blocks = _blocks(windows)
    return ratio(blocks.std(axis=1), blocks.mean(axis=1))


def _moment(name: str, power: int, period: int, neutral: float) -> Feature:
    def values(windows: Windows) -> FloatArray:
        returns = windows.returns[:, -period:]
        deviation = returns.std(axis=1)
        centred = returns - returns.mean(axis=1, keepdims=True)
        scaled = ratio(centred, deviation[:, None])
        return np.where(deviation > 1e-12, (scaled**power).mean(axis=1), neutral)

    formula = f"mean of ((log return - mean) / standard deviation)^{power} over {period} candles"
    return Feature(f"{name}_{period}", FAMILY, formula, "pure number", period + 1, values, neutral)


def _downside_share(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        squares = windows.returns[:, -period:] ** 2
        falling = np.where(windows.returns[:, -period:] < 0, squares, 0.0)
        largest = squares.max(axis=1)
        return np.where(largest > 1e-24, falling.sum(axis=1) / np.maximum(squares.sum(axis=1), 1e-24), 0.5)

    formula = f"squared falling log returns / all squared log returns, {period} candles"
    return Feature(f"downside_share_{period}", FAMILY, formula, "0 to 1", period + 1, values, 0.5)


def _drawdown(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        close = windows.close[:, -period:]
        return np.log(close / np.maximum.accumulate(close, axis=1)).min(axis=1)

    formula = f"deepest ln(close / highest close so far) within the last {period} candles"
    return Feature(f"drawdown_{period}", FAMILY, formula, "log ratio", period, values)


def _largest_share(windows: Windows) -> FloatArray:
    sizes = np.abs(windows.returns[:, -50:])
    return ratio(sizes.max(axis=1), sizes.sum(axis=1))


FEATURES: tuple[Feature, ...] = (
    *(_realized(period) for period in (10, 20, 50, 200)),
    *(_vol_ratio(short, long) for short, long in ((5, 20), (10, 50), (20, 100), (50, 400))),
    *(_parkinson(period) for period in (20, 50)),
    *(_garman_klass(period) for period in (20, 50)),
    Feature(
        "rogers_satchell_20",
        FAMILY,
        "Rogers and Satchell (1991) over 20 candles",
        "log ratio per candle",
        20,
        _rogers_satchell,
    ),
    Feature("range_to_close_vol_20", FAMILY, "ln(Parkinson(20) / realized(20))", "log ratio", 21, _range_to_close_vol),
    *(_natr(period) for period in (14, 28)),
    Feature("atr_ratio_7_28", FAMILY, "ln(ATR(7) / ATR(28)), TA-Lib ATR", "log ratio", wilder_warmup(28), _atr_ratio),
    Feature(
        "range_atr", FAMILY, "true range / ATR(14), TA-Lib ATR", "average ranges", wilder_warmup(14), _range_atr, 1.0
    ),
    Feature("last_range", FAMILY, "ln(high / low)", "log ratio", 1, _last_range),
    *(_zscore(period) for period in (20, 50, 100)),
    _band_width(20),
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
        "deviation / mean of the realized volatilities of the last 24 blocks of 20 candles",
        "ratio",
        481,
        _vol_of_vol,
    ),
    _moment("skew", 3, 100, 0.0),
    _moment("kurtosis", 4, 100, 3.0),
    _downside_share(50),
    _drawdown(200),
    Feature("largest_share_50", FAMILY, "largest |log return| / sum of the last 50", "0 to 1", 51, _largest_share),
)
