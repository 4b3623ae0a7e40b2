"""A strategy with known outcomes in a real database, and the services that learn from it."""

import pickle
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from ai_engine.dataset import Rows
from ai_engine.features.catalogue import schema_hash
from ai_engine.past import NOTHING_BEFORE, Past
from ai_engine.pipeline import Refused, Trained, TrainingContext
from backend.database import Database
from backend.learning.versions.activation import VersionService
from backend.learning.versions.retrain import RetrainService, retrain
from backend.learning.versions.serving import Serving
from backend.learning.versions.store import ArtifactStore
from backend.learning.versions.trainer import InProcessTrainer
from backend.models import AIModelVersion, AITrainingSample, FeatureSchema, Strategy
from backend.operations.jobs import Progress
from backend.settings import Settings

Row = TypeVar("Row")
NAMES = ("atr", "ema_gap", "rsi")
START = datetime(2026, 2, 1, tzinfo=UTC)
CANDLE = timedelta(minutes=5)


@dataclass(frozen=True)
class Planted:
    """Known outcomes to store: ``first`` numbers the decisions, so that later calls add later rows."""

    count: int = 120
    first: int = 0
    strategy: str = "bot"
    names: tuple[str, ...] = NAMES
    constant: bool = False
    known: bool = True
    noise: float = 0.004
    created_at: datetime = START


def plant(session: Session, planted: Planted) -> None:
    """Store decisions whose return follows the first feature, with noise."""
    schema = session.query(FeatureSchema).filter_by(hash=schema_hash(planted.names)).one_or_none()
    if schema is None:
        schema = FeatureSchema(hash=schema_hash(planted.names), names=list(planted.names), created_at=START)
        session.add(schema)
        session.flush()
    if session.get(Strategy, planted.strategy) is None:
        session.add(
            Strategy(
                name=planted.strategy,
                market="external",
                timeframe="5m",
                horizon_candles=1,
                sides="long,short",
                feature_schema_id=schema.id,
                created_at=planted.created_at,
            )
        )
        session.flush()
    for number in range(planted.first, planted.first + planted.count):
        session.add(_sample(planted, schema, number))


def _sample(planted: Planted, schema: FeatureSchema, number: int) -> AITrainingSample:
    random = np.random.default_rng(number)
    features = random.normal(size=len(planted.names)).astype("<f4")
    moved = 0.01 if planted.constant else float(0.01 * features[0] + planted.noise * random.normal())
    at = START + number * CANDLE
    return AITrainingSample(
        decision_id=f"d{number}",
        strategy=planted.strategy,
        symbol="BTCUSDC",
        timestamp=at,
        origin="decision",
        state="closed" if planted.known else "pending",
        price=100.0,
        predicted_action="BUY",
        feature_schema_id=schema.id,
        features_blob=features.tobytes(),
        horizon_at=at + CANDLE,
        forward_return=moved if planted.known else None,
        forward_price_at=at + CANDLE if planted.known else None,
        market_return=moved if planted.known else None,
        label_source="counterfactual" if planted.known else None,
        outcome_known=planted.known,
        created_at=at,
    )


class RememberingTrainer:
    """Trains for real, and what it trained before it answers from memory: the same rows give the same bytes."""

    def __init__(self) -> None:
        self._known: dict[bytes, Trained | Refused] = {}

    def __call__(
        self, rows: Rows, context: TrainingContext, progress: Progress | None = None, past: Past = NOTHING_BEFORE
    ) -> Trained | Refused:
        key = pickle.dumps((rows, context, past))
        if key not in self._known:
            self._known[key] = InProcessTrainer()(rows, context, None, past)
        if progress is not None:
            progress("fitting", 0.5)
        return self._known[key]


TRAINER = RememberingTrainer()


@dataclass
class House:
    """Everything a test of versions talks to; ``time`` is the wall clock and moves only by hand."""

    database: Database
    settings: Settings
    store: ArtifactStore
    serving: Serving
    time: datetime

    def clock(self) -> datetime:
        return self.time

    @property
    def training(self) -> RetrainService:
        return RetrainService(self.database, self.settings, self.store, TRAINER, self.clock)

    @property
    def versions(self) -> VersionService:
        return VersionService(self.database, self.settings, self.store, self.clock)

    def rows(self, table: type[Row]) -> list[Row]:
        """Every row of a table, readable after the read."""

        def query(session: Session) -> list[Row]:
            found = list(session.scalars(select(table).order_by(table.id)))  # type: ignore[attr-defined]
            session.expunge_all()
            return found

        return self.database.read(query)

    def rows_of(self, version_id: str) -> AIModelVersion:
        """The version's row."""
        return next(row for row in self.rows(AIModelVersion) if row.version_id == version_id)

    def plant(self, planted: Planted) -> None:
        self.database.write(plant, planted)

    def train(self, **options: object) -> dict[str, object]:
        self.time += timedelta(minutes=1)
        return retrain(self.training, **{"strategy": "bot", "actor": "tests", **options})  # type: ignore[arg-type]

    def served(self, strategy: str = "bot") -> str | None:
        found = self.database.read(self.serving.model_for, strategy)
        return found.version_id if found else None
