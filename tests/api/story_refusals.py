"""How the story goes wrong: every reason for which a call may be refused, provoked once."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from sqlalchemy import delete, select, text
from sqlalchemy.orm import Session

from backend.learning.decisions.strategies import new_strategy
from backend.learning.decisions.synthetic import add_demo_rows
from backend.learning.versions.activation import VersionService
from backend.learning.versions.shadow import MOST_SHADOWS
from backend.models import AIModelVersion
from backend.operations import runs
from tests.api.conftest import METRICS, open_client, settings_in
from tests.api.story_parts import history

SEEN = {"atr_14": 0.012, "rsi_14": 61.5}
ASKED = {"symbol": "BTCUSDC", "price": 45000.0, "features": SEEN}
FILL = {"side": "BUY", "entry_price": 45000.0, "quantity": 0.1, "fill_id": "e-1"}
LEFT = {"exit_price": 45100.0, "quantity": 0.1}


def refuse(story: Any, operation: str, call: str, reason: str, status: int, body: Any = None, **headers: str) -> None:
    """A call that must be refused for this reason; it becomes the reason's example."""
    said = story.tell(operation, call, name=reason, summary=reason, body=body, status=status, **headers)
    assert said["reason"] == reason, said


def callers(story: Any) -> None:
    """Who may not call at all."""
    refuse(story, "status", "GET /ai/status", "host_not_allowed", 400, host="evil.example")
    refuse(story, "status", "GET /ai/status", "unauthorized", 401, x_admin_token="")
    refuse(story, "status", "GET /ai/status", "forbidden", 403, x_admin_token=METRICS["X-Admin-Token"])


def names(story: Any) -> None:
    """What is not there."""
    refuse(story, "status", "GET /ai/status?strategy=defalt", "unknown_strategy", 404)
    refuse(story, "getDecision", "GET /ai/decisions/mybot-99", "unknown_decision", 404)
    refuse(story, "getModel", "GET /ai/models/v20250101_030000", "unknown_version", 404)
    refuse(story, "getRun", "GET /ai/retraining-runs/run-1", "unknown_run", 404)
    refuse(story, "dropSample", "POST /ai/quarantine/4711/drop?reason=wrong", "unknown_sample", 404)


def bodies(story: Any) -> None:
    """What is not read, or not understood."""
    large = b'{"rows": [' + b" " * (8 << 20) + b"]}"
    refuse(story, "predict", "POST /ai/predict", "body_too_large", 413, large)
    refuse(story, "predict", "POST /ai/predict", "unsupported_media_type", 415, b"rows", content_type="text/plain")
    refuse(story, "predict", "POST /ai/predict", "invalid_json", 422, b'{"rows": [')
    refuse(story, "predict", "POST /ai/predict", "repeated_key", 422, b'{"rows": [], "rows": []}')
    refuse(story, "listModels", "GET /ai/models?limit=0", "invalid_input", 422)


def decisions(story: Any) -> None:
    """Decisions that contradict what is known."""
    call = "POST /ai/decisions"
    changed = {**ASKED, "decision_id": "mybot-41", "timestamp": "2026-01-31T12:02:00Z", "price": 45001.0}
    refuse(story, "postDecision", call, "decision_conflict", 409, changed)
    refuse(story, "postDecision", call, "price_required", 422, {"symbol": "BTCUSDC", "features": SEEN})
    refuse(story, "postDecision", call, "feature_names_mismatch", 422, {**ASKED, "features": {"rsi_14": 61.5}})
    story.database.write(_begin_strategies, story)
    refuse(story, "postDecision", f"{call}?strategy=simulated", "market_mismatch", 409, ASKED)
    refuse(story, "predict", "POST /ai/predict?strategy=spot", "no_active_model", 409, {"rows": [SEEN]})


def executions(story: Any) -> None:
    """Entry fills that cannot be."""
    story.ask("POST /ai/decisions", {**ASKED, "decision_id": "mybot-45", "predicted_action": "BUY"})
    story.ask("POST /ai/decisions?strategy=spot", {**ASKED, "decision_id": "spot-1", "predicted_action": "SELL"})
    story.ask("POST /ai/decisions/mybot-45/execution", FILL)
    demo = story.ask("GET /ai/decisions?strategy=demo&limit=1")["decisions"][0]["decision_id"]
    for decision, strategy, reason, body in (
        ("mybot-45", "default", "fill_conflict", {**FILL, "quantity": 0.2}),
        ("mybot-45", "default", "side_conflict", {**FILL, "side": "SELL", "fill_id": "e-2"}),
        ("mybot-42", "default", "already_closed", {**FILL, "fill_id": "e-3"}),
        ("spot-1", "spot", "long_only", {**FILL, "side": "SELL"}),
        (demo, "demo", "not_a_decision", FILL),
    ):
        call = f"POST /ai/decisions/{decision}/execution?strategy={strategy}"
        refuse(story, "postExecution", call, reason, 409, body)


def outcomes(story: Any) -> None:
    """Exit fills that cannot be."""
    for decision, reason, body in (
        ("mybot-45", "quantity_exceeds_entry", {**LEFT, "quantity": 0.3}),
        ("mybot-45", "entry_conflict", {**LEFT, "entry_price": 44000.0}),
        ("mybot-42", "outcome_conflict", LEFT),
        ("mybot-43", "not_executed", LEFT),
    ):
        refuse(story, "postOutcome", f"POST /ai/decisions/{decision}/outcome", reason, 409, body)
    plain = story.ask("GET /ai/decisions/mybot-43")["sample_id"]
    refuse(story, "dropSample", f"POST /ai/quarantine/{plain}/drop?reason=wrong", "not_quarantined", 409)


def activations(story: Any) -> None:
    """Versions that must not decide, or not now."""
    newest = story.ask("GET /ai/models")["models"][0]["version_id"]
    call, context = f"POST /ai/activate-model/{newest}", story.client.app.state.context
    with open_client(settings_in(story.folder, QT_ACTIVATION_GATE="strict"), lambda: story.now) as strict:
        refuse(replace(story, client=strict), "activateModel", call, "not_recommended", 409)
    meddling = VersionService(context.database, context.settings, Meddling(context.database), context.clock)
    story.client.app.state.context = replace(context, versions=meddling)
    refuse(story, "activateModel", call, "activation_changed", 409)
    story.client.app.state.context = context
    run = story.database.write(runs.start, runs.NewRun("ai-retraining", "default", "scheduler"), story.now)
    refuse(story, "retrain", "POST /ai/retrain", "retraining_in_progress", 409)
    story.database.write(runs.finish, run, story.now, "error", {"status": "error", "reason": "lost"})
    run = story.database.write(runs.start, runs.NewRun(runs.SELF_AUDIT, "default", "scheduler"), story.now)
    refuse(story, "selfAudit", "POST /ai/self-audit", "self_audit_in_progress", 409)
    story.database.write(runs.finish, run, story.now, "error", {"status": "error", "reason": "lost"})


def shadows(story: Any) -> None:
    """Versions that cannot score beside the active one."""
    newest = story.ask("GET /ai/models")["models"][0]["version_id"]
    crowd = [f"v20260101_00000{number}" for number in range(MOST_SHADOWS)]
    story.database.write(_crowd, newest, crowd)
    refuse(story, "startShadow", f"POST /ai/models/{newest}/shadow", "too_many_shadows", 409)
    story.database.write(_disperse, crowd)
    story.ask(f"POST /ai/activate-model/{newest}")
    refuse(story, "startShadow", f"POST /ai/models/{newest}/shadow", "already_active", 409)
    story.ask("POST /ai/deactivate")


def files(story: Any) -> None:
    """Versions whose files, or whose features, are gone."""
    story.ask("POST /ai/training-samples?strategy=eth", {"samples": history(story.now, 60, seed=3)})
    other = story.ask("POST /ai/retrain?strategy=eth&min_samples=10")["version_id"]
    newest, older = (one["version_id"] for one in story.ask("GET /ai/models")["models"])
    refuse(story, "compareModels", f"GET /ai/compare?a={newest}&b={newest}", "same_version", 422)
    refuse(story, "compareModels", f"GET /ai/compare?a={newest}&b={other}", "different_strategies", 409)
    story.ask("POST /ai/strategies/eth/schema", {"features": ["volume_z"]})
    refuse(story, "activateModel", f"POST /ai/activate-model/{other}", "schema_mismatch", 409)
    file = story.folder / "models" / f"xgb_model_{older}.pkl"
    file.write_bytes(b"torn")
    refuse(story, "activateModel", f"POST /ai/activate-model/{older}", "artifact_corrupt", 409)
    file.unlink()
    refuse(story, "activateModel", f"POST /ai/activate-model/{older}", "artifact_missing", 409)
    story.database.write(_replace_file, newest)
    story.ask(f"POST /ai/activate-model/{newest}")
    for left in (story.folder / "models").glob("*.pkl"):
        left.unlink()
    with open_client(settings_in(story.folder), lambda: story.now) as restarted:
        later = replace(story, client=restarted)
        refuse(later, "predict", "POST /ai/predict", "no_verified_model", 503, {"rows": [SEEN]})
        later.tell("doctor", "GET /ai/doctor", name="artifact_corrupt", summary="The active version's file is gone")
        later.tell("healthReady", "GET /health/ready", name="degraded", summary="Works, but not as it should")


def breaks(story: Any) -> None:
    """What no caller can help."""
    story.database.write(_execute, "ALTER TABLE audit RENAME TO audit_gone")
    refuse(story, "listAudit", "GET /ai/audit", "database_unavailable", 503)
    story.database.write(_execute, "ALTER TABLE audit_gone RENAME TO audit")
    app = story.client.app
    context, app.state.context = app.state.context, None
    story.tell("healthReady", "GET /health/ready", name="starting", summary="Not yet", status=503)
    refuse(story, "status", "GET /ai/status", "internal_error", 500)
    app.state.context = context
    for guess in range(60):
        story.send("GET /ai/status", x_admin_token=f"guess-{guess}")
    refuse(story, "status", "GET /ai/status", "too_many_wrong_tokens", 429, x_admin_token="one-guess-too-many")


class Meddling:
    """A store in which a file passes its check just when somebody else publishes another one under its name."""

    def __init__(self, database: Any) -> None:
        self._database = database

    def load(self, _path: str, **_proof: Any) -> Any:
        self._database.write(_replace_file, None)
        return SimpleNamespace(feature_names=())


def _replace_file(session: Session, version_id: str | None) -> None:
    """Let the rows name another file; with a version, let it name its own again."""
    for row in session.scalars(select(AIModelVersion).where(AIModelVersion.strategy == "default")):
        turned = row.artifact_sha256[::-1]
        if version_id in (None, row.version_id):
            row.artifact_sha256 = turned


def _crowd(session: Session, like: str, version_ids: list[str]) -> None:
    """Other versions that somebody asked for as shadows, so that there is no room."""
    model = session.scalars(select(AIModelVersion).where(AIModelVersion.version_id == like)).one()
    told = {column.key: getattr(model, column.key) for column in AIModelVersion.__table__.columns if column.key != "id"}
    for version_id in version_ids:
        own = {"version_id": version_id, "data_hash": version_id, "is_shadow": True, "shadow_origin": "asked"}
        session.add(AIModelVersion(**told | own))


def _disperse(session: Session, version_ids: list[str]) -> None:
    session.execute(delete(AIModelVersion).where(AIModelVersion.version_id.in_(version_ids)))


def _begin_strategies(session: Session, story: Any) -> None:
    settings = story.client.app.state.context.settings
    for name, market, sides in (("simulated", "simulated", "long,short"), ("spot", "external", "long")):
        strategy = new_strategy(name, market=market, settings=settings)
        strategy.created_at, strategy.sides = story.now, sides
        session.add(strategy)
    add_demo_rows(session, "demo", settings=settings, now=story.now, actor="admin")


def _execute(session: Session, statement: str) -> None:
    session.execute(text(statement))


PARTS = (callers, names, bodies, decisions, executions, outcomes, shadows, activations, files, breaks)
