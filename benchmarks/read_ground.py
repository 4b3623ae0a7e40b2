"""A strategy that has decided many times: one version active, another beside it as a shadow, trades, known outcomes."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import insert
from sqlalchemy.orm import Session

from ai_engine.dataset import Rows
from ai_engine.features.catalogue import FEATURE_NAMES, SCHEMA_HASH
from ai_engine.pipeline import Refused, Trained, TrainingContext, train
from backend import migrations
from backend.database import Database
from backend.learning.versions.store import ArtifactStore
from backend.models import AIModelVersion, AITrainingSample, FeatureSchema, Fill, Forecast, Strategy

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SYMBOLS = ("BTCUSDC", "ETHUSDC", "SOLUSDC", "XRPUSDC", "ADAUSDC")
STEP = timedelta(minutes=5)
HORIZON = 12
STRATEGY = "default"
ACTIVE, SHADOW = "v20260101_000000", "v20260101_000001"
ROWS_AT_ONCE = 5_000
TRADED_EVERY = 5
MOVE = 0.01
COST = 0.0024
TRAINING_ROWS = 300


def build(folder: Path, decisions: int, *, step: timedelta = STEP) -> tuple[Database, ArtifactStore]:
    """A migrated database of so many decisions, of which the newest still await their outcomes."""
    url = f"sqlite:///{folder}/quantum_trader.db"
    migrations.upgrade(url)
    database, store = Database(url), ArtifactStore(folder / "models")
    store.prepare()
    database.write(_begin)
    for number, version_id in enumerate((ACTIVE, SHADOW)):
        trained = _trained(number)
        store.write(version_id, trained.artifact, "benchmark")
        database.write(_publish, store, version_id, trained)
    for start in range(0, decisions, ROWS_AT_ONCE):
        numbers = range(start, min(start + ROWS_AT_ONCE, decisions))
        database.write(_decide, numbers, decisions - len(SYMBOLS) * HORIZON, step)
    return database, store


def _begin(session: Session) -> None:
    session.add(FeatureSchema(id=1, hash=SCHEMA_HASH, names=list(FEATURE_NAMES), created_at=BEGIN))
    session.add(
        Strategy(
            name=STRATEGY,
            market="external",
            timeframe="5m",
            horizon_candles=HORIZON,
            sides="long,short",
            feature_schema_id=1,
            created_at=BEGIN,
        )
    )


def _trained(seed: int) -> Trained:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(TRAINING_ROWS, len(FEATURE_NAMES))).astype(np.float32)
    times = np.arange(TRAINING_ROWS, dtype=np.int64) * 300_000
    moves = MOVE * (0.5 * X[:, 0].astype(np.float64) + rng.normal(size=TRAINING_ROWS))
    rows = Rows(
        decision_ids=tuple(f"d{number}" for number in range(TRAINING_ROWS)),
        symbols=("BTCUSDC",) * TRAINING_ROWS,
        times=times,
        ends=times + 300_000,
        X=X,
        feature_names=FEATURE_NAMES,
        forward_returns=moves,
        market_returns=moves,
        label_sources=("counterfactual",) * TRAINING_ROWS,
    )
    context = TrainingContext(STRATEGY, 300_000, 1, COST, seed, 1)
    trained = train(rows, context)
    if isinstance(trained, Refused):
        raise SystemExit(f"The version was refused: {trained.reason}")
    return trained


def _publish(session: Session, store: ArtifactStore, version_id: str, trained: Trained) -> None:
    told = trained.report
    session.add(
        AIModelVersion(
            version_id=version_id,
            strategy=STRATEGY,
            trained_at=BEGIN,
            learned_until=BEGIN,
            training_samples=told["training_samples"],
            validation_samples=told["validation_samples"],
            verdict=told["verdict"],
            is_active=version_id == ACTIVE,
            is_shadow=version_id == SHADOW,
            activated_at=BEGIN if version_id == ACTIVE else None,
            model_path=store.path_of(version_id).as_posix(),
            artifact_sha256=trained.sha256,
            artifact_bytes=len(trained.artifact),
            feature_schema_id=1,
            data_hash=trained.data_hash,
            report=told,
            lineage={},
        )
    )


def _decide(session: Session, numbers: range, known: int, step: timedelta) -> None:
    rng = np.random.default_rng(numbers.start)
    X = rng.normal(size=(len(numbers), len(FEATURE_NAMES))).astype("<f4")
    signal = X[:, 0].astype(np.float64)
    moves = MOVE * (0.2 * signal + rng.normal(size=len(numbers)))
    scores = MOVE * (0.2 * signal[:, None] + 0.1 * rng.normal(size=(len(numbers), 2)))
    rows = [
        _sample(number, step, X[place].tobytes(), float(moves[place]) if number < known else None, scores[place])
        for place, number in enumerate(numbers)
    ]
    session.execute(insert(AITrainingSample), rows)
    session.execute(insert(Forecast), [one for row, both in zip(rows, scores, strict=True) for one in _both(row, both)])
    fills = [one for row in rows if row["executed"] for one in _fills(row)]
    if fills:
        session.execute(insert(Fill), fills)


def _sample(number: int, step: timedelta, features: bytes, move: float | None, scores: Any) -> dict[str, Any]:
    at = BEGIN + number // len(SYMBOLS) * step
    ends = at + HORIZON * STEP
    traded = number % TRADED_EVERY == 0
    return {
        "id": number + 1,
        "decision_id": f"decision-{number}",
        "strategy": STRATEGY,
        "symbol": SYMBOLS[number % len(SYMBOLS)],
        "timestamp": at,
        "origin": "decision",
        "state": "pending" if move is None and not traded else "open" if move is None else "closed",
        "price": 100.0,
        "predicted_action": _action(scores[0]),
        "prediction_score": float(scores[0]),
        "prediction_confidence": 0.55,
        "expected_return": float(scores[0]) / 2,
        "expected_return_low": None,
        "expected_return_high": None,
        "volatility": MOVE,
        "model_version": ACTIVE,
        "explored": False,
        "propensity": 1.0,
        "feature_schema_id": 1,
        "features_blob": features,
        "horizon_at": ends,
        "forward_return": move,
        "forward_return_source": None if move is None else "feed",
        "forward_price_at": None if move is None else ends,
        **_trade(traded, _action(scores[0]), move, at, ends),
        "outcome_known": move is not None,
        "label_source": None if move is None else "executed" if traded else "counterfactual",
        "created_at": at,
    }


def _trade(traded: bool, side: str, move: float | None, at: datetime, ends: datetime) -> dict[str, Any]:
    left = None if not traded or move is None else move
    return {
        "executed": traded,
        "execution_side": side if traded else None,
        "entry_price": 100.0 if traded else None,
        "quantity": 1.0 if traded else None,
        "entry_time": at if traded else None,
        "fees": 0.2 if traded else None,
        "fees_known": traded,
        "exit_price": None if left is None else 100.0 * (1 + left),
        "exit_time": None if left is None else ends,
        "realized_pnl": None if left is None else 100.0 * left - 0.2,
    }


def _action(score: float) -> str:
    return "BUY" if score > 0 else "SELL"


def _both(row: dict[str, Any], scores: Any) -> Iterator[dict[str, Any]]:
    for version_id, role, score in zip((ACTIVE, SHADOW), ("active", "shadow"), scores, strict=True):
        yield {
            "sample_id": row["id"],
            "version_id": version_id,
            "score": float(score),
            "expected_return": float(score) / 2,
            "confidence": 0.55,
            "action": _action(float(score)),
            "role": role,
        }


def _fills(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    legs = (("entry", row["entry_price"], row["entry_time"]), ("exit", row["exit_price"], row["exit_time"]))
    for leg, price, at in legs:
        if price is not None:
            yield {
                "fill_id": f"{row['decision_id']}-{leg}",
                "sample_id": row["id"],
                "leg": leg,
                "price": price,
                "reference_price": price,
                "quantity": 1.0,
                "fees": 0.1,
                "filled_at": at,
                "body_hash": "h",
            }
