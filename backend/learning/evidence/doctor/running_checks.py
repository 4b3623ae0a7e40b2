"""Checks of what runs: retraining, the served version, the market feed. Facts in, a finding or nothing out."""

from datetime import datetime, timedelta
from typing import Any

from ai_engine.inference import wilson
from backend.clock import iso
from backend.crontab import Schedule, latest_slot
from backend.learning.evidence.doctor.facts import Facts
from backend.learning.evidence.doctor.finding import Finding
from backend.learning.evidence.doctor.remedies import RESTART, learn_anew, make_again, qt, way_back
from backend.learning.evidence.status import refused
from backend.operations.codes import Code, Severity

ENOUGH_JUDGED = 30
LOW_ACCURACY = 0.55
OVERDUE_AFTER = timedelta(hours=1)
LOOK_BACK = timedelta(days=32)
CLOCK_TOLERANCE = 60.0
OFFSET_TOLERANCE = 10.0
HEARD_WITHIN = timedelta(minutes=2)
LONGEST_REST = timedelta(hours=1)


def newest_due(schedule: Schedule | None, now: datetime) -> datetime | None:
    """The newest slot that has had its hour to begin; None where nothing is scheduled or none was due for a month."""
    return latest_slot(schedule, now - OVERDUE_AFTER, LOOK_BACK) if schedule is not None else None


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
        f"Run it now: {qt(facts, 'retrain')}.",
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
        _remedy_for_failure(facts, run["run_id"], reason),
    )


def _remedy_for_failure(facts: Facts, run_id: str, reason: str | None) -> str:
    if reason in ("too_few_valid_samples", "degenerate_data"):
        return f"Read which rows were refused, and why: GET /ai/retraining-runs/{run_id}."
    if reason == "lost":
        again = qt(facts, "retrain")
        return f"Nothing is to be mended: the service stopped in the middle of it. Run it again: {again}."
    return f"Mend what GET /ai/retraining-runs/{run_id} names under detail, and run it again: {qt(facts, 'retrain')}."


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
        f"Wait for new outcomes, and look how many are missing: {qt(facts, 'status')}.",
    )


def live_accuracy_low(facts: Facts) -> Finding | None:
    """The active version's interval lies below 55 %."""
    live = facts.live
    if live is None or live["judged"] < ENOUGH_JUDGED or live["windows"] < 1:
        return None
    accuracy = live["correct"] / live["judged"]
    independent = min(live["judged"], live["windows"])
    interval = wilson(accuracy * independent, independent)
    if interval.high >= LOW_ACCURACY:
        return None
    return Finding(
        Code.LIVE_ACCURACY_LOW,
        Severity.WARNING,
        f"{live['version_id']} had the direction right in {live['correct']} of {live['judged']} matured forecasts"
        f" ({accuracy:.1%}), worth about {independent} independent ones; even the upper end of their 95 % interval,"
        f" {interval.high:.1%}, lies below {LOW_ACCURACY:.0%}.",
        {**live, "accuracy": accuracy, "ci95": [interval.low, interval.high]},
        f"{way_back(facts, live.get('previous'))} {learn_anew(facts)}",
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
        f"Correct what this sentence names, {RESTART}.",
    )


def market_feed_stale(facts: Facts) -> Finding | None:
    """No candle has come for too long."""
    market = facts.market
    if market["state"] != "stale":
        return None
    time: datetime | None = market["market_time"]
    why = f" It says: {market['detail']}" if market["detail"] else ""
    alive = _seen_lately(facts)
    return Finding(
        Code.MARKET_FEED_STALE,
        Severity.ERROR,
        f"The newest candle of {market['source']} closed at {iso(time) if time else 'no time at all'}; the trader was"
        f" last heard of at {market['updated_at']}.{why} Nothing is entered meanwhile; positions are left as soon as"
        " candles come.",
        {
            "source": market["source"],
            "updated_at": market["updated_at"],
            "market_time": iso(time) if time else None,
            "detail": market["detail"],
        },
        f"Mend the way to {market['source']}, which the trader goes on trying, and look again: {qt(facts, 'status')}."
        if alive
        else "The process that trades is gone or hangs: qt stop, then qt start.",
    )


def _seen_lately(facts: Facts) -> bool:
    """Whether the trader itself still speaks, so that it is the market that is silent; one told to rest rests long."""
    updated_at = facts.market["updated_at"]
    patience = LONGEST_REST if facts.market["detail"] else HEARD_WITHIN
    return updated_at is not None and facts.now - datetime.fromisoformat(updated_at) < patience


def clock_skew(facts: Facts) -> Finding | None:
    """This machine's clock and the market's differ, in either direction."""
    offset: float | None = facts.market.get("clock_offset_seconds")
    time: datetime | None = facts.market["market_time"]
    evidence: dict[str, Any] = {"now": iso(facts.now)}
    if offset is not None:
        evidence["clock_offset_seconds"] = offset
        told = f"{facts.market['source']}'s clock"
    elif time is not None:
        offset, evidence["market_time"] = max((time - facts.now).total_seconds(), 0.0), iso(time)
        told = "The newest closed candle"
    if offset is None or abs(offset) <= (CLOCK_TOLERANCE if "market_time" in evidence else OFFSET_TOLERANCE):
        return None
    serious = abs(offset) > CLOCK_TOLERANCE
    behind = offset > 0
    means = (
        "it is slow: a bot with the right time is refused as soon as it is 60 s ahead of it, and retrainings run late"
        if behind
        else "it is fast: what bots post looks old, and retrainings run early"
    )
    return Finding(
        Code.CLOCK_SKEW,
        Severity.ERROR if serious else Severity.WARNING,
        f"{told} is {abs(offset):.0f} s {'ahead of' if behind else 'behind'} this machine's, which says"
        f" {iso(facts.now)}: {means}. The trader itself goes by the market's time.",
        evidence | {"seconds": offset},
        "Let the network set this machine's clock: timedatectl set-ntp true (on Windows: w32tm /resync).",
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
        make_again(facts, version_id if own else others[0]),
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
