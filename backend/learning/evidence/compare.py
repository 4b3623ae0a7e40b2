"""Two versions side by side: how each was judged, how each fares live, and both on the decisions they share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from ai_engine.metrics import directional_accuracy
from ai_engine.types import Action, FloatArray
from backend.errors import ConflictError, InvalidInputError
from backend.learning.decisions.labelling import Costs, hypothetical
from backend.learning.versions.find import find_version
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

    ``rounds`` numbers the distinct decision times from 0; scores and returns are fractions.
    """

    rounds: FloatArray
    forward_returns: FloatArray
    scores: tuple[FloatArray, FloatArray]
    actions: tuple[Sequence[str], Sequence[str]]

    def __len__(self) -> int:
        return len(self.forward_returns)


def compare(session: Session, a: str, b: str, *, settings: Settings) -> dict[str, Any]:
    """Version ``b`` beside version ``a``; ``verdict`` is how ``b`` did against ``a`` on what both forecast.

    409 ``different_strategies``, 422 ``same_version``, 404 ``unknown_version``.
    """
    first, second = find_version(session, a), find_version(session, b)
    _check_comparable(first, second)
    strategy = session.get_one(Strategy, first.strategy)
    shared = read_shared(session, first.version_id, second.version_id)
    paired = judge(shared, sides=strategy.sides, costs=settings, cost=settings.cost)
    return {
        "status": "ok",
        "strategy": strategy.name,
        "a": _side(session, first),
        "b": _side(session, second),
        "paired": paired,
        "verdict": NOT_DISTINGUISHABLE,
        "sentence": _sentence(first.version_id, second.version_id, paired),
        "confidence_sequence": None,
        "outcomes_still_needed": None,
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


def read_shared(session: Session, a: str, b: str) -> Shared:
    """The decisions that both versions forecast, active or shadow; quarantined ones and open horizons left out."""
    row, one, two = AITrainingSample, aliased(Forecast), aliased(Forecast)
    query = (
        select(
            row.timestamp, row.forward_return, row.explored,
            one.score, one.action, one.role, two.score, two.action, two.role,
        )
        .join(one, (one.sample_id == row.id) & (one.version_id == a))
        .join(two, (two.sample_id == row.id) & (two.version_id == b))
        .where(row.forward_return.is_not(None), row.quarantine_reason.is_(None))
        .order_by(row.timestamp, row.id)
    )  # fmt: skip
    found = session.execute(query).all()
    return Shared(
        rounds=np.unique([each[0].timestamp() for each in found], return_inverse=True)[1].astype(np.float64),
        forward_returns=np.array([each[1] for each in found], dtype=np.float64),
        scores=(
            np.array([each[3] for each in found], dtype=np.float64),
            np.array([each[6] for each in found], dtype=np.float64),
        ),
        actions=(
            [_own_action(each[4], each[5], explored=each[2]) for each in found],
            [_own_action(each[7], each[8], explored=each[2]) for each in found],
        ),
    )


def _own_action(action: str, role: str, *, explored: bool) -> str:
    """What the version answered: a HOLD that was traded all the same, to explore, stays a HOLD."""
    return Action.HOLD.value if explored and role == "active" else action


def judge(shared: Shared, *, sides: str, costs: Costs, cost: float) -> dict[str, Any]:
    """Both on the same rows. Each acts as it answered, pays the same costs, and leaves at the horizon.

    Accuracies leave out moves within ``cost``; the difference is b less a, a mean over rounds of the mean over the
    round's rows, so that ten symbols in one round count once.
    """
    moves = shared.forward_returns
    net_a, net_b = (
        np.array(
            [
                hypothetical(action, float(move), sides=sides, costs=costs)
                for action, move in zip(actions, moves, strict=True)
            ],
            dtype=np.float64,
        )
        for actions in shared.actions
    )
    score_a, score_b = shared.scores
    return {
        "rows": len(shared),
        "rounds": len(np.unique(shared.rounds)),
        "neutral_rows": int((np.abs(moves) <= cost).sum()),
        "agreement": _mean(np.sign(score_a) == np.sign(score_b)),
        "same_action": _mean(np.array([x == y for x, y in zip(*shared.actions, strict=True)], dtype=np.float64)),
        "a": _alone(score_a, net_a, shared, cost),
        "b": _alone(score_b, net_b, shared, cost),
        "mean_difference": _mean(_by_round(net_b - net_a, shared.rounds)),
    }


def _alone(scores: FloatArray, net: FloatArray, shared: Shared, cost: float) -> dict[str, Any]:
    accuracy = directional_accuracy(scores, shared.forward_returns, cost=cost)
    return {
        "accuracy": accuracy.value,
        "correct": accuracy.hits,
        "judged": accuracy.scored,
        "mean_net_return": _mean(_by_round(net, shared.rounds)),
    }


def _by_round(values: FloatArray, rounds: FloatArray) -> FloatArray:
    """The mean of each round's rows."""
    if len(values) == 0:
        return values
    _, place = np.unique(rounds, return_inverse=True)
    means: FloatArray = np.bincount(place, weights=values) / np.bincount(place)
    return means


def _mean(values: Any) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _side(session: Session, version: AIModelVersion) -> dict[str, Any]:
    """One version: key figures of its report, its live counters, and beside them the money it made."""
    told = get_model(session, version.version_id)
    return {
        **{name: told[name] for name in TOLD},
        "report": {name: told["report"].get(name) for name in REPORTED},
        "live": {name: told["live"][name] for name in LIVE},
        "executed": {name: told["live"][name] for name in ("total_trades", "total_pnl")},
    }


def _sentence(a: str, b: str, paired: dict[str, Any]) -> str:
    """What can be said of the two, in words."""
    rows, rounds = paired["rows"], paired["rounds"]
    if not rows:
        return (
            f"{a} and {b} have forecast no decision together whose outcome is known, so nothing compares them yet:"
            " figures from different times say more about the times than about the versions."
        )
    difference = paired["mean_difference"]
    ahead = f"{b if difference > 0 else a} was ahead by {abs(difference):.3%} a round" if difference else "they tied"
    return (
        f"On {rows} decisions in {rounds} rounds that both forecast, {ahead}. No winner is named: that needs a test"
        " that holds however often one looks, and none has been run on these rounds."
    )
