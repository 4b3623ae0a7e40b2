"""``qt status``, ``runs``: what there is."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from backend.cli.assembly import Assembly, assembled
from backend.cli.output import Column, JsonOption, LimitOption, StrategyOption, answer, print_facts, print_rows, when
from backend.clock import iso
from backend.crontab import next_slot, parse_schedule
from backend.learning.decisions.strategies import get_strategy
from backend.learning.evidence.status import status as read_status
from backend.operations import runs as job_runs
from backend.operations.alarms import open_alarms

RUN_COLUMNS: dict[str, str | Column] = {
    "started_at": Column("started", when),
    "strategy": Column("strategy", drop=2),
    "state": "state",
    "outcome": "what came of it",
    "lasted": Column("lasted", drop=3),
    "actor": Column("asked for by", drop=4),
    "slot": Column("slot", when, drop=5),
    "run_id": Column("run", drop=6),
}


def status(strategy: StrategyOption = None, as_json: JsonOption = False) -> None:
    """Samples, trades, signals, retraining, the active version and the market."""
    with assembled() as assembly:
        answer(assembly.database.read(_status, assembly, strategy), as_json, _show_status)


def _status(session: Session, assembly: Assembly, named: str | None) -> dict[str, Any]:
    settings, now = assembly.settings, assembly.clock()
    strategy = get_strategy(session, named or settings.strategy, settings=settings).name
    told = read_status(session, strategy, settings, now, assembly.serving)
    schedule = parse_schedule(settings.ai_retrain_schedule) if settings.ai_retraining_enabled else None
    told["retraining"]["next_run"] = iso(next_slot(schedule, now)) if schedule else None
    told["open_alarms"] = sorted({alarm.code for alarm in open_alarms(session)})
    return told


def _show_status(told: Mapping[str, Any]) -> None:
    """What a trader looks for first, first."""
    samples, retraining, active = told["samples"], told["retraining"], told["active_model"]
    trades, market, signals = told["trades"], told["market"], told["signals"]
    decisions = samples["decisions"]
    taught = {name: count for name, count in samples["by_label_source"].items() if count and name != "synthetic"}
    sources = ", ".join(f"{count:,} {name}" for name, count in taught.items())
    print_facts(
        {
            "strategy": told["strategy"],
            "market": _market(market),
            "decided by": _decider(active),
            "trades": f"{trades['open']:,} open, {trades['closed']:,} closed, P&L {_money(trades['total_pnl'])}",
            "signals, 24 h": ", ".join(f"{action} {count:,}" for action, count in signals.items()),
            "decisions": f"{decisions['total']:,}, {decisions['today']:,} of them recorded today",
            "outcomes": f"{decisions['outcome_known']:,} known, {decisions['pending']:,} to come,"
            f" {decisions['unobservable']:,} unobservable{_held(samples['quarantined'])}",
            "other rows": _others(samples["by_origin"]),
            "known from": sources or "nothing yet",
            "retraining": _retraining(retraining),
            "wrong now": ", ".join(told["open_alarms"]) + ": qt alarms" if told["open_alarms"] else "no alarm is open",
        }
    )
    print("\nWhat might be wrong, and what to do: qt doctor")


def _held(quarantined: int) -> str:
    """Rows that wait for somebody to look, of whatever origin."""
    return f"; {quarantined:,} in quarantine: qt quarantine" if quarantined else ""


def _others(origins: Mapping[str, int]) -> str:
    """Rows that nobody decided here; the demo rows teach nothing and are in no other figure."""
    words = {"import": "imported", "historical": "historical", "synthetic": "demo (they never train)"}
    return ", ".join(f"{origins[origin]:,} {word}" for origin, word in words.items() if origins[origin]) or "none"


def _market(market: Mapping[str, Any]) -> str:
    if market["source"] is None:
        return "none: bots decide, or nobody"
    at = f", at {when(market['market_time'])} UTC" if market["market_time"] else ""
    detail = f" ({market['detail']})" if market.get("detail") else ""
    return f"{market['source']}, {market['state']}{at}{detail}"


def _decider(active: Mapping[str, Any]) -> str:
    if active["version_id"] is None:
        return "none: the cold-start rule decides"
    if active["degraded"]:
        serving = active["serving_version_id"] or "the cold-start rule"
        return f"{serving}, because the file of {active['version_id']} is damaged: qt doctor"
    return f"{active['version_id']}: qt model {active['version_id']}"


def _retraining(retraining: Mapping[str, Any]) -> str:
    last = retraining["last_run"]
    before = _ended(last) if last else "not run yet"
    success = retraining.get("last_success")
    if last and last["state"] != "success" and success:
        before += f"; last success at {when(success['finished_at'])} UTC"
    if retraining["running"]:
        return f"running now ({', '.join(retraining['running'])}); {before}"
    following = retraining["next_run"]
    if following is None:
        return f"never by itself: QT_AI_RETRAINING_ENABLED is off; {before}"
    return f"next {when(following)} UTC; {before}"


def _ended(run: Mapping[str, Any]) -> str:
    why = "" if run["state"] == "success" else f" ({_outcome(run)})"
    return f"last {run['state']} at {when(run['finished_at'])} UTC{why}"


def _money(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f}"


def runs(strategy: StrategyOption = None, limit: LimitOption = 20, as_json: JsonOption = False) -> None:
    """Retrainings, scheduled and manual, newest first."""
    with assembled() as assembly:
        found, cursor = assembly.database.read(job_runs.list_runs, strategy=strategy, limit=limit)
    told = {"status": "ok", "count": len(found), "runs": found, "next_cursor": cursor}
    answer(told, as_json, _show_runs)


def _show_runs(told: Mapping[str, Any]) -> None:
    rows = [{**run, "outcome": _outcome(run), "lasted": _lasted(run)} for run in told["runs"]]
    print_rows(rows, RUN_COLUMNS, "Nothing was retrained yet.")


def _outcome(run: Mapping[str, Any]) -> str:
    """The version it made, how far it is, or why it made none."""
    result = run["result"] or {}
    if run["state"] == "running":
        return f"{(run['stage'] or 'starting').replace('_', ' ')}, {run['progress']:.0%}"
    reason, version = result.get("reason"), result.get("version_id")
    if reason == "no_new_samples" and version:
        return f"{reason}: data of {version} unchanged"
    if reason == "insufficient_samples" and "required" in result:
        lost = result.get("outcomes_unobservable")
        without = f", {lost:,} without a price at the horizon: qt doctor" if lost else ""
        return f"{reason}: {result.get('samples_count')} of {result['required']}{without}"
    return str(reason or version or "-")


def _lasted(run: Mapping[str, Any]) -> str:
    if not run["started_at"] or not run["finished_at"]:
        return "-"
    took = datetime.fromisoformat(run["finished_at"]) - datetime.fromisoformat(run["started_at"])
    return f"{took.total_seconds():,.0f} s"
