"""The words and small values every part of the engine shares."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
FeatureMatrix = NDArray[np.float32]
TimeArray = NDArray[np.int64]
IndexArray = NDArray[np.intp]


class Action(StrEnum):
    """What a decision answers."""

    BUY = "BUY"
    SELL = "SELL"
    HOLD = "HOLD"


class TargetClass(StrEnum):
    """The sign of a trade's net return."""

    WIN = "WIN"
    LOSS = "LOSS"
    NEUTRAL = "NEUTRAL"


class LabelSource(StrEnum):
    """Where a row's outcome comes from."""

    EXECUTED = "executed"
    COUNTERFACTUAL = "counterfactual"
    HISTORICAL = "historical"
    SYNTHETIC = "synthetic"


class TargetKind(StrEnum):
    """Which return a version learned: over the fixed horizon, or over the trade's own window."""

    HORIZON = "horizon"
    TRADE = "trade"


class Verdict(StrEnum):
    """One night's statement about a version, in the order in which the first that applies is taken."""

    DEGENERATE = "degenerate"
    INSUFFICIENT_DATA = "insufficient_data"
    SUSPECTED_LEAKAGE = "suspected_leakage"
    NO_EVIDENCE = "no_evidence"
    EVIDENCE = "evidence"
    STRONG_EVIDENCE = "strong_evidence"


@dataclass(frozen=True, slots=True)
class Forecast:
    """One model answer; returns are fractions (0.01 is one per cent), unknown is None.

    ``score`` is the raw forecast whose sign is the direction; ``expected_return`` is shrunk so that it is not
    worse than zero out of sample; ``confidence`` is P(direction right | the move exceeds the costs).
    """

    score: float
    expected_return: float | None
    confidence: float | None


@dataclass(frozen=True, slots=True)
class Forecasts:
    """Answers for ``n`` rows at once: each array has shape (n,)."""

    scores: FloatArray
    expected_returns: FloatArray
    confidences: FloatArray

    def __len__(self) -> int:
        return len(self.scores)

    def row(self, index: int) -> Forecast:
        """Return the answer for one row."""
        return Forecast(
            score=float(self.scores[index]),
            expected_return=float(self.expected_returns[index]),
            confidence=float(self.confidences[index]),
        )
