"""Short ways to a strategy, a version and decisions in a real database."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from ai_engine.types import Forecast
from backend.database import Database
from backend.learning.decisions.outcomes import Execution, Outcome, record_execution, record_outcome
from backend.learning.decisions.record import NewDecision, record
from backend.learning.decisions.settle import PriceSpan, Settling, settle_prices, settle_rows
from backend.learning.decisions.strategies import ensure_schema, ensure_strategy
from backend.learning.decisions.told_outcomes import tell_outcome
from backend.models import AIModelVersion, AITrainingSample, Strategy
from backend.settings import Settings
from tests.recomputed import recompute

T0 = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
NAMES = ("alpha", "beta")
VERSION = "v20260301_000000"


def new_decision(decision_id: str, at: datetime, **fields: Any) -> NewDecision:
    """A BUY of BTCUSDC at 100, unless told otherwise."""
    given: dict[str, Any] = {
        "decision_id": decision_id,
        "symbol": "BTCUSDC",
        "timestamp": at,
        "price": 100.0,
        "feature_names": NAMES,
        "features": np.array([1.0, 2.0], dtype=np.float32),
        "action": "BUY",
        "forecast": None,
        "model_version": None,
        "reason": None,
        "explored": False,
        "propensity": 1.0,
        "body_hash": "posted",
    }
    return NewDecision(**given | fields)


@dataclass
class Bench:
    """One strategy with 5-minute candles and a horizon of 12, and the calls a test makes on it."""

    database: Database
    settings: Settings
    now: datetime
    strategy: str = "bot"
    markets: tuple[str, ...] = ()
    market: str = "external"

    def begin(self, session: Session) -> Strategy:
        strategy, _ = ensure_strategy(
            session, self.strategy, market=self.market, settings=self.settings, now=self.now, actor="test"
        )
        return strategy

    def add_version(self, version_id: str = VERSION) -> None:
        def add(session: Session) -> None:
            strategy = self.begin(session)
            schema = ensure_schema(session, strategy, NAMES, now=self.now)
            session.add(
                AIModelVersion(
                    version_id=version_id,
                    strategy=strategy.name,
                    trained_at=self.now,
                    training_samples=80,
                    validation_samples=20,
                    verdict="insufficient_data",
                    model_path=f"xgb_model_{version_id}.pkl",
                    artifact_sha256="0" * 64,
                    artifact_bytes=1,
                    feature_schema_id=schema.id,
                    data_hash=version_id,
                    report={},
                    lineage={},
                )
            )

        self.database.write(add)

    def decide(self, decision_id: str = "d1", at: datetime = T0, **fields: Any) -> int:
        """Record one decision and settle what its price settles; the sample's id."""
        new = new_decision(decision_id, at, **fields)

        def use_case(session: Session) -> int:
            strategy = self.begin(session)
            (sample,) = record(session, strategy, [new], now=self.now)
            terms = Settling(strategy, self.settings, self.markets, self.now)
            settle_rows(session, terms, [sample])
            if new.price is not None:
                settle_prices(session, terms, [PriceSpan(new.symbol, at, at)])
            return sample.id

        return self.database.write(use_case)

    def forecast(self, decision_id: str, score: float, at: datetime = T0, **fields: Any) -> int:
        """Record a decision of the version."""
        action = "BUY" if score > 0 else "SELL"
        return self.decide(
            decision_id,
            at,
            **{"action": action, "forecast": Forecast(score, score, 0.6), "model_version": VERSION} | fields,
        )

    def execute(self, decision_id: str = "d1", **fields: Any) -> AITrainingSample:
        given: dict[str, Any] = {"side": "BUY", "entry_price": 100.0, "quantity": 1.0, "entry_time": T0}
        return self.database.write(
            record_execution, self.strategy, decision_id, Execution(**given | fields), now=self.now
        )

    def leave(self, decision_id: str = "d1", **fields: Any) -> AITrainingSample:
        given: dict[str, Any] = {"exit_price": 110.0, "exit_time": T0 + timedelta(minutes=20)}
        return self.database.write(
            record_outcome,
            self.strategy,
            decision_id,
            Outcome(**given | fields),
            now=self.now,
            cost=self.settings.cost,
        )

    def tell(self, decision_id: str = "d1", **fields: Any) -> AITrainingSample:
        """Leave as a bot does, whose outcome is judged by all rules."""
        given: dict[str, Any] = {"exit_price": 110.0, "exit_time": T0 + timedelta(minutes=20)}
        told = Outcome(**given | fields)
        return self.database.write(tell_outcome, self.strategy, decision_id, told, settings=self.settings, now=self.now)

    def sample(self, decision_id: str = "d1") -> AITrainingSample:
        row = AITrainingSample
        query = select(row).where(row.strategy == self.strategy, row.decision_id == decision_id)

        def load(session: Session) -> AITrainingSample:
            sample = session.scalars(query).one()
            session.expunge(sample)
            return sample

        return self.database.read(load)

    def counters(self, version_id: str = VERSION) -> dict[str, Any]:
        """The stored counters, after proof that the rows give the same."""
        recomputed = self.database.read(recompute, version_id, self.settings.cost)

        def stored(session: Session) -> dict[str, Any]:
            version = session.scalars(select(AIModelVersion).where(AIModelVersion.version_id == version_id)).one()
            return {key: getattr(version, key) for key in recomputed}

        kept = self.database.read(stored)
        assert kept == pytest.approx(recomputed)
        return kept


@pytest.fixture
def bench(database: Database, settings: Settings, now: datetime) -> Bench:
    return Bench(database, settings, now)


@pytest.fixture
def minutes() -> Callable[[float], datetime]:
    """The time so many minutes after the first decision."""
    return lambda count: T0 + timedelta(minutes=count)


@pytest.fixture
def draft() -> Callable[..., NewDecision]:
    """A decision that is not recorded yet."""
    return new_decision
