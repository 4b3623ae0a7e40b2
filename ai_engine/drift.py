"""Has what the model sees, or how it errs, changed? Each alarm is held against what the same data does without change.

Population stability index against its own past windows (a rule of thumb such as 0.25 alarms on most features that never
changed); ADWIN: Bifet and Gavalda, Learning from time-changing data with adaptive windowing (2007).
"""

from dataclasses import dataclass

import numpy as np

from ai_engine.types import FloatArray

BINS = 10
PAST_WINDOWS = 99
SMALLEST_SHARE = 0.001
ADWIN_DELTA = 0.002
ADWIN_SMALLEST = 30
ADWIN_CUTS = 64


@dataclass(frozen=True, slots=True)
class Shift:
    """A feature's index now, and the largest of its past windows; ``moved`` is None where too little is known."""

    psi: float | None
    largest_before: float | None
    past_windows: int
    moved: bool | None


def feature_shift(values: FloatArray, window: int) -> Shift:
    """Compare the newest ``window`` values with the rest, as each of 99 past windows compares with its rest.

    Without change the newest window is one like any other: it exceeds all of 99 with a chance of 1 in 100, however
    slowly the feature moves.

    Parameters
    ----------
    values
        One feature in time order; shape (n,).
    window
        How many values a window has.

    Returns
    -------
    Shift
        ``moved`` is None with fewer than 100 windows: not enough data to say.
    """
    count = len(values) // window
    if count <= PAST_WINDOWS:
        return Shift(None, None, max(count - 1, 0), None)
    kept = values[len(values) - (PAST_WINDOWS + 1) * window :]
    shares = _shares(kept, window)
    rest = (shares.sum(axis=0) - shares) / PAST_WINDOWS
    index = _psi(shares, rest)
    now, before = float(index[-1]), float(index[:-1].max())
    return Shift(now, before, PAST_WINDOWS, now > before)


def _shares(values: FloatArray, window: int) -> FloatArray:
    """Share of each window's values in each tenth of all of them; shape (windows, bins)."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]))
    places = np.searchsorted(edges, values, side="right").reshape(-1, window)
    counts = np.stack([(places == number).sum(axis=1) for number in range(len(edges) + 1)], axis=1)
    return np.asarray(counts / window, dtype=np.float64)


def _psi(shares: FloatArray, rest: FloatArray) -> FloatArray:
    a, b = np.maximum(shares, SMALLEST_SHARE), np.maximum(rest, SMALLEST_SHARE)
    return np.asarray(((a - b) * np.log(a / b)).sum(axis=1), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Break:
    """Where the mean changed: ``at`` is the index of the first value after it."""

    at: int
    before: float
    after: float


def adwin(values: FloatArray, *, delta: float = ADWIN_DELTA) -> Break | None:
    """Return the newest place where the mean of bounded values changed, or None.

    The whole stream is one window here, cut at up to 64 places: any cut whose two sides differ by more than ADWIN's
    bound at confidence ``delta`` is a change, and the nearest of those places is named.

    Examples
    --------
    >>> adwin(np.concatenate((np.zeros(300), np.ones(300)))).at
    304
    >>> adwin(np.zeros(600)) is None
    True
    """
    n = len(values)
    if n < 2 * ADWIN_SMALLEST:
        return None
    total = np.concatenate(([0.0], np.cumsum(values)))
    cuts = np.unique(np.linspace(ADWIN_SMALLEST, n - ADWIN_SMALLEST, ADWIN_CUTS).astype(np.intp))
    left, right = total[cuts] / cuts, (total[n] - total[cuts]) / (n - cuts)
    harmonic = 1.0 / (1.0 / cuts + 1.0 / (n - cuts))
    spread = np.log(2.0 * len(cuts) / delta)
    bound = np.sqrt(2.0 / harmonic * float(np.var(values)) * spread) + 2.0 / (3.0 * harmonic) * spread
    excess = np.abs(left - right) - bound
    best = int(np.argmax(excess))
    if excess[best] <= 0:
        return None
    return Break(int(cuts[best]), float(left[best]), float(right[best]))
