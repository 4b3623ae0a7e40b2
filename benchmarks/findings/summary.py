"""From nights and what came after them to a few figures: JSON-safe, rounded to what can be told."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ai_engine import baselines, inference, metrics, sequential
from ai_engine.candles import Candles
from ai_engine.inference import Panel
from ai_engine.types import FloatArray
from backend.clock import from_ms, iso
from benchmarks.findings.nights import BELIEVED, TRADERS, Followed, Night
from benchmarks.findings.sets import HORIZON_CANDLES, DataSet

DIGITS = 5

Mask = np.ndarray[tuple[int], np.dtype[np.bool_]]


def summarise(nights: Sequence[tuple[Night, Followed]], data: DataSet, *, cost: float) -> dict[str, Any]:
    """All that is told of one set: pooled figures, then a line a night."""
    whole = joined([followed for _, followed in nights])
    reports = [night.report for night, _ in nights]
    believed = np.concatenate(
        [np.full(len(followed.y), night.report["verdict"] in BELIEVED) for night, followed in nights]
    )
    bets = sequential.against_majority(whole.times, whole.ends, whole.y, whole.scores, cost=cost)
    evidence = sequential.e_process(bets.payoffs, bets.starts, bets.ends)
    return {
        "name": data.name,
        "title": data.title,
        "nights": len(nights),
        "first_night": iso(from_ms(nights[0][0].at)),
        "window_days": data.window_days,
        "every_days": data.every_days,
        "rows_a_training": int(np.median([report["usable_samples"] for report in reports])),
        "verdicts": dict(sorted(Counter(report["verdict"] for report in reports).items())),
        "recommended": sum(report["recommended"] for report in reports),
        "highest_e_value": _rounded(max((report["e_value"] or 1.0) for report in reports)),
        "final_e_value": _rounded(evidence.e_value),
        "walk_forward_accuracy": _mean([report["walk_forward"]["accuracy"] for report in reports]),
        "validation_accuracy": _spread([report["validation_accuracy"] for report in reports]),
        "validation_above_60": sum((report["validation_accuracy"] or 0) > 0.6 for report in reports),
        "random_split": _naive([night.naive for night, _ in nights if night.naive]),
        "believed_a_candle_later": sum(bool(n.delayed and n.delayed["verdict"] in BELIEVED) for n, _ in nights),
        "ridge_ahead_nights": sum(map(_ridge_ahead, reports)),
        "fresh": fresh(whole, np.ones(len(whole.y), dtype=bool), cost),
        "fresh_believed": fresh(whole, believed, cost),
        "fresh_others": fresh(whole, ~believed, cost),
        "traders": {trader: _earned(whole, whole.directions[place], cost) for place, trader in enumerate(TRADERS)},
        "each_night": [line(night, followed, cost) for night, followed in nights],
    }


def turned_back(candles: Iterable[Candles]) -> list[float | None] | None:
    """Correlation of a candle's move with the next one's, lowest and highest of the symbols; None without candles.

    Prices that jump between bid and ask turn back at once: clearly below 0, and nobody can trade on it.
    """
    moves = [np.diff(np.log(one.close)) for one in candles]
    found = [float(np.corrcoef(move[1:], move[:-1])[0, 1]) for move in moves]
    return [_rounded(min(found)), _rounded(max(found))] if found else None


def joined(parts: Sequence[Followed]) -> Followed:
    """All rows after all nights, in time order."""
    return Followed(
        times=np.concatenate([one.times for one in parts]),
        ends=np.concatenate([one.ends for one in parts]),
        symbols=np.concatenate([one.symbols for one in parts]),
        y=np.concatenate([one.y for one in parts]),
        late=np.concatenate([one.late for one in parts]),
        scores=np.concatenate([one.scores for one in parts]),
        ridge=np.concatenate([one.ridge for one in parts]),
        directions=np.concatenate([one.directions for one in parts], axis=1),
    )


def fresh(rows: Followed, chosen: Mask, cost: float) -> dict[str, Any] | None:
    """Accuracy on rows the forecasting version never saw, with what it must be compared with; None without rows."""
    if not chosen.any():
        return None
    y, scores = rows.y[chosen], rows.scores[chosen]
    panel = Panel(rows.times[chosen], rows.ends[chosen], rows.symbols[chosen], y, scores)
    interval = inference.accuracy_interval(panel, cost=cost)
    return {
        "rows": len(y),
        "inside_costs": _rounded(float(np.mean(np.abs(y) <= cost))),
        "accuracy": _rounded(metrics.directional_accuracy(scores, y, cost=cost).value),
        "ci95": None if interval is None else [_rounded(interval.low), _rounded(interval.high)],
        "baseline": _rounded(baselines.better_constant(y, cost=cost)[1]),
        "break_even": _rounded(metrics.break_even_accuracy(y, cost=cost)),
        "accuracy_all_moves": _rounded(metrics.directional_accuracy(scores, y, cost=0.0).value),
        "ridge_accuracy": _rounded(metrics.directional_accuracy(rows.ridge[chosen], y, cost=cost).value),
        "rank_ic": _rounded(metrics.rank_correlation(scores, y)),
        "accuracy_a_candle_later": _rounded(metrics.directional_accuracy(scores, rows.late[chosen], cost=cost).value),
        "rank_ic_a_candle_later": _rounded(metrics.rank_correlation(scores, rows.late[chosen])),
        "gross_return": _rounded(metrics.net_return_per_trade(scores, y, cost=0.0), 7),
        "net_return": _rounded(metrics.net_return_per_trade(scores, y, cost=cost), 7),
    }


def _earned(rows: Followed, directions: FloatArray, cost: float) -> dict[str, Any]:
    """What following the directions brought: a decision's mean, and per stake kept at work in every symbol.

    A stake is split so that each decision holds its part until the horizon; nothing is compounded.
    """
    acted = directions != 0
    net = directions[acted] * rows.y[acted] - cost
    if not acted.any():
        return {"decisions": 0, "share": 0.0, "gross": None, "net": None, "net_ci95": None, "stake": 0.0}
    interval = inference.mean_interval(net, inference.time_blocks(rows.times[acted], rows.ends[acted]))
    parts = HORIZON_CANDLES // max(1, HORIZON_CANDLES // 4) * len(np.unique(rows.symbols))
    return {
        "decisions": int(acted.sum()),
        "share": _rounded(float(acted.mean())),
        "gross": _rounded(float(net.mean() + cost), 7),
        "net": _rounded(float(net.mean()), 7),
        "net_ci95": None if interval is None else [_rounded(bound, 7) for bound in interval],
        "stake": _rounded(float(net.sum()) / parts),
    }


def line(night: Night, followed: Followed, cost: float) -> dict[str, Any]:
    """One night as the picture draws it."""
    report, walked = night.report, night.report["walk_forward"]
    after = fresh(followed, np.ones(len(followed.y), dtype=bool), cost) or {}
    return {
        "at": iso(from_ms(night.at)),
        "verdict": report["verdict"],
        "recommended": report["recommended"],
        "accuracy": _rounded(walked["accuracy"]),
        "ci95": None if walked["ci95"] is None else [_rounded(float(bound)) for bound in walked["ci95"]],
        "baseline": _rounded(walked["baseline_accuracy"]),
        "p_value": _rounded(walked["p_value"]),
        "newest_accuracy": _rounded(walked["newest_accuracy"]),
        "ridge_accuracy": _rounded(walked["challengers"]["ridge"]["accuracy"]) if walked["challengers"] else None,
        "validation_accuracy": _rounded(report["validation_accuracy"]),
        "break_even": _rounded(report["break_even_accuracy"]),
        "effective_samples": report["effective_samples"],
        "suspected_leakage": report["suspected_leakage"],
        "e_value": _rounded(report["e_value"]),
        "random_split": night.naive and {name: _rounded(value) for name, value in night.naive.items()},
        "delayed": night.delayed
        and {
            "verdict": night.delayed["verdict"],
            "accuracy": _rounded(night.delayed["walk_forward"]["accuracy"]),
            "p_value": _rounded(night.delayed["walk_forward"]["p_value"]),
        },
        "fresh_accuracy": after.get("accuracy"),
        "fresh_ci95": after.get("ci95"),
        "fresh_baseline": after.get("baseline"),
    }


def _ridge_ahead(report: dict[str, Any]) -> bool:
    told = report["walk_forward"]["challengers"] or {}
    ours, ridge = (told.get(name, {}).get("accuracy") for name in ("xgboost", "ridge"))
    return ours is not None and ridge is not None and bool(ridge >= ours)


def _naive(found: Sequence[dict[str, float]]) -> dict[str, float | None] | None:
    return {name: _mean([one[name] for one in found]) for name in found[0]} if found else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _rounded(float(np.mean(known))) if known else None


def _spread(values: Sequence[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None]
    return {"mean": _mean(known), "lowest": _rounded(min(known)), "highest": _rounded(max(known))}


def _rounded(value: float | None, digits: int = DIGITS) -> float | None:
    return None if value is None else float(f"{value:.{digits}g}") if abs(value) >= 1 else round(float(value), digits)
