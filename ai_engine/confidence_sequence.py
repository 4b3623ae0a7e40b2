"""How far apart two versions are, said so that one may look as often as one likes: a confidence sequence.

An ordinary interval is right at one look chosen in advance; whoever looks every day sooner or later sees a difference
between equals. The bounds here hold at all looks at once.
"""

from dataclasses import dataclass

import numpy as np

from ai_engine.inference import time_blocks
from ai_engine.types import FloatArray, TimeArray

LEVEL = 0.95
FEWEST_STRETCHES = 50
FEWEST_DIFFERENT = 10
# Solves r^2 = (-W(-level^2 / e) - 1) / n for n = 500: the bounds are tightest near 500 stretches.
PRIOR_STRETCHES = 61.0
MOST_STRETCHES = 10_000_000
# Values that differ by less than this part of their mean are one number, rounded.
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class ConfidenceSequence:
    """Bounds of the mean over stretches of time; ``mean`` None before one has closed, bounds None before enough have.

    ``rounds`` lie in the closed ``stretches``; ``needed`` is how many further stretches like these would take the
    bounds off 0: 0 where they are, None where that cannot be told.
    """

    stretches: int
    rounds: int
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    needed: int | None = None


def of_rounds(times: TimeArray, ends: TimeArray, values: FloatArray) -> ConfidenceSequence:
    """Return bounds, at 95 % and at every look at once, of the mean of ``values`` over closed stretches of time.

    Parameters
    ----------
    times, ends
        When each round was decided, increasing, and when its windows close, ms; shape (n,). Rounds may come to be
        known as time goes on, but not change: a later look sees the same ones and more.
    values
        One per round, such as the difference in net return between two versions; any unit; shape (n,).

    Notes
    -----
    Rounds are averaged within stretches twice as long as the median window (:func:`time_blocks`), so that forecasts
    that overlap count as one. Only a stretch after which another one has begun has closed: what is still coming in
    must not count. With ``x`` a stretch's mean, ``A`` the sum of squared deviations from the mean of ``n`` of them::

        mean +- sqrt(c A / (n (n - c))),   c = (1 + 2 max(r, 0)) (1 + m / n) (2 log 20 + log(1 + n / m)),   m = 61

    where ``r`` is the correlation of neighbours, which share the windows that reach across their border. The form is
    Robbins' normal mixture on the self-normalised sum ``S^2 / sum (x - mu)^2``. For normal values of unknown spread
    its wealth never exceeds that of the scale-invariant t-test, so that it is valid from the first look on (Lai, On
    confidence sequences, 1976; Wang and Ramdas, Anytime-valid t-tests and confidence sequences for Gaussian means
    with unknown variance, 2024). For any other values of finite variance it is asymptotic (Waudby-Smith, Arbour,
    Sinha, Kennedy and Ramdas, Time-uniform central limit theory and asymptotic confidence sequences, 2024), hence
    not before 50 stretches, nor before 10 of them have differed from 0: of two versions that seldom answer differently
    the first hundred stretches say nothing of the next. A bound that is exact for all bounded values would need the
    largest return there can be, some hundred times the usual one, and years.

    Examples
    --------
    >>> hours = 3_600_000 * np.arange(400)
    >>> found = of_rounds(hours, hours + 3_600_000, np.tile([1.0, 1.0, 1.0, 0.0], 100))
    >>> found.stretches, found.low > 0
    (199, True)
    >>> of_rounds(hours, hours + 3_600_000, np.zeros(400)).high is None
    True
    """
    if len(values) == 0:
        return ConfidenceSequence(0, 0)
    stretch = time_blocks(times, ends)
    closed = stretch < stretch.max()
    count, rounds = int(stretch.max()), int(closed.sum())
    if count == 0:
        return ConfidenceSequence(0, 0)
    means = np.bincount(stretch[closed], weights=values[closed]) / np.bincount(stretch[closed])
    return _bounded(means, rounds)


def _bounded(means: FloatArray, rounds: int) -> ConfidenceSequence:
    count, mean = len(means), float(np.mean(means))
    away = means - mean
    squares = float(away @ away)
    if squares <= count * (ROUNDING * mean) ** 2:  # always the same: how much it may vary is not known
        return ConfidenceSequence(count, rounds, mean)
    shared = 1.0 + 2.0 * max(float(away[1:] @ away[:-1]) / squares, 0.0)
    spread = squares / count
    needed = _still_needed(count, mean**2 / spread, shared)
    if count < FEWEST_STRETCHES or np.count_nonzero(means) < FEWEST_DIFFERENT:
        return ConfidenceSequence(count, rounds, mean, needed=needed)
    reach = float(np.sqrt(spread * _reach(count, shared)))
    return ConfidenceSequence(count, rounds, mean, mean - reach, mean + reach, needed)


def _reach(count: int, shared: float) -> float:
    """The square of half the width after so many stretches, in units of their variance; infinite after too few."""
    width = shared * (1 + PRIOR_STRETCHES / count)
    width *= -2 * np.log(1 - LEVEL) + np.log(1 + count / PRIOR_STRETCHES)
    return float(width / (count - width)) if count > width else float("inf")


def _still_needed(count: int, effect: float, shared: float) -> int | None:
    """By doubling, then halving: the bounds shrink as stretches come. ``effect`` is the squared mean over variance."""
    if effect == 0:
        return None
    low, high = count - 1, max(count, FEWEST_STRETCHES)
    while effect <= _reach(high, shared):
        low, high = high, 2 * high
        if high > MOST_STRETCHES:
            return None
    low = max(low, FEWEST_STRETCHES - 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if effect <= _reach(middle, shared) else (low, middle)
    return high - count
