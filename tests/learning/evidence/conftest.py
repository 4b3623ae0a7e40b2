"""Rows written as they stand in the database, without the code that usually writes them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy.orm import Session

from ai_engine.features.catalogue import FEATURE_NAMES, SCHEMA_HASH
from backend.database import Database
from backend.learning.versions.serving import Serving
from backend.learning.versions.store import ArtifactStore
from backend.models import AIModelVersion, AITrainingSample, Alarm, FeatureSchema, Feed, JobRun, Strategy
from backend.settings import Settings

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
NAMES = ("calm", "lively")
STRATEGY = "default"


@dataclass
class Records:
    """One strategy whose rows a test writes directly."""

    database: Database
    settings: Settings
    serving: Serving
    written: int = field(default=0)

    def begin(self, created_at: datetime = NOW - timedelta(days=10)) -> None:
        self._add(
            FeatureSchema(id=1, hash="h", names=list(NAMES), created_at=created_at),
            Strategy(
                name=STRATEGY,
                market="external",
                timeframe="5m",
                horizon_candles=12,
                sides="long,short",
                feature_schema_id=1,
                created_at=created_at,
            ),
        )

    def sample(self, **fields: Any) -> None:
        self.written += 1
        given: dict[str, Any] = {
            "decision_id": f"d{self.written}",
            "strategy": STRATEGY,
            "symbol": "BTCUSDC",
            "timestamp": NOW - timedelta(hours=2),
            "origin": "decision",
            "state": "pending",
            "predicted_action": "HOLD",
            "feature_schema_id": 1,
            "features_blob": np.array([1.0, self.written], dtype="<f4").tobytes(),
            "horizon_at": NOW - timedelta(hours=1),
            "created_at": NOW,
        }
        self._add(AITrainingSample(**given | fields))

    def known(self, move: float, **fields: Any) -> None:
        """A sample whose outcome is known."""
        given = {"state": "closed", "outcome_known": True, "label_source": "counterfactual", "forward_return": move}
        self.sample(**given | fields)

    def version(self, **fields: Any) -> None:
        given: dict[str, Any] = {
            "version_id": "v20260301_030000",
            "strategy": STRATEGY,
            "trained_at": NOW,
            "training_samples": 80,
            "validation_samples": 20,
            "verdict": "no_evidence",
            "is_active": True,
            "model_path": "xgb_model_v20260301_030000.pkl",
            "artifact_sha256": "0" * 64,
            "artifact_bytes": 1,
            "feature_schema_id": 1,
            "data_hash": "d",
            "report": {},
            "lineage": {},
        }
        self._add(AIModelVersion(**given | fields))

    def feed(self, **fields: Any) -> None:
        given: dict[str, Any] = {"source": "simulated", "state": "running", "market_time": NOW, "updated_at": NOW}
        self._add(Feed(strategy=STRATEGY, **given | fields))

    def run(self, run_id: str, **fields: Any) -> None:
        given: dict[str, Any] = {
            "job": "ai-retraining",
            "strategy": STRATEGY,
            "state": "success",
            "actor": "scheduler",
            "started_at": NOW - timedelta(hours=9),
            "heartbeat_at": NOW,
        }
        self._add(JobRun(run_id=run_id, **given | fields))

    def alarm(self, code: str, subject: str, **fields: Any) -> None:
        given: dict[str, Any] = {"severity": "warning", "detail": "It is so.", "raised_at": NOW}
        self._add(Alarm(code=code, subject=subject, **given | fields))

    def catalogue(self) -> int:
        """The id of the schema of our own features."""

        def find(session: Session) -> int:
            known = session.query(FeatureSchema).filter_by(hash=SCHEMA_HASH).one_or_none()
            if known is None:
                known = FeatureSchema(hash=SCHEMA_HASH, names=list(FEATURE_NAMES), created_at=NOW)
                session.add(known)
                session.flush()
            return known.id

        return self.database.write(find)

    def _add(self, *rows: Any) -> None:
        def add(session: Session) -> None:
            session.add_all(rows)

        self.database.write(add)


@pytest.fixture
def records(database: Database, settings: Settings) -> Records:
    """An empty database to write rows into."""
    return Records(database, settings, Serving(ArtifactStore(settings.model_dir)))
