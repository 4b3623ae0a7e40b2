"""The report that stands beside every accuracy: each key from the first version on, null where not computed yet."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from ai_engine import baselines, metrics, verdict
from ai_engine.dataset import Dataset
from ai_engine.features.catalogue import schema_hash
from ai_engine.split import Split
from ai_engine.types import FloatArray, LabelSource, Verdict

WALK_FORWARD_KEYS = ("samples", "accuracy", "ci95", "baseline_accuracy", "edge", "p_value", "net_return")


@dataclass(frozen=True, slots=True)
class Judged:
    """What was fitted and how it answered: parts in time order, scores None where too few rows were left to fit."""

    dataset: Dataset
    split: Split
    train: Dataset
    validation: Dataset
    train_scores: FloatArray | None
    validation_scores: FloatArray | None
    constant: bool
    cost: float
    looks: int
    data_hash: str


def build(judged: Judged) -> dict[str, Any]:
    """Return the report, JSON-safe: fractions, UTC times, null for what is unknown."""
    facts = gather(judged)
    word = verdict.judge(facts)
    return (
        _parts(judged)
        | {"walk_forward": dict.fromkeys(WALK_FORWARD_KEYS)}
        | _against_baseline(facts)
        | _worth(judged, facts)
        | _lineage(judged)
        | _judgement(facts, word)
        | _composition(judged)
    )


def gather(judged: Judged) -> verdict.Facts:
    """Return the facts that verdict and sentence rest on."""
    part, scores = judged.validation, judged.validation_scores
    accuracy = metrics.Accuracy(0, 0, 0)
    baseline_accuracy, baseline_name, worth = None, None, 0.0
    if scores is not None:
        accuracy = metrics.directional_accuracy(scores, part.y, cost=judged.cost)
        majority = baselines.fit_majority(judged.train.y, cost=judged.cost)
        baseline_name = majority.name
        baseline = metrics.directional_accuracy(majority.predict(len(part)), part.y, cost=judged.cost)
        baseline_accuracy = baseline.value
        worth = metrics.effective_samples(part, np.abs(part.y) > judged.cost)
    return verdict.Facts(
        constant=judged.constant,
        training_rows=len(judged.train),
        validation_rows=len(part),
        artifact_rows=len(judged.dataset),
        hits=accuracy.hits,
        scored=accuracy.scored,
        baseline_accuracy=baseline_accuracy,
        baseline_name=baseline_name,
        effective_samples=worth,
        windows=metrics.non_overlapping_windows(part.times, part.ends),
        min_detectable_accuracy=metrics.min_detectable_accuracy(worth),
    )


def _parts(judged: Judged) -> dict[str, Any]:
    """How the fit on the older rows did on both parts, and how many rows each part has."""
    seen: dict[str, float | None] = {}
    for name, part, scores in (
        ("train", judged.train, judged.train_scores),
        ("validation", judged.validation, judged.validation_scores),
    ):
        seen[f"{name}_accuracy"] = seen[f"{name}_mae"] = None
        if scores is not None:
            seen[f"{name}_accuracy"] = metrics.directional_accuracy(scores, part.y, cost=judged.cost).value
            seen[f"{name}_mae"] = metrics.mean_absolute_error(scores, part.y)
    return seen | {
        "validation_accuracy_ci95": None,
        "ci_method": None,
        "training_samples": len(judged.split.train),
        "validation_samples": len(judged.split.validation),
        "purged_rows": len(judged.split.purged),
        "embargoed_rows": len(judged.split.embargoed),
        "artifact_samples": len(judged.dataset),
    }


def _against_baseline(facts: verdict.Facts) -> dict[str, Any]:
    edge = None
    if facts.accuracy is not None and facts.baseline_accuracy is not None:
        edge = facts.accuracy - facts.baseline_accuracy
    return {
        "baseline_accuracy": facts.baseline_accuracy,
        "baseline_name": facts.baseline_name,
        "edge": edge,
        "p_value": None,
        "effective_samples": int(facts.effective_samples),
    }


def _worth(judged: Judged, facts: verdict.Facts) -> dict[str, Any]:
    """What the accuracy means in money and in certainty."""
    part, scores = judged.validation, judged.validation_scores
    net_return, rank_ic = None, None
    if scores is not None:
        net_return = metrics.net_return_per_trade(scores, part.y, cost=judged.cost)
        rank_ic = metrics.rank_correlation(scores, part.y)
    break_even = metrics.break_even_accuracy(judged.dataset.y, cost=judged.cost)
    return {
        "neutral_samples": int((np.abs(part.y) <= judged.cost).sum()),
        "min_detectable_accuracy": facts.min_detectable_accuracy,
        "break_even_accuracy": break_even,
        "costs_exceed_moves": break_even is None,
        "net_return_after_costs": net_return,
        "mae_zero_forecast": metrics.mean_absolute_error(baselines.zero_forecast(len(part)), part.y),
        "rank_ic": rank_ic,
    }


def _lineage(judged: Judged) -> dict[str, Any]:
    dataset = judged.dataset
    spread = np.ptp(dataset.X, axis=0)
    return {
        "split_time": _utc(judged.split.split_time),
        "quarantined": dict(dataset.rejected),
        "constant_features": [name for name, width in zip(dataset.feature_names, spread, strict=True) if width == 0],
        "suspected_leakage": None,
        "target_kind": dataset.target_kind.value,
        "looks": judged.looks,
        "e_value": None,
        "data_hash": judged.data_hash,
        "feature_schema_hash": schema_hash(dataset.feature_names),
        "comparison": None,
    }


def _judgement(facts: verdict.Facts, word: Verdict) -> dict[str, Any]:
    return {
        "verdict": word.value,
        "recommended": False,
        "recommendation_reasons": verdict.recommendation_reasons(word),
        "sentence": verdict.sentence(facts, word),
    }


def _composition(judged: Judged) -> dict[str, Any]:
    """Where the rows come from; an addition to the contracted keys."""
    dataset = judged.dataset
    sources = Counter(dataset.label_sources.tolist())
    return {
        "usable_samples": len(dataset),
        "other_kind_samples": dataset.other_kind,
        "synthetic_samples": sources[LabelSource.SYNTHETIC.value],
        "rows_by_label_source": dict(sorted(sources.items())),
        "window_start": _utc(int(dataset.times[0])),
        "window_end": _utc(int(dataset.times[-1])),
    }


def _utc(milliseconds: int | None) -> str | None:
    if milliseconds is None:
        return None
    moment = datetime.fromtimestamp(milliseconds / 1000, tz=UTC)
    return moment.isoformat(timespec="milliseconds" if milliseconds % 1000 else "seconds").replace("+00:00", "Z")
