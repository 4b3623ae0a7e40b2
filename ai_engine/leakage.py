"""Features that know the outcome: too good to be a forecast, or named after what only the future tells."""

import re

import numpy as np

from ai_engine.types import FeatureMatrix, FloatArray

LARGEST_CORRELATION = 0.9
LARGEST_ACCURACY = 0.80
OUTCOME_WORDS = frozenset({"pnl", "outcome", "label", "future", "exit", "target"})
OUTCOME_NAMES = frozenset({"forward_return", "market_return"})


def named_after_outcomes(names: tuple[str, ...]) -> list[str]:
    """Return the names that say that they hold what came of a trade.

    Examples
    --------
    >>> named_after_outcomes(("rsi_14", "realized_pnl", "ExitPrice", "exits_of_the_metro"))
    ['realized_pnl', 'ExitPrice']
    """
    return [name for name in names if name.lower() in OUTCOME_NAMES or OUTCOME_WORDS & set(_words(name))]


def _words(name: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name)]


def correlated_with_target(X: FeatureMatrix, y: FloatArray, names: tuple[str, ...]) -> list[str]:
    """Return the names of features whose |Spearman correlation| with the target exceeds 0.9.

    A correlation screen finds only the crudest leaks; that nothing looks ahead is shown by recomputing features on
    shorter histories, in the tests.
    """
    if len(y) < 3:
        return []
    target = _centred_ranks(y)
    found = []
    for column, name in enumerate(names):
        ranks = _centred_ranks(X[:, column].astype(np.float64))
        scale = float(np.sqrt((ranks @ ranks) * (target @ target)))
        if scale > 0 and abs(float(ranks @ target)) / scale > LARGEST_CORRELATION:
            found.append(name)
    return found


def _centred_ranks(values: FloatArray) -> FloatArray:
    order = np.argsort(values)
    ordered = values[order]
    begins = np.concatenate(([True], ordered[1:] != ordered[:-1]))
    group = np.cumsum(begins) - 1
    counts = np.bincount(group)
    ranks = np.empty(len(values))
    ranks[order] = (np.cumsum(counts) - (counts - 1) / 2.0)[group]
    return np.asarray(ranks - ranks.mean(), dtype=np.float64)
