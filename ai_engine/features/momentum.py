"""How far and how fast the price has moved, and how its candles are built."""

from __future__ import annotations

import numpy as np
import talib

from ai_engine.features.feature import Feature, wilder_warmup
from ai_engine.features.windows import Windows, atr, close_location, correlation, indicator, ratio
from ai_engine.types import FloatArray

FAMILY = "momentum"


def _log_return(lag: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return -np.log(windows.close[:, -1 - lag])

    formula = f"ln(close / close {lag} candles ago)"
    return Feature(f"log_return_{lag}", FAMILY, formula, "log ratio", lag + 1, values)


def _simple_return(lag: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return 1 / windows.close[:, -1 - lag] - 1

    formula = f"close / close {lag} candles ago - 1"
    return Feature(f"return_{lag}", FAMILY, formula, "fraction", lag + 1, values)


def _return_in_sigmas(lag: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        moved = windows.returns[:, -lag:].sum(axis=1)
        return ratio(moved, windows.returns[:, -100:].std(axis=1) * np.sqrt(lag))

    formula = f"log return over {lag} candles / (deviation of the last 100 log returns x sqrt({lag}))"
    return Feature(f"return_sigmas_{lag}", FAMILY, formula, "standard deviations", 101, values)


def _acceleration(lag: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return windows.returns[:, -lag:].sum(axis=1) - windows.returns[:, -2 * lag : -lag].sum(axis=1)

    formula = f"log return of the last {lag} candles - log return of the {lag} before"
    return Feature(f"acceleration_{lag}", FAMILY, formula, "log ratio", 2 * lag + 1, values)


def _rsi(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return indicator(talib.CMO, windows.close, timeperiod=period) / 100

    formula = f"RSI({period}) / 50 - 1, as TA-Lib CMO({period}) / 100, which is the same and is 0 where nothing moved"
    return Feature(f"rsi_{period}", FAMILY, formula, "-1 to 1", wilder_warmup(period), values)


def _stochastic_rsi(windows: Windows) -> FloatArray:
    series = np.array([talib.CMO(close, timeperiod=14)[-14:] for close in windows.close])
    low, high = series.min(axis=1), series.max(axis=1)
    return 2 * ratio(series[:, -1] - low, high - low, neutral=0.5) - 1


def _cci(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        typical = (windows.high + windows.low + windows.close)[:, -period:] / 3
        distance = typical - typical.mean(axis=1, keepdims=True)
        return ratio(distance[:, -1], 1.5 * np.abs(distance).mean(axis=1))

    formula = f"CCI({period}) / 100: distance of the typical price from its mean / (1.5 x mean distance)"
    return Feature(f"cci_{period}", FAMILY, formula, "ratio", period, values)


def _range_position(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        low, high = windows.low[:, -period:].min(axis=1), windows.high[:, -period:].max(axis=1)
        return 2 * ratio(1 - low, high - low, neutral=0.5) - 1

    formula = f"2 x (close - lowest low) / (highest high - lowest low) - 1 over {period} candles"
    return Feature(f"range_position_{period}", FAMILY, formula, "-1 to 1", period, values)


def _slow_stochastic(windows: Windows) -> FloatArray:
    marks = []
    for ago in range(3):
        span = slice(-14 - ago, -ago or None)
        low, high = windows.low[:, span].min(axis=1), windows.high[:, span].max(axis=1)
        marks.append(ratio(windows.close[:, -1 - ago] - low, high - low, neutral=0.5))
    return 2 * np.mean(marks, axis=0) - 1


def _to_high(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return -np.log(windows.high[:, -period:].max(axis=1))

    return Feature(
        f"to_high_{period}", FAMILY, f"ln(close / highest high of {period} candles)", "log ratio", period, values
    )


def _to_low(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return -np.log(windows.low[:, -period:].min(axis=1))

    return Feature(
        f"to_low_{period}", FAMILY, f"ln(close / lowest low of {period} candles)", "log ratio", period, values
    )


def _up_share(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return np.sign(np.diff(windows.close[:, -period - 1 :], axis=1)).mean(axis=1)

    formula = f"share of rising less share of falling closes among the last {period}"
    return Feature(f"up_share_{period}", FAMILY, formula, "-1 to 1", period + 1, values)


def _streak(windows: Windows) -> FloatArray:
    signs = np.sign(np.diff(windows.close[:, -21:], axis=1))[:, ::-1]
    unbroken = np.logical_and.accumulate(signs == signs[:, :1], axis=1)
    return signs[:, 0] * unbroken.sum(axis=1) / 20


def _autocorrelation(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        returns = windows.returns[:, -period - 1 :]
        return correlation(returns[:, 1:], returns[:, :-1])

    formula = f"correlation of each log return with the one before, {period} pairs"
    return Feature(f"autocorrelation_{period}", FAMILY, formula, "-1 to 1", period + 2, values)


def _ultimate(windows: Windows) -> FloatArray:
    previous = np.concatenate([windows.close[:, :1], windows.close[:, :-1]], axis=1)
    pressure = windows.close - np.minimum(windows.low, previous)
    shares = [
        ratio(pressure[:, -n:].sum(axis=1), windows.true_range[:, -n:].sum(axis=1), neutral=0.5) for n in (7, 14, 28)
    ]
    return 2 * (4 * shares[0] + 2 * shares[1] + shares[2]) / 7 - 1


def _body(windows: Windows) -> FloatArray:
    return ratio(windows.close - windows.open, windows.high - windows.low)


def _upper_wick(windows: Windows) -> FloatArray:
    top = np.maximum(windows.open, windows.close)
    return ratio((windows.high - top)[:, -1], (windows.high - windows.low)[:, -1])


def _lower_wick(windows: Windows) -> FloatArray:
    bottom = np.minimum(windows.open, windows.close)
    return ratio((bottom - windows.low)[:, -1], (windows.high - windows.low)[:, -1])


def _candle_features() -> tuple[Feature, ...]:
    return (
        Feature("body", FAMILY, "(close - open) / (high - low)", "-1 to 1", 1, lambda w: _body(w)[:, -1]),
        Feature(
            "body_mean_14",
            FAMILY,
            "mean of (close - open) / (high - low) over 14 candles, as TA-Lib BOP",
            "-1 to 1",
            14,
            lambda w: _body(w)[:, -14:].mean(axis=1),
        ),
        Feature(
            "body_atr",
            FAMILY,
            "(close - open) / ATR(14), TA-Lib ATR",
            "average ranges",
            wilder_warmup(14),
            lambda w: ratio(1 - w.open[:, -1], atr(w, 14)),
        ),
        Feature("upper_wick", FAMILY, "(high - larger of open and close) / (high - low)", "0 to 1", 1, _upper_wick),
        Feature("lower_wick", FAMILY, "(smaller of open and close - low) / (high - low)", "0 to 1", 1, _lower_wick),
        Feature(
            "close_location",
            FAMILY,
            "(2 close - high - low) / (high - low)",
            "-1 to 1",
            1,
            lambda w: close_location(w)[:, -1],
        ),
        Feature(
            "open_gap",
            FAMILY,
            "ln(open / close before)",
            "log ratio",
            2,
            lambda w: np.log(w.open[:, -1] / w.close[:, -2]),
        ),
    )


FEATURES: tuple[Feature, ...] = (
    *(_log_return(lag) for lag in (1, 3, 6, 12, 24, 48, 96, 288)),
    *(_simple_return(lag) for lag in (1, 6, 24)),
    *(_return_in_sigmas(lag) for lag in (1, 12, 48)),
    *(_acceleration(lag) for lag in (6, 24)),
    *(_rsi(period) for period in (7, 14, 28)),
    Feature(
        "stochastic_rsi_14",
        FAMILY,
        "place of RSI(14) between its lowest and highest of 14 candles",
        "-1 to 1",
        wilder_warmup(14) + 14,
        _stochastic_rsi,
    ),
    *(_cci(period) for period in (20, 50)),
    *(_range_position(period) for period in (14, 50, 200, 500)),
    Feature(
        "slow_stochastic_14",
        FAMILY,
        "mean of the last 3 range positions over 14 candles",
        "-1 to 1",
        16,
        _slow_stochastic,
    ),
    *(_to_high(period) for period in (50, 200)),
    *(_to_low(period) for period in (50, 200)),
    *(_up_share(period) for period in (20, 50)),
    Feature("streak", FAMILY, "closes in a row in one direction, up to 20, / 20, signed", "-1 to 1", 21, _streak),
    _autocorrelation(100),
    Feature(
        "ultimate",
        FAMILY,
        "Ultimate oscillator(7, 14, 28) / 50 - 1 (Williams 1985)",
        "-1 to 1",
        29,
        _ultimate,
    ),
    *_candle_features(),
)
