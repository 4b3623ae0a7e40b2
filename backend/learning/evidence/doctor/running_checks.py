"""Checks of what runs: retraining, the served version, the market feed. Facts in, a finding or nothing out."""

import math
from datetime import datetime, timedelta

from backend.clock import iso
from backend.learning.evidence.doctor.facts import Facts
from backend.learning.evidence.doctor.finding import Finding
from backend.learning.evidence.status import refused
from backend.operations.codes import Code, Severity

ENOUGH_JUDGED = 30
LOW_ACCURACY = 0.55
NORMAL_975 = 1.959964
OVERDUE_AFTER = timedelta(hours=1)
CLOCK_TOLERANCE = timedelta(seconds=60)


def retraining_overdue(facts: Facts) -> Finding | None:
    """A slot has passed and nothing ran."""
    due = facts.last_due
    if due is None or facts.created_at is None or facts.created_at > due or not facts.decisions.outcomes_known:
        return None
    if facts.now - due < OVERDUE_AFTER or (facts.last_slot is not None and facts.last_slot >= due):
        return None
    return Finding(
        Code.RETRAINING_OVERDUE,
        Severity.WARNING,
        f"The retraining of {iso(due)} has not run; the last scheduled one was"
        f" {iso(facts.last_slot) if facts.last_slot else 'never'}.",
        {"due": iso(due), "last_slot": iso(facts.last_slot) if facts.last_slot else None},
        "Leave the service running over the schedule's time, or run POST /ai/retrain now.",
    )


def retraining_failed(facts: Facts) -> Finding | None:
    """The last run ended with an error."""
    run = facts.last_run
    if run is None or run["state"] != "error":
        return None
    reason = (run["result"] or {}).get("reason")
    return Finding(
        Code.RETRAINING_FAILED,
        Severity.ERROR if reason in ("training_failed", "lost") else Severity.WARNING,
        f"The run {run['run_id']} of {run['started_at']} ended with {reason or 'an error'}.",
        {"run_id": run["run_id"], "reason": reason, "result": run["result"]},
        f"Read GET /ai/retraining-runs/{run['run_id']}, then run POST /ai/retrain again.",
    )


def same_data(facts: Facts) -> Finding | None:
    """The last run had nothing new to learn from."""
    run = facts.last_run
    result = (run or {}).get("result") or {}
    if run is None or run["state"] != "skipped" or result.get("reason") != "no_new_samples":
        return None
    return Finding(
        Code.SAME_DATA,
        Severity.INFO,
        f"The run {run['run_id']} found exactly the data of {result.get('version_id')}, so no copy of it was made.",
        {"run_id": run["run_id"], "version_id": result.get("version_id")},
        "Wait for new outcomes; GET /ai/status shows under retraining how many are missing.",
    )


def live_accuracy_low(facts: Facts) -> Finding | None:
    """The active version's interval lies below 55 %."""
    live = facts.live
    if live is None or live["judged"] < ENOUGH_JUDGED or live["windows"] < 1:
        return None
    accuracy = live["correct"] / live["judged"]
    independent = min(live["judged"], live["windows"])
    low, high = _wilson(accuracy, independent)
    if high >= LOW_ACCURACY:
        return None
    return Finding(
        Code.LIVE_ACCURACY_LOW,
        Severity.WARNING,
        f"{live['version_id']} had the direction right in {live['correct']} of {live['judged']} matured forecasts"
        f" ({accuracy:.1%}), worth about {independent} independent ones; even the upper end of their 95 % interval,"
        f" {high:.1%}, lies below {LOW_ACCURACY:.0%}.",
        {**live, "accuracy": accuracy, "ci95": [low, high]},
        "Go back with POST /ai/rollback, or retrain on newer outcomes and read the report before activating.",
    )


def trader_stopped(facts: Facts) -> Finding | None:
    """The built-in trader would not begin."""
    market = facts.market
    own = facts.strategy == facts.settings.strategy and facts.settings.market != "off"
    if not own or not refused(market["state"], market["detail"]):
        return None
    return Finding(
        Code.TRADER_STOPPED,
        Severity.ERROR,
        f"The built-in trader of {facts.strategy} does not run. {market['detail']}",
        {"source": market["source"], "detail": market["detail"], "updated_at": market["updated_at"]},
        "Correct what it names, then restart the service.",
    )


def market_feed_stale(facts: Facts) -> Finding | None:
    """No candle has come for too long."""
    market = facts.market
    if market["state"] != "stale":
        return None
    time: datetime | None = market["market_time"]
    return Finding(
        Code.MARKET_FEED_STALE,
        Severity.ERROR,
        f"The feed {market['source']} last said something at {market['updated_at']}; its newest candle closed at"
        f" {iso(time) if time else 'no time at all'}.",
        {
            "source": market["source"],
            "updated_at": market["updated_at"],
            "market_time": iso(time) if time else None,
            "detail": market["detail"],
        },
        "Check that the service that trades is running and that its market can be reached; then restart it.",
    )


def clock_skew(facts: Facts) -> Finding | None:
    """The market is ahead of this machine."""
    time: datetime | None = facts.market["market_time"]
    if time is None or time - facts.now <= CLOCK_TOLERANCE:
        return None
    ahead = (time - facts.now).total_seconds()
    return Finding(
        Code.CLOCK_SKEW,
        Severity.ERROR,
        f"The newest closed candle is {ahead:.0f} s ahead of this machine's clock, {iso(facts.now)}.",
        {"market_time": iso(time), "now": iso(facts.now), "seconds": ahead},
        "Set the machine's clock, with NTP for example; a wrong one also refuses right timestamps.",
    )


def artifact_corrupt(facts: Facts) -> Finding | None:
    """The file of the active version, or of the one a rollback would go to, is not what was published."""
    active, version_id = facts.active, facts.active["version_id"]
    own = version_id is not None and (active["degraded"] or version_id in facts.damaged)
    others = sorted(set(facts.damaged) - {version_id})
    if not own and not others:
        return None
    told = (
        [f"The file of {version_id} is missing or differs from what was published; {_instead(facts)}."] if own else []
    )
    told += [f"The file of {other}, to which a rollback would go, is missing or damaged." for other in others]
    return Finding(
        Code.ARTIFACT_CORRUPT,
        Severity.ERROR if own else Severity.WARNING,
        " ".join(told),
        {**active, "damaged": facts.damaged},
        "Restore the file from a backup, or activate another version: POST /ai/activate-model/{version_id}.",
    )


def _instead(facts: Facts) -> str:
    serving = facts.active["serving_version_id"]
    if serving == facts.active["version_id"]:
        return "it serves from memory until the service is restarted"
    return (
        f"{serving} serves instead"
        if serving
        else "no version serves: the cold-start rule decides where it knows the features, the rest is HOLD"
    )


def _wilson(share: float, judged: int) -> tuple[float, float]:
    z2 = NORMAL_975**2
    centre = share + z2 / (2 * judged)
    spread = NORMAL_975 * math.sqrt(share * (1 - share) / judged + z2 / (4 * judged**2))
    return (centre - spread) / (1 + z2 / judged), (centre + spread) / (1 + z2 / judged)
