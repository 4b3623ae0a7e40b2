"""How directions fared: the accuracy of matured forecasts, never without interval, baseline and break-even."""

from dataclasses import dataclass

import numpy as np

from ai_engine import baselines, inference, metrics, sequential
from ai_engine.inference import Panel
from ai_engine.types import FloatArray, TimeArray


@dataclass(frozen=True, slots=True)
class Directions:
    """Shares from 0 to 1; None where nothing can be said.

    ``judged`` of the ``matured`` moved more than the costs, ``neutral`` did not. ``baseline_accuracy`` is that of the
    direction that was commoner in these very rows, ``effective_samples`` what the judged are worth in independent ones.
    """

    matured: int
    neutral: int
    judged: int
    correct: int
    accuracy: float | None
    accuracy_ci95: tuple[float, float] | None
    ci_method: str | None
    baseline_accuracy: float | None
    baseline_name: str | None
    edge: float | None
    effective_samples: int
    min_detectable_accuracy: float | None
    break_even_accuracy: float | None
    costs_exceed_moves: bool | None


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of decisions, whoever forecast them; times in ms, ``y`` a fraction; shape (n,)."""

    times: TimeArray
    ends: TimeArray
    y: FloatArray


NO_OTHERS = Outcomes(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0))


def judge(panel: Panel, *, cost: float) -> Directions:
    """Return what the forecasts' directions were worth on the moves larger than ``cost``.

    Parameters
    ----------
    panel
        Forecasts whose return over the horizon is known, whoever traded and whenever he left; shape (n,).
    cost
        The round trip as a fraction; smaller moves are neutral.

    Examples
    --------
    >>> moments = np.arange(4)
    >>> y, scores = np.array([0.01, -0.02, 0.03, 0.001]), np.array([1.0, 1.0, 1.0, 1.0])
    >>> found = judge(Panel(moments, moments + 1, np.full(4, "BTC"), y, scores), cost=0.002)
    >>> found.correct, found.judged, found.neutral, found.baseline_name, found.edge
    (2, 3, 1, 'always_up', 0.0)
    """
    found = metrics.directional_accuracy(panel.scores, panel.y, cost=cost)
    interval = inference.accuracy_interval(panel, cost=cost)
    baseline_name, baseline = baselines.better_constant(panel.y, cost=cost)
    effective = int(metrics.effective_samples(panel, np.abs(panel.y) > cost))
    break_even = metrics.break_even_accuracy(panel.y, cost=cost)
    return Directions(
        matured=len(panel),
        neutral=found.neutral,
        judged=found.scored,
        correct=found.hits,
        accuracy=found.value,
        accuracy_ci95=(float(interval.low), float(interval.high)) if interval else None,
        ci_method=interval.method if interval else None,
        baseline_accuracy=baseline,
        baseline_name=baseline_name,
        edge=None if found.value is None or baseline is None else found.value - baseline,
        effective_samples=effective,
        min_detectable_accuracy=metrics.min_detectable_accuracy(effective),
        break_even_accuracy=break_even,
        costs_exceed_moves=break_even is None if len(panel) else None,
    )


def evidence(panel: Panel, others: Outcomes, *, cost: float) -> float | None:
    """Return what betting on the forecasts against the commoner direction so far has made of 1; None without a bet.

    Valid at every look, by the rule of the evidence over nights: ``panel`` holds only forecasts that were made before
    their outcomes, of rounds of which none is awaited any more; ``others`` are the outcomes that were known beside
    theirs, which the commoner direction counts too. Both are sorted by time.
    """
    times = np.concatenate([panel.times, others.times])
    order = np.argsort(times, kind="stable")
    bets = sequential.against_majority(
        times[order],
        np.concatenate([panel.ends, others.ends])[order],
        np.concatenate([panel.y, others.y])[order],
        np.concatenate([panel.scores, np.full(len(others.y), np.nan)])[order],
        cost=cost,
    )
    return sequential.e_process(bets.payoffs, bets.starts, bets.ends).e_value if bets.judged else None
