"""Rows in, artifact bytes and a report out: the one seam that every retraining goes through."""

import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ai_engine import artifact, calibration, recipes, report, split
from ai_engine.calibration import Calibration
from ai_engine.dataset import Dataset, Rows, build, data_hash
from ai_engine.metrics import effective_samples
from ai_engine.recipes import Recipe
from ai_engine.report import Judged
from ai_engine.split import Split
from ai_engine.types import FeatureMatrix, FloatArray

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


def train(rows: Rows, context: TrainingContext, progress: Progress | None = None) -> Trained | Refused:
    """Judge a fit on the older rows by the newest, then fit the shipped model on all of them.

    Parameters
    ----------
    rows
        In any order; the same rows give the same bytes.
    context
        Horizon, costs and seed; ``looks`` counts the retrainings so far and stands in the report only.
    progress
        Called with a stage's name and the share done so far, 0 to 1.
    """
    tell = progress or _silent
    tell("preparing", 0.0)
    dataset = prepare(rows, context)
    if isinstance(dataset, Refused):
        return dataset
    tell("fitting", 0.1)
    digest = data_hash(dataset)
    parts = split.chronological(dataset.times, dataset.ends, timeframe_ms=context.timeframe_ms)
    trial = _try(dataset, parts, seed=context.seed)
    tell("refitting", 0.5)
    recipe = recipes.for_rows(len(dataset), seed=context.seed)
    fitted = recipes.fit(dataset.X, dataset.y, dataset.weights, recipe)
    tell("judging", 0.9)
    scores = fitted.predict(dataset.X)
    content = artifact.Content(
        fitted=fitted,
        calibration=_calibrate(trial, cost=context.cost, scale=calibration.score_scale(scores)),
        feature_names=dataset.feature_names,
        canary_features=_canaries(dataset.X),
        manifest=_manifest(dataset, recipe, context, digest),
    )
    blob = artifact.pack(content)
    judged = trial.judged(dataset, parts, context, digest, constant=float(np.ptp(scores)) == 0.0)
    tell("done", 1.0)
    return Trained(
        artifact=blob,
        sha256=artifact.sha256(blob),
        report=report.build(judged),
        data_hash=digest,
        recipe=recipe.as_dict(),
        libraries=libraries(),
    )


@dataclass(frozen=True)
class _Trial:
    """The fit on the older rows; scores are None where too few rows were left to fit at all."""

    train: Dataset
    validation: Dataset
    train_scores: FloatArray | None
    validation_scores: FloatArray | None

    def judged(
        self, dataset: Dataset, parts: Split, context: TrainingContext, digest: str, *, constant: bool
    ) -> Judged:
        """Put everything together that the report is made of."""
        return Judged(
            dataset=dataset,
            split=parts,
            train=self.train,
            validation=self.validation,
            train_scores=self.train_scores,
            validation_scores=self.validation_scores,
            constant=constant,
            cost=context.cost,
            looks=context.looks,
            data_hash=digest,
        )


def _try(dataset: Dataset, parts: Split, *, seed: int) -> _Trial:
    """Fit on the older part alone: scaling, weights and recipe know nothing of the newer rows."""
    older, newer = dataset.part(parts.train), dataset.part(parts.validation)
    if len(older) < MIN_FIT_ROWS:
        return _Trial(older, newer, None, None)
    fitted = recipes.fit(older.X, older.y, older.weights, recipes.for_rows(len(older), seed=seed))
    return _Trial(older, newer, fitted.predict(older.X), fitted.predict(newer.X))


def _calibrate(trial: _Trial, *, cost: float, scale: float) -> Calibration:
    """Learn confidence and shrinkage from the trial's newer rows, in the shipped model's unit of strength."""
    newer = trial.validation
    if trial.train_scores is None or trial.validation_scores is None or len(newer) == 0:
        return calibration.without_skill(scale)
    worth = effective_samples(newer, np.ones(len(newer), dtype=bool))
    learned = calibration.fit(
        trial.validation_scores,
        newer.y,
        scale=calibration.score_scale(trial.train_scores),
        cost=cost,
        overlap=max(1.0, len(newer) / worth),
    )
    return replace(learned, score_scale=scale)


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
