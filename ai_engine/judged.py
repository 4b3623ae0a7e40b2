"""What verdict, sentence and report rest on, gathered once from the fits and their out-of-sample forecasts."""

from dataclasses import dataclass

import numpy as np

from ai_engine import baselines, inference, leakage, metrics, verdict
from ai_engine.comparison import Comparison
from ai_engine.dataset import Dataset, Mask
from ai_engine.inference import Panel
from ai_engine.sequential import Evidence
from ai_engine.split import Split
from ai_engine.types import FloatArray
from ai_engine.walk_forward import OutOfSample


@dataclass(frozen=True, slots=True)
class Judged:
    """What was fitted and how it answered: parts in time order, scores None where too few rows were left to fit.

    ``out_of_sample`` is the walk-forward, ``nights`` the evidence over all nights, ``comparison`` the one against the
    active version; None where there is none.
    """

    dataset: Dataset
    split: Split
    train: Dataset
    validation: Dataset
    train_scores: FloatArray | None
    validation_scores: FloatArray | None
    out_of_sample: OutOfSample | None
    comparison: Comparison | None
    nights: Evidence | None
    constant: bool
    cost: float
    looks: int
    data_hash: str


def panel(judged: Judged) -> Panel | None:
    """The walk-forward's forecasts beside what came of them."""
    if judged.out_of_sample is None:
        return None
    part = judged.dataset.part(judged.out_of_sample.rows)
    return Panel(part.times, part.ends, part.symbols, part.y, judged.out_of_sample.scores)


def gather(judged: Judged) -> verdict.Facts:
    """Return the facts that verdict and sentence rest on."""
    dataset, made = judged.dataset, judged.out_of_sample
    suspects, only_named = _suspects(dataset)
    if made is None:
        return _nothing_forecast(judged, suspects)
    part = dataset.part(made.rows)
    seen = Panel(part.times, part.ends, part.symbols, part.y, made.scores)
    outside = np.abs(part.y) > judged.cost
    accuracy = metrics.directional_accuracy(made.scores, part.y, cost=judged.cost)
    shifted = inference.circular_shift(seen, cost=judged.cost)
    newest = made.blocks == made.blocks.max()
    baseline_name, baseline_accuracy = baselines.better_constant(part.y, cost=judged.cost)
    return verdict.Facts(
        constant=judged.constant,
        artifact_rows=len(dataset),
        smallest_training=made.smallest_training,
        smallest_test=made.smallest_test,
        rows=len(part),
        hits=accuracy.hits,
        scored=accuracy.scored,
        baseline_accuracy=baseline_accuracy,
        baseline_name=baseline_name,
        unbeaten=_unbeaten(part, made, cost=judged.cost),
        effective_samples=metrics.effective_samples(part, outside),
        windows=metrics.non_overlapping_windows(part.times, part.ends),
        shifts=shifted.shifts,
        p_value=shifted.p_value if accuracy.scored else None,
        p_majority=_against_majority(part, made, outside),
        edge_interval=_edge_interval(part, made, outside),
        newest_accuracy=metrics.directional_accuracy(made.scores[newest], part.y[newest], cost=judged.cost).value,
        suspects=suspects,
        only_named=only_named,
    )


def _suspects(dataset: Dataset) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Every feature that may know the outcome, and those of them of which only the name says so."""
    named = leakage.named_after_outcomes(dataset.feature_names)
    measured = leakage.correlated_with_target(dataset.X, dataset.y, dataset.feature_names)
    return tuple(dict.fromkeys([*named, *measured])), tuple(name for name in named if name not in measured)


def _nothing_forecast(judged: Judged, suspects: tuple[str, ...]) -> verdict.Facts:
    return verdict.Facts(
        constant=judged.constant,
        artifact_rows=len(judged.dataset),
        smallest_training=0,
        smallest_test=0,
        rows=0,
        hits=0,
        scored=0,
        baseline_accuracy=None,
        baseline_name=None,
        unbeaten=(),
        effective_samples=0.0,
        windows=0,
        shifts=0,
        p_value=None,
        p_majority=None,
        edge_interval=None,
        newest_accuracy=None,
        suspects=suspects,
    )


def _unbeaten(part: Dataset, made: OutOfSample, *, cost: float) -> tuple[str, ...]:
    """The standing challengers that do as well: by direction, and the forecast of no move by its mean error."""
    ours = metrics.directional_accuracy(made.scores, part.y, cost=cost).value
    theirs = (
        ("a ridge regression", made.ridge),
        ("the mean", made.mean),
        ("the direction that was commoner before", made.majority),
    )
    told = []
    for name, scores in theirs:
        accuracy = metrics.directional_accuracy(scores, part.y, cost=cost).value
        if ours is not None and accuracy is not None and ours <= accuracy:
            told.append(f"{name} ({accuracy:.1%})")
    error, zero = float(np.mean(np.abs(made.scores - part.y))), float(np.mean(np.abs(part.y)))
    if error >= zero:
        told.append(f"the forecast that nothing moves (mean error {zero:.3%}, its own {error:.3%})")
    return tuple(told)


def _against_majority(part: Dataset, made: OutOfSample, outside: Mask) -> float | None:
    """The bootstrap's p-value that the model hits more often than the direction commoner before each block."""
    if not outside.any():
        return None
    blocks = inference.time_blocks(part.times[outside], part.ends[outside])
    return inference.share_not_above_zero(_lead(part, made, made.majority)[outside], blocks)


def _edge_interval(part: Dataset, made: OutOfSample, outside: Mask) -> tuple[float, float] | None:
    """The interval of the lead over the baseline: the direction commoner in these very rows."""
    if not outside.any():
        return None
    ups = int((part.y[outside] > 0).sum())
    baseline = np.full(len(part), 1.0 if 2 * ups >= int(outside.sum()) else -1.0)
    blocks = inference.time_blocks(part.times[outside], part.ends[outside])
    return inference.mean_interval(_lead(part, made, baseline)[outside], blocks)


def _lead(part: Dataset, made: OutOfSample, other: FloatArray) -> FloatArray:
    """1 where only the model is right, -1 where only the other is, else 0; shape (n,)."""
    actual = np.sign(part.y)
    return np.asarray((np.sign(made.scores) == actual) * 1.0 - (other == actual), dtype=np.float64)
