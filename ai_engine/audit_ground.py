"""Which of an installation's own rows the worlds of a self-audit are made of, and how a signal is taken out of them."""

from collections.abc import Mapping

import numpy as np

from ai_engine.candles import Candles
from ai_engine.dataset import Dataset, Rows
from ai_engine.features.catalogue import FEATURE_NAMES, WINDOW
from ai_engine.placebo import Ground
from ai_engine.types import IndexArray, TargetKind

MOST_ROWS = 600
"""What a training of 139 features takes grows with the rows; so many let a default audit end within two minutes."""
ROWS_A_WINDOW = 3


def ground_of(dataset: Dataset, candles: Mapping[str, Candles], *, horizon_ms: int, most: int = MOST_ROWS) -> Ground:
    """Choose the rows that worlds are made of, and how a signal is taken out of them.

    With more than ``most`` rows, rounds are thinned to three an outcome window at the least, which share nearly all of
    their outcome with those left out; then the newest whole rounds stay.

    Parameters
    ----------
    dataset
        Every usable row.
    candles
        By symbol, what is stored of the strategy's market; used where the features are the catalogue's and at least
        half of the rows have their candles.
    horizon_ms
        From a decision to the price that its outcome is read at.
    """
    seen, priced = _placed(dataset, candles, horizon_ms)
    found = seen >= 0
    if dataset.feature_names != FEATURE_NAMES or dataset.target_kind is not TargetKind.HORIZON or found.mean() < 0.5:
        chosen = _newest(dataset, most)
        nowhere = np.full(len(chosen), -1)
        return Ground(_rows(dataset, chosen), {}, nowhere, nowhere)
    held = np.flatnonzero(found)
    chosen = held[_newest(dataset.part(held), most)]
    used = set(dataset.symbols[chosen].tolist())
    return Ground(
        _rows(dataset, chosen),
        {symbol: series for symbol, series in candles.items() if symbol in used},
        seen[chosen],
        priced[chosen],
    )


def _placed(dataset: Dataset, candles: Mapping[str, Candles], horizon_ms: int) -> tuple[IndexArray, IndexArray]:
    """Number of the last candle seen and of the one that prices the horizon; -1 for rows without their candles."""
    seen, priced = np.full(len(dataset), -1), np.full(len(dataset), -1)
    for symbol, series in candles.items():
        mine = np.flatnonzero(dataset.symbols == symbol)
        times, closes, length = dataset.times[mine], series.close_time, series.timeframe_ms
        last = np.searchsorted(closes, times, side="right") - 1
        at = np.searchsorted(closes, times + horizon_ms)
        never = np.iinfo(np.int64).max
        opened, closed = np.append(series.open_time, never), np.append(closes, never)
        whole = (
            (last >= WINDOW - 1)
            & (closes[last] > times - length)
            & (opened[last + 1] <= times + length)
            & (closed[at] <= times + horizon_ms + length)
        )
        seen[mine[whole]], priced[mine[whole]] = last[whole], at[whole]
    return seen, priced


def _newest(dataset: Dataset, most: int) -> IndexArray:
    """The rows to keep, ascending: thinned where there are too many, then the newest whole rounds."""
    if len(dataset) <= most:
        return np.arange(len(dataset))
    age = dataset.rounds.max() - dataset.rounds
    stride = max(1, min(-(-len(dataset) // most), _rounds_a_window(dataset) // ROWS_A_WINDOW))
    kept = age % stride == 0
    newer = np.searchsorted(np.sort(age[kept]), age, side="right")  # how many of those kept are as new or newer
    return np.flatnonzero(kept & (newer <= max(most, newer[kept].min())))


def _rounds_a_window(dataset: Dataset) -> int:
    gaps = np.diff(np.unique(dataset.times))
    return int(np.median(dataset.ends - dataset.times) // np.median(gaps)) if len(gaps) else 1


def _rows(dataset: Dataset, chosen: IndexArray) -> Rows:
    y, unknown = dataset.y[chosen], np.full(len(chosen), np.nan)
    of_horizon = dataset.target_kind is TargetKind.HORIZON
    return Rows(
        decision_ids=tuple(f"{number:07d}" for number in range(len(chosen))),
        symbols=tuple(dataset.symbols[chosen].tolist()),
        times=dataset.times[chosen],
        ends=dataset.ends[chosen],
        X=dataset.X[chosen],
        feature_names=dataset.feature_names,
        forward_returns=y if of_horizon else unknown,
        market_returns=unknown if of_horizon else y,
        label_sources=tuple(dataset.label_sources[chosen].tolist()),
    )
