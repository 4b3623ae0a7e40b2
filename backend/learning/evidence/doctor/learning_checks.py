"""Checks of what there is to learn from: decisions, outcomes, features. Facts in, a finding or nothing out."""

import math
from datetime import datetime, timedelta

import numpy as np

from ai_engine.candles import timeframe_ms
from ai_engine.policy import COLD_START_NO_TREND
from backend.clock import iso
from backend.learning.decisions.strategies import EXTERNAL
from backend.learning.evidence.doctor.facts import Facts
from backend.learning.evidence.doctor.finding import Finding
from backend.learning.evidence.doctor.remedies import (
    DEFAULT_MIN_CONFIDENCE,
    RESTART,
    explores,
    learn,
    make_again,
    qt,
    trade_more,
)
from backend.operations.codes import Code, Severity

FEW_DECISIONS = 3
USUAL_WAIT_FOR_A_TREND = 300
ENOUGH_FORECASTS = 20
ENOUGH_MOVES = 30
ENOUGH_LABELS = 10
ENOUGH_LOST = 20
DAY_MS = 86_400_000
ENOUGH_FEATURE_ROWS = 50
LONGEST_HORIZON = 10_000
SETTLING_GRACE = timedelta(minutes=10)


def no_decisions(facts: Facts) -> Finding | None:
    """Nothing was ever decided for the strategy."""
    if facts.decisions.total:
        return None
    market, own = facts.market["state"], facts.strategy == facts.settings.strategy and facts.settings.market != "off"
    under_way = market in ("warming", "running")
    if under_way:
        remedy = f"Wait for the first round and look again: {qt(facts, 'status')}."
    elif own:
        remedy = "Start the service, whose trader decides from the first candle on: qt start."
    else:
        remedy = f"Send the first decision: POST /ai/decisions?strategy={facts.strategy}."
    past = facts.decisions.historical
    held = f"{past} historical samples and no decision of its own" if past else "no decision"
    return Finding(
        Code.NO_DECISIONS,
        Severity.INFO if under_way else Severity.WARNING,
        f"Strategy {facts.strategy} holds {held}, so nothing can be learned from what it does.",
        {"decisions": 0, "historical_samples": past, "market_state": market},
        remedy,
    )


def only_hold(facts: Facts) -> Finding | None:
    """Every recent decision was HOLD."""
    actions = facts.decisions.recent_actions
    holds = actions.get("HOLD", 0)
    if holds < FEW_DECISIONS or holds < sum(actions.values()):
        return None
    reasons = dict(sorted(facts.decisions.recent_hold_reasons.items(), key=lambda item: -item[1]))
    present = facts.decisions.present_hold_reason or next(iter(reasons))
    waiting = present == COLD_START_NO_TREND and holds < USUAL_WAIT_FOR_A_TREND
    known = facts.decisions.own_outcomes_known
    return Finding(
        Code.ONLY_HOLD,
        Severity.INFO if waiting else Severity.WARNING,
        f"The newest {holds} decisions were all HOLD, {reasons[present]} of them because of {present}. They still"
        f" become training samples: each gets a counterfactual outcome from {_priced_by(facts)} once its horizon has"
        f" passed; {known} of {facts.decisions.total} have one.",
        {
            "decisions": holds,
            "reasons": reasons,
            "min_confidence": facts.settings.min_confidence,
            "exploration_rate": facts.settings.exploration_rate,
            "outcomes_known": known,
        },
        _remedy_for_hold(facts, present),
    )


def _priced_by(facts: Facts) -> str:
    return "the price of a later decision" if facts.settings.market == "off" else "candles or later prices"


def _remedy_for_hold(facts: Facts, reason: str) -> str:
    if reason == "below_min_confidence":
        return trade_more(facts)
    if reason == "below_break_even" and facts.settings.require_edge:
        return f"Set QT_REQUIRE_EDGE=0 to trade on paper whatever the costs, {RESTART}."
    if reason == "ai_trading_disabled":
        return f"Set QT_ENABLE_AI_TRADING=1, {RESTART}."
    if reason == "no_verified_model":
        return make_again(facts, facts.active["version_id"])
    if reason == "no_active_model" and facts.live is not None:
        return f"Look again with the next decision, which {facts.live['version_id']} makes: {qt(facts, 'status')}."
    return learn(facts)


def threshold_unreachable(facts: Facts) -> Finding | None:
    """No recent forecast came near the confidence a trade needs, while a version is active to forecast again."""
    confidences = facts.decisions.recent_confidences
    needed = facts.settings.min_confidence
    silent = len(confidences) < ENOUGH_FORECASTS or facts.active["version_id"] is None
    if silent or max(confidences) >= needed or needed <= 0.5:
        return None
    highest = max(confidences)
    skill = "A version without skill says 0.5." if highest <= 0.5 else "It is a probability: 0.5 is a coin."
    modest = highest <= 0.5 and needed <= DEFAULT_MIN_CONFIDENCE and explores(facts)  # HOLD is its right answer
    return Finding(
        Code.THRESHOLD_UNREACHABLE,
        Severity.INFO if modest else Severity.WARNING,
        f"QT_MIN_CONFIDENCE is {needed:g}, but the highest confidence of the newest {len(confidences)} forecasts was"
        f" {highest:.3f}. {skill}",
        {"min_confidence": needed, "highest_confidence": highest, "forecasts": len(confidences)},
        trade_more(facts),
    )


def costs_exceed_moves(facts: Facts) -> Finding | None:
    """The typical move does not pay for a round trip."""
    moves = np.abs(facts.outcomes.moves)
    cost = facts.settings.cost
    if len(moves) < ENOUGH_MOVES or float(np.median(moves)) >= cost:
        return None
    typical = float(np.median(moves))
    paying = float(np.mean(moves > cost))
    past = facts.outcomes.historical_moves
    return Finding(
        Code.COSTS_EXCEED_MOVES,
        Severity.WARNING,
        f"Half of the newest {len(moves)} moves{f', {past} of them historical,' if past else ''} were smaller than"
        f" {typical:.3%}, while a round trip costs {cost:.3%}; {paying:.0%} of them exceeded it.",
        {
            "median_move": typical,
            "round_trip_cost": cost,
            "share_above_cost": paying,
            "outcomes": len(moves),
            "historical": past,
            "horizon_candles": facts.terms.horizon_candles,
        },
        _longer_horizon(facts, typical),
    )


def _longer_horizon(facts: Facts, typical: float) -> str:
    """Moves grow with the root of time: the horizon over which half of them pay."""
    horizon, cost = facts.terms.horizon_candles, facts.settings.cost
    needed = math.ceil(horizon * (cost / typical) ** 2) if typical > 0 else LONGEST_HORIZON + 1
    if needed > LONGEST_HORIZON:
        return "Begin a strategy that looks at longer candles: QT_STRATEGY=daily with QT_TIMEFRAME=1d."
    return (
        f"Begin a strategy with a longer horizon, over which half of such moves would pay: QT_HORIZON_CANDLES={needed}"
        f" with QT_STRATEGY={facts.strategy[:50]}-{needed}."
    )


def no_closed_outcomes(facts: Facts) -> Finding | None:
    """Decisions exist, and none of their outcomes is known, which is not told better by the symbols without prices."""
    if not facts.decisions.total or facts.decisions.own_outcomes_known or _mostly_lost(facts):
        return None
    late = _horizon_passed(facts)
    horizon = facts.decisions.oldest_horizon_at
    explanation = f"{facts.decisions.total} decisions are stored and no outcome is known"
    if late:
        explanation += ", although the first horizon has passed: no price for it has arrived."
        remedy = _remedy_for_late(facts)
    else:
        explanation += f" yet: the first is due at {iso(horizon) if horizon else 'an unknown time'}."
        remedy = (
            f"Wait until {iso(horizon) if horizon else 'the horizon has passed'}, then look: {qt(facts, 'status')}."
        )
    return Finding(
        Code.NO_CLOSED_OUTCOMES,
        Severity.WARNING if late else Severity.INFO,
        explanation,
        {"decisions": facts.decisions.total, "first_outcome_due": iso(horizon) if horizon else None},
        remedy,
    )


def _remedy_for_late(facts: Facts) -> str:
    if facts.market["source"] is not None:
        return f"See whether the market that prices them still runs: {qt(facts, 'status')}."
    decision = facts.decisions.oldest_pending or "{decision_id}"
    return f"Report how the first one ended: POST /ai/decisions/{decision}/outcome?strategy={facts.strategy}."


def outcomes_unobservable(facts: Facts) -> Finding | None:
    """Of some symbol most horizons end where there is no price, as when each of them ends in a closed market."""
    found = _mostly_lost(facts)
    if not found:
        return None
    terms = facts.terms
    counts = "; ".join(f"{symbol}: {lost} of {passed}" for symbol, (lost, passed) in found.items())
    why = (
        "Nobody sent a price then"
        if terms.market == EXTERNAL
        else "The market has no candle there: it was closed, or candles are missing"
    )
    return Finding(
        Code.OUTCOMES_UNOBSERVABLE,
        Severity.WARNING,
        f"Decisions of the newest {facts.settings.ai_retrain_window_days} days that have no price at their horizon,"
        f" {terms.horizon_candles} candles of {terms.timeframe} later or at most one candle after that: {counts}."
        f" {why}, so they teach nothing.",
        {
            "symbols": {symbol: {"without_price": lost, "passed": passed} for symbol, (lost, passed) in found.items()},
            "timeframe": terms.timeframe,
            "horizon_candles": terms.horizon_candles,
        },
        _remedy_for_lost(facts, next(iter(found))),
    )


def _mostly_lost(facts: Facts) -> dict[str, tuple[int, int]]:
    """The symbols at least half of whose horizons ended without a price."""
    counts = facts.without_price.items()
    return {symbol: (lost, passed) for symbol, (lost, passed) in counts if lost >= max(ENOUGH_LOST, passed / 2)}


def _remedy_for_lost(facts: Facts, symbol: str) -> str:
    terms = facts.terms
    step = timeframe_ms(terms.timeframe)
    if terms.market == EXTERNAL:
        return (
            f"Send a decision of {symbol} with its price, HOLD will do, {terms.horizon_candles * step // 60_000}"
            f" minutes after each, or its candles: POST /ai/decisions?strategy={facts.strategy}."
        )
    if step >= DAY_MS or terms.horizon_candles * step % DAY_MS == 0:
        return "Begin a strategy on longer candles, of which fewer are missing: QT_TIMEFRAME and another QT_STRATEGY."
    whole_day = DAY_MS // step
    return (
        f"Begin a strategy that looks a whole day ahead, when the market trades again: QT_HORIZON_CANDLES={whole_day}"
        f" with QT_STRATEGY={facts.strategy[:50]}-{whole_day}; where single candles are missing, a longer QT_TIMEFRAME."
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
        f"Look at what was sent as price and exit_price, which seem never to move: {qt(facts, 'samples --known')}.",
    )


def constant_features(facts: Facts) -> Finding | None:
    """Some features have had one value throughout."""
    names = facts.outcomes.constant_features
    if facts.outcomes.feature_rows < ENOUGH_FEATURE_ROWS or not names:
        return None
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    verb = "feature has" if len(names) == 1 else "features have"
    return Finding(
        Code.CONSTANT_FEATURES,
        Severity.INFO,
        f"{len(names)} {verb} one single value in {facts.outcomes.feature_rows} samples from the whole history:"
        f" {shown}. Such a feature tells a model nothing.",
        {"rows": facts.outcomes.feature_rows, "features": list(names)},
        f"Look at how {names[0]} is computed: {qt(facts, 'samples --known --features --json')}.",
    )


def _horizon_passed(facts: Facts) -> bool:
    oldest = facts.decisions.oldest_horizon_at
    market_time: datetime = facts.market["market_time"] or facts.now
    return oldest is not None and market_time > oldest + SETTLING_GRACE
