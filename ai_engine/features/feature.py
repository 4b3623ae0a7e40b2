"""What the catalogue says of a feature, and after how many candles a smoothed value has forgotten its start."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from ai_engine.features.windows import WINDOW, Windows
from ai_engine.types import FloatArray

FORGOTTEN = 1e-7
"""Weight left to everything before the warm-up of a recursive mean."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One column of X.

    Parameters
    ----------
    name, family
        Unique name, and the file it stands in.
    formula
        How it is computed, with its source.
    unit
        What the number counts.
    warmup
        Candles it depends on: older ones move it by less than 1e-6.
    values
        Computes it, shape (m,), for m windows.
    neutral
        Value where nothing moves and nothing is traded, and wherever else the formula's denominator vanishes.
    """

    name: str
    family: str
    formula: str
    unit: str
    warmup: int
    values: Callable[[Windows], FloatArray]
    neutral: float = 0.0


def ema_warmup(period: int, passes: int = 1) -> int:
    """Return after how many candles an exponential mean, taken ``passes`` times, has forgotten its start.

    Examples
    --------
    >>> ema_warmup(50), wilder_warmup(28)
    (453, 472)
    """
    return _warmup(2 / (period + 1), period, passes)


def wilder_warmup(period: int, passes: int = 1) -> int:
    """Return the same for Wilder's mean, whose weight is ``1 / period``."""
    return _warmup(1 / period, period, passes)


def _warmup(weight: float, period: int, passes: int) -> int:
    decay = math.ceil(math.log(FORGOTTEN) / math.log(1 - weight))
    return min(WINDOW, passes * period + math.ceil(decay * (1 + 0.2 * (passes - 1))))
