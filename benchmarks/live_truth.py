"""How long a version with 50,000 matured forecasts takes to show, and that more windows need no more memory.

python -m benchmarks.live_truth
"""

import resource
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import insert
from sqlalchemy.orm import Session

from backend import migrations
from backend.database import Database
from backend.learning.evidence.live_truth import show_model
from backend.models import AIModelVersion, AITrainingSample, FeatureSchema, Fill, Strategy
from benchmarks.claims import Claims

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
CANDLE = timedelta(minutes=5)
VERSION = "v20260101_000000"
COUNT, AT_ONCE, REPEATS = 50_000, 5_000, 5
LIMIT_SECONDS, LIMIT_MEGABYTES = 1.0, 500.0
FEATURES = np.zeros(139, dtype="<f4").tobytes()
FEES = 2.0
COST = 0.0024


@dataclass(frozen=True)
class Shape:
    """So many symbols a round, outcomes after so many candles, and the share of decisions that was traded."""

    symbols: int
    horizon: int
    traded: float


SHAPES = (Shape(3, 12, 0.1), Shape(1, 12, 0.1), Shape(2, 1, 0.1), Shape(1, 288, 0.1), Shape(3, 12, 1.0))


def main() -> None:
    """Measure each shape; the best of five by the processor's and by the wall's clock."""
    claims = Claims()
    for shape in SHAPES:
        processor, wall = _measured(shape)
        what = f"{shape.symbols} symbols, {shape.horizon} candles, {shape.traded:.0%} traded"
        claims.at_most(f"{what}: processor seconds", processor, LIMIT_SECONDS)
        claims.told(f"{what}: seconds by the wall", f"{wall:.2f}")
    claims.at_most("megabytes held at most", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, LIMIT_MEGABYTES)
    claims.end()


def _measured(shape: Shape) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/quantum_trader.db"
        migrations.upgrade(url)
        database = Database(url)
        database.write(_plant, shape)
        taken = [_timed(database) for _ in range(REPEATS)]
        database.close()
    return min(one[0] for one in taken), min(one[1] for one in taken)


def _timed(database: Database) -> tuple[float, float]:
    processor, wall = time.process_time(), time.perf_counter()
    told = database.read(show_model, VERSION, cost=COST)
    taken = time.process_time() - processor, time.perf_counter() - wall
    if told["live"]["forecasts"]["matured"] != COUNT:
        raise ValueError("the planted rows were not counted")
    return taken


def _plant(session: Session, shape: Shape) -> None:
    schema = FeatureSchema(hash="h", names=["x"], created_at=BEGIN)
    session.add(schema)
    session.flush()
    session.add(
        Strategy(
            name="bench", market="external", timeframe="5m", horizon_candles=shape.horizon, sides="long,short",
            feature_schema_id=schema.id, created_at=BEGIN,
        )
    )  # fmt: skip
    session.flush()
    session.add(
        AIModelVersion(
            version_id=VERSION, strategy="bench", trained_at=BEGIN, training_samples=1, validation_samples=1,
            verdict="no_evidence", model_path="-", artifact_sha256="-", artifact_bytes=1, feature_schema_id=schema.id,
            data_hash="-", report={}, lineage={},
        )
    )  # fmt: skip
    session.flush()
    random = np.random.default_rng(0)
    for first in range(0, COUNT, AT_ONCE):
        rows = [_row(number, shape, schema.id, random) for number in range(first, first + AT_ONCE)]
        session.execute(insert(AITrainingSample), rows)
        fills = [fill for row in rows if row["executed"] for fill in _fills(row)]
        session.execute(insert(Fill), fills)


def _row(number: int, shape: Shape, schema_id: int, random: np.random.Generator) -> dict[str, Any]:
    made, moved = BEGIN + (number // shape.symbols) * CANDLE, float(0.01 * random.normal())
    traded, known_at = bool(random.random() < shape.traded), made + shape.horizon * CANDLE
    row: dict[str, Any] = {
        "id": number + 1, "decision_id": f"d{number}", "strategy": "bench", "symbol": f"S{number % shape.symbols}USDC",
        "timestamp": made, "origin": "decision", "state": "closed", "price": 100.0, "predicted_action": "BUY",
        "prediction_score": float(random.normal()), "model_version": VERSION, "explored": False,
        "feature_schema_id": schema_id, "features_blob": FEATURES, "horizon_at": known_at,
        "forward_price_at": known_at, "forward_return": moved, "forward_return_source": "candle", "executed": traded,
        "outcome_known": True, "fees_known": traded, "created_at": made, "execution_side": None, "quantity": None,
        "fees": None, "realized_pnl": None,
    }  # fmt: skip
    if traded:
        row |= {"execution_side": "BUY", "quantity": 10.0, "fees": FEES, "realized_pnl": 1_000.0 * moved - FEES}
    return row


def _fills(row: dict[str, Any]) -> list[dict[str, Any]]:
    given = {"sample_id": row["id"], "fill_id": "a", "quantity": 10.0, "filled_at": BEGIN, "body_hash": "-"}
    return [
        {**given, "leg": leg, "price": price, "reference_price": 100.0}
        for leg, price in (("entry", 100.02), ("exit", 99.98))
    ]


if __name__ == "__main__":
    main()
