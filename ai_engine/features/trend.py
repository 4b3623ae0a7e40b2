"""Where the price stands against its own means, and how steadily it goes one way."""

from __future__ import annotations

import numpy as np

from ai_engine.features.feature import Feature, ema_warmup, wilder_warmup
from ai_engine.features.measures import atr, correlation, ema, indicator, log_ratio, mean, ratio, sign, ta_lib, total
from ai_engine.features.windows import Windows
from ai_engine.types import FloatArray

FAMILY = "trend"


def _close_to_ema(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return -np.log(ema(windows, period))

    formula = f"ln(close / EMA({period})), TA-Lib EMA"
    return Feature(f"close_to_ema_{period}", FAMILY, formula, "log ratio", ema_warmup(period), values)


def _ema_slope(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return log_ratio(ema(windows, period), ema(windows, period, ago=5))

    formula = f"ln(EMA({period}) / EMA({period}) of 5 candles ago), TA-Lib EMA"
    return Feature(f"ema_slope_{period}", FAMILY, formula, "log ratio", ema_warmup(period) + 5, values)


def _ema_spread(fast: int, slow: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return log_ratio(ema(windows, fast), ema(windows, slow))

    formula = f"ln(EMA({fast}) / EMA({slow})), TA-Lib EMA"
    return Feature(f"ema_spread_{fast}_{slow}", FAMILY, formula, "log ratio", ema_warmup(slow), values)


def _close_to_ema_atr(windows: Windows) -> FloatArray:
    return ratio(1 - ema(windows, 20), atr(windows, 14))


def _close_to_sma(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return -np.log(mean(windows.close, period))

    formula = f"ln(close / mean of the last {period} closes)"
    return Feature(f"close_to_sma_{period}", FAMILY, formula, "log ratio", period, values)


def _close_to_dema(windows: Windows) -> FloatArray:
    return 1 - indicator(ta_lib().DEMA, windows.close, timeperiod=20)


def _close_to_tema(windows: Windows) -> FloatArray:
    return 1 - indicator(ta_lib().TEMA, windows.close, timeperiod=20)


def _macd_atr(windows: Windows) -> FloatArray:
    macd = ta_lib().MACD
    return ratio(indicator(lambda close: macd(close)[0], windows.close), atr(windows, 14))


def _macd_histogram_atr(windows: Windows) -> FloatArray:
    macd = ta_lib().MACD
    return ratio(indicator(lambda close: macd(close)[2], windows.close), atr(windows, 14))


def _wilder(columns: FloatArray, period: int) -> FloatArray:
    """Return Wilder's mean of each row, whose weight 1 / period is that of TA-Lib's EMA(2 x period - 1)."""
    mean_of = ta_lib().EMA
    return np.array([mean_of(row, timeperiod=2 * period - 1) for row in columns])[:, 2 * period - 2 :]


def _directional(windows: Windows, period: int) -> tuple[FloatArray, FloatArray]:
    """Return +DI and -DI, shape (m, k). TA-Lib's own would break ties between equal steps by rounding."""
    up, down = np.diff(windows.high, axis=1), -np.diff(windows.low, axis=1)
    lead = sign(up - down)
    plus, minus = np.where(lead > 0, np.maximum(up, 0.0), 0.0), np.where(lead < 0, np.maximum(down, 0.0), 0.0)
    true_range = _wilder(windows.true_range[:, 1:], period)
    return ratio(_wilder(plus, period), true_range), ratio(_wilder(minus, period), true_range)


def _adx(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        plus, minus = _directional(windows, period)
        return _wilder(ratio(np.abs(plus - minus), plus + minus), period)[:, -1]

    formula = f"ADX({period}) / 100 (Wilder 1978), equal steps up and down counting as neither, TA-Lib EMA"
    return Feature(f"adx_{period}", FAMILY, formula, "0 to 1", wilder_warmup(period, passes=2), values)


def _di_spread(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        plus, minus = _directional(windows, period)
        return plus[:, -1] - minus[:, -1]

    formula = f"+DI({period}) - -DI({period}) as fractions (Wilder 1978), ties as in ADX, TA-Lib EMA"
    return Feature(f"di_spread_{period}", FAMILY, formula, "-1 to 1", wilder_warmup(period), values)


def _aroon(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return indicator(ta_lib().AROONOSC, windows.high, windows.low, timeperiod=period) / 100

    formula = f"Aroon oscillator({period}) / 100, TA-Lib AROONOSC"
    return Feature(f"aroon_{period}", FAMILY, formula, "-1 to 1", period + 1, values)


def _linreg_slope(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return indicator(ta_lib().LINEARREG_SLOPE, windows.close[:, -period:], timeperiod=period) * period

    formula = f"{period} x slope of the line fitted to the last {period} closes / close, TA-Lib LINEARREG_SLOPE"
    return Feature(f"linreg_slope_{period}", FAMILY, formula, "fraction", period, values)


def _trend_fit(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return correlation(np.log(windows.close[:, -period:]), np.arange(period, dtype=np.float64)[None, :])

    formula = f"correlation of ln(close) with time, {period} candles"
    return Feature(f"trend_fit_{period}", FAMILY, formula, "-1 to 1", period, values)


def _efficiency(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return ratio(total(windows.returns, period), total(np.abs(windows.returns), period))

    formula = f"Kaufman's efficiency ratio with its sign: sum of {period} log returns / sum of their sizes"
    return Feature(f"efficiency_{period}", FAMILY, formula, "-1 to 1", period + 1, values)


def _trix(windows: Windows) -> FloatArray:
    return indicator(ta_lib().TRIX, windows.close, timeperiod=15) / 100


def _vortex(windows: Windows) -> FloatArray:
    high, low = windows.high[:, -15:], windows.low[:, -15:]
    up, down = np.abs(high[:, 1:] - low[:, :-1]), np.abs(low[:, 1:] - high[:, :-1])
    return ratio(total(up) - total(down), total(windows.true_range, 14))


FEATURES: tuple[Feature, ...] = (
    *(_close_to_ema(period) for period in (5, 10, 20, 50)),
    *(_ema_slope(period) for period in (20, 50)),
    *(_ema_spread(fast, slow) for fast, slow in ((5, 20), (10, 50), (20, 50))),
    *(_close_to_sma(period) for period in (50, 100, 200)),
    *(_adx(period) for period in (7, 14)),
    *(_di_spread(period) for period in (14, 28)),
    *(_aroon(period) for period in (14, 25)),
    *(_linreg_slope(period) for period in (20, 50)),
    *(_trend_fit(period) for period in (20, 50)),
    *(_efficiency(period) for period in (10, 50)),
    Feature(
        "close_to_ema_20_atr",
        FAMILY,
        "(close - EMA(20)) / ATR(14), TA-Lib EMA and ATR",
        "average ranges",
        wilder_warmup(14),
        _close_to_ema_atr,
    ),
    Feature(
        "close_to_dema_20",
        FAMILY,
        "(close - DEMA(20)) / close, TA-Lib DEMA",
        "fraction",
        ema_warmup(20, passes=2),
        _close_to_dema,
    ),
    Feature(
        "close_to_tema_20",
        FAMILY,
        "(close - TEMA(20)) / close, TA-Lib TEMA",
        "fraction",
        ema_warmup(20, passes=3),
        _close_to_tema,
    ),
    Feature(
        "macd_atr",
        FAMILY,
        "(EMA(12) - EMA(26)) / ATR(14), TA-Lib MACD and ATR",
        "average ranges",
        ema_warmup(26),
        _macd_atr,
    ),
    Feature(
        "macd_histogram_atr",
        FAMILY,
        "(MACD(12, 26) - its EMA(9)) / ATR(14), TA-Lib MACD and ATR",
        "average ranges",
        ema_warmup(26, passes=2),
        _macd_histogram_atr,
    ),
    Feature(
        "trix_15",
        FAMILY,
        "change of the triple EMA(15) in one candle, TA-Lib TRIX / 100",
        "fraction",
        ema_warmup(15, passes=3),
        _trix,
    ),
    Feature("vortex_14", FAMILY, "Vortex: (VM+ - VM-) / true range, 14 candles", "ratio", 15, _vortex),
)
