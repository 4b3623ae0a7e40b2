"""The dumb forecasts every model stands beside."""

from dataclasses import dataclass

import numpy as np

from ai_engine.types import FloatArray


@dataclass(frozen=True, slots=True)
class MajoritySign:
    """Always the direction that was more frequent in the training part."""

    direction: int

    @property
    def name(self) -> str:
        """What the report calls it."""
        return "always_up" if self.direction > 0 else "always_down"

    def predict(self, count: int) -> FloatArray:
        """Return ``count`` times the direction."""
        return np.full(count, float(self.direction))


def fit_majority(y: FloatArray, *, cost: float) -> MajoritySign:
    """Learn the majority sign from moves larger than the costs; up on a tie.

    Examples
    --------
    >>> fit_majority(np.array([-0.01, -0.02, 0.03]), cost=0.002).name
    'always_down'
    """
    up, down = int((y > cost).sum()), int((y < -cost).sum())
    return MajoritySign(direction=1 if up >= down else -1)


def zero_forecast(count: int) -> FloatArray:
    """Return the forecast that nothing moves: its mean absolute error is the one to beat."""
    return np.zeros(count)
