"""The report that stands beside every accuracy: each key from the first version on, null where it cannot be known."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import numpy as np

from ai_engine import baselines, inference, metrics, verdict
from ai_engine.features.catalogue import schema_hash
from ai_engine.inference import Panel
from ai_engine.judged import Judged, gather, panel
from ai_engine.types import LabelSource, Verdict
from ai_engine.walk_forward import OutOfSample


def build(judged: Judged) -> dict[str, Any]:
    """Return the report, JSON-safe: fractions, UTC times, null for what is unknown."""
    facts = gather(judged)
    word = verdict.judge(facts)
    return (
        _parts(judged)
        | {"walk_forward": _walk_forward(judged, facts)}
        | _against_baseline(facts)
        | _worth(judged, facts)
        | _lineage(judged, facts, word)
        | _judgement(judged, facts, word)
        | _composition(judged)
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
    interval = None
    if judged.validation_scores is not None and len(judged.validation):
        part = judged.validation
        seen_then = Panel(part.times, part.ends, part.symbols, part.y, judged.validation_scores)
        interval = inference.accuracy_interval(seen_then, cost=judged.cost)
    return seen | {
        "validation_accuracy_ci95": [interval.low, interval.high] if interval else None,
        "ci_method": interval.method if interval else None,
        "training_samples": len(judged.split.train),
        "validation_samples": len(judged.split.validation),
        "purged_rows": len(judged.split.purged),
        "embargoed_rows": len(judged.split.embargoed),
        "artifact_samples": len(judged.dataset),
    }


def _walk_forward(judged: Judged, facts: verdict.Facts) -> dict[str, Any]:
    """What decides the verdict, every forecast made by a model that had not seen the row."""
    seen, made = panel(judged), judged.out_of_sample
    interval = _interval_of_file(seen, made, cost=judged.cost)
    net = metrics.net_return_per_trade(seen.scores, seen.y, cost=judged.cost) if seen is not None else None
    return {
        "samples": facts.rows,
        "judged": facts.scored,
        "accuracy": facts.accuracy,
        "ci95": [interval.low, interval.high] if interval else None,
        "ci_method": interval.method if interval else None,
        "baseline_accuracy": facts.baseline_accuracy,
        "edge": _edge(facts),
        "edge_ci95": list(facts.edge_interval) if facts.edge_interval else None,
        "p_value": facts.p_value,
        "p_value_against_majority": facts.p_majority,
        "net_return": net,
        "shifts": facts.shifts,
        "windows": facts.windows,
        "newest_accuracy": facts.newest_accuracy,
        "challengers": _challengers(judged, made),
    }


def _interval_of_file(seen: Panel | None, made: OutOfSample | None, *, cost: float) -> inference.Interval | None:
    """What the shipped file may do, from forecasts of fits on fewer rows."""
    interval = inference.accuracy_interval(seen, cost=cost) if seen is not None else None
    if seen is None or made is None or interval is None:
        return None
    outside = np.abs(seen.y) > cost
    hits = (np.sign(seen.scores) == np.sign(seen.y)).astype(np.float64)
    return inference.raised_by_parts(interval, hits[outside], made.blocks[outside])


def _challengers(judged: Judged, made: OutOfSample | None) -> dict[str, Any] | None:
    """Zero, mean, majority sign and ridge on the very same rows."""
    if made is None:
        return None
    y = judged.dataset.y[made.rows]
    answers = {"zero": np.zeros(len(y)), "mean": made.mean, "ridge": made.ridge, "xgboost": made.scores}
    told: dict[str, Any] = {
        name: {
            "accuracy": metrics.directional_accuracy(scores, y, cost=judged.cost).value if name != "zero" else None,
            "mae": metrics.mean_absolute_error(scores, y),
        }
        for name, scores in answers.items()
    }
    majority = metrics.directional_accuracy(made.majority, y, cost=judged.cost).value
    return told | {"majority": {"accuracy": majority, "mae": None}}


def _edge(facts: verdict.Facts) -> float | None:
    if facts.accuracy is None or facts.baseline_accuracy is None:
        return None
    return facts.accuracy - facts.baseline_accuracy


def _against_baseline(facts: verdict.Facts) -> dict[str, Any]:
    return {
        "baseline_accuracy": facts.baseline_accuracy,
        "baseline_name": facts.baseline_name,
        "edge": _edge(facts),
        "p_value": facts.p_value,
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
        "min_detectable_accuracy": metrics.min_detectable_accuracy(int(facts.effective_samples)),
        "break_even_accuracy": break_even,
        "costs_exceed_moves": break_even is None,
        "net_return_after_costs": net_return,
        "mae_zero_forecast": metrics.mean_absolute_error(baselines.zero_forecast(len(part)), part.y),
        "rank_ic": rank_ic,
    }


def _lineage(judged: Judged, facts: verdict.Facts, word: Verdict) -> dict[str, Any]:
    dataset = judged.dataset
    spread = np.ptp(dataset.X, axis=0)
    judgeable = word not in (Verdict.DEGENERATE, Verdict.INSUFFICIENT_DATA)
    return {
        "split_time": _utc(judged.split.split_time),
        "quarantined": dict(dataset.rejected),
        "constant_features": [name for name, width in zip(dataset.feature_names, spread, strict=True) if width == 0],
        "suspected_leakage": list(facts.suspects) if judgeable else None,
        "target_kind": dataset.target_kind.value,
        "looks": judged.looks,
        "e_value": judged.nights.e_value if judged.nights else None,
        "data_hash": judged.data_hash,
        "feature_schema_hash": schema_hash(dataset.feature_names),
        "comparison": judged.comparison.as_dict() if judged.comparison else None,
    }


def _judgement(judged: Judged, facts: verdict.Facts, word: Verdict) -> dict[str, Any]:
    comparison = judged.comparison.verdict if judged.comparison else None
    e_value = judged.nights.e_value if judged.nights else None
    reasons = verdict.recommendation_reasons(word, comparison, e_value, kind=judged.dataset.target_kind)
    return {
        "verdict": word.value,
        "recommended": not reasons,
        "recommendation_reasons": reasons,
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
