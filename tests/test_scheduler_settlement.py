"""The settlement job: what bots' decisions earned, without any call of theirs."""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from ai_engine.candles import Candles
from backend.clock import to_ms
from backend.database import Database
from backend.learning.decisions.record import NewDecision, record
from backend.learning.decisions.strategies import ensure_strategy
from backend.learning.versions.store import ArtifactStore
from backend.learning.versions.trainer import InProcessTrainer
from backend.market import candles as candle_store
from backend.models import AITrainingSample, Feed
from backend.scheduler import build_scheduler, settle_waiting
from backend.settings import Settings, load_settings

DECISION = {"feature_names": ("alpha",), "features": np.ones(1, dtype=np.float32), "forecast": None}
ANSWER = {"model_version": None, "reason": None, "explored": False, "propensity": None, "body_hash": "posted"}


def test_a_bots_decision_is_settled_from_the_candles_of_the_markets_feed(database: Database, now: Any) -> None:
    settings = load_settings(
        environ={"QT_ADMIN_TOKEN": "an-admin-token-for-tests-only", "QT_MARKET": "binance"}, env_file=None
    )
    horizon = now - timedelta(minutes=2)
    decided = horizon - timedelta(minutes=60)

    def prepare(session: Session) -> None:
        strategy, _ = ensure_strategy(session, "bot", market="external", settings=settings, now=now, actor="test")
        known = NewDecision("d1", "BTCUSDC", decided, 100.0, action="BUY", **DECISION, **ANSWER)  # type: ignore[arg-type]
        record(session, strategy, [known], now=decided)
        opened = to_ms(now - timedelta(minutes=5))
        bar = Candles([opened], [100.0], [103.0], [99.0], [102.0], [1.0], timeframe_ms=300_000)
        candle_store.append(session, "binance", "BTCUSDC", "5m", bar)

    database.write(prepare)

    settle_waiting(SimpleNamespace(database=database, settings=settings, wall=lambda: now))  # type: ignore[arg-type]

    sample = database.read(lambda session: session.scalars(select(AITrainingSample)).one().forward_return)
    assert sample == 0.02


def test_what_a_running_market_has_not_come_to_yet_is_not_given_up_by_the_wall_clock(
    database: Database, now: Any
) -> None:
    """After an outage, or where the exchange's clock is behind ours, its candles still come."""
    settings = load_settings(
        environ={"QT_ADMIN_TOKEN": "an-admin-token-for-tests-only", "QT_MARKET": "binance"}, env_file=None
    )
    market_time = now - timedelta(minutes=30)

    def prepare(session: Session) -> None:
        begin = {"market": "binance", "settings": settings, "now": now, "actor": "test"}
        strategy, _ = ensure_strategy(session, settings.strategy, **begin)
        session.add(
            Feed(strategy=strategy.name, source="binance", state="stale", market_time=market_time, updated_at=now)
        )
        for age in (110, 80):
            told = (f"d{age}", "BTCUSDC", now - timedelta(minutes=age), 100.0)
            record(session, strategy, [NewDecision(*told, action="BUY", **DECISION, **ANSWER)], now=now)  # type: ignore[arg-type]

    def states() -> dict[str, str]:
        row = AITrainingSample
        return database.read(lambda session: dict(session.execute(select(row.decision_id, row.state)).all()))

    database.write(prepare)
    service = SimpleNamespace(database=database, settings=settings, wall=lambda: now)

    settle_waiting(service)  # type: ignore[arg-type]
    during = states()
    database.write(lambda session: setattr(session.get_one(Feed, settings.strategy), "market_time", now))
    settle_waiting(service)  # type: ignore[arg-type]

    assert during == {"d110": "unobservable", "d80": "pending"}
    assert states() == {"d110": "unobservable", "d80": "unobservable"}


@dataclass(frozen=True)
class Service:
    """What the scheduler needs of a service, its clock standing still."""

    database: Database
    settings: Settings
    store: ArtifactStore
    trainer: InProcessTrainer
    now: datetime

    def clock(self) -> datetime:
        return self.now


def test_a_decision_that_nobody_prices_becomes_unobservable_with_the_market_off(
    database: Database, settings: Settings, now: Any
) -> None:
    """Whether the bot told a price, or left it to a market that runs no more."""

    def prepare(session: Session) -> None:
        for market, price in (("external", 100.0), ("simulated", None)):
            strategy, _ = ensure_strategy(session, market, market=market, settings=settings, now=now, actor="test")
            for decision_id, age in (("passed", 66), ("waiting", 64)):
                told = (decision_id, "BTCUSDC", now - timedelta(minutes=age), price)
                record(session, strategy, [NewDecision(*told, action="BUY", **DECISION, **ANSWER)], now=now)  # type: ignore[arg-type]

    def states(session: Session) -> list[tuple[str, str, str]]:
        row = AITrainingSample
        found = session.execute(select(row.strategy, row.decision_id, row.state).order_by(row.id))
        return [(strategy, decision_id, state) for strategy, decision_id, state in found]

    database.write(prepare)
    store = ArtifactStore(settings.model_dir)
    scheduler = build_scheduler(Service(database, settings, store, InProcessTrainer(), now))

    scheduler.start()
    deadline = time.monotonic() + 10
    while "unobservable" not in str(database.read(states)) and time.monotonic() < deadline:
        time.sleep(0.05)
    scheduler.shutdown(wait=True)

    assert database.read(states) == [
        (strategy, decision_id, state)
        for strategy in ("external", "simulated")
        for decision_id, state in (("passed", "unobservable"), ("waiting", "pending"))
    ]
