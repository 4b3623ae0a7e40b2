"""Purged expanding walk-forward: forecasts of rows that the model which made them could not have known.

Lopez de Prado, Advances in Financial Machine Learning (2018), chapters 7 and 12.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ai_engine import baselines, recipes
from ai_engine.dataset import Dataset
from ai_engine.split import embargo_ms
from ai_engine.types import FloatArray, IndexArray

FIRST_TRAINING_SHARE = 0.35
BLOCKS = 5
MIN_FIT_ROWS = 5


@dataclass(frozen=True, slots=True)
class Fold:
    """Row indices, ascending: what is fitted, and the block of later rounds that is forecast."""

    train: IndexArray
    test: IndexArray


@dataclass(frozen=True, slots=True)
class OutOfSample:
    """Forecasts of the blocks, in time order.

    ``rows`` are indices into the data set; the arrays have shape (n,): ``scores`` of the bag, ``ridge`` and ``mean``
    of the standing challengers, ``majority`` the direction (+1 or -1) that was commoner in the fold's training part,
    ``blocks`` the number of the fold, ``scales`` the typical training score of its model. The sizes are the
    smallest of all folds, also of one that was left out: a judgement of some periods is none of all five.
    """

    rows: IndexArray
    scores: FloatArray
    ridge: FloatArray
    mean: FloatArray
    majority: FloatArray
    blocks: IndexArray
    scales: FloatArray
    smallest_training: int
    smallest_test: int


def folds(dataset: Dataset, *, timeframe_ms: int) -> list[Fold]:
    """Cut between rounds: about 35 % to begin with, then five blocks, each fitted on everything that came before.

    A row whose outcome was known only after a block began is left out of that block's training part, whatever its
    symbol; rows of a block decided within the embargo after its beginning are not forecast, which may be all of them.
    No fold where all rows were decided at one time.
    """
    round_times = np.unique(dataset.times)
    rows_before = np.searchsorted(dataset.times, round_times, side="left")
    borders = _borders(rows_before, len(dataset))
    embargo = embargo_ms(dataset.times, dataset.ends, timeframe_ms=timeframe_ms)
    found = []
    for first, last in pairwise(borders):
        begins = dataset.times[first]
        older = np.arange(first)
        block = np.arange(first, last)
        train = older[dataset.ends[:first] <= begins]
        test = block[dataset.times[block] >= begins + embargo]
        found.append(Fold(train, test))
    return found


def _borders(rows_before: IndexArray, count: int) -> list[int]:
    """First rows of the blocks and the end: at round borders nearest to equal shares of the rows, each once."""
    shares = FIRST_TRAINING_SHARE + (1.0 - FIRST_TRAINING_SHARE) * np.arange(BLOCKS) / BLOCKS
    inner = rows_before[1:]
    if len(inner) == 0:
        return [count]
    nearest = [int(inner[np.argmin(np.abs(inner - share * count))]) for share in shares]
    return [*sorted(set(nearest)), count]


def forecast(
    dataset: Dataset, *, timeframe_ms: int, cost: float, seed: int, progress: Callable[[float], None]
) -> OutOfSample | None:
    """Fit each fold and forecast its block; None where no fold has enough rows to fit on and any to forecast."""
    cut = folds(dataset, timeframe_ms=timeframe_ms)
    parts = [fold for fold in cut if len(fold.train) >= MIN_FIT_ROWS and len(fold.test)]
    if not parts:
        return None
    answers = []
    for number, fold in enumerate(parts):
        answers.append(_forecast_fold(dataset, fold, cost=cost, seed=seed))
        progress((number + 1) / len(parts))
    columns = [np.concatenate(column) for column in zip(*answers, strict=True)]
    sizes = [len(fold.test) for fold in parts]
    return OutOfSample(
        rows=np.concatenate([fold.test for fold in parts]),
        scores=columns[0],
        ridge=columns[1],
        mean=columns[2],
        majority=columns[3],
        blocks=np.repeat(np.arange(len(parts)), sizes),
        scales=columns[4],
        smallest_training=min(len(fold.train) for fold in cut),
        smallest_test=min(len(fold.test) for fold in cut),
    )


def _forecast_fold(dataset: Dataset, fold: Fold, *, cost: float, seed: int) -> tuple[FloatArray, ...]:
    """Everything fitted is fitted on the fold's own training part: weights, scaling, selection, challengers."""
    train, test = dataset.part(fold.train), dataset.part(fold.test)
    fitted = recipes.fit(train.X, train.y, train.weights, recipes.for_rows(len(train), seed=seed))
    scale = float(np.sqrt(np.mean(fitted.predict(train.X) ** 2)))
    count = len(test)
    return (
        fitted.predict(test.X),
        baselines.fit_ridge(train.X, train.y, train.weights).predict(test.X),
        np.full(count, float(train.weights @ train.y / train.weights.sum())),
        baselines.fit_majority(train.y, cost=cost).predict(count),
        np.full(count, scale),
    )
