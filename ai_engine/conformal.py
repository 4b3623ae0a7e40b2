"""An interval that holds four outcomes in five, learned from forecasts that have matured, and kept honest as it goes.

Adaptive conformal inference: Gibbs and Candes, Adaptive conformal inference under distribution shift (2021), on
residuals divided by the volatility that was known at the decision. What is kept can be written down and read back, so
that the next interval is a function of what had matured, however often the service was started.
"""

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

Residuals = NDArray[np.float32]

COVERAGE = 0.80
MISS_RATE = 1.0 - COVERAGE
STEP = 0.02
MISS_RATE_BOUNDS = (0.01, 0.99)
KEPT = 1_000
ENOUGH_RESIDUALS = 60
HALF_LIFE = 48
ENOUGH_OUTCOMES = 12
# A hundredth of a basis point over the horizon. In a frozen price the mean falls towards 0 and never gets there, and
# the first move after it, divided by such a mean, is no finite number; every symbol shares what is learned from it.
STANDING = 1e-6
DECAY = 0.5 ** (1.0 / HALF_LIFE)
ROUNDING = 1e-9
ENOUGH_WEIGHT = (1.0 - DECAY**ENOUGH_OUTCOMES) / (1.0 - DECAY) - ROUNDING


@dataclass(frozen=True, slots=True)
class Volatility:
    """The typical absolute return of one symbol over the horizon: an exponentially weighted mean.

    ``level`` is the weighted sum of the absolute returns, a fraction; ``weight`` the sum of the weights, half of which
    lies on the newest 48 outcomes.
    """

    level: float = 0.0
    weight: float = 0.0

    def after(self, move: float) -> "Volatility":
        """Return what is known once ``move``, an absolute return, has happened."""
        return Volatility(DECAY * self.level + move, DECAY * self.weight + 1.0)

    @property
    def value(self) -> float | None:
        """The mean as a fraction; None before 12 outcomes, or where the price stands."""
        if self.weight < ENOUGH_WEIGHT or self.level < STANDING * self.weight:
            return None
        return self.level / self.weight


def scaled(forward_return: float, expected_return: float, volatility: float) -> float:
    """Return how far off the forecast was, in units of the volatility known when it was made."""
    return abs(forward_return - expected_return) / volatility


def kept(residuals: Residuals, newer: list[float]) -> Residuals:
    """Return the newest 1,000 of both, in the order in which they matured."""
    return np.concatenate([residuals, np.asarray(newer, dtype=np.float32)])[-KEPT:]


def reach(ordered: Residuals, miss_rate: float) -> float | None:
    """Return the scaled residual that the share ``miss_rate`` exceed; None with fewer than 60 residuals.

    Parameters
    ----------
    ordered
        ``scaled`` of matured forecasts, ascending; shape (n,).
    miss_rate
        What ``adapted`` has made of the aim of 0.20.

    Notes
    -----
    The quantile of split conformal prediction: the ceil((n + 1) (1 - miss_rate))-th smallest, at most the largest.
    """
    count = len(ordered)
    if count < ENOUGH_RESIDUALS:
        return None
    place = ceil((count + 1) * (1.0 - miss_rate) - ROUNDING) - 1
    return float(ordered[min(max(place, 0), count - 1)])


def interval(expected_return: float, volatility: float, reached: float) -> tuple[float, float]:
    """Return [low, high] of the return as fractions; nothing falls by more than all of its price."""
    return max(expected_return - reached * volatility, -1.0), expected_return + reached * volatility


def adapted(miss_rate: float, missed: float) -> float:
    """Return the miss rate to aim at next, after a round of which the share ``missed`` lay outside."""
    low, high = MISS_RATE_BOUNDS
    return min(max(miss_rate + STEP * (MISS_RATE - missed), low), high)
