"""Two versions side by side: how each was judged, how each fares live, and both on the decisions they share."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, case, select
from sqlalchemy.orm import Session, aliased

from ai_engine import confidence_sequence
from ai_engine.confidence_sequence import FEWEST_STRETCHES, LEVEL, ConfidenceSequence
from ai_engine.inference import BLOCK_WINDOWS
from ai_engine.labels import round_trip_cost
from ai_engine.metrics import directional_accuracy
from ai_engine.types import Action, FloatArray, TimeArray
from backend.clock import to_ms
from backend.errors import ConflictError, InvalidInputError
from backend.learning.decisions.columns import milliseconds, moment, names, numbers, read_columns
from backend.learning.decisions.labelling import LONG_ONLY, Costs
from backend.learning.decisions.plausibility import forecast_is_believed
from backend.learning.versions.find import find_version
from backend.learning.versions.past import learned_until
from backend.learning.versions.queries import get_model
from backend.models import AIModelVersion, AITrainingSample, Forecast, Strategy
from backend.settings import Settings

BETTER, WORSE, NOT_DISTINGUISHABLE = "better", "worse", "not_distinguishable"
REPORTED = (
    "validation_accuracy",
    "validation_accuracy_ci95",
    "baseline_accuracy",
    "baseline_name",
    "break_even_accuracy",
    "costs_exceed_moves",
    "net_return_after_costs",
    "min_detectable_accuracy",
    "effective_samples",
    "target_kind",
    "training_samples",
    "validation_samples",
    "verdict",
    "recommended",
    "sentence",
)
TOLD = ("version_id", "trained_at", "is_active", "is_shadow", "activated_at", "replaced_at")
LIVE = (
    "total_predictions",
    "matured_predictions",
    "neutral_predictions",
    "pending_predictions",
    "correct_predictions",
    "live_accuracy",
)


@dataclass(frozen=True, slots=True)
class Shared:
    """Decisions that both versions forecast and whose forward return is known, in time order; one row each.

    ``times`` and ``ends`` bound the window that each is judged over, in ms; scores and returns are fractions.
    ``known_before`` counts those left out because one of the two could have learned from them.
    """

    times: TimeArray
    ends: TimeArray
    forward_returns: FloatArray
    scores: tuple[FloatArray, FloatArray]
    actions: tuple[NDArray[np.str_], NDArray[np.str_]]
    known_before: int = 0

    def __len__(self) -> int:
        return len(self.forward_returns)


def compare(session: Session, a: str, b: str, strategy: str | None = None, *, settings: Settings) -> dict[str, Any]:
    """Version ``b`` beside version ``a``; ``verdict`` is how ``b`` did against ``a`` on what both forecast.

    It holds however often one looks: it rests on a confidence sequence over the stretches of time that have closed.
    409 ``different_strategies``, 422 ``same_version``, 404 ``unknown_version``.
    """
    first, second = find_version(session, a, strategy), find_version(session, b, strategy)
    _check_comparable(first, second)
    of = session.get_one(Strategy, first.strategy)
    shared = read_shared(session, first, second)
    net = net_returns(shared, sides=of.sides, costs=settings)
    paired = judge(shared, net, cost=settings.cost)
    sequence = confidence_sequence.of_rounds(*by_round(shared, net[1] - net[0]))
    needed = _outcomes_needed(sequence, shared)
    verdict = verdict_of(sequence)
    return {
        "status": "ok",
        "strategy": of.name,
        "a": _side(session, first),
        "b": _side(session, second),
        "paired": paired,
        "verdict": verdict,
        "sentence": _sentence(first.version_id, second.version_id, paired, sequence, needed),
        "confidence_sequence": _told(sequence, shared) if len(shared) else None,
        "outcomes_still_needed": needed,
    }


def _check_comparable(a: AIModelVersion, b: AIModelVersion) -> None:
    if a.version_id == b.version_id:
        raise InvalidInputError(
            f"a and b are both {a.version_id}. Name two versions of one strategy.", field="b", reason="same_version"
        )
    if a.strategy != b.strategy:
        raise ConflictError(
            f"{a.version_id} is a version of {a.strategy}, {b.version_id} of {b.strategy}: they never answer for"
            " the same decisions. Compare two versions of one strategy.",
            reason="different_strategies",
            strategies=[a.strategy, b.strategy],
        )


def read_shared(session: Session, a: AIModelVersion, b: AIModelVersion) -> Shared:
    """The decisions that both versions forecast, active or shadow, whose return is known and believed.

    So are those from before the newest outcome that either learned from was known, which may have been posted late:
    only a version that could not have known an outcome may win by it (docs/decisions/0033).
    """
    row, one, two = AITrainingSample, aliased(Forecast), aliased(Forecast)
    query = (
        select(
            moment(row.timestamp), moment(row.horizon_at), row.forward_return,
            one.score, _own_action(one), two.score, _own_action(two),
        )
        .join(one, (one.sample_id == row.id) & (one.version_id == a.version_id))
        .join(two, (two.sample_id == row.id) & (two.version_id == b.version_id))
        .where(row.forward_return.is_not(None), forecast_is_believed())
        .order_by(row.timestamp, row.id)
    )  # fmt: skip
    forecast = read_columns(session, query, milliseconds, milliseconds, numbers, numbers, names, numbers, names)
    known_until = max(to_ms(learned_until(version.lineage, version.trained_at)) for version in (a, b))
    later = forecast[0] >= known_until
    times, ends, moves, score_a, action_a, score_b, action_b = (column[later] for column in forecast)
    known_before = len(later) - len(times)
    return Shared(times, ends, moves, (score_a, score_b), (action_a, action_b), known_before)


def _own_action(forecast: type[Forecast]) -> ColumnElement[str]:
    """What the version answered: a HOLD that was traded all the same, to explore, stays a HOLD."""
    explores = AITrainingSample.explored.is_(True) & (forecast.role == "active")
    return case((explores, Action.HOLD.value), else_=forecast.action)


def net_returns(shared: Shared, *, sides: str, costs: Costs) -> tuple[FloatArray, FloatArray]:
    """What each would have earned: it acts as it answered, pays the same costs, and leaves at the horizon."""
    first, second = (_net_return(actions, shared.forward_returns, sides, costs) for actions in shared.actions)
    return first, second


def _net_return(actions: NDArray[np.str_], moves: FloatArray, sides: str, costs: Costs) -> FloatArray:
    """``labels.counterfactual_label`` of many rows; a SELL of a long-only strategy opens nothing and earns 0."""
    cost = round_trip_cost(costs.fee_rate, costs.slippage_bps)
    sells = (actions == Action.SELL) & (sides != LONG_ONLY)
    side = (actions == Action.BUY).astype(np.float64) - sells
    return np.where(side != 0, side * moves - cost, 0.0)


def judge(shared: Shared, net: tuple[FloatArray, FloatArray], *, cost: float) -> dict[str, Any]:
    """Both on the same rows, ``net`` being what each earned on them.

    Accuracies leave out moves within ``cost``; the difference is b less a, a mean over rounds of the mean over the
    round's rows, so that ten symbols in one round count once.
    """
    score_a, score_b = shared.scores
    differences = by_round(shared, net[1] - net[0])[2]
    return {
        "rows": len(shared),
        "rounds": len(differences),
        "known_before": shared.known_before,
        "neutral_rows": int((np.abs(shared.forward_returns) <= cost).sum()),
        "agreement": _mean(np.sign(score_a) == np.sign(score_b)),
        "same_action": _mean(shared.actions[0] == shared.actions[1]),
        "a": _alone(score_a, net[0], shared, cost),
        "b": _alone(score_b, net[1], shared, cost),
        "mean_difference": _mean(differences),
    }


def _alone(scores: FloatArray, net: FloatArray, shared: Shared, cost: float) -> dict[str, Any]:
    accuracy = directional_accuracy(scores, shared.forward_returns, cost=cost)
    return {
        "accuracy": accuracy.value,
        "correct": accuracy.hits,
        "judged": accuracy.scored,
        "mean_net_return": _mean(by_round(shared, net)[2]),
    }


def by_round(shared: Shared, values: FloatArray) -> tuple[TimeArray, TimeArray, FloatArray]:
    """Per round its time, the end of its windows (ms), and the mean of its rows."""
    times, first, place = np.unique(shared.times, return_index=True, return_inverse=True)
    counts = np.maximum(np.bincount(place, minlength=len(times)), 1)
    return times, shared.ends[first], np.bincount(place, weights=values, minlength=len(times)) / counts


def _mean(values: Any) -> float | None:
    return float(np.mean(values)) if len(values) else None


def verdict_of(sequence: ConfidenceSequence) -> str:
    """How ``b`` did against ``a``: named only where the bounds lie off 0."""
    if sequence.low is None or sequence.high is None:
        return NOT_DISTINGUISHABLE
    return BETTER if sequence.low > 0 else WORSE if sequence.high < 0 else NOT_DISTINGUISHABLE


def _told(sequence: ConfidenceSequence, shared: Shared) -> dict[str, Any]:
    window = float(np.median(shared.ends - shared.times)) / 1000
    return {
        "low": sequence.low,
        "high": sequence.high,
        "level": LEVEL,
        "mean_difference": sequence.mean,
        "stretches": sequence.stretches,
        "fewest_stretches": FEWEST_STRETCHES,
        "stretch_seconds": BLOCK_WINDOWS * window,
    }


def _outcomes_needed(sequence: ConfidenceSequence, shared: Shared) -> int | None:
    """Further shared decisions with a known outcome, at as many a stretch as so far."""
    if sequence.needed is None or not sequence.rounds:
        return None
    rows_a_round = len(shared) / len(np.unique(shared.times))
    return math.ceil(sequence.needed * sequence.rounds / sequence.stretches * rows_a_round)


def _side(session: Session, version: AIModelVersion) -> dict[str, Any]:
    """One version: key figures of its report, its live counters, and beside them the money it made."""
    told = get_model(session, version.version_id)
    return {
        **{name: told[name] for name in TOLD},
        "report": {name: told["report"].get(name) for name in REPORTED},
        "live": {name: told["live"][name] for name in LIVE},
        "executed": {name: told["live"][name] for name in ("total_trades", "total_pnl")},
    }


def _sentence(a: str, b: str, paired: dict[str, Any], sequence: ConfidenceSequence, needed: int | None) -> str:
    """What can be said of the two, in words."""
    rows, rounds, left_out = paired["rows"], paired["rounds"], _left_out(paired["known_before"])
    if not rows:
        counting = "counts" if left_out else "is known"
        return (
            f"{a} and {b} have forecast no decision together whose outcome {counting}, so nothing compares them yet:"
            f" figures from different times say more about the times than about the versions.{left_out}"
        )
    difference = paired["mean_difference"]
    ahead = f"{b if difference > 0 else a} was ahead by {abs(difference):.3%} a round" if difference else "they tied"
    begun = f"On {rows} decisions in {rounds} rounds that both forecast, {ahead}."
    return f"{begun} {_said(a, b, sequence, needed)}{left_out}"


def _left_out(known_before: int) -> str:
    """What both forecast and neither may win by."""
    if not known_before:
        return ""
    decisions = "1 decision is" if known_before == 1 else f"{known_before} decisions are"
    return f" {decisions} left out, from before the newest outcome that one of the two learned from was known."


def _said(a: str, b: str, sequence: ConfidenceSequence, needed: int | None) -> str:
    """What the confidence sequence allows to say."""
    more = f" About {needed} more outcomes like these would show which." if needed else ""
    if sequence.low is None or sequence.high is None:
        if sequence.stretches >= FEWEST_STRETCHES:
            if sequence.mean == 0:
                return "No winner is named: they earned the same so far."
            return "No winner is named: they differ too seldom, or by one amount, so how far it may vary is not known."
        closed = f"{sequence.stretches} stretches of time have closed, and {FEWEST_STRETCHES} are needed"
        return f"No winner is named yet: {closed}.{more}"
    bounds = f"{sequence.low:+.3%} to {sequence.high:+.3%} a round at 95 %, however often one looks"
    if verdict_of(sequence) == NOT_DISTINGUISHABLE:
        return f"No winner is named: {b} less {a} is {bounds}.{more}"
    return f"{b} is {verdict_of(sequence)} than {a}: {bounds}."
