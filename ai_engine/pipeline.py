"""Rows in, artifact bytes and a report out: the one seam that nightly runs, replay and rebuild share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ai_engine.dataset import Dataset, Rows

MIN_USABLE_ROWS = 10

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class TrainingContext:
    """What a training run knows beside its rows; ``cost`` is the round trip as a fraction, also the dead zone."""

    strategy: str
    timeframe_ms: int
    horizon_candles: int
    cost: float
    seed: int
    looks: int
    include_synthetic: bool = False


@dataclass(frozen=True)
class Trained:
    """A finished version: its file's bytes and everything that is said about it."""

    artifact: bytes
    sha256: str
    report: dict[str, Any]
    data_hash: str
    recipe: dict[str, Any]
    libraries: dict[str, str]


@dataclass(frozen=True)
class Refused:
    """Why no version was made: ``too_few_valid_samples`` or ``degenerate_data``."""

    reason: str
    detail: dict[str, Any]


def prepare(rows: Rows, context: TrainingContext) -> Dataset | Refused:
    raise NotImplementedError


def train(rows: Rows, context: TrainingContext, progress: Progress | None = None) -> Trained | Refused:
    raise NotImplementedError
