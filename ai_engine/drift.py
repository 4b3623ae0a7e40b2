"""Has what the model sees, or how it errs, changed? Each alarm is held against what happens without a change."""

from dataclasses import dataclass

import numpy as np

from ai_engine.types import FloatArray, TimeArray

BINS = 10
PAST_WINDOWS = 199
NEIGHBOURS = 2
SMALLEST_SHARE = 0.001
ADWIN_DELTA = 0.002
ADWIN_SMALLEST = 15
ADWIN_CUTS = 64
STRETCH_WINDOWS = 2
LARGEST_ERROR = 10.0


@dataclass(frozen=True, slots=True)
class Shift:
    """A feature's index now, and the largest of its past windows; ``moved`` is None where too little is known."""

    psi: float | None
    largest_before: float | None
    past_windows: int
    moved: bool | None


def feature_shift(values: FloatArray, window: int) -> Shift:
    """Compare the newest ``window`` values with the rest, as each of 199 past windows compares with its rest.

    The population stability index over tenths. A fixed limit such as 0.25 alarms on most features that never changed:
    a feature that moves slowly always differs from its past. Without change the newest window is one like any other
    and exceeds all of 199 with a chance of 1 in 200. Of the rest the two windows on either side are left out: a slow
    feature resembles its neighbours, and the newest window has them on one side only.

    Parameters
    ----------
    values
        One feature in time order; shape (n,).
    window
        How many values a window has; at least 1.

    Returns
    -------
    Shift
        ``moved`` is None with fewer than 200 windows: not enough data to say.

    Examples
    --------
    >>> feature_shift(np.tile(np.arange(40.0), 200), 40).moved
    False
    >>> feature_shift(np.append(np.tile(np.arange(40.0), 199), np.arange(40.0) + 30), 40).moved
    True
    """
    count = len(values) // window
    if count <= PAST_WINDOWS:
        return Shift(None, None, max(count - 1, 0), None)
    shares = _shares(values[len(values) - (PAST_WINDOWS + 1) * window :], window)
    index = _psi(shares, _rest(shares))
    now, before = float(index[-1]), float(index[:-1].max())
    return Shift(now, before, PAST_WINDOWS, now > before)


def _shares(values: FloatArray, window: int) -> FloatArray:
    """Share of each window's values in each tenth of all of them; shape (windows, bins)."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]))
    places = np.searchsorted(edges, values, side="right").reshape(-1, window)
    counts = np.stack([(places == number).sum(axis=1) for number in range(len(edges) + 1)], axis=1)
    return np.asarray(counts / window, dtype=np.float64)


def _rest(shares: FloatArray) -> FloatArray:
    """The mean shares of all windows but each one and its neighbours."""
    count = len(shares)
    total = np.vstack((np.zeros(shares.shape[1]), np.cumsum(shares, axis=0)))
    first = np.maximum(np.arange(count) - NEIGHBOURS, 0)
    last = np.minimum(np.arange(count) + NEIGHBOURS + 1, count)
    return np.asarray((total[-1] - (total[last] - total[first])) / (count - (last - first))[:, None])


def _psi(shares: FloatArray, rest: FloatArray) -> FloatArray:
    a, b = np.maximum(shares, SMALLEST_SHARE), np.maximum(rest, SMALLEST_SHARE)
    return np.asarray(((a - b) * np.log(a / b)).sum(axis=1), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Break:
    """Where the mean changed: ``at`` is the index of the first value after it, ``seen`` that of the one that told."""

    at: int
    seen: int
    before: float
    after: float


def adwin(values: FloatArray, *, delta: float = ADWIN_DELTA) -> Break | None:
    """Return the newest change of the mean that was found as the values came, or None.

    A window grows value by value and is cut at up to 64 places; where the means of the two sides differ by more than
    the bound, the older side is dropped: Bifet and Gavalda, Learning from time-changing data with adaptive windowing
    (2007), section 3.2 with ``delta' = delta / ln n``. How rarely that alarms without a change is measured by
    ``benchmarks/skill_lost.py``.

    Parameters
    ----------
    values
        In time order, each on outcomes of its own (``by_stretch``): overlapping windows look like changes.

    Examples
    --------
    >>> found = adwin(np.concatenate((np.zeros(100), np.ones(100))))
    >>> found.at, found.seen, found.before
    (97, 111, 0.0)
    >>> adwin(np.zeros(600)) is None
    True
    """
    total = np.concatenate(([0.0], np.cumsum(values)))
    squares = np.concatenate(([0.0], np.cumsum(values**2)))
    begin, found = 0, None
    for end in range(2 * ADWIN_SMALLEST, len(values) + 1):
        cut = _cut(total[begin : end + 1], squares[begin : end + 1], delta)
        if cut is not None:
            at = begin + cut
            before, after = (total[at] - total[begin]) / cut, (total[end] - total[at]) / (end - at)
            begin, found = at, Break(at, end - 1, float(before), float(after))
    return found


def _cut(total: FloatArray, squares: FloatArray, delta: float) -> int | None:
    """Where the window with these running sums is to be cut: at the clearest place, if any is clear enough."""
    n = len(total) - 1
    if n < 2 * ADWIN_SMALLEST:
        return None
    places = np.arange(ADWIN_SMALLEST, n - ADWIN_SMALLEST + 1)
    if len(places) > ADWIN_CUTS:
        places = np.unique(np.linspace(ADWIN_SMALLEST, n - ADWIN_SMALLEST, ADWIN_CUTS).astype(np.intp))
    sum_, left = total[n] - total[0], (total[places] - total[0]) / places
    right = (sum_ - left * places) / (n - places)
    variance = max((squares[n] - squares[0]) / n - (sum_ / n) ** 2, 0.0)
    share = 1.0 / places + 1.0 / (n - places)
    confidence = np.log(2.0 * np.log(n) / delta)
    excess = np.abs(left - right) - (np.sqrt(2.0 * share * variance * confidence) + 2.0 / 3.0 * share * confidence)
    best = int(np.argmax(excess))
    return int(places[best]) if excess[best] > 0 else None


def by_stretch(times: TimeArray, ends: TimeArray, errors: FloatArray) -> tuple[TimeArray, FloatArray]:
    """Return the mean error of each stretch of time, and when the stretch began, ms.

    Parameters
    ----------
    times, ends
        When each forecast was made and when its outcome was known, ms, increasing ``times``; shape (n,).
    errors
        ``|return - expected return|`` in units of the volatility that was known at the decision, all symbols; a single
        one counts as 10 at most. Shape (n,).

    Notes
    -----
    A stretch is twice as long as the median outcome window, so that what overlaps lies mostly within one. The newest
    stretch is left out: it may still grow.
    """
    if len(times) == 0:
        return times, errors
    length = max(int(STRETCH_WINDOWS * np.median(ends - times)), 1)
    numbers, places = np.unique((times - times[0]) // length, return_inverse=True)
    means = np.bincount(places, weights=np.minimum(errors, LARGEST_ERROR)) / np.bincount(places)
    return times[0] + numbers[:-1] * length, means[:-1]
