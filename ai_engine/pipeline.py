"""Rows in, artifact bytes and a report out: the one seam that every retraining goes through."""

import platform
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ai_engine import artifact, calibration, recipes, report, split, walk_forward
from ai_engine.calibration import Calibration
from ai_engine.dataset import Dataset, Rows, build, data_hash
from ai_engine.judged import Judged
from ai_engine.metrics import effective_samples
from ai_engine.past import NOTHING_BEFORE, Past, compare_with_champion, evidence_of_nights
from ai_engine.recipes import Recipe
from ai_engine.split import Split
from ai_engine.types import FeatureMatrix, FloatArray
from ai_engine.walk_forward import OutOfSample

MIN_USABLE_ROWS = 10
MIN_FIT_ROWS = 5
CANARIES = 8

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
    """Return the usable rows, or why they cannot train; fast, needs numpy only."""
    dataset = build(rows, include_synthetic=context.include_synthetic)
    detail: dict[str, Any] = {
        "valid_samples": len(dataset),
        "rejected": dict(dataset.rejected),
        "target_kind": dataset.target_kind.value,
        "other_kind_samples": dataset.other_kind,
    }
    if len(dataset) < MIN_USABLE_ROWS:
        return Refused("too_few_valid_samples", detail | {"required": MIN_USABLE_ROWS})
    if np.ptp(dataset.y) == 0:
        return Refused("degenerate_data", detail | {"cause": "constant_target"})
    if not np.any(np.ptp(dataset.X, axis=0) > 0):
        return Refused("degenerate_data", detail | {"cause": "constant_features"})
    return dataset


def train(
    rows: Rows, context: TrainingContext, progress: Progress | None = None, past: Past = NOTHING_BEFORE
) -> Trained | Refused:
    """Judge fits on older rows by newer ones, then fit the shipped model on all of them.

    Parameters
    ----------
    rows
        In any order; the same rows give the same bytes.
    context
        Horizon, costs and seed; ``looks`` counts the retrainings so far and stands in the report only.
    progress
        Called with a stage's name and the share done so far, 0 to 1.
    past
        What earlier nights left: forecasts that have matured since, and the active version.
    """
    tell = progress or _silent
    tell("preparing", 0.0)
    dataset = prepare(rows, context)
    if isinstance(dataset, Refused):
        return dataset
    parts = split.chronological(dataset.times, dataset.ends, timeframe_ms=context.timeframe_ms)
    tell("fitting", 0.05)
    trial = _try(dataset, parts, seed=context.seed)
    made = _walk(dataset, context, tell)
    tell("refitting", 0.7)
    shipped = _ship(dataset, context, made)
    tell("judging", 0.9)
    judged = Judged(
        dataset=dataset,
        split=parts,
        train=trial.train,
        validation=trial.validation,
        train_scores=trial.train_scores,
        validation_scores=trial.validation_scores,
        out_of_sample=made,
        comparison=compare_with_champion(dataset, made, past, cost=context.cost),
        nights=evidence_of_nights(past, cost=context.cost),
        constant=shipped.constant,
        cost=context.cost,
        looks=context.looks,
        data_hash=shipped.data_hash,
    )
    tell("done", 1.0)
    return Trained(
        artifact=shipped.blob,
        sha256=artifact.sha256(shipped.blob),
        report=report.build(judged),
        data_hash=shipped.data_hash,
        recipe=shipped.recipe.as_dict(),
        libraries=libraries(),
    )


@dataclass(frozen=True)
class _Trial:
    """The fit on the older rows; scores are None where too few rows were left to fit at all."""

    train: Dataset
    validation: Dataset
    train_scores: FloatArray | None
    validation_scores: FloatArray | None


def _try(dataset: Dataset, parts: Split, *, seed: int) -> _Trial:
    """Fit on the older part alone: scaling, weights and recipe know nothing of the newer rows."""
    older, newer = dataset.part(parts.train), dataset.part(parts.validation)
    if len(older) < MIN_FIT_ROWS:
        return _Trial(older, newer, None, None)
    fitted = recipes.fit(older.X, older.y, older.weights, recipes.for_rows(len(older), seed=seed))
    return _Trial(older, newer, fitted.predict(older.X), fitted.predict(newer.X))


def _walk(dataset: Dataset, context: TrainingContext, tell: Progress) -> OutOfSample | None:
    return walk_forward.forecast(
        dataset,
        timeframe_ms=context.timeframe_ms,
        cost=context.cost,
        seed=context.seed,
        progress=lambda share: tell("walking_forward", 0.2 + 0.5 * share),
    )


@dataclass(frozen=True)
class _Shipped:
    """The file fitted on all rows; ``constant`` where it only ever predicts one number."""

    blob: bytes
    recipe: Recipe
    data_hash: str
    constant: bool


def _ship(dataset: Dataset, context: TrainingContext, made: OutOfSample | None) -> _Shipped:
    """Fit the same recipe on all rows; what the walk-forward taught of confidence goes with it."""
    digest = data_hash(dataset)
    recipe = recipes.for_rows(len(dataset), seed=context.seed)
    fitted = recipes.fit(dataset.X, dataset.y, dataset.weights, recipe)
    scores = fitted.predict(dataset.X)
    content = artifact.Content(
        fitted=fitted,
        calibration=_calibrate(dataset, made, cost=context.cost, scale=calibration.score_scale(scores)),
        feature_names=dataset.feature_names,
        canary_features=_canaries(dataset.X),
        manifest=_manifest(dataset, recipe, context, digest),
    )
    return _Shipped(artifact.pack(content), recipe, digest, float(np.ptp(scores)) == 0.0)


def _calibrate(dataset: Dataset, made: OutOfSample | None, *, cost: float, scale: float) -> Calibration:
    """Learn confidence and shrinkage from the walk-forward's rows, in the shipped model's unit of strength."""
    if made is None:
        return calibration.without_skill(scale)
    part = dataset.part(made.rows)
    worth = effective_samples(part, np.ones(len(part), dtype=bool))
    return calibration.fit(
        made.scores,
        part.y,
        scales=made.scales,
        shipped_scale=scale,
        cost=cost,
        overlap=max(1.0, len(part) / worth),
    )


def _canaries(X: FeatureMatrix) -> FeatureMatrix:
    """Rows spread evenly over time, to be asked again whenever the file is opened."""
    return X[np.unique(np.linspace(0, len(X) - 1, num=CANARIES).astype(np.intp))]


def _manifest(dataset: Dataset, recipe: Recipe, context: TrainingContext, digest: str) -> dict[str, Any]:
    """What the file says about itself: how it was made, never when or under which name."""
    return {
        "strategy": context.strategy,
        "timeframe_ms": context.timeframe_ms,
        "horizon_candles": context.horizon_candles,
        "cost": context.cost,
        "seed": context.seed,
        "include_synthetic": context.include_synthetic,
        "target_kind": dataset.target_kind.value,
        "artifact_samples": len(dataset),
        "data_hash": digest,
        "recipe": recipe.as_dict(),
    }


def libraries() -> dict[str, str]:
    """Return the versions of what decides a fit: recorded beside a version, not hashed."""
    import xgboost

    return {"python": platform.python_version(), "numpy": np.__version__, "xgboost": xgboost.__version__}


def _silent(_stage: str, _share: float) -> None:
    """Nobody watches."""
