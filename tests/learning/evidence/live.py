"""A house with versions that decide live: what came of their decisions is written by the test."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from backend.learning.evidence.live_evidence import LiveEvidence, look
from backend.learning.versions.activation import ActivationRequest, activate, deactivate
from backend.models import AIModelVersion, AITrainingSample, Alarm, FeatureSchema
from backend.operations.alarms import open_alarms
from tests.learning.versions.house import CANDLE, NAMES, START, House, Planted

LIVE = START + timedelta(days=3)
SHOWN = {"accuracy": 0.62, "ci95": [0.56, 0.68]}


@dataclass
class LiveHouse(House):
    """One strategy, ``bot``, whose versions showed 62 %, at least 56 %."""

    written: int = 0
    service: LiveEvidence | None = None

    def look(self, *, auto_rollback: bool = False, anew: bool = False) -> int:
        """One look of the service; ``anew`` as after a restart."""
        if self.service is None or anew or self.service.rolls_back is not auto_rollback:
            self.service = self.process(auto_rollback=auto_rollback)
        self.time += timedelta(minutes=1)
        return look(self.service)

    def process(self, *, auto_rollback: bool) -> LiveEvidence:
        """Another process's looks."""
        settings = replace(self.settings, auto_rollback=auto_rollback)
        return LiveEvidence(replace(self.versions, settings=settings), self.serving)

    def train_one(self) -> str:
        """A version, not active."""
        self.plant(Planted())
        version_id = str(self.train()["version_id"])
        self.change_reports()
        return version_id

    def train_two(self) -> tuple[str, str]:
        """Two versions, the second trained on more; none active."""
        first = self.train_one()
        self.plant(Planted(first=120, count=20))
        second = str(self.train()["version_id"])
        self.change_reports()
        return first, second

    def change_reports(self, **walk_forward: Any) -> None:
        def change(session: Session) -> None:
            for version in session.scalars(select(AIModelVersion)):
                shown = {**version.report["walk_forward"], **SHOWN, **walk_forward}
                version.report = {**version.report, "walk_forward": shown}

        self.database.write(change)

    def activate(self, version_id: str) -> None:
        self.time += timedelta(minutes=1)
        activate(self.versions, ActivationRequest(version_id, "anna", force=True, reason="to see"))

    def deactivate(self) -> None:
        self.time += timedelta(minutes=1)
        deactivate(self.versions, "bot", "anna")

    def decide(self, version_id: str, hits: Sequence[bool], **fields: Any) -> None:
        """Matured decisions of the version, one a candle, each a move of 1 % that it had right or wrong."""

        def add(session: Session) -> None:
            schema = session.scalars(select(FeatureSchema)).first()
            for number, hit in enumerate(hits, start=self.written):
                at = LIVE + number * CANDLE
                moved = 0.01 * (-1) ** number
                row: dict[str, Any] = {
                    "decision_id": f"live{number}",
                    "strategy": "bot",
                    "symbol": "BTCUSDC",
                    "timestamp": at,
                    "origin": "decision",
                    "state": "closed",
                    "price": 100.0,
                    "predicted_action": "BUY",
                    "prediction_score": moved if hit else -moved,
                    "expected_return": 0.0,
                    "model_version": version_id,
                    "feature_schema_id": schema.id if schema else None,
                    "features_blob": np.random.default_rng(number).normal(size=len(NAMES)).astype("<f4").tobytes(),
                    "horizon_at": at + CANDLE,
                    "forward_return": moved,
                    "forward_return_source": "candles",
                    "forward_price_at": at + CANDLE,
                    "outcome_known": True,
                    "label_source": "counterfactual",
                    "created_at": self.time,
                }
                session.add(AITrainingSample(**row | fields))
            version = AIModelVersion
            session.execute(
                update(version)
                .where(version.version_id == version_id)
                .values(matured_predictions=version.matured_predictions + len(hits))
            )

        self.time += timedelta(minutes=1)
        self.database.write(add)
        self.written += len(hits)

    def active(self) -> str | None:
        return next((row.version_id for row in self.rows(AIModelVersion) if row.is_active), None)

    def alarms(self) -> list[Alarm]:
        return self.database.read(open_alarms)

    def open(self) -> list[tuple[str, str]]:
        return [(alarm.code, alarm.subject) for alarm in self.alarms()]
