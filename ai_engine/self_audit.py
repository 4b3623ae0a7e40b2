"""How often the pipeline finds skill where there is none, and finds it where there is: rates with intervals."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ai_engine import pipeline
from ai_engine.candles import Candles
from ai_engine.dataset import Dataset, Rows
from ai_engine.features.catalogue import FEATURE_NAMES, WINDOW
from ai_engine.inference import OVERLAP_QUANTILE, student_quantile, wilson
from ai_engine.pipeline import Refused, Trained, TrainingContext
from ai_engine.placebo import NEAREST_TURN, Ground, placebo, planted
from ai_engine.types import FloatArray, IndexArray, TargetKind, Verdict

MOST_ROWS = 600
"""What a training of 139 features takes grows with the rows; so many let a default audit end within two minutes."""
ROWS_A_WINDOW = 3
ACCURACIES = (0.60, 0.70)
PROMISED_RATE = 0.05
COIN = 0.5
STANDARD_ERRORS = 3.0
"""How far above chance the mean accuracy counts: at 1.96 every fortieth audit of a sound pipeline would fail."""
NORMAL_975 = 1.959963984540054
APPROVED = (Verdict.EVIDENCE.value, Verdict.STRONG_EVIDENCE.value)
UNJUDGED = (Verdict.INSUFFICIENT_DATA.value, Verdict.DEGENERATE.value)

Train = Callable[[Rows, TrainingContext], Trained | Refused]
"""The pipeline under audit, see :func:`ai_engine.pipeline.train`."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be audited: ``placebos`` worlds without skill, then ``planted`` worlds with some.

    ``rows_available`` counts the usable rows, of which ``ground`` holds the newest.
    """

    ground: Ground
    context: TrainingContext
    rows_available: int
    placebos: int
    planted: int
    seed: int

    @property
    def worlds(self) -> range:
        """The numbers of all worlds, the placebos first."""
        return range(self.placebos + self.planted)

    def accuracy_of(self, number: int) -> float | None:
        """What is planted into the world; None for a placebo."""
        return None if number < self.placebos else ACCURACIES[(number - self.placebos) % len(ACCURACIES)]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the pipeline said of one world; accuracies are those of its walk-forward, None where nothing was judged."""

    number: int
    verdict: str
    accuracy: float | None
    baseline: float | None


def ground_of(dataset: Dataset, candles: Mapping[str, Candles], *, horizon_ms: int, most: int = MOST_ROWS) -> Ground:
    """Choose the rows that worlds are made of, and how a signal is taken out of them.

    With more than ``most`` rows, rounds are thinned to three an outcome window at the least, which share nearly all of
    their outcome with those left out; then the newest whole rounds stay.

    Parameters
    ----------
    dataset
        Every usable row.
    candles
        By symbol, what is stored of the strategy's market; used where the features are the catalogue's and at least
        half of the rows have their candles.
    horizon_ms
        From a decision to the price that its outcome is read at.
    """
    seen, priced = _placed(dataset, candles, horizon_ms)
    found = seen >= 0
    if dataset.feature_names != FEATURE_NAMES or dataset.target_kind is not TargetKind.HORIZON or found.mean() < 0.5:
        chosen = _newest(dataset, most)
        nowhere = np.full(len(chosen), -1)
        return Ground(_rows(dataset, chosen), {}, nowhere, nowhere)
    held = np.flatnonzero(found)
    chosen = held[_newest(dataset.part(held), most)]
    used = set(dataset.symbols[chosen].tolist())
    return Ground(
        _rows(dataset, chosen),
        {symbol: series for symbol, series in candles.items() if symbol in used},
        seen[chosen],
        priced[chosen],
    )


def _placed(dataset: Dataset, candles: Mapping[str, Candles], horizon_ms: int) -> tuple[IndexArray, IndexArray]:
    """Number of the last candle seen and of the one that prices the horizon; -1 for rows without their candles."""
    seen, priced = np.full(len(dataset), -1), np.full(len(dataset), -1)
    for symbol, series in candles.items():
        mine = np.flatnonzero(dataset.symbols == symbol)
        times, closes, length = dataset.times[mine], series.close_time, series.timeframe_ms
        last = np.searchsorted(closes, times, side="right") - 1
        at = np.searchsorted(closes, times + horizon_ms)
        never = np.iinfo(np.int64).max
        opened, closed = np.append(series.open_time, never), np.append(closes, never)
        whole = (
            (last >= WINDOW - 1)
            & (closes[last] > times - length)
            & (opened[last + 1] <= times + length)
            & (closed[at] <= times + horizon_ms + length)
        )
        seen[mine[whole]], priced[mine[whole]] = last[whole], at[whole]
    return seen, priced


def _newest(dataset: Dataset, most: int) -> IndexArray:
    """The rows to keep, ascending: thinned where there are too many, then the newest whole rounds."""
    if len(dataset) <= most:
        return np.arange(len(dataset))
    age = dataset.rounds.max() - dataset.rounds
    stride = max(1, min(-(-len(dataset) // most), _rounds_a_window(dataset) // ROWS_A_WINDOW))
    kept = age % stride == 0
    newer = np.searchsorted(np.sort(age[kept]), age, side="right")  # how many of those kept are as new or newer
    return np.flatnonzero(kept & (newer <= max(most, newer[kept].min())))


def _rounds_a_window(dataset: Dataset) -> int:
    gaps = np.diff(np.unique(dataset.times))
    return int(np.median(dataset.ends - dataset.times) // np.median(gaps)) if len(gaps) else 1


def _rows(dataset: Dataset, chosen: IndexArray) -> Rows:
    y, unknown = dataset.y[chosen], np.full(len(chosen), np.nan)
    of_horizon = dataset.target_kind is TargetKind.HORIZON
    return Rows(
        decision_ids=tuple(f"{number:07d}" for number in range(len(chosen))),
        symbols=tuple(dataset.symbols[chosen].tolist()),
        times=dataset.times[chosen],
        ends=dataset.ends[chosen],
        X=dataset.X[chosen],
        feature_names=dataset.feature_names,
        forward_returns=y if of_horizon else unknown,
        market_returns=unknown if of_horizon else y,
        label_sources=tuple(dataset.label_sources[chosen].tolist()),
    )


def judge(
    task: Task, numbers: Iterable[int], *, train: Train = pipeline.train, told: Callable[[], None] = lambda: None
) -> list[Judgement]:
    """Run the pipeline on these worlds; ``told`` is called after each."""
    found = []
    for number in numbers:
        found.append(_judgement(number, train(_world(task, number), task.context)))
        told()
    return found


def _world(task: Task, number: int) -> Rows:
    rows, accuracy = placebo(task.ground, number=number, seed=task.seed), task.accuracy_of(number)
    return (
        rows
        if accuracy is None
        else planted(rows, accuracy=accuracy, rng=np.random.default_rng([task.seed, number, 1]))
    )


def _judgement(number: int, trained: Trained | Refused) -> Judgement:
    if isinstance(trained, Refused):
        return Judgement(number, trained.reason, None, None)
    walked = trained.report["walk_forward"]
    return Judgement(number, trained.report["verdict"], walked["accuracy"], walked["baseline_accuracy"])


def result(task: Task, judgements: Sequence[Judgement]) -> dict[str, Any]:
    """Return what the judgements amount to, JSON-safe: rates are fractions, null where nothing was judged.

    Where no world had enough data for a verdict, none could have been approved: no rate is known, and whether the audit
    holds neither, unless the placebos' accuracy alone already gives a leak away.
    """
    ordered = sorted(judgements, key=lambda one: one.number)
    placebos = [one for one in ordered if task.accuracy_of(one.number) is None]
    false = [one.verdict in APPROVED for one in placebos]
    worth = _independent(task)
    judged = sum(one.verdict not in UNJUDGED and one.accuracy is not None for one in ordered)
    found = {
        "placebos": len(placebos),
        "independent_placebos": worth,
        "false_approvals": sum(false),
        "false_approval_rate": sum(false) / len(false),
        "false_approval_ci95": _share_interval(sum(false), len(false), worth),
        "planted": [_detected(task, ordered, accuracy) for accuracy in ACCURACIES],
        "placebo_accuracy": _mean_accuracy(task, placebos, worth),
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
        "ci95": _share_interval(sum(mine), len(mine), len(mine)) if mine else None,
    }


def _independent(task: Task) -> int:
    """How many placebos stand for themselves: turned by less than one outcome window, two worlds are nearly one."""
    rows = task.ground.rows
    if task.ground.kind == "candles":
        return task.placebos
    rounds = len(np.unique(rows.times))
    return max(1, min(task.placebos, int((1.0 - 2.0 * NEAREST_TURN) * rounds / _overlap(rows))))


def _overlap(rows: Rows) -> int:
    """How many decisions of its symbol an outcome window spans, the row's own included."""
    symbols, spans = np.asarray(rows.symbols, dtype=np.str_), []
    for symbol in np.unique(symbols):
        mine = symbols == symbol
        spans.append(np.searchsorted(rows.times[mine], rows.ends[mine], side="left") - np.arange(int(mine.sum())))
    return max(1, int(np.ceil(np.quantile(np.concatenate(spans), OVERLAP_QUANTILE))))


def _share_interval(hits: int, count: int, worth: int) -> list[float]:
    """Wilson's 95 % interval of a share that ``worth`` independent worlds were seen of."""
    found = wilson(hits * worth / count, worth)
    return [max(found.low, 0.0), min(found.high, 1.0)]


def _mean_accuracy(task: Task, placebos: Sequence[Judgement], worth: int) -> dict[str, Any]:
    """The mean of the worlds' accuracies beside what chance allows, and how many standard errors lie between.

    Mirrored candles make every direction a coin. Turned outcomes keep the market's own drift: there chance is what
    always naming their commoner direction scores.
    """
    known = [one for one in placebos if one.accuracy is not None]
    values: FloatArray = np.array([one.accuracy for one in known], dtype=np.float64)
    if len(values) == 0:
        return dict.fromkeys(("mean", "ci95", "baseline", "standard_errors"))
    baselines = [one.baseline for one in known if one.baseline is not None]
    baseline = COIN if task.ground.kind == "candles" else float(np.mean(baselines))
    mean, groups = float(np.mean(values)), max(1, min(worth, len(values)))
    if groups < 3:
        return {"mean": mean, "ci95": None, "baseline": baseline, "standard_errors": None}
    error = float(np.std(values, ddof=1)) / np.sqrt(groups)
    reach = float(student_quantile(groups - 1) * error)
    away = (mean - baseline) / (reach / NORMAL_975) if reach > 0 else 0.0
    return {"mean": mean, "ci95": [mean - reach, mean + reach], "baseline": baseline, "standard_errors": away}


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
