"""How far and how fast the price has moved, and how its candles are built."""

from __future__ import annotations

import numpy as np

from ai_engine.features.feature import Feature, wilder_warmup
from ai_engine.features.measures import (
    atr,
    close_location,
    correlation,
    deviation,
    directions,
    highest,
    indicator,
    lowest,
    mean,
    ratio,
    ta_lib,
    total,
    typical_price,
)
from ai_engine.features.windows import Windows
from ai_engine.types import FloatArray

FAMILY = "momentum"


def _log_return(lag: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return -np.log(windows.close[:, -1 - lag])

    formula = f"ln(close / close {lag} candles ago)"
    return Feature(f"log_return_{lag}", FAMILY, formula, "log ratio", lag + 1, values)


def _return(lag: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return 1 / windows.close[:, -1 - lag] - 1

    formula = f"close / close {lag} candles ago - 1"
    return Feature(f"return_{lag}", FAMILY, formula, "fraction", lag + 1, values)


def _return_sigmas(lag: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return ratio(total(windows.returns, lag), deviation(windows.returns, 100) * np.sqrt(lag))

    formula = f"log return over {lag} candles / (standard deviation of 100 log returns x sqrt({lag}))"
    return Feature(f"return_sigmas_{lag}", FAMILY, formula, "standard deviations", 101, values)


def _acceleration(lag: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return 2 * total(windows.returns, lag) - total(windows.returns, 2 * lag)

    formula = f"log return of the last {lag} candles - log return of the {lag} before"
    return Feature(f"acceleration_{lag}", FAMILY, formula, "log ratio", 2 * lag + 1, values)


def _rsi(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return indicator(ta_lib().CMO, windows.close, timeperiod=period) / 100

    formula = f"RSI({period}) / 50 - 1, as TA-Lib CMO({period}) / 100: the same number, and 0 where nothing moved"
    return Feature(f"rsi_{period}", FAMILY, formula, "-1 to 1", wilder_warmup(period), values)


def _stochastic_rsi(windows: Windows) -> FloatArray:
    cmo = ta_lib().CMO
    series = np.array([cmo(close, timeperiod=14)[-14:] for close in windows.close])
    low = lowest(series)
    return 2 * ratio(series[:, -1] - low, highest(series) - low, neutral=0.5) - 1


def _cci(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        typical = typical_price(windows, period)
        distance = typical - mean(typical)[:, None]
        return ratio(distance[:, -1], 1.5 * mean(np.abs(distance)))

    formula = f"CCI({period}) / 100: typical price less its mean / (1.5 x mean distance) (Lambert 1980)"
    return Feature(f"cci_{period}", FAMILY, formula, "ratio", period, values)


def _range_position(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        low = lowest(windows.low, period)
        return 2 * ratio(1 - low, highest(windows.high, period) - low, neutral=0.5) - 1

    formula = f"2 x (close - lowest low) / (highest high - lowest low) - 1, {period} candles"
    return Feature(f"range_position_{period}", FAMILY, formula, "-1 to 1", period, values)


def _slow_stochastic(windows: Windows) -> FloatArray:
    positions = []
    for end in (None, -1, -2):
        low, high = lowest(windows.low[:, :end], 14), highest(windows.high[:, :end], 14)
        positions.append(ratio(windows.close[:, :end][:, -1] - low, high - low, neutral=0.5))
    return 2 * mean(np.stack(positions, axis=1)) - 1


def _to_high(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return -np.log(highest(windows.high, period))

    formula = f"ln(close / highest high), {period} candles"
    return Feature(f"to_high_{period}", FAMILY, formula, "log ratio", period, values)


def _to_low(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return -np.log(lowest(windows.low, period))

    formula = f"ln(close / lowest low), {period} candles"
    return Feature(f"to_low_{period}", FAMILY, formula, "log ratio", period, values)


def _up_share(period: int) -> Feature:
    def values(windows: Windows) -> FloatArray:
        return mean(directions(windows, period))

    formula = f"share of rising less share of falling closes, {period} candles"
    return Feature(f"up_share_{period}", FAMILY, formula, "-1 to 1", period + 1, values)


def _streak(windows: Windows) -> FloatArray:
    newest_first = directions(windows, 20)[:, ::-1]
    unbroken = np.logical_and.accumulate(newest_first == newest_first[:, :1], axis=1)
    return newest_first[:, 0] * mean(unbroken.astype(np.float64))


def _autocorrelation(windows: Windows) -> FloatArray:
    return correlation(windows.returns[:, -100:], windows.returns[:, -101:-1])


def _ultimate(windows: Windows) -> FloatArray:
    pressure = windows.close[:, 1:] - np.minimum(windows.low[:, 1:], windows.close[:, :-1])
    short, middle, long = (
        ratio(total(pressure, period), total(windows.true_range, period), neutral=0.5) for period in (7, 14, 28)
    )
    return 2 * (4 * short + 2 * middle + long) / 7 - 1


def _body(windows: Windows) -> FloatArray:
    return ratio(windows.close - windows.open, windows.high - windows.low)


def _last_body(windows: Windows) -> FloatArray:
    return _body(windows)[:, -1]


def _body_mean(windows: Windows) -> FloatArray:
    return mean(_body(windows), 14)


def _body_atr(windows: Windows) -> FloatArray:
    return ratio(1 - windows.open[:, -1], atr(windows, 14))


def _upper_wick(windows: Windows) -> FloatArray:
    top = np.maximum(windows.open[:, -1], 1.0)
    return ratio(windows.high[:, -1] - top, windows.high[:, -1] - windows.low[:, -1])


def _lower_wick(windows: Windows) -> FloatArray:
    bottom = np.minimum(windows.open[:, -1], 1.0)
    return ratio(bottom - windows.low[:, -1], windows.high[:, -1] - windows.low[:, -1])


def _last_location(windows: Windows) -> FloatArray:
    return close_location(windows, 1)[:, 0]


def _open_gap(windows: Windows) -> FloatArray:
    return np.log(windows.open[:, -1] / windows.close[:, -2])


FEATURES: tuple[Feature, ...] = (
    *(_log_return(lag) for lag in (1, 3, 6, 12, 24, 48, 96, 288)),
    *(_return(lag) for lag in (1, 6, 24)),
    *(_return_sigmas(lag) for lag in (1, 12, 48)),
    *(_acceleration(lag) for lag in (6, 24)),
    *(_rsi(period) for period in (7, 14, 28)),
    *(_cci(period) for period in (20, 50)),
    *(_range_position(period) for period in (14, 50, 200, 500)),
    *(_to_high(period) for period in (50, 200)),
    *(_to_low(period) for period in (50, 200)),
    *(_up_share(period) for period in (20, 50)),
    Feature(
        "stochastic_rsi_14",
        FAMILY,
        "place of RSI(14) between its lowest and highest, 14 candles, TA-Lib CMO",
        "-1 to 1",
        wilder_warmup(14) + 14,
        _stochastic_rsi,
    ),
    Feature("slow_stochastic_14", FAMILY, "mean of the last 3 range positions of 14", "-1 to 1", 16, _slow_stochastic),
    Feature("streak", FAMILY, "closes in a row in one direction, signed, up to 20, / 20", "-1 to 1", 21, _streak),
    Feature(
        "autocorrelation_100",
        FAMILY,
        "correlation of each log return with the one before, 100 pairs",
        "-1 to 1",
        102,
        _autocorrelation,
    ),
    Feature("ultimate", FAMILY, "Ultimate oscillator(7, 14, 28) / 50 - 1 (Williams 1985)", "-1 to 1", 29, _ultimate),
    Feature("body", FAMILY, "(close - open) / (high - low)", "-1 to 1", 1, _last_body),
    Feature("body_mean_14", FAMILY, "mean of 14 bodies: balance of power (Livshin 2001)", "-1 to 1", 14, _body_mean),
    Feature("body_atr", FAMILY, "(close - open) / ATR(14), TA-Lib ATR", "average ranges", wilder_warmup(14), _body_atr),
    Feature("upper_wick", FAMILY, "(high - larger of open and close) / (high - low)", "0 to 1", 1, _upper_wick),
    Feature("lower_wick", FAMILY, "(smaller of open and close - low) / (high - low)", "0 to 1", 1, _lower_wick),
    Feature("close_location", FAMILY, "(2 close - high - low) / (high - low)", "-1 to 1", 1, _last_location),
    Feature("open_gap", FAMILY, "ln(open / close before)", "log ratio", 2, _open_gap),
)
