"""Rows as read from storage -> the sorted, weighted arrays that train; every refused row is counted by reason."""

import hashlib
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ai_engine.recipes import RECIPE_VERSION
from ai_engine.types import FeatureMatrix, FloatArray, IndexArray, LabelSource, TargetKind, TimeArray

MAX_ABS_RETURN = 1.0
HISTORICAL_WEIGHT = 0.5

Mask = NDArray[np.bool_]
StringArray = NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class Rows:
    """Decisions with an outcome, in any order.

    Parameters
    ----------
    decision_ids, symbols, label_sources
        One per row.
    times, ends
        Decision time and the time the outcome was known, ms since the epoch, UTC; shape (n,).
    X
        Features, shape (n, f), columns in the order of ``feature_names`` (sorted).
    forward_returns, market_returns
        Fractions, shape (n,); NaN where unknown.
    vouched_ids
        Decision ids of rows whose returns a person vouched for: they train however large these are.
    """

    decision_ids: tuple[str, ...]
    symbols: tuple[str, ...]
    times: TimeArray
    ends: TimeArray
    X: FeatureMatrix
    feature_names: tuple[str, ...]
    forward_returns: FloatArray
    market_returns: FloatArray
    label_sources: tuple[str, ...]
    vouched_ids: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.decision_ids)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Usable rows of one target kind, sorted by (time, symbol, decision_id).

    ``y`` is the return to learn, ``weights`` have mean 1, ``rounds`` number the distinct decision times from 0.
    """

    X: FeatureMatrix
    y: FloatArray
    weights: FloatArray
    times: TimeArray
    ends: TimeArray
    rounds: IndexArray
    symbols: StringArray
    target_kind: TargetKind
    rejected: dict[str, int]
    other_kind: int
    feature_names: tuple[str, ...]
    label_sources: StringArray

    def __len__(self) -> int:
        return len(self.y)

    def part(self, index: IndexArray) -> "Dataset":
        """Return the rows ``index`` as a data set of their own: weights know nothing of the rows left out."""
        times, ends = self.times[index], self.ends[index]
        symbols, sources = self.symbols[index], self.label_sources[index]
        return replace(
            self,
            X=self.X[index],
            y=self.y[index],
            weights=sample_weights(times, ends, symbols, sources),
            times=times,
            ends=ends,
            rounds=_round_numbers(times),
            symbols=symbols,
            label_sources=sources,
        )


def build(rows: Rows, *, include_synthetic: bool = False) -> Dataset:
    """Return the usable rows of ``rows``; the order in which they arrived has no effect.

    Raises
    ------
    ValueError
        If the columns of ``rows`` differ in length.
    """
    _check_shapes(rows)
    reasons = _Reasons(len(rows))
    _refuse_rows(rows, reasons, include_synthetic=include_synthetic)
    has_horizon = ~np.isnan(rows.forward_returns)
    has_trade = ~has_horizon & ~np.isnan(rows.market_returns)
    reasons.refuse(~has_horizon & ~has_trade, "missing_return")
    returns = np.where(has_horizon, rows.forward_returns, rows.market_returns)
    with np.errstate(invalid="ignore"):
        vouched = np.isfinite(returns) & np.isin(rows.decision_ids, sorted(rows.vouched_ids))
        reasons.refuse((np.abs(returns) > MAX_ABS_RETURN) & ~vouched, "implausible_return")
    order = _sorted_order(rows, returns)
    order = order[reasons.usable[order]]
    order = _without_repeats(rows, order, reasons)
    horizon = has_horizon[order]
    of_horizon = int(horizon.sum()) >= len(order) - int(horizon.sum())
    chosen = order[horizon if of_horizon else ~horizon]
    kind = TargetKind.HORIZON if of_horizon else TargetKind.TRADE
    return _assemble(rows, chosen, returns, kind, reasons.counts(), other_kind=len(order) - len(chosen))


class _Reasons:
    """Which rows are still usable, and how many were refused for what: each row for its first reason only."""

    def __init__(self, count: int) -> None:
        self.usable: Mask = np.ones(count, dtype=bool)
        self._counts: Counter[str] = Counter()

    def refuse(self, mask: Mask, reason: str) -> None:
        self._counts[reason] += int((mask & self.usable).sum())
        self.usable &= ~mask

    def counts(self) -> dict[str, int]:
        return {reason: count for reason, count in sorted(self._counts.items()) if count}


def _check_shapes(rows: Rows) -> None:
    lengths = {
        name: len(getattr(rows, name)) for name in Rows.__slots__ if name not in ("feature_names", "vouched_ids")
    }
    if len(set(lengths.values())) != 1:
        raise ValueError(f"Rows have columns of different lengths: {lengths}.")
    if rows.X.ndim != 2 or rows.X.shape[1] != len(rows.feature_names):
        raise ValueError(f"X has shape {rows.X.shape} but {len(rows.feature_names)} feature names.")


def _refuse_rows(rows: Rows, reasons: _Reasons, *, include_synthetic: bool) -> None:
    if not include_synthetic:
        sources = np.asarray(rows.label_sources, dtype=np.str_)
        reasons.refuse(sources == LabelSource.SYNTHETIC.value, "synthetic")
    reasons.refuse(np.asarray(np.isnan(rows.X).any(axis=1)), "nan_feature")
    reasons.refuse(np.asarray(np.isinf(rows.X).any(axis=1)), "infinite_feature")
    reasons.refuse(rows.ends <= rows.times, "outcome_before_decision")


def _sorted_order(rows: Rows, returns: FloatArray) -> IndexArray:
    """Sort by time, symbol, decision_id; the rest only settles which of two repeats stays."""
    ids = np.asarray(rows.decision_ids, dtype=np.str_)
    symbols = np.asarray(rows.symbols, dtype=np.str_)
    return np.lexsort((returns, rows.ends, ids, symbols, rows.times))


def _without_repeats(rows: Rows, order: IndexArray, reasons: _Reasons) -> IndexArray:
    ids = np.asarray(rows.decision_ids, dtype=np.str_)[order]
    _, first = np.unique(ids, return_index=True)
    keep = np.zeros(len(order), dtype=bool)
    keep[first] = True
    repeats = np.zeros(len(rows), dtype=bool)
    repeats[order[~keep]] = True
    reasons.refuse(repeats, "duplicate_decision")
    return order[keep]


def _assemble(
    rows: Rows,
    chosen: IndexArray,
    returns: FloatArray,
    kind: TargetKind,
    rejected: dict[str, int],
    *,
    other_kind: int,
) -> Dataset:
    times, ends = rows.times[chosen].astype(np.int64), rows.ends[chosen].astype(np.int64)
    symbols = np.asarray(rows.symbols, dtype=np.str_)[chosen]
    sources = np.asarray(rows.label_sources, dtype=np.str_)[chosen]
    return Dataset(
        X=np.ascontiguousarray(rows.X[chosen], dtype=np.float32),
        y=returns[chosen].astype(np.float64),
        weights=sample_weights(times, ends, symbols, sources),
        times=times,
        ends=ends,
        rounds=_round_numbers(times),
        symbols=symbols,
        target_kind=kind,
        rejected=rejected,
        other_kind=other_kind,
        feature_names=rows.feature_names,
        label_sources=sources,
    )


def _round_numbers(times: TimeArray) -> IndexArray:
    return np.unique(times, return_inverse=True)[1]


def sample_weights(times: TimeArray, ends: TimeArray, symbols: StringArray, sources: StringArray) -> FloatArray:
    """Return uniqueness x recency x trust in the source, scaled to mean 1; shape (n,).

    Recency halves over the window: halving twice would cost an eighth of all rows. Historical rows start at 0.5 and
    fade as executed rows arrive. Mean 1 matters: raw weights starve XGBoost's ``min_child_weight`` and leave a
    constant model without a warning.
    """
    if len(times) == 0:
        return np.empty(0, dtype=np.float64)
    weights: FloatArray = uniqueness(times, ends, symbols) * _recency(times) * _trust(sources)
    weights /= weights.mean()
    return weights


def _recency(times: TimeArray) -> FloatArray:
    span = float(times.max() - times.min())
    if span == 0:
        return np.ones(len(times), dtype=np.float64)
    age = (times.max() - times) / span
    return np.asarray(np.exp2(-age), dtype=np.float64)


def _trust(sources: StringArray) -> FloatArray:
    historical = sources == LabelSource.HISTORICAL.value
    count = int(historical.sum())
    if count == 0:
        return np.ones(len(sources), dtype=np.float64)
    executed = int((sources == LabelSource.EXECUTED.value).sum())
    return np.where(historical, HISTORICAL_WEIGHT * count / (count + executed), 1.0)


def uniqueness(times: TimeArray, ends: TimeArray, symbols: StringArray) -> FloatArray:
    """Return each row's mean of 1 / (windows of its symbol open at that moment); shape (n,), in (0, 1].

    Their sum is the number of non-overlapping windows the rows are worth. Lopez de Prado, Advances in Financial
    Machine Learning (2018), section 4.3.

    Examples
    --------
    >>> times, ends = np.array([0, 0, 10]), np.array([10, 10, 20])
    >>> uniqueness(times, ends, np.array(["A", "A", "A"])).tolist()
    [0.5, 0.5, 1.0]
    """
    result = np.ones(len(times), dtype=np.float64)
    for symbol in np.unique(symbols):
        mine = symbols == symbol
        result[mine] = _mean_inverse_concurrency(times[mine], ends[mine])
    return result


def _mean_inverse_concurrency(starts: TimeArray, ends: TimeArray) -> FloatArray:
    points = np.unique(np.concatenate((starts, ends)))
    first, last = np.searchsorted(points, starts), np.searchsorted(points, ends)
    change = np.bincount(first, minlength=len(points)) - np.bincount(last, minlength=len(points))
    open_windows = np.cumsum(change)[:-1]
    share = np.diff(points) / np.maximum(open_windows, 1)
    integral = np.concatenate(([0.0], np.cumsum(share)))
    return np.asarray((integral[last] - integral[first]) / (ends - starts), dtype=np.float64)


def data_hash(dataset: Dataset, recipe_version: str = RECIPE_VERSION) -> str:
    """Return the SHA-256 of everything that trains: the same rows in any order give the same hash."""
    digest = hashlib.sha256()
    header = "\x1f".join((recipe_version, dataset.target_kind.value, str(dataset.X.shape), *dataset.feature_names))
    digest.update(header.encode())
    for column in (dataset.symbols, dataset.label_sources):
        digest.update("\x1f".join(column.tolist()).encode())
    for numbers in (dataset.times, dataset.ends, dataset.X, dataset.y, dataset.weights):
        digest.update(np.ascontiguousarray(numbers).astype(numbers.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()
