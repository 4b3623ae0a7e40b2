"""Checks of what there is to learn from: decisions, outcomes, features. Facts in, a finding or nothing out."""

import math
from datetime import datetime, timedelta

import numpy as np

from backend.clock import iso
from backend.learning.evidence.doctor.facts import Facts
from backend.learning.evidence.doctor.finding import Finding
from backend.operations.codes import MEANINGS, Code, Severity

FEW_DECISIONS = 3
ENOUGH_FORECASTS = 20
ENOUGH_MOVES = 30
ENOUGH_LABELS = 10
ENOUGH_FEATURE_ROWS = 50
SETTLING_GRACE = timedelta(minutes=10)


def no_decisions(facts: Facts) -> Finding | None:
    """Nothing was ever stored for the strategy."""
    if facts.decisions.total:
        return None
    market = facts.market["state"]
    if market in ("warming", "running"):
        remedy = "The trader's market is up; its first decisions follow its first rounds. Look again in a minute."
    else:
        remedy = f"Post decisions with POST /ai/decisions?strategy={facts.strategy}, or set QT_MARKET=simulated."
    return Finding(
        Code.NO_DECISIONS,
        Severity.WARNING,
        f"{MEANINGS[Code.NO_DECISIONS]} Strategy {facts.strategy} holds no sample.",
        {"decisions": 0, "market_state": market},
        remedy,
    )


def only_hold(facts: Facts) -> Finding | None:
    """Every recent decision was HOLD."""
    actions = facts.decisions.recent_actions
    holds = actions.get("HOLD", 0)
    if holds < FEW_DECISIONS or holds < sum(actions.values()):
        return None
    reasons = dict(sorted(facts.decisions.recent_hold_reasons.items(), key=lambda item: -item[1]))
    commonest = next(iter(reasons))
    return Finding(
        Code.ONLY_HOLD,
        Severity.WARNING,
        f"The newest {holds} decisions were all HOLD, most of them because of {commonest}. They still become"
        f" training samples: each gets a counterfactual outcome from {_priced_by(facts)} once its horizon has passed.",
        {"decisions": holds, "reasons": reasons},
        _REMEDY_FOR_HOLD.get(commonest, "Wait for the outcomes, retrain, and read the new version's report."),
    )


def _priced_by(facts: Facts) -> str:
    return "the price of a later decision" if facts.settings.market == "off" else "candles or later prices"


_REMEDY_FOR_HOLD = {
    "below_min_confidence": "Lower QT_MIN_CONFIDENCE, or let the outcomes of these decisions train a better version.",
    "below_break_even": "Set QT_REQUIRE_EDGE=0 on paper, or lower QT_FEE_RATE to what the exchange really takes.",
    "ai_trading_disabled": "Set QT_ENABLE_AI_TRADING=1.",
    "cold_start_no_trend": "Wait for a trend, or retrain and activate a version: it needs no trend.",
    "no_rule_for_these_features": "Retrain and activate a version: before that no rule knows these features' names.",
    "no_verified_model": "Restore the active version's file from a backup, or activate another version: only the"
    " cold-start rule decides meanwhile, and it does not know these features' names.",
    "schema_mismatch": "Retrain once outcomes of the new features are known and activate that version: the active one"
    " needs features that these decisions lack. Or admit the schema that has them again.",
    "no_active_model": "Retrain and activate a version: POST /ai/retrain, then POST /ai/activate-model/...",
}


def threshold_unreachable(facts: Facts) -> Finding | None:
    """No recent forecast of a version came near the confidence a trade needs."""
    confidences = facts.decisions.recent_confidences
    needed = facts.settings.min_confidence
    if len(confidences) < ENOUGH_FORECASTS or max(confidences) >= needed or needed <= 0.5:
        return None
    highest = max(confidences)
    return Finding(
        Code.THRESHOLD_UNREACHABLE,
        Severity.WARNING,
        f"QT_MIN_CONFIDENCE is {needed:g}, but the highest confidence of the newest {len(confidences)} forecasts was"
        f" {highest:.3f}. A version without skill says 0.5.",
        {"min_confidence": needed, "highest_confidence": highest, "forecasts": len(confidences)},
        f"Set QT_MIN_CONFIDENCE to at most {math.floor(highest * 1000) / 1000:g} to trade on paper anyway, or wait"
        " for a version that has skill.",
    )


def costs_exceed_moves(facts: Facts) -> Finding | None:
    """The typical move does not pay for a round trip."""
    moves = np.abs(facts.outcomes.moves)
    cost = facts.settings.cost
    if len(moves) < ENOUGH_MOVES or float(np.median(moves)) >= cost:
        return None
    typical = float(np.median(moves))
    paying = float(np.mean(moves > cost))
    return Finding(
        Code.COSTS_EXCEED_MOVES,
        Severity.WARNING,
        f"Half of the newest {len(moves)} moves were smaller than {typical:.3%}, while a round trip costs {cost:.3%};"
        f" {paying:.0%} of them exceeded it.",
        {"median_move": typical, "round_trip_cost": cost, "share_above_cost": paying, "outcomes": len(moves)},
        "Take a longer horizon or timeframe (QT_HORIZON_CANDLES, QT_TIMEFRAME, for a new strategy), or trade where fees"
        " are lower (QT_FEE_RATE).",
    )


def no_closed_outcomes(facts: Facts) -> Finding | None:
    """Decisions exist, and none of their outcomes is known."""
    if not facts.decisions.total or facts.decisions.outcomes_known:
        return None
    late = _horizon_passed(facts)
    horizon = facts.decisions.oldest_horizon_at
    explanation = f"{facts.decisions.total} decisions are stored and no outcome is known"
    if late:
        explanation += ", although the first horizon has passed: no price for it has arrived."
        remedy = (
            "Report the trades with POST /ai/decisions/{decision_id}/outcome, or keep posting decisions with a price:"
            " the later ones settle the earlier ones."
        )
    else:
        explanation += " yet: the first horizon has not passed."
        remedy = f"Wait until {iso(horizon) if horizon else 'the horizon has passed'}."
    return Finding(
        Code.NO_CLOSED_OUTCOMES,
        Severity.WARNING if late else Severity.INFO,
        explanation,
        {"decisions": facts.decisions.total, "first_outcome_due": iso(horizon) if horizon else None},
        remedy,
    )


def zero_label_variance(facts: Facts) -> Finding | None:
    """Every known outcome is the same."""
    moves = facts.outcomes.moves
    if len(moves) < ENOUGH_LABELS or max(moves) > min(moves):
        return None
    return Finding(
        Code.ZERO_LABEL_VARIANCE,
        Severity.ERROR,
        f"The newest {len(moves)} outcomes are all {moves[0]:g}. No model can learn from a constant.",
        {"outcomes": len(moves), "value": moves[0]},
        "Check what the bot sends as price and exit_price: they seem never to move.",
    )


def constant_features(facts: Facts) -> Finding | None:
    """Some features have had one value throughout."""
    names = facts.outcomes.constant_features
    if facts.outcomes.feature_rows < ENOUGH_FEATURE_ROWS or not names:
        return None
    return Finding(
        Code.CONSTANT_FEATURES,
        Severity.INFO,
        f"{len(names)} features had one single value in {facts.outcomes.feature_rows} samples from the whole history.",
        {"rows": facts.outcomes.feature_rows, "features": list(names)},
        f"Check how {names[0]} is computed; a feature that never changes only costs time.",
    )


def _horizon_passed(facts: Facts) -> bool:
    oldest = facts.decisions.oldest_horizon_at
    market_time: datetime = facts.market["market_time"] or facts.now
    return oldest is not None and market_time > oldest + SETTLING_GRACE
