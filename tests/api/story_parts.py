"""The parts of the story that the API's examples are recorded from, in the order in which they happen."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np

from ai_engine.self_audit import Judgement, Task
from backend.clock import iso

BOT = {"atr_14": 0.012, "rsi_14": 61.5}
LINE = "mybot-42"


def history(now: Any, count: int, seed: int = 1) -> list[dict[str, Any]]:
    """Closed trades of the last weeks whose direction follows ``rsi_14``."""
    random, rows = np.random.default_rng(seed), []
    for index in range(count):
        strength, width = float(random.normal()), float(random.uniform(0.005, 0.02))
        move = 0.01 * float(np.tanh(2 * strength)) + 0.002 * float(random.normal())
        entered = now - timedelta(hours=3 * (count - index) + 24)
        rows.append(
            {
                "decision_id": f"old-{seed}-{index}",
                "symbol": "BTCUSDC",
                "timestamp": iso(entered),
                "predicted_action": "BUY",
                "entry_price": 45_000.0,
                "exit_price": round(45_000.0 * (1 + move), 2),
                "quantity": 0.1,
                "fees": 9.0,
                "exit_time": iso(entered + timedelta(hours=1)),
                "features": {"atr_14": round(width, 5), "rsi_14": round(50 + 15 * strength, 2)},
            }
        )
    return rows


def imports(story: Any) -> None:
    """Another bot's trades come in."""
    row = {
        "symbol": "BTCUSDC",
        "timestamp": "2025-11-12T10:30:00Z",
        "predicted_action": "BUY",
        "entry_price": 45000.0,
        "exit_price": 45500.0,
        "quantity": 0.1,
        "exit_time": "2025-11-12T11:30:00Z",
        "features": BOT,
    }
    backwards = {**row, "decision_id": "backwards", "exit_time": "2025-11-12T09:30:00Z"}
    story.tell(
        "importSamples", "POST /ai/training-samples", name="history", body={"samples": [row, backwards]},
        summary="Two closed trades; the second left before it entered and is refused alone",
    )  # fmt: skip
    story.ask("POST /ai/training-samples", {"samples": history(story.now, 160)})


def trains(story: Any) -> None:
    """The first version is made, looked at and activated."""
    made = story.tell("retrain", "POST /ai/retrain?min_samples=100", name="success", summary="A new, inactive version")
    version = made["version_id"]
    story.wait(60)
    story.tell("retrain", "POST /ai/retrain", name="no_new_samples", summary="The same data as the version before")
    story.tell(
        "retrain", "POST /ai/retrain?min_samples=1000", name="insufficient_samples", summary="Too few known outcomes"
    )
    young = history(story.now, 3, seed=2)
    story.ask("POST /ai/training-samples?strategy=young", {"samples": young})
    story.tell(
        "retrain", "POST /ai/retrain?strategy=young&min_samples=1", name="too_few_valid_samples",
        summary="Fewer than 10 usable rows",
    )  # fmt: skip
    story.tell("listModels", "GET /ai/models", name="models", summary="One version, not active")
    story.wait(60)
    story.tell(
        "activateModel", f"POST /ai/activate-model/{version}", name="first", summary="The first version of a strategy"
    )
    story.tell("getModel", f"GET /ai/models/{version}", name="version", summary="All of one version")


def decides(story: Any) -> None:
    """A bot asks, and records what it decided itself."""
    asked = {"symbol": "BTCUSDC", "price": 45000.0, "features": BOT}
    named = {**asked, "decision_id": "mybot-41", "timestamp": "2026-01-31T12:02:00Z"}
    story.tell(
        "postDecision", "POST /ai/decisions", name="active_version", body=named, status=201,
        summary="The active version decides",
    )  # fmt: skip
    story.tell("postDecision", "POST /ai/decisions", name="repeat", summary="The same id and body again", body=named)
    own = {**named, "decision_id": LINE, "predicted_action": "BUY", "prediction_confidence": 0.7}
    story.tell(
        "postDecision",
        "POST /ai/decisions",
        name="own",
        body=own,
        status=201,
        summary="The bot's own decision, recorded",
    )
    bad = {**named, "decision_id": "mybot-44", "symbol": "ETHUSDC", "features": {"rsi_14": 48.0}}
    good = {**bad, "decision_id": "mybot-43", "price": 2500.0, "features": {"atr_14": 0.02, "rsi_14": 44.0}}
    story.tell(
        "postDecision", "POST /ai/decisions", name="batch", body={"decisions": [good, bad]},
        summary="Two decisions at once; the second lacks a feature",
    )  # fmt: skip
    story.tell(
        "predict",
        "POST /ai/predict",
        name="rows",
        summary="Two rows",
        body={"rows": [BOT, {"atr_14": 0.02, "rsi_14": 31.0}]},
    )


def trades(story: Any) -> None:
    """The bot's own decision is filled twice and left twice."""
    fill = {"side": "BUY", "entry_price": 45000.0, "quantity": 0.06, "entry_time": "2026-01-31T12:02:01Z", "fees": 2.7}
    path, story_path = f"/ai/decisions/{LINE}", "POST /ai/decisions/" + LINE
    story.tell(
        "postExecution", f"{story_path}/execution", name="first_fill", body={**fill, "fill_id": "e-1"},
        summary="0.06 of 0.1 bought",
    )  # fmt: skip
    more = {**fill, "entry_price": 45010.0, "quantity": 0.04, "fees": 1.8, "fill_id": "e-2"}
    story.tell(
        "postExecution", f"{story_path}/execution", name="second_fill", body=more,
        summary="The rest: prices are weighted by quantity, fees summed",
    )  # fmt: skip
    story.wait(3600)
    left = {"exit_price": 45500.0, "exit_time": "2026-01-31T13:00:00Z", "quantity": 0.05, "fees": 4.5, "fill_id": "x-1"}
    story.tell(
        "postOutcome", f"{story_path}/outcome", name="half", body=left, summary="Half has left; the position stays open"
    )
    story.tell("listDecisions", "GET /ai/decisions?state=open", name="open", summary="What a restarted bot asks")
    story.tell("getDecision", f"GET {path}", name="open", summary="Half has left")
    rest = {**left, "exit_price": 45520.0, "fill_id": "x-2", "exit_reason": "target"}
    story.tell(
        "postOutcome", f"{story_path}/outcome", name="rest", body=rest, summary="All has left: closed and labelled"
    )
    whole = {"side": "BUY", "entry_price": 45000.0, "quantity": 0.1, "exit_price": 44900.0, "fees": 9.0}
    story.tell(
        "postOutcome", "POST /ai/decisions/mybot-41/outcome", name="entry_and_exit",
        body={**whole, "exit_time": "2026-01-31T13:01:00Z"}, summary="Entry and exit in one call",
    )  # fmt: skip
    story.tell(
        "listSamples", "GET /ai/training-samples?limit=2&outcome_known=true", name="newest",
        summary="The two newest with a known outcome",
    )  # fmt: skip
    story.tell(
        "listSamples", "GET /ai/training-samples?limit=1&outcome_known=true&features=true", name="features",
        summary="With its features",
    )  # fmt: skip
    story.tell(
        "listSamples",
        "GET /ai/training-samples?limit=1&outcome_known=true",
        name="csv",
        summary="As CSV",
        accept="text/csv",
    )


def changes_version(story: Any) -> None:
    """A second version is made in the background, activated, taken back; then none decides."""
    story.wait(3600)
    begun = story.tell(
        "retrain", "POST /ai/retrain?wait=false&min_samples=100", name="started", summary="Begun; the run goes on",
        status=202,
    )  # fmt: skip
    run = f"GET /ai/retraining-runs/{begun['run_id']}"
    for _ in range(600):
        if story.ask(run)["state"] != "running":
            break
        time.sleep(0.1)
    done = story.tell("getRun", run, name="success", summary="What came of it")
    decided = story.ask("GET /ai/models")["models"][1]["version_id"]
    story.tell(
        "getModel", f"GET /ai/models/{decided}", name="lived", summary="One that has decided, and what came of it"
    )
    story.tell("listRuns", "GET /ai/retraining-runs?limit=2", name="runs", summary="The two newest retrainings")
    version = done["result"]["version_id"]
    story.tell("activateModel", f"POST /ai/activate-model/{version}", name="next", summary="Another version takes over")
    before = story.ask("GET /ai/models")["models"][1]["version_id"]
    story.tell(
        "compareModels", f"GET /ai/compare?a={before}&b={version}", name="two", summary="Nothing forecast by both yet"
    )
    story.tell("stopShadow", f"DELETE /ai/models/{before}/shadow", name="stopped", summary="It scores no more")
    story.tell("startShadow", f"POST /ai/models/{before}/shadow", name="asked", summary="It scores again, as asked")
    story.wait(60)
    story.tell(
        "rollback", "POST /ai/rollback?reason=worse%20on%20Monday", name="back", summary="Back to the version before"
    )
    story.tell("rollback", "POST /ai/rollback", name="nothing", summary="No version was active before", status=409)
    story.tell("deactivate", "POST /ai/deactivate", name="none", summary="No version decides")


def looks_around(story: Any) -> None:
    """What an operator reads."""
    story.tell(
        "admitSchema", "POST /ai/strategies/young/schema", name="more", summary="One more feature",
        body={"features": ["atr_14", "rsi_14", "volume_z"]},
    )  # fmt: skip
    story.tell("listStrategies", "GET /ai/strategies", name="strategies", summary="Two strategies")
    story.tell("listAudit", "GET /ai/audit?limit=3", name="audit", summary="The three newest entries")
    story.tell("status", "GET /ai/status", name="status", summary="A service without a market")
    story.tell("doctor", "GET /ai/doctor", name="healthy", summary="Nothing found")
    story.tell("metrics", "GET /metrics", name="excerpt", summary="A few of them", keep="quantum_trader_decisions")
    story.tell(
        "metrics", "GET /metrics", name="openmetrics", summary="As OpenMetrics", keep="quantum_trader_decisions",
        accept="application/openmetrics-text",
    )  # fmt: skip
    story.tell("listAlarms", "GET /ai/alarms", name="open", summary="A retraining that had too few rows")
    story.tell("testAlarms", "POST /ai/alarms/test", name="nobody", summary="No target is set")
    story.tell("listEvents", "GET /ai/events?limit=2", name="events", summary="The two newest")
    story.tell("healthLive", "GET /health/live", name="alive", summary="Alive")
    story.tell("healthReady", "GET /health/ready", name="ready", summary="Ready")


def audits_itself(story: Any) -> None:
    """How often the service is fooled; what its children would say of the worlds is said at once."""
    context = story.client.app.state.context
    story.tell("getSelfAudit", "GET /ai/self-audit", name="never", summary="Never audited")
    story.tell(
        "selfAudit", "POST /ai/self-audit?strategy=young", name="insufficient_samples", summary="Too few known outcomes"
    )
    story.client.app.state.context = replace(context, auditing=replace(context.auditing, auditor=says_what_is_usual))
    story.tell("selfAudit", "POST /ai/self-audit", name="holds", summary="It holds")
    story.tell("getSelfAudit", "GET /ai/self-audit", name="done", summary="The newest result, and those before")
    story.tell("selfAudit", "POST /ai/self-audit?wait=false", name="started", summary="Begun; it goes on", status=202)
    for _ in range(600):
        if story.ask("GET /ai/self-audit")["state"] != "running":
            break
        time.sleep(0.05)
    story.client.app.state.context = context


def says_what_is_usual(task: Task, _progress: Callable[[str, float], None]) -> tuple[list[Judgement], dict[str, str]]:
    """Two placebos in a hundred called evidence, two planted signals in three found."""
    found = [
        Judgement(number, "evidence" if number % 50 == 7 or (number % 3 and number >= 100) else "no_evidence", 0.5)
        for number in task.worlds
    ]
    return found, {"python": "3.11.2", "numpy": "2.3.5", "xgboost": "3.1.2"}


def rules_on_rows(story: Any) -> None:
    """Two trades that cannot be believed: one price was right after all, the other one was not."""
    for line in ("young-1", "young-2"):
        decided = {"symbol": "BTCUSDC", "price": 45000.0, "predicted_action": "BUY", "decision_id": line}
        story.ask("POST /ai/decisions?strategy=young", {**decided, "features": {**BOT, "volume_z": 0.3}})
        left = {"side": "BUY", "entry_price": 45000.0, "quantity": 0.1, "exit_price": 105000.0, "fees": 15.0}
        story.ask(f"POST /ai/decisions/{line}/outcome?strategy=young", {**left, "exit_time": iso(story.now)})
    call = "/ai/quarantine"
    held = story.tell(
        "listQuarantine", f"GET {call}?strategy=young", name="held", summary="Two rows wait for somebody to look"
    )["samples"]
    second, first = (one["id"] for one in held)
    story.tell(
        "releaseSample", f"POST {call}/{first}/release?reason=The%20exchange%20did%20trade%20there", name="released",
        summary="It trains after all",
    )  # fmt: skip
    story.tell(
        "releaseSample", f"POST {call}/{first}/release", name="again", summary="Said again, with the reason as a body",
        body={"reason": "The exchange did trade there."},
    )  # fmt: skip
    story.tell(
        "dropSample", f"POST {call}/{second}/drop", name="dropped", summary="It stays out for good",
        body={"reason": "A slipped decimal point."},
    )  # fmt: skip
    story.tell("releaseSample", f"POST {call}/{first}/release", name="why", summary="No reason given", status=422)


PARTS: tuple[Callable[[Any], None], ...] = (
    imports,
    trains,
    decides,
    trades,
    changes_version,
    audits_itself,
    looks_around,
    rules_on_rows,
)
