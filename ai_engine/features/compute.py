"""From candles to X. Live, replay, warm start and posted candles all pass here."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ai_engine.candles import Candles
from ai_engine.features.catalogue import CATALOGUE
from ai_engine.features.windows import WINDOW, windows_at
from ai_engine.types import FeatureMatrix, IndexArray, TimeArray

BATCH = 256
"""Windows computed at once: some 15 MB of matrices, which still fits a processor's cache hierarchy."""


def compute(candles: Candles) -> npt.NDArray[np.float32]:
    """Return the feature row of the last candle, a function of the last 500 candles only.

    Parameters
    ----------
    candles
        At least 500 closed candles.

    Returns
    -------
    ndarray
        float32, shape (n_features,), finite, in the order of ``FEATURE_NAMES``.

    Raises
    ------
    ValueError
        If there are fewer than 500 candles.
    """
    if len(candles) < WINDOW:
        raise ValueError(f"Features need {WINDOW} closed candles; there are {len(candles)}. Fetch more history.")
    row: npt.NDArray[np.float32] = compute_history(candles.tail(WINDOW), np.array([WINDOW - 1]))[0]
    return row


def compute_history(candles: Candles, ends: TimeArray | IndexArray) -> FeatureMatrix:
    """Return the feature rows of the windows that end at the candles ``ends``.

    Each row is computed from its own 500 candles by the code that :func:`compute` runs, so the two cannot differ.

    Parameters
    ----------
    candles
        The whole series; what lies before a window or after its end has no influence on its row.
    ends
        Integers, shape (m,), in any order: index of each window's last candle, from 499 to ``len(candles) - 1``.

    Returns
    -------
    ndarray
        float32, shape (m, n_features), finite, columns in the order of ``FEATURE_NAMES``.

    Raises
    ------
    ValueError
        If an end has fewer than 499 candles before it or lies behind the series.
    """
    ends = np.asarray(ends, dtype=np.intp)
    if len(ends) and not (ends.min() >= WINDOW - 1 and ends.max() < len(candles)):
        raise ValueError(
            f"Window ends must lie between {WINDOW - 1} and {len(candles) - 1}; "
            f"found {ends.min()} to {ends.max()}. Leave out rows with fewer than {WINDOW} candles of history."
        )
    X = np.empty((len(ends), len(CATALOGUE)), dtype=np.float32)
    for start in range(0, len(ends), BATCH):
        windows = windows_at(candles, ends[start : start + BATCH])
        for column, feature in enumerate(CATALOGUE):
            X[start : start + BATCH, column] = feature.values(windows)
    return X
