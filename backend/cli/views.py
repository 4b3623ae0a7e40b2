"""``qt status``, ``runs``: what there is."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from backend.cli.assembly import Assembly, assembled
from backend.cli.output import JsonOption, LimitOption, StrategyOption, answer, print_facts, print_rows
from backend.clock import iso
from backend.crontab import next_slot, parse_schedule
from backend.learning.decisions.strategies import get_strategy
from backend.learning.evidence.status import status as read_status
from backend.operations import runs as job_runs

RUN_COLUMNS = {
    "run_id": "run",
    "strategy": "strategy",
    "slot": "slot",
    "state": "state",
    "reason": "reason",
    "actor": "asked for by",
    "started_at": "started",
    "finished_at": "finished",
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
    return told


def _show_status(told: Mapping[str, Any]) -> None:
    samples, retraining, active = told["samples"], told["retraining"], told["active_model"]
    last = retraining["last_run"]
    print_facts(
        {
            "strategy": told["strategy"],
            "market": {key: told["market"][key] for key in ("source", "state", "market_time")},
            "samples": {key: samples[key] for key in ("total", "outcome_known", "pending", "unobservable", "today")},
            "by action": samples["by_action"],
            "outcomes from": samples["by_label_source"],
            "signals, 24 h": told["signals"],
            "trades": told["trades"],
            "active version": active["version_id"] or "none: the cold-start rule decides",
            "serving": f"{active['serving_version_id'] or '-'}{' (degraded: qt doctor)' if active['degraded'] else ''}",
            "next retraining": retraining["next_run"] or "never: QT_AI_RETRAINING_ENABLED is off",
            "last retraining": f"{last['state']} at {last['finished_at'] or '-'}" if last else None,
            "running now": retraining["running"],
        }
    )


def runs(strategy: StrategyOption = None, limit: LimitOption = 20, as_json: JsonOption = False) -> None:
    """Retrainings, scheduled and manual, newest first."""
    with assembled() as assembly:
        found, cursor = assembly.database.read(job_runs.list_runs, strategy=strategy, limit=limit)
    told = {"status": "ok", "count": len(found), "runs": found, "next_cursor": cursor}
    answer(told, as_json, lambda data: print_rows(data["runs"], RUN_COLUMNS, "Nothing was retrained yet."))
