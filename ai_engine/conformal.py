"""An interval that holds four outcomes in five, learned from forecasts that have matured, and kept honest as it goes.

Adaptive conformal inference: Gibbs and Candes, Adaptive conformal inference under distribution shift (2021), on
residuals divided by the volatility known at the decision.
"""

from dataclasses import dataclass

import numpy as np

from ai_engine.types import FloatArray, TimeArray

COVERAGE = 0.80
STEP = 0.02
KEPT = 1_000
ENOUGH = 60
HALF_LIFE = 48
SMALLEST_VOLATILITY = 1e-6


@dataclass(frozen=True, slots=True)
class Width:
    """``quantile`` of the scaled residuals; the interval is ``expected return ± quantile x volatility``."""

    quantile: float
    matured: int

    def interval(self, expected_return: float, volatility: float) -> tuple[float, float]:
        """Return (low, high) as fractions."""
        reach = self.quantile * max(volatility, SMALLEST_VOLATILITY)
        return expected_return - reach, expected_return + reach


def width(scaled_residuals: FloatArray, miss_rate: float) -> Width | None:
    """Return the width that ``miss_rate`` of the newest scaled residuals exceed; None with fewer than 60 of them.

    Parameters
    ----------
    scaled_residuals
        ``|return - expected return| / volatility`` of matured forecasts in the order in which they matured; shape (n,).
    miss_rate
        What ``adapted`` has made of the aim of 0.20.
    """
    if len(scaled_residuals) < ENOUGH:
        return None
    kept = np.sort(scaled_residuals[-KEPT:])
    place = int(np.ceil((len(kept) + 1) * (1.0 - miss_rate))) - 1
    return Width(float(kept[min(max(place, 0), len(kept) - 1)]), len(scaled_residuals))


def adapted(miss_rate: float, missed: float) -> float:
    """Return the miss rate to aim at next, after a round of which the share ``missed`` lay outside."""
    return float(np.clip(miss_rate + STEP * ((1.0 - COVERAGE) - missed), 0.01, 0.99))


def volatilities(times: TimeArray, ends: TimeArray, y: FloatArray) -> FloatArray:
    """Return the typical |return| known at each decision of one symbol, shape (n,); NaN before any outcome is known.

    An exponentially weighted mean over the outcomes known by then, half of the weight on the newest 48.
    """
    order = np.argsort(ends, kind="stable")
    decay = 0.5 ** (1.0 / HALF_LIFE)
    level, weight = 0.0, 0.0
    levels = np.empty(len(y) + 1)
    levels[0] = np.nan
    for count, row in enumerate(order, start=1):
        level, weight = decay * level + abs(float(y[row])), decay * weight + 1.0
        levels[count] = level / weight
    known = np.searchsorted(ends[order], times, side="right")
    return np.asarray(levels[known], dtype=np.float64)
