"""The chronological split: older rows to fit, newest to judge, with what reaches across the border left out."""

from dataclasses import dataclass

import numpy as np

from ai_engine.types import IndexArray, TimeArray

VALIDATION_SHARE = 0.2
EMBARGO_SHARE_OF_HOLDING = 0.25


@dataclass(frozen=True, slots=True)
class Split:
    """Row indices of each part, ascending; together they are every row, each once.

    ``split_time`` (ms) is the first decision time of the newest part, before the embargo; None where all rows were
    decided at one time and nothing can be held out.
    """

    train: IndexArray
    validation: IndexArray
    purged: IndexArray
    embargoed: IndexArray
    split_time: int | None


def chronological(times: TimeArray, ends: TimeArray, *, timeframe_ms: int) -> Split:
    """Cut between two decision rounds so that about the newest 20 % of the rows judge the rest.

    A row of the older part whose outcome was known only after ``split_time`` is purged, whatever its symbol:
    correlated symbols would carry the answer across. Rows decided within the embargo after ``split_time`` are left
    out too, so that for the rest ``max(end of train) <= split_time < min(time of validation)``.

    Parameters
    ----------
    times, ends
        Decision times and the times the outcomes were known, ms; shape (n,), any order.
    timeframe_ms
        One candle; the embargo is never shorter.

    Examples
    --------
    >>> times = np.arange(10) * 100
    >>> split = chronological(times, times + 150, timeframe_ms=10)
    >>> split.train.tolist(), split.purged.tolist(), split.embargoed.tolist(), split.validation.tolist()
    ([0, 1, 2, 3, 4, 5, 6], [7], [8], [9])
    """
    split_time = _split_time(times)
    if split_time is None:
        nothing = np.empty(0, dtype=np.intp)
        return Split(np.arange(len(times)), nothing, nothing, nothing, None)
    older = times < split_time
    crossing = ends > split_time
    too_near = times < split_time + embargo_ms(times, ends, timeframe_ms=timeframe_ms)
    return Split(
        train=np.flatnonzero(older & ~crossing),
        validation=np.flatnonzero(~older & ~too_near),
        purged=np.flatnonzero(older & crossing),
        embargoed=np.flatnonzero(~older & too_near),
        split_time=split_time,
    )


def embargo_ms(times: TimeArray, ends: TimeArray, *, timeframe_ms: int) -> int:
    """Return the gap after the border: one candle, or a quarter of the median holding time where that is longer."""
    return max(timeframe_ms, int(EMBARGO_SHARE_OF_HOLDING * float(np.median(ends - times))))


def _split_time(times: TimeArray) -> int | None:
    """The border between rounds that leaves the share of older rows nearest to 80 %; the earlier one on a tie."""
    rounds, sizes = np.unique(times, return_counts=True)
    if len(rounds) < 2:
        return None
    older_rows = np.cumsum(sizes)[:-1]
    distance = np.abs(older_rows - (1.0 - VALIDATION_SHARE) * len(times))
    return int(rounds[1:][int(np.argmin(distance))])
