"""From raw scores to a probability and to an expected return, learned on rows the model did not see.

A score's strength is its size relative to the typical score of its own model on its own training rows. That unit
makes what was learned with the model of the older rows usable for the shipped model, which is fitted on all rows.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ai_engine.types import FloatArray

COIN = 0.5
PRIOR_ROWS = 40.0
PRIOR_ROWS_OF_STRENGTH = 20.0
TERCILES = 3
NEWEST = 3  # the newest third of the rows

Truths = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Calibration:
    """``confidences`` by tercile of strength (borders ``strength_edges``); ``shrink`` in [0, 1] times the score.

    ``score_scale`` is the root mean square of the model's own training scores.
    """

    score_scale: float
    strength_edges: tuple[float, float]
    confidences: tuple[float, float, float]
    shrink: float

    def confidence(self, scores: FloatArray) -> FloatArray:
        """Return P(direction right | the move exceeds the costs), shape (n,); a coin for a score of exactly 0."""
        tercile = np.searchsorted(np.asarray(self.strength_edges), strength(scores, self.score_scale), side="right")
        return np.where(scores == 0, COIN, np.asarray(self.confidences)[tercile])

    def expected_return(self, scores: FloatArray) -> FloatArray:
        """Return the shrunk forecast as a fraction, shape (n,)."""
        return self.shrink * scores

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for the artifact."""
        return asdict(self)


def without_skill(score_scale: float) -> Calibration:
    """Return what is known when nothing could be judged: a coin, and no move expected."""
    return Calibration(score_scale, (1.0, 1.0), (COIN, COIN, COIN), 0.0)


def from_dict(values: dict[str, Any]) -> Calibration:
    """Read what ``as_dict`` wrote.

    Raises
    ------
    KeyError, TypeError, ValueError
        If a value is missing or of the wrong kind.
    """
    low, high = (float(edge) for edge in values["strength_edges"])
    first, second, third = (float(value) for value in values["confidences"])
    return Calibration(float(values["score_scale"]), (low, high), (first, second, third), float(values["shrink"]))


def score_scale(training_scores: FloatArray) -> float:
    """Return the typical size of a model's scores on its own training rows."""
    return float(np.sqrt(np.mean(training_scores**2))) if len(training_scores) else 0.0


def strength(scores: FloatArray, scale: float | FloatArray) -> FloatArray:
    """Return |score| in units of the typical score of the model that made it, shape (n,)."""
    typical = np.broadcast_to(np.asarray(scale, dtype=np.float64), scores.shape)
    return np.divide(np.abs(scores), typical, out=np.zeros(len(scores)), where=typical > 0)


def fit(
    scores: FloatArray, y: FloatArray, *, scales: FloatArray, shipped_scale: float, cost: float, overlap: float
) -> Calibration:
    """Learn from out-of-sample rows.

    Parameters
    ----------
    scores, y
        Forecasts of rows the model was not fitted on, and their returns, in time order; shape (n,).
    scales
        ``score_scale`` of the model that made each score; shape (n,).
    shipped_scale
        ``score_scale`` of the model that the calibration is for.
    cost
        Rows with ``|y| <= cost`` have no direction.
    overlap
        Rows per independent outcome, >= 1: counts are divided by it, so that twelve overlapping windows do not pass
        for twelve outcomes.

    Notes
    -----
    Partial pooling (Gelman et al., Bayesian Data Analysis, chapter 5): the hit rate of all rows is shrunk towards a
    coin with Beta(20, 20), and that of each tercile of strength towards the rate of all, as if that had been seen on 20
    more rows. A stronger score is never given less than a weaker one (isotonic regression). Every confidence is 0.5
    without skill over all rows, or where the newest third of them does not show it any more.
    """
    outside = np.abs(y) > cost
    if not outside.any():
        return without_skill(shipped_scale)
    sizes = strength(scores, scales)
    low, high = (float(edge) for edge in np.quantile(sizes, (1 / TERCILES, 2 / TERCILES)))
    hits = np.sign(scores) == np.sign(y)
    shrink = fit_shrink(scores, y, overlap=overlap)
    overall = _shrunk_rate(hits[outside], overlap, towards=COIN, prior_rows=PRIOR_ROWS)
    if overall <= COIN or _is_lost(hits, outside):
        return Calibration(shipped_scale, (low, high), (COIN, COIN, COIN), shrink)
    tercile = np.searchsorted(np.array([low, high]), sizes, side="right")
    parts = [hits[outside & (tercile == number)] for number in range(TERCILES)]
    rates = [_shrunk_rate(part, overlap, towards=overall, prior_rows=PRIOR_ROWS_OF_STRENGTH) for part in parts]
    weights = [PRIOR_ROWS_OF_STRENGTH + len(part) / overlap for part in parts]
    first, second, third = (max(COIN, rate) for rate in _rising(rates, weights))
    return Calibration(shipped_scale, (low, high), (first, second, third), shrink)


def _shrunk_rate(hits: Truths, overlap: float, *, towards: float, prior_rows: float) -> float:
    return (prior_rows * towards + float(hits.sum()) / overlap) / (prior_rows + len(hits) / overlap)


def _is_lost(hits: Truths, outside: Truths) -> bool:
    """Whether the newest third was right less often than a coin: a skill of earlier rows says nothing of the next."""
    newest = slice(len(hits) - len(hits) // NEWEST, None)
    late = hits[newest][outside[newest]]
    return len(late) > 0 and float(late.mean()) < COIN


def _rising(rates: list[float], weights: list[float]) -> list[float]:
    """The nearest rates, in weighted squares, that never fall: neighbours in the wrong order share their mean."""
    pools: list[tuple[float, float, int]] = []
    for rate, weight in zip(rates, weights, strict=True):
        pools.append((rate, weight, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (left, left_weight, left_size), (right, right_weight, right_size) = pools[-2:]
            total = left_weight + right_weight
            mean = (left * left_weight + right * right_weight) / total
            pools[-2:] = [(mean, total, left_size + right_size)]
    return [rate for rate, _, size in pools for _ in range(size)]


def fit_shrink(scores: FloatArray, y: FloatArray, *, overlap: float) -> float:
    """Return the factor in [0, 1] that keeps ``factor * score`` from being worse than the zero forecast.

    The regression slope of return on score, pulled to 0 by its own uncertainty (positive-part James-Stein), then
    lowered until neither the squared nor the absolute error exceeds that of forecasting 0 on these rows.
    """
    power = float(scores @ scores)
    if power == 0 or len(y) < 2:
        return 0.0
    slope = float(scores @ y) / power
    if slope <= 0 or slope**2 == 0:
        return 0.0
    residual = y - slope * scores
    variance = float(residual @ residual) / (len(y) - 1) / power * overlap
    factor = min(1.0, slope * max(0.0, 1.0 - variance / slope**2))
    return _largest_harmless(scores, y, factor)


def _largest_harmless(scores: FloatArray, y: FloatArray, factor: float) -> float:
    """The mean absolute error is convex in the factor: the harmless ones are an interval that begins at 0."""
    zero_error = float(np.mean(np.abs(y)))

    def harmless(candidate: float) -> bool:
        return float(np.mean(np.abs(y - candidate * scores))) <= zero_error

    if harmless(factor):
        return factor
    low, high = 0.0, factor
    for _ in range(40):
        middle = (low + high) / 2.0
        low, high = (middle, high) if harmless(middle) else (low, middle)
    return low
