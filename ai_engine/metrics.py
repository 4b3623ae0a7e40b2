"""What a forecast was worth on rows it did not see: direction, errors, costs, and how many rows really count."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ai_engine.dataset import uniqueness
from ai_engine.types import FloatArray, IndexArray, TimeArray

Z_ONE_SIDED_5 = 1.6448536269514722
Z_POWER_80 = 0.8416212335729143


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Directional accuracy: ``hits`` of ``scored`` rows; ``neutral`` rows moved less than the costs: not counted."""

    hits: int
    scored: int
    neutral: int

    @property
    def value(self) -> float | None:
        """The share of right directions; None where every row was neutral."""
        return self.hits / self.scored if self.scored else None


def directional_accuracy(scores: FloatArray, y: FloatArray, *, cost: float) -> Accuracy:
    """Compare the signs of scores and returns where ``|y| > cost``; a score of exactly 0 has no direction: a miss.

    Examples
    --------
    >>> directional_accuracy(np.array([1.0, -1.0, 1.0]), np.array([0.01, 0.02, 0.001]), cost=0.002).value
    0.5
    """
    outside = np.abs(y) > cost
    hits = int((np.sign(scores[outside]) == np.sign(y[outside])).sum())
    scored = int(outside.sum())
    return Accuracy(hits=hits, scored=scored, neutral=len(y) - scored)


def mean_absolute_error(scores: FloatArray, y: FloatArray) -> float | None:
    """Return the mean of |score - return| as a fraction; None without rows."""
    return float(np.mean(np.abs(scores - y))) if len(y) else None


def rank_correlation(scores: FloatArray, y: FloatArray) -> float | None:
    """Return Spearman's rank correlation, ties at their mean rank; None where one side never varies.

    Examples
    --------
    >>> rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 15.0]))
    0.5
    """
    if len(y) < 2:
        return None
    a, b = _ranks(scores), _ranks(y)
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else None


def _ranks(values: FloatArray) -> FloatArray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean_rank: FloatArray = (last - (counts - 1) / 2.0).astype(np.float64)
    return mean_rank[inverse]


def net_return_per_trade(scores: FloatArray, y: FloatArray, *, cost: float) -> float | None:
    """Return the mean of ``sign(score) * return - cost`` over rows with a direction; None where there is none."""
    acted = scores != 0
    if not acted.any():
        return None
    return float(np.mean(np.sign(scores[acted]) * y[acted]) - cost)


def break_even_accuracy(y: FloatArray, *, cost: float) -> float | None:
    """Return ``0.5 + 0.5 * cost / mean |y|``: the accuracy that pays the costs when moves are symmetric.

    None where not even an accuracy of 1 pays.

    Examples
    --------
    >>> break_even_accuracy(np.array([0.01, -0.01]), cost=0.002)
    0.6
    """
    mean_move = float(np.mean(np.abs(y))) if len(y) else 0.0
    if mean_move <= cost:
        return None
    return 0.5 + 0.5 * cost / mean_move


def min_detectable_accuracy(effective_samples: float) -> float | None:
    """Return the smallest true accuracy that a one-sided 5 % test against 0.5 finds with 80 % power.

    Solves ``p - 0.5 = (z_95 * 0.5 + z_80 * sqrt(p (1 - p))) / sqrt(n)``; None where even 1 would not be found.

    Examples
    --------
    >>> round(min_detectable_accuracy(62), 3)
    0.655
    """
    if effective_samples <= 0:
        return None
    accuracy = 0.5
    for _ in range(60):
        spread = Z_ONE_SIDED_5 * 0.5 + Z_POWER_80 * np.sqrt(max(accuracy * (1.0 - accuracy), 0.0))
        accuracy = min(0.5 + float(spread) / float(np.sqrt(effective_samples)), 1.0)
    return accuracy if accuracy < 1.0 else None


class Outcomes(Protocol):
    """Returns ``y`` over windows from ``times`` to ``ends`` (ms), decided in numbered ``rounds``; shape (n,)."""

    @property
    def times(self) -> TimeArray:
        """When each was decided."""

    @property
    def ends(self) -> TimeArray:
        """When its outcome was known."""

    @property
    def symbols(self) -> NDArray[np.str_]:
        """Of what."""

    @property
    def rounds(self) -> IndexArray:
        """Which decision time, from 0."""

    @property
    def y(self) -> FloatArray:
        """The return."""


def effective_samples(part: Outcomes, scored: NDArray[np.bool_]) -> float:
    """Return what the scored rows of a part are worth in independent outcomes.

    Windows of one symbol that overlap share their outcome: their uniqueness is summed. Symbols decided in one round
    move together: the sum is divided by the design effect ``1 + (m - 1) * rho`` with the rows per round ``m`` and
    the correlation of returns within rounds ``rho``.
    """
    if not scored.any():
        return 0.0
    distinct = float(uniqueness(part.times, part.ends, part.symbols)[scored].sum())
    return distinct / _design_effect(part.rounds, part.y)


def _design_effect(rounds: IndexArray, y: FloatArray) -> float:
    """Kish's design effect with the one-way intraclass correlation of returns within rounds, never below 1."""
    counts = np.bincount(rounds)
    n, groups = len(y), len(counts)
    if groups < 2 or n == groups:
        return float(n) / groups if groups else 1.0
    means = np.bincount(rounds, weights=y) / counts
    between = float(counts @ (means - y.mean()) ** 2) / (groups - 1)
    within = float(np.sum((y - means[rounds]) ** 2)) / (n - groups)
    typical = (n - float((counts**2).sum()) / n) / (groups - 1)
    spread = between + (typical - 1.0) * within
    correlation = (between - within) / spread if spread > 0 else 1.0
    rows_per_round = float((counts**2).sum()) / n
    return 1.0 + (rows_per_round - 1.0) * min(max(correlation, 0.0), 1.0)


def non_overlapping_windows(times: TimeArray, ends: TimeArray) -> int:
    """Return how many outcome windows fit one after another, whatever the symbol.

    Examples
    --------
    >>> non_overlapping_windows(np.array([0, 5, 10, 20]), np.array([10, 15, 20, 30]))
    3
    """
    count, free_from = 0, -np.inf
    for row in np.argsort(ends, kind="stable"):
        if times[row] >= free_from:
            count += 1
            free_from = float(ends[row])
    return count
