"""When the decision is made: hour, weekday and month as points on circles, and the gaps behind it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ai_engine.features.feature import Feature
from ai_engine.features.measures import total
from ai_engine.features.windows import Windows
from ai_engine.types import FloatArray

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
WEEK_MS = 7 * DAY_MS
MONDAY_MS = 4 * DAY_MS
"""1970-01-05 was the first Monday of the epoch."""


def _circle(name: str, period: str, turn: Callable[[FloatArray], FloatArray], offset_ms: int = 0) -> Feature:
    period_ms = {"hour": HOUR_MS, "day": DAY_MS, "week": WEEK_MS}[period]

    def values(windows: Windows) -> FloatArray:
        return turn(2 * np.pi * ((windows.close_time - offset_ms) % period_ms) / period_ms)

    formula = f"{turn.__name__}(2π · share of the UTC {period} that has passed when the candle closes)"
    return Feature(name, "calendar", formula, "-1 to 1", 1, values)


def _weekend(windows: Windows) -> FloatArray:
    return ((windows.close_time - MONDAY_MS) % WEEK_MS >= 5 * DAY_MS).astype(np.float64)


def _gap_share(windows: Windows) -> FloatArray:
    missing = total(windows.missing.astype(np.float64), 100)
    return missing / (missing + 100)


def _last_gap(windows: Windows) -> FloatArray:
    return np.log1p(windows.missing[:, -1].astype(np.float64))


FEATURES: tuple[Feature, ...] = (
    _circle("minute_sin", "hour", np.sin),
    _circle("minute_cos", "hour", np.cos),
    _circle("hour_sin", "day", np.sin),
    _circle("hour_cos", "day", np.cos),
    _circle("weekday_sin", "week", np.sin, MONDAY_MS),
    _circle("weekday_cos", "week", np.cos, MONDAY_MS),
    Feature("weekend", "calendar", "1 on Saturday and Sunday UTC, else 0", "0 or 1", 1, _weekend),
    Feature("gap_share_100", "calendar", "missing / (missing + 100), last 100 candles", "fraction", 101, _gap_share),
    Feature("last_gap", "calendar", "ln(1 + candles missing before the last)", "log count", 2, _last_gap),
)
