"""Where the price stands against its own means, and how steadily it goes one way."""

from __future__ import annotations

import numpy as np
import talib

from ai_engine.features.feature import Feature, ema_warmup, wilder_warmup
from ai_engine.features.windows import Windows, atr, correlation, ema, indicator, log_ratio, ratio
from ai_engine.types import FloatArray

FAMILY = "trend"


def _close_to_ema(period: int) -> Feature:
    formula = f"ln(close / EMA({period})), TA-Lib EMA"
    return Feature(
        f"close_to_ema_{period}",
        FAMILY,
        formula,
        "log ratio",
        ema_warmup(period),
        lambda windows: -np.log(ema(windows, period)),
    )


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


def _close_to_ema_atr(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return ratio(1 - ema(windows, period), atr(windows, 14))

    formula = f"(close - EMA({period})) / ATR(14), TA-Lib EMA and ATR"
    return Feature(f"close_to_ema_{period}_atr", FAMILY, formula, "average ranges", ema_warmup(period), values)


def _close_to_sma(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return -np.log(windows.close[:, -period:].mean(axis=1))

    formula = f"ln(close / mean of the last {period} closes)"
    return Feature(f"close_to_sma_{period}", FAMILY, formula, "log ratio", period, values)


def _close_to_mean(name: str, period: int, passes: int) -> Feature:
    function = getattr(talib, name)

    def values(windows: Windows) -> FloatArray:
        return 1 - indicator(function, windows.close, timeperiod=period)

    formula = f"(close - {name}({period})) / close, TA-Lib {name}"
    warmup = ema_warmup(period, passes)
    return Feature(f"close_to_{name.lower()}_{period}", FAMILY, formula, "fraction", warmup, values)


def _macd(windows: Windows, part: int) -> FloatArray:
    return indicator(lambda close: talib.MACD(close)[part], windows.close)


def _macd_line_atr(windows: Windows) -> FloatArray:
    return ratio(_macd(windows, 0), atr(windows, 14))


def _macd_histogram_atr(windows: Windows) -> FloatArray:
    return ratio(_macd(windows, 2), atr(windows, 14))


def _adx(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return indicator(talib.ADX, windows.high, windows.low, windows.close, timeperiod=period) / 100

    formula = f"ADX({period}) / 100, TA-Lib ADX"
    return Feature(f"adx_{period}", FAMILY, formula, "0 to 1", wilder_warmup(period, passes=2), values)


def _di_spread(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        columns = (windows.high, windows.low, windows.close)
        plus = indicator(talib.PLUS_DI, *columns, timeperiod=period)
        minus = indicator(talib.MINUS_DI, *columns, timeperiod=period)
        return (plus - minus) / 100

    formula = f"(+DI({period}) - -DI({period})) / 100, TA-Lib PLUS_DI and MINUS_DI"
    return Feature(f"di_spread_{period}", FAMILY, formula, "-1 to 1", wilder_warmup(period), values)


def _aroon(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return indicator(talib.AROONOSC, windows.high, windows.low, timeperiod=period) / 100

    formula = f"Aroon oscillator({period}) / 100, TA-Lib AROONOSC"
    return Feature(f"aroon_{period}", FAMILY, formula, "-1 to 1", period + 1, values)


def _linreg_slope(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return indicator(talib.LINEARREG_SLOPE, windows.close[:, -period:], timeperiod=period) * period

    formula = f"{period} x slope of the straight line through the last {period} closes / close, TA-Lib LINEARREG_SLOPE"
    return Feature(f"linreg_slope_{period}", FAMILY, formula, "fraction", period, values)


def _trend_fit(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        close = windows.close[:, -period:]
        return correlation(np.log(close), np.broadcast_to(np.arange(period, dtype=np.float64), close.shape))

    formula = f"Pearson correlation of ln(close) with time over {period} candles"
    return Feature(f"trend_fit_{period}", FAMILY, formula, "-1 to 1", period, values)


def _efficiency(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        returns = windows.returns[:, -period:]
        return ratio(returns.sum(axis=1), np.abs(returns).sum(axis=1))

    formula = f"Kaufman's efficiency ratio, signed: sum of {period} log returns / sum of their sizes"
    return Feature(f"efficiency_{period}", FAMILY, formula, "-1 to 1", period + 1, values)


def _trix(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return indicator(talib.TRIX, windows.close, timeperiod=period) / 100

    formula = f"one-candle change of the triple EMA({period}), TA-Lib TRIX / 100"
    return Feature(f"trix_{period}", FAMILY, formula, "fraction", ema_warmup(period, passes=3) + 1, values)


def _vortex(windows: Windows) -> FloatArray:
    high, low = windows.high[:, -15:], windows.low[:, -15:]
    up = np.abs(high[:, 1:] - low[:, :-1]).sum(axis=1)
    down = np.abs(low[:, 1:] - high[:, :-1]).sum(axis=1)
    return ratio(up - down, windows.true_range[:, -14:].sum(axis=1))


FEATURES: tuple[Feature, ...] = (
    *(_close_to_ema(period) for period in (5, 10, 20, 50)),
    *(_ema_slope(period) for period in (20, 50)),
    *(_ema_spread(fast, slow) for fast, slow in ((5, 20), (10, 50), (20, 50))),
    _close_to_ema_atr(20),
    *(_close_to_sma(period) for period in (50, 100, 200)),
    _close_to_mean("DEMA", 20, passes=2),
    _close_to_mean("TEMA", 20, passes=3),
    Feature("macd_atr", FAMILY, "MACD(12, 26) / ATR(14), TA-Lib", "average ranges", ema_warmup(26), _macd_line_atr),
    Feature(
        "macd_histogram_atr",
        FAMILY,
        "(MACD(12, 26) - its EMA(9)) / ATR(14), TA-Lib",
        "average ranges",
        ema_warmup(26, passes=2),
        _macd_histogram_atr,
    ),
    *(_adx(period) for period in (7, 14)),
    *(_di_spread(period) for period in (14, 28)),
    *(_aroon(period) for period in (14, 25)),
    *(_linreg_slope(period) for period in (20, 50)),
    *(_trend_fit(period) for period in (20, 50)),
    *(_efficiency(period) for period in (10, 50)),
    _trix(15),
    Feature("vortex_14", FAMILY, "Vortex: (VM+ - VM-) / true range over 14 candles", "ratio", 15, _vortex),
)
