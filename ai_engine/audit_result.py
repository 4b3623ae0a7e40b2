"""What the judgements of a self-audit amount to: rates with intervals, whether they hold, and a sentence."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ai_engine.dataset import Rows
from ai_engine.inference import NORMAL_975, OVERLAP_QUANTILE, student_quantile, wilson
from ai_engine.self_audit import ACCURACIES, Judgement, Task
from ai_engine.types import FloatArray, Verdict

PROMISED_RATE = 0.05
COIN = 0.5
STANDARD_ERRORS = 3.0
"""How far above chance the mean accuracy counts: at 1.96 every fortieth audit of a sound pipeline would fail."""
FEWEST_WORLDS = 3
APPROVED = (Verdict.EVIDENCE.value, Verdict.STRONG_EVIDENCE.value)
UNJUDGED = (Verdict.INSUFFICIENT_DATA.value, Verdict.DEGENERATE.value)


def result(task: Task, judgements: Sequence[Judgement]) -> dict[str, Any]:
    """Return what the judgements amount to, JSON-safe: rates are fractions, null where nothing was judged.

    Where no world had enough data for a verdict, none could have been approved: no rate is known, and whether the audit
    holds neither, unless the placebos' accuracy alone already gives a leak away.
    """
    ordered = sorted(judgements, key=lambda one: one.number)
    placebos = [one for one in ordered if task.accuracy_of(one.number) is None]
    false = [one.verdict in APPROVED for one in placebos]
    judged = sum(one.verdict not in UNJUDGED and one.accuracy is not None for one in ordered)
    found = {
        "placebos": len(placebos),
        "false_approvals": sum(false),
        "false_approval_rate": sum(false) / len(false),
        "false_approval_ci95": _share_interval(sum(false), len(false)),
        "planted": [_detected(task, ordered, accuracy) for accuracy in ACCURACIES],
        "placebo_accuracy": _mean_accuracy(placebos),
        "verdicts": dict(sorted(Counter(one.verdict for one in placebos).items())),
        "judged": judged,
        "rows": len(task.ground.rows),
        "rows_available": task.rows_available,
        "window_rows": _overlap(task.ground.rows),
        "kind": task.ground.kind,
        "seed": task.seed,
    }
    faults = _faults(found)
    if not judged:
        found |= _unknown(found, faults)
    holds = not faults if judged or faults else None
    return found | {"holds": holds, "faults": faults, "sentence": _sentence(found, faults)}


def _unknown(found: Mapping[str, Any], faults: Sequence[str]) -> dict[str, Any]:
    """What cannot be said where no world could be judged; the accuracy that gave a leak away stays."""
    return {
        "false_approval_rate": None,
        "false_approval_ci95": None,
        "planted": [one | {"detection_rate": None, "ci95": None} for one in found["planted"]],
        "placebo_accuracy": found["placebo_accuracy"] if faults else None,
    }


def _detected(task: Task, judgements: Sequence[Judgement], accuracy: float) -> dict[str, Any]:
    mine = [one.verdict in APPROVED for one in judgements if task.accuracy_of(one.number) == accuracy]
    return {
        "accuracy": accuracy,
        "worlds": len(mine),
        "detected": sum(mine),
        "detection_rate": sum(mine) / len(mine) if mine else None,
        "ci95": _share_interval(sum(mine), len(mine)) if mine else None,
    }


def _overlap(rows: Rows) -> int:
    """How many decisions of its symbol an outcome window spans, the row's own included."""
    symbols, spans = np.asarray(rows.symbols, dtype=np.str_), []
    for symbol in np.unique(symbols):
        mine = symbols == symbol
        spans.append(np.searchsorted(rows.times[mine], rows.ends[mine], side="left") - np.arange(int(mine.sum())))
    return max(1, int(np.ceil(np.quantile(np.concatenate(spans), OVERLAP_QUANTILE))))


def _share_interval(hits: int, count: int) -> list[float]:
    """Wilson's 95 % interval of a share: every world has coins of its own."""
    found = wilson(hits, count)
    return [found.low, found.high]


def _mean_accuracy(placebos: Sequence[Judgement]) -> dict[str, Any]:
    """The mean of the worlds' accuracies beside the coin that every direction is, and how many errors lie between."""
    values: FloatArray = np.array([one.accuracy for one in placebos if one.accuracy is not None], dtype=np.float64)
    if len(values) == 0:
        return dict.fromkeys(("mean", "ci95", "baseline", "standard_errors"))
    mean = float(np.mean(values))
    if len(values) < FEWEST_WORLDS:
        return {"mean": mean, "ci95": None, "baseline": COIN, "standard_errors": None}
    reach = float(student_quantile(len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    away = (mean - COIN) / (reach / NORMAL_975) if reach > 0 else 0.0
    return {"mean": mean, "ci95": [mean - reach, mean + reach], "baseline": COIN, "standard_errors": away}


def _faults(found: Mapping[str, Any]) -> list[str]:
    faults = []
    if found["false_approval_ci95"][0] > PROMISED_RATE:
        faults.append("false_approvals")
    away = found["placebo_accuracy"]["standard_errors"]
    if away is not None and away > STANDARD_ERRORS:
        faults.append("placebo_accuracy")
    return faults


def _sentence(found: Mapping[str, Any], faults: Sequence[str]) -> str:
    worlds = f"{found['placebos']} worlds without skill, made of {found['rows']} of this installation's own rows"
    if not found["judged"] and not faults:
        return (
            f"Nothing could be judged: of {worlds}, none had enough data for a verdict, so how often one is wrong here"
            " is not known."
        )
    rate = "none had enough data for a verdict"
    if found["judged"]:
        low, high = found["false_approval_ci95"]
        rate = f"{found['false_approval_rate']:.1%} were called evidence (95 %: {low:.1%} to {high:.1%})"
    powers = [
        f"a true {one['accuracy']:.0%} model is found in {one['detection_rate']:.0%}"
        for one in found["planted"]
        if one["detection_rate"] is not None
    ]
    if not faults:
        return f"Of {worlds}, {rate}; {' and '.join(powers)}."
    seen = found["placebo_accuracy"]
    above = f"their mean accuracy is {seen['mean']:.1%} where chance gives {seen['baseline']:.1%}"
    what = " and ".join({"false_approvals": rate, "placebo_accuracy": above}[fault] for fault in faults)
    return f"The verdicts of this installation are not to be trusted: of {worlds}, {what}."
