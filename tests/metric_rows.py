"""A database in which every figure of /metrics has something to count: rows as the service would have left them."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from backend.models import (
    AIModelVersion,
    AITrainingSample,
    Alarm,
    Delivery,
    Event,
    FeatureSchema,
    Feed,
    JobRun,
    Strategy,
)

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
STRATEGIES = ("default", "simulated", "trend")
FEATURES = np.zeros(139, dtype="<f4").tobytes()
CHANCE = random.Random  # seeded by each caller


def fill(session: Session, samples: int = 300, seed: int = 7) -> None:
    """Write strategies, samples, versions, runs, feeds, alarms and events; the same for the same seed."""
    chance = CHANCE(seed)
    session.add(FeatureSchema(id=1, hash="h", names=["calm"], created_at=NOW))
    session.flush()
    session.add_all(strategy(name) for name in STRATEGIES)
    session.flush()
    session.bulk_insert_mappings(AITrainingSample.__mapper__, [sample(chance, number) for number in range(samples)])
    session.add_all(versions())
    session.add_all(runs())
    session.add_all(feeds())
    session.add_all(alarms())
    session.flush()
    session.add_all(events())
    session.flush()
    session.add_all(deliveries())


def strategy(name: str, created_at: datetime = NOW - timedelta(days=40)) -> Strategy:
    """A strategy."""
    return Strategy(
        name=name, market="external", timeframe="5m", horizon_candles=12, sides="long,short", feature_schema_id=1,
        created_at=created_at,
    )  # fmt: skip


def sample(chance: random.Random, number: int) -> dict[str, Any]:
    """One sample of any kind that there is."""
    origin = chance.choice(["decision"] * 6 + ["import", "historical", "synthetic"])
    row: dict[str, Any] = {
        "decision_id": f"d{number}",
        "strategy": chance.choice(STRATEGIES[:2]),
        "symbol": chance.choice(["BTCUSDC", "ETHUSDC"]),
        "timestamp": NOW - timedelta(minutes=5 * number),
        "origin": origin,
        "state": chance.choice(["pending", "open", "unobservable"]),
        "predicted_action": chance.choice(["BUY", "SELL", "HOLD", "HOLD"]),
        "feature_schema_id": 1,
        "features_blob": FEATURES,
        "horizon_at": NOW,
        "executed": False,
        "outcome_known": False,
        "label_source": None,
        "target_class": None,
        "realized_pnl": None,
        "fees": None,
        "quarantine_reason": chance.choice([None] * 9 + ["return_out_of_bounds"]),
        "explored": False,
        "fees_known": False,
        "created_at": NOW,
    }
    return row | (closed(chance, origin) if chance.random() < 0.7 else {})


def closed(chance: random.Random, origin: str) -> dict[str, Any]:
    """What is added when the outcome is known: traded or not, with a quantity or without."""
    traded = origin == "import" or (origin == "decision" and chance.random() < 0.5)
    sources = {"historical": "historical", "synthetic": "synthetic"}
    known = {
        "state": "closed",
        "outcome_known": True,
        "label_source": "executed" if traded else sources.get(origin, "counterfactual"),
        "target_class": chance.choice(["WIN", "LOSS", "NEUTRAL"]),
    }
    if not traded:
        return {**known, "executed": origin == "synthetic", "realized_pnl": 1.0 if origin == "synthetic" else None}
    pnl = None if chance.random() < 0.1 else chance.gauss(0, 5)
    return {
        **known,
        "executed": True,
        "realized_pnl": pnl,
        "fees": chance.random(),
        "fees_known": chance.random() < 0.8,
    }


def version(number: int, of: str, **told: Any) -> AIModelVersion:
    """A version as its row stands."""
    given: dict[str, Any] = {
        "version_id": f"v20260301_03000{number}",
        "strategy": of,
        "trained_at": NOW - timedelta(days=1),
        "training_samples": 80,
        "validation_samples": 20,
        "validation_accuracy": 0.61,
        "verdict": "no_evidence",
        "model_path": f"xgb_model_v20260301_03000{number}.pkl",
        "artifact_sha256": "0" * 64,
        "artifact_bytes": 1,
        "feature_schema_id": 1,
        "data_hash": f"d{number}",
        "report": {},
        "lineage": {},
    }
    return AIModelVersion(**given | told)


def versions() -> list[AIModelVersion]:
    """One that was judged live, one that was not yet, and an earlier one."""
    judged: dict[str, Any] = {
        "is_active": True,
        "activated_at": NOW - timedelta(hours=20),
        "total_predictions": 500,
        "matured_predictions": 420,
        "neutral_predictions": 20,
        "correct_predictions": 222,
        "live_accuracy": 0.555,
        "total_trades": 31,
        "total_pnl": -12.5,
    }
    return [
        version(1, "simulated", **judged),
        version(2, "default", is_active=True, validation_accuracy=None),
        version(3, "simulated", verdict="strong_evidence", recommended=True),
    ]


def run(number: int, state: str, result: dict[str, Any] | None = None, **told: Any) -> JobRun:
    """A run that took a second longer than the one before."""
    ended = NOW - timedelta(hours=number)
    given: dict[str, Any] = {
        "run_id": f"run-{number}",
        "job": "ai-retraining",
        "strategy": "simulated",
        "state": state,
        "actor": "scheduler",
        "started_at": ended - timedelta(seconds=number, milliseconds=250),
        "heartbeat_at": ended,
        "finished_at": None if state == "running" else ended,
        "result": result,
    }
    return JobRun(**given | told)


def runs() -> list[JobRun]:
    """Runs of every kind, one of them lost with its process and taken over."""
    return [
        run(1, "running"),
        run(2, "success", {"status": "success"}),
        run(3, "success", {"status": "success"}),
        run(4, "skipped", {"reason": "too_few_new_samples"}),
        run(5, "error", {"reason": "training_failed"}),
        run(6, "error", {"reason": "lost"}),
        run(7, "success", {"status": "success", "taken_over": True}, slot=NOW),
        run(8, "missed"),
        run(9, "skipped", {"reason": "insufficient_samples"}, strategy="default"),
    ]


def feeds() -> list[Feed]:
    """A feed with a clock of its own that runs, and one that has ended."""
    return [
        Feed(
            strategy="simulated", source="binance", state="running", market_time=NOW - timedelta(seconds=90),
            updated_at=NOW, clock_offset_seconds=2.5,
        ),
        Feed(
            strategy="trend", source="replay", state="finished", market_time=NOW - timedelta(days=300),
            updated_at=NOW - timedelta(days=2),
        ),
    ]  # fmt: skip


def alarms() -> list[Alarm]:
    """Two that are open, one of them of no strategy, and one that was."""
    given = {"detail": "It is so.", "raised_at": NOW}
    return [
        Alarm(id=1, code="live_accuracy_low", subject="a", strategy="simulated", severity="warning", **given),
        Alarm(id=2, code="delivery_failing", subject="b", severity="error", **given),
        Alarm(id=3, code="market_feed_stale", subject="c", severity="error", closed_at=NOW, **given),
    ]


def events() -> list[Event]:
    """What those alarms told, and a piece of news."""
    told = [
        ("live_accuracy_low", "raised"), ("delivery_failing", "raised"), ("market_feed_stale", "raised"),
        ("market_feed_stale", "closed"), ("training_finished", "news"), ("training_finished", "news"),
    ]  # fmt: skip
    return [
        Event(event_id=f"evt-{number}", code=code, state=state, severity="info", sentence="So.", detail={}, at=NOW)
        for number, (code, state) in enumerate(told)
    ]


def deliveries() -> list[Delivery]:
    """One event on every kind of way."""
    ways = [("notify", "sent"), ("webhook", "failed"), ("webhook", "waiting"), ("notify", "sending")]
    return [
        Delivery(event_id="evt-0", channel=channel, target=f"target-{number}", state=state)
        for number, (channel, state) in enumerate(ways)
    ]
